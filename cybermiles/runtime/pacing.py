"""Periodic work driven by an injected clock: soon after news, else when it says it is due.

A node without traffic then sleeps, and a simulation of thousands of idle seconds costs nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from cybermiles.runtime.tasks import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.runtime.clock import Clock


class News:
    """Something that one task waits for, with a deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def now_ms(self) -> int:
        """Return the monotonic time in milliseconds."""
        return int(self._clock.monotonic() * 1000)

    def tell(self) -> None:
        """End the wait, or the next one."""
        self._event.set()

    async def wait_until(self, due_ms: int) -> bool:
        """Return True as soon as there is news, or False at the monotonic time `due_ms`, at least a millisecond on."""
        if not self._event.is_set():
            wait_ms = max(due_ms - self.now_ms(), 1)
            try:
                await within(self._clock, wait_ms / 1000, self._event.wait())
            except TimeoutError:
                return False
        self._event.clear()
        return True


class Pacemaker:
    """Calls `tick(now_ms)`, which returns when it wants to be called next, both in monotonic milliseconds."""

    def __init__(self, clock: Clock, tick: Callable[[int], int], *, soon_ms: int) -> None:
        self._clock = clock
        self._tick = tick
        self._soon_ms = soon_ms
        self._news = News(clock)

    def now_ms(self) -> int:
        """Return the monotonic time that `tick` gets."""
        return self._news.now_ms()

    def wake(self) -> None:
        """Have `tick` called within `soon_ms`."""
        self._news.tell()

    async def run(self) -> NoReturn:
        """Tick until cancelled."""
        while True:
            due_ms = self._tick(self.now_ms())
            if await self._news.wait_until(due_ms):
                await self._clock.sleep(self._soon_ms / 1000)
