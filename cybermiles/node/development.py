"""What a chain for development has beyond others: a clock that can be moved, and blocks when they are asked for.

The rest is in blocks like everything else. `DevClock` stands where the system's clock does, so header times follow it;
after a restart it goes on from the head's time. A block is asked for by moving that clock to where one is due and by
telling the engine that there is something to do; the engine knows nothing of this. Only the one validator of a chain
may do so: others would find the times of its blocks wrong.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError
from cybermiles.runtime.background import Call
from cybermiles.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.application.ports import CommitListener
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.consensus.ports import TransactionSource
    from cybermiles.consensus.runner import ConsensusRunner
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.runtime.clock import Clock
    from cybermiles.storage.database import Database
    from cybermiles.types.block import Block
    from cybermiles.types.transaction import Transaction


class DevClock:
    """A clock ahead of another one, or standing still until the next block."""

    def __init__(self, clock: Clock, head_time: int) -> None:
        """Run on from the head's time, in seconds, where the other clock is behind it."""
        self.head_time = head_time
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


def clock_of(document: GenesisDocument, database: Database) -> Clock:
    """Return the system's clock; on a chain for development one that can be moved."""
    clock = SystemClock()
    if not document.dev:
        return clock
    header = None if database.chain.head is None else database.blocks.header(database.chain.head.height)
    return DevClock(clock, document.timestamp if header is None else header.timestamp)


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


class Development:
    """`rpc.namespaces.dev.Development`: makes blocks and time pass. Owned by the event loop."""

    def __init__(self, clock: DevClock, source: AskedFor, engine: ConsensusRunner) -> None:
        self._clock = clock
        self._source = source
        self._engine = engine
        self._interval_ms = engine.interval_ms
        self._head_time = clock.head_time
        self._began = clock.monotonic() - self._interval_ms / 1000
        """When the head was committed; long enough ago, at a start, for a block to be in the making."""
        self._committed = asyncio.Event()
        self._busy = asyncio.Lock()
        self._then: Callable[[], None] | None = None

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:  # noqa: ARG002  (a commit listener)
        self._head_time = block.header.timestamp
        self._began = self._clock.monotonic()
        pinned = self._clock.pinned
        if pinned is not None and self._head_time >= pinned:
            self._clock.release()
        if self._then is not None:
            then, self._then = self._then, None
            then()
        self._committed.set()
        self._committed = asyncio.Event()

    async def mine(self, count: int, *, apart: int | None = None, at: int | None = None) -> None:
        """Make blocks, `apart` seconds from one to the next, the first with the time `at`.

        A network of several validators makes its blocks by itself: there this waits for as many.
        """
        async with self._busy:
            if at is not None:
                await self._set_time(at)
            for number in range(count):
                if number and apart is not None:
                    self._require_alone()
                    self._clock.advance(apart * 1000)
                await self._block()

    async def advance(self, seconds: int) -> int:
        """Move the clock on; return how far it is ahead, in seconds. Raises ConfigError where others vote, too."""
        async with self._busy:
            self._require_alone()
            await self._quiet(lambda: self._clock.advance(seconds * 1000))
            return self._clock.ahead_ms // 1000

    async def set_next_time(self, timestamp: int) -> None:
        """Give the next block this time, and let time go on from there. Raises ConfigError."""
        async with self._busy:
            await self._set_time(timestamp)

    async def _set_time(self, timestamp: int) -> None:
        self._require_alone()
        self._check_after_head(timestamp)
        await self._quiet(lambda: self._clock.pin(timestamp))
        self._check_after_head(timestamp)

    def _check_after_head(self, timestamp: int) -> None:
        if timestamp <= self._head_time:
            raise ConfigError(f"timestamp {timestamp} is not after the last block's, {self._head_time}")

    async def _quiet(self, change: Callable[[], None]) -> None:
        """Change the clock while no block is being built for the time before; one that may be is let through."""
        elapsed_ms = (self._clock.monotonic() - self._began) * 1000
        if elapsed_ms * 5 < self._interval_ms * 2:
            change()
            return
        self._then = change
        await self._block()

    async def _block(self) -> None:
        committed = self._committed
        if self._is_alone:
            self._clock.skip(self._interval_ms)
            if self._clock.pinned is None:
                self._clock.advance(max(0, (self._head_time + 1) * 1000 - self._clock.now_ms()))
        self._source.ask()
        self._engine.wake()
        await committed.wait()

    @property
    def _is_alone(self) -> bool:
        return len(self._engine.validators.validators) == 1

    def _require_alone(self) -> None:
        if not self._is_alone:
            raise ConfigError("several validators decide this chain, and they would refuse blocks of another time")


def source_of(clock: Clock, pool: TransactionSource) -> TransactionSource:
    """Return what the engine takes transactions from."""
    return AskedFor(pool) if isinstance(clock, DevClock) else pool


def development_of(
    clock: Clock, source: TransactionSource, engine: ConsensusRunner, listeners: list[CommitListener]
) -> Development | None:
    """Return what makes blocks on demand, None where the chain is none for development; it listens to commits."""
    if not isinstance(clock, DevClock) or not isinstance(source, AskedFor):
        return None
    development = Development(clock, source, engine)
    listeners += (source, development)
    return development
