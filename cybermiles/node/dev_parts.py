"""What a chain for development has in the places of two parts that every node has: clock and source of transactions.

`DevClock` stands where the system's clock does, so header times follow it; after a restart it goes on from the head's
time. `AskedFor` gives the engine a reason for a block when one is asked for; the engine knows nothing of this.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.runtime.background import Call
from cybermiles.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.consensus.ports import TransactionSource
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.block import Block
    from cybermiles.types.transaction import Transaction


class ClockMark(NamedTuple):
    """What a `DevClock` showed."""

    now_ms: int
    pinned_ms: int | None
    """Where it stood still."""


class DevClock:
    """A clock ahead of another one, or standing still until the next block."""

    def __init__(self, clock: Clock, head_time: int) -> None:
        """Run on from the head's time, in seconds, where the other clock is behind it."""
        self._clock = clock
        self._ahead_ms = max(0, head_time * 1000 - clock.now_ms())
        self._skipped_ms = 0
        self._pinned_ms: int | None = None

    @property
    def ahead_ms(self) -> int:
        """How far it is ahead, negative when it was set back."""
        return self.now_ms() - self._clock.now_ms()

    @property
    def pinned(self) -> int | None:
        """The time it stands at, in seconds; None where it runs."""
        return None if self._pinned_ms is None else self._pinned_ms // 1000

    def mark(self) -> ClockMark:
        """Return the time, to go back to."""
        return ClockMark(self.now_ms(), self._pinned_ms)

    def mark_since(self, head_time: int) -> ClockMark:
        """Return the time that the other clock shows, after `head_time` in any case."""
        return ClockMark(max(self._clock.now_ms(), head_time * 1000), None)

    def go_back(self, mark: ClockMark) -> None:
        """Let the wall time go on from a mark; who waits notices nothing."""
        self._ahead_ms = mark.now_ms - self._clock.now_ms()
        self._pinned_ms = mark.pinned_ms

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ahead_ms if self._pinned_ms is None else self._pinned_ms

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._skipped_ms / 1000

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def advance(self, milliseconds: int) -> None:
        """Move the wall time on."""
        self.release()
        self._ahead_ms += milliseconds

    def skip(self, milliseconds: int) -> None:
        """Let that much time have passed for whoever waits."""
        self._skipped_ms += milliseconds

    def pin(self, seconds: int) -> None:
        """Stand still at a time."""
        self._pinned_ms = seconds * 1000

    def release(self) -> None:
        """Run on from where it stands."""
        if self._pinned_ms is not None:
            self._ahead_ms = self._pinned_ms - self._clock.now_ms()
            self._pinned_ms = None


def clock_of(document: GenesisDocument, head_time: int) -> Clock:
    """Return the system's clock; on a chain for development one that can be moved."""
    return DevClock(SystemClock(), head_time) if document.dev else SystemClock()


class AskedFor:
    """`consensus.ports.TransactionSource`: the pool's, and a reason for a block when one is asked for."""

    def __init__(self, pool: TransactionSource) -> None:
        self._pool = pool
        self._is_asked = False
        self._wake = asyncio.Event()

    def ask(self) -> None:
        """Ask for one block, empty or not."""
        self._is_asked = True
        self._wake.set()

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:  # noqa: ARG002  (a commit listener)
        self._is_asked = False

    def candidates(self) -> Sequence[Transaction]:
        return self._pool.candidates()

    async def wait_for_transactions(self) -> None:
        arrived = Call("arrival", self._pool.wait_for_transactions(), self._wake.set)
        try:
            while not arrived.is_done and not self._is_asked:
                self._wake.clear()
                await self._wake.wait()
            if arrived.is_done:
                arrived.result()
        finally:
            await arrived.cancel()
