"""What a chain for development can do beyond others: make blocks and time pass, and go back to where it was.

The rest is in blocks like everything else. A block is asked for by moving the clock to where one is due and by telling
the engine that there is something to do (`dev_parts`). Only the one validator of a chain may do so: others would find
the times of its blocks wrong. A snapshot is where the chain, its pool and its time were; `live_chain` goes back there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError
from cybermiles.node.live_chain import ChainPoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.node.chain_parts import ChainParts
    from cybermiles.node.dev_parts import ClockMark, DevClock
    from cybermiles.node.live_chain import LiveChain
    from cybermiles.types.block import Block


LATEST_TIME = 2**32 - 1 - 50 * 31_536_000
"""Seconds. Books keep times in 32 bits, and some are of years to come."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    point: ChainPoint
    time: ClockMark


class Development:
    """`rpc.namespaces.dev.Development`: makes blocks and time pass, and goes back. Owned by the event loop."""

    def __init__(self, clock: DevClock, chain: LiveChain, interval_ms: int, genesis_time: int) -> None:
        self._clock = clock
        self._chain = chain
        self._interval_ms = interval_ms
        self._genesis_time = genesis_time
        self._head_time = 0
        self._began = 0.0
        """When the head was committed."""
        self._committed = asyncio.Event()
        self._busy = asyncio.Lock()
        self._then: Callable[[], None] | None = None
        self._is_asking = False
        self._snapshots: dict[int, _Snapshot] = {}
        self._taken = 0
        chain.listen(self)
        chain.follow(self._start)

    def _start(self, parts: ChainParts) -> None:
        self._head_time = self._chain.head.timestamp
        self._then = None
        if self._is_asking:
            self._ask(parts)
        # Long enough ago for a block to be in the making.
        self._began = self._clock.monotonic() - self._interval_ms / 1000

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

    async def snapshot(self) -> int:
        """Remember blocks, pool and time; return the number of the snapshot. Raises ConfigError as `revert` does."""
        async with self._busy:
            snapshot = _Snapshot(self._chain.point(), self._clock.mark())
            self._taken += 1
            self._snapshots[self._taken] = snapshot
            self._hold()
            return self._taken

    async def revert(self, number: int) -> int | None:
        """Go back to a snapshot and forget it and those after it; return its height, None where there is none.

        Raises ConfigError where blocks cannot be taken back.
        """
        async with self._busy:
            snapshot = self._snapshots.get(number)
            return None if snapshot is None else await self._go_back(snapshot, number)

    async def reset(self) -> int:
        """Go back to the genesis block and forget every snapshot. Raises ConfigError."""
        async with self._busy:
            return await self._go_back(_Snapshot(ChainPoint(0, ()), self._clock.mark_since(self._genesis_time)), 0)

    async def _go_back(self, to: _Snapshot, number: int) -> int:
        def then() -> None:
            """Done with the blocks, whether or not somebody still waits for it."""
            self._clock.go_back(to.time)
            self._snapshots = {other: kept for other, kept in self._snapshots.items() if other < number}
            self._hold()

        await self._chain.take_back(to.point, then)
        return to.point.height

    def _hold(self) -> None:
        """Let no state be pruned that somebody may come back to."""
        self._chain.hold(min((kept.point.height for kept in self._snapshots.values()), default=None))

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
                    _check_not_over(self._head_time + apart)
                    self._clock.advance(apart * 1000)
                await self._block()

    async def advance(self, seconds: int) -> int:
        """Move the clock on; return how far it is ahead, in seconds. Raises ConfigError where others vote, too."""
        async with self._busy:
            self._require_alone()
            _check_not_over(self._clock.now_ms() // 1000 + seconds)
            await self._quiet(lambda: self._clock.advance(seconds * 1000))
            return self._clock.ahead_ms // 1000

    async def set_next_time(self, timestamp: int) -> None:
        """Give the next block this time, and let time go on from there. Raises ConfigError."""
        async with self._busy:
            await self._set_time(timestamp)

    async def _set_time(self, timestamp: int) -> None:
        self._require_alone()
        self._check_after_head(timestamp)
        _check_not_over(timestamp)
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
        if self._chain.is_alone:
            self._clock.skip(self._interval_ms)
            if self._clock.pinned is None:
                self._clock.advance(max(0, (self._head_time + 1) * 1000 - self._clock.now_ms()))
        self._is_asking = True
        try:
            self._ask(self._chain.parts)
            await committed.wait()
        finally:
            self._is_asking = False

    def _ask(self, parts: ChainParts) -> None:
        if parts.asked is not None:
            parts.asked.ask()
        parts.engine.wake()

    def _require_alone(self) -> None:
        if not self._chain.is_alone:
            raise ConfigError("several validators decide this chain, and they would refuse blocks of another time")


def _check_not_over(timestamp: int) -> None:
    if timestamp > LATEST_TIME:
        raise ConfigError(
            f"time {timestamp} is too far ahead, the latest is {LATEST_TIME}: the chain's books end in 2106"
        )
