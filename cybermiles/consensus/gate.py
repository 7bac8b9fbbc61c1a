"""Whether the next height may start now: its time has come and there is something to decide, or others are at it.

Others are believed at work when the proposer of round 0 proposed or when more than a third of the power voted: one
liar cannot hurry the chain, and a node whose clock or mempool lags does not hold it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.runtime.background import Call
from cybermiles.types.block import MAX_EVIDENCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.consensus.inbox import Inbox
    from cybermiles.consensus.intake import Intake
    from cybermiles.consensus.pacing import Moment, Pacing
    from cybermiles.consensus.ports import Gossip, RunnerPorts
    from cybermiles.types.abci import AppInfo


class StartGate:
    """Owned by the runner; `wake` is called when `may_start` could answer otherwise."""

    def __init__(
        self,
        ports: RunnerPorts,
        pacing: Pacing,
        *,
        create_empty_blocks: bool,
        inbox: Inbox,
        intake: Intake,
        wake: Callable[[], None],
    ) -> None:
        self._pacing = pacing
        self._create_empty_blocks = create_empty_blocks
        self._transactions = ports.transactions
        self._evidence = ports.evidence
        self._inbox = inbox
        self._intake = intake
        self._wake = wake
        self._arrival: Call[None] | None = None
        self._at_work: set[bytes] = set()
        self._is_proposed = False
        self._last_start_ms: int | None = None

    def started(self, now_ms: int) -> None:
        """A height starts at `now_ms` (monotonic); the next `may_start` is about the one after it."""
        self._last_start_ms = now_ms
        self._at_work.clear()
        self._is_proposed = False

    async def wait_ms(self, now: Moment, info: AppInfo, gossip: Gossip) -> int | None:
        """Return after how long the height above `info` may start: 0 is now, None when something happens.

        Peers whose messages about it are wrong are rejected at once.
        """
        fresh = self._inbox.fresh_early()
        if fresh:
            shown = await self._intake.at_work(fresh, info.rotation, self._at_work)
            self._is_proposed |= shown.is_proposed
            self._at_work |= shown.voters
            for source, reason in shown.wrong.items():
                gossip.rejected(source, reason)
                self._inbox.drop(source)
        if self._is_at_work(info):
            return 0
        wait = self._pacing.wait_ms(now, last_start_ms=self._last_start_ms, parent_timestamp=info.timestamp)
        if wait > 0:
            return wait
        return 0 if self._create_empty_blocks or self._has_content() else None

    def _is_at_work(self, info: AppInfo) -> bool:
        members = info.validators.validators
        power = sum(member.power for member in members if member.address in self._at_work)
        return self._is_proposed or info.validators.has_honest(power)

    def _has_content(self) -> bool:
        """Whether a block would not be empty; otherwise be woken when it would not."""
        if self._evidence.pending(MAX_EVIDENCE_BYTES):
            return True
        if self._arrival is None:
            self._arrival = Call("arrival", self._transactions.wait_for_transactions(), self._wake)
        return self._arrival.is_done

    async def close(self) -> None:
        """Wait for transactions no more. Raises what waiting for them raised."""
        if self._arrival is not None:
            arrival, self._arrival = self._arrival, None
            if arrival.is_done:
                arrival.result()
            await arrival.cancel()
