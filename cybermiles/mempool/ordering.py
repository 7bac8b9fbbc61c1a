"""The order in which a proposer offers pending transactions to the block builder.

First the free ones, one of each sender, least recently served sender first, so that nobody can crowd the free
lane out by paying or by sending more; then the paying ones, best price first, each sender's in nonce order, ties
by arrival. What a sponsor's deposit covers pays the price floor.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.mempool.pool import Entry, Pool
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction

MAX_REMEMBERED_SENDERS = 100_000


class ServedSenders:
    """When each sender last had a free transaction; bounded, the longest ago forgotten first."""

    def __init__(self) -> None:
        self._heights: OrderedDict[Address, int] = OrderedDict()

    def record(self, sender: Address, height: int) -> None:
        """Note that the sender was served at a height."""
        self._heights[sender] = height
        self._heights.move_to_end(sender)
        if len(self._heights) > MAX_REMEMBERED_SENDERS:
            self._heights.popitem(last=False)

    def height(self, sender: Address) -> int:
        """Return when the sender was last served, -1 for never."""
        return self._heights.get(sender, -1)


def select(pool: Pool, served: ServedSenders, *, max_gas: int, max_bytes: int) -> list[Transaction]:
    """Return the candidates of the next block, enough to fill it about once.

    `max_gas` is compared with the sum of gas limits, of which a block may hold more than its gas limit because it
    counts gas used; the caller passes a multiple.
    """
    free: list[tuple[int, int, Entry]] = []
    heads: list[tuple[int, int, Address, int]] = []
    for address, sender in pool.senders.items():
        if sender.nonce == sender.next_nonce:
            continue
        head = sender.entries[sender.nonce]
        if head.is_free and head.transaction.gas_limit <= pool.params.free_gas_limit:
            free.append((served.height(address), head.order, head))
        if _is_paid_for(head):
            heads.append((-_price(head, pool), head.order, address, sender.nonce))
    slots = 2 * pool.params.free_slots_per_block
    chosen = [entry.transaction for _, _, entry in heapq.nsmallest(slots, free, key=lambda f: f[:2])]
    taken = {transaction.hash: None for transaction in chosen}
    gas = sum(transaction.gas_limit for transaction in chosen)
    size = sum(transaction.size for transaction in chosen)
    heapq.heapify(heads)
    while heads and gas < max_gas and size < max_bytes:
        _, _, address, nonce = heads[0]
        sender = pool.senders[address]
        transaction = sender.entries[nonce].transaction
        if transaction.hash not in taken:
            chosen.append(transaction)
            gas += transaction.gas_limit
            size += transaction.size
        nonce += 1
        following = sender.entries.get(nonce) if nonce < sender.next_nonce else None
        if following is None or not _is_paid_for(following):
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (-_price(following, pool), following.order, address, nonce))
    return chosen


def _is_paid_for(entry: Entry) -> bool:
    return not entry.is_free or entry.is_sponsored


def _price(entry: Entry, pool: Pool) -> int:
    return max(entry.transaction.effective_gas_price(0), pool.params.min_gas_price)
