"""Who leaves a full pool first: queued before executable, free before paying, cheap before dear, new before old.

Sorting a full pool for every newcomer would be an invitation: whoever fills it could then stall it. So the order is
a snapshot, made again when a fiftieth of the pool has arrived or asked for room since. Entries that have left are
skipped, and so are those that have risen since; what has come or fallen since is found at the next snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.mempool.pool import Entry, Pool, Sender

Rank = tuple[bool, bool, int]
"""(executable, paying, price in wei per gas): the smallest gives way first."""


def rank_of(entry: Entry, sender: Sender) -> Rank:
    """Return what an entry, pooled or about to be, is worth keeping for."""
    transaction = entry.transaction
    return (transaction.nonce <= sender.next_nonce, not entry.is_free, transaction.effective_gas_price(0))


class EvictionOrder:
    """The pool's entries with their ranks, best first, as they were a little while ago."""

    def __init__(self) -> None:
        self._ranked: list[tuple[Rank, Entry]] = []
        self._free: list[tuple[Rank, Entry]] = []
        self._events_left = 0

    def arrived(self) -> None:
        """Count a transaction that entered the pool."""
        self._events_left -= 1

    def worse_than(self, rank: Rank, pool: Pool, *, only_free: bool) -> Iterator[Entry]:
        """Yield pooled entries of a lower rank, worst first."""
        self._events_left -= 1
        if self._events_left < 0:
            self._rebuild(pool)
        ranked = self._free if only_free else self._ranked
        while ranked and not pool.holds(ranked[-1][1]):
            ranked.pop()
        for rank_then, entry in reversed(ranked):
            if rank_then >= rank:
                return
            if pool.holds(entry) and rank_of(entry, pool.senders[entry.transaction.sender]) < rank:
                yield entry

    def _rebuild(self, pool: Pool) -> None:
        ranked = [
            (rank_of(entry, sender), entry) for sender in pool.senders.values() for entry in sender.entries.values()
        ]
        ranked.sort(key=lambda pair: (pair[0], -pair[1].order), reverse=True)
        self._ranked = ranked
        self._free = [pair for pair in ranked if pair[1].is_free]
        self._events_left = len(ranked) // 50
