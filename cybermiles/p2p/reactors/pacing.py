"""Drives a reactor's `tick` by an injected clock: soon after news, else when the reactor says it is due.

A node without traffic then sleeps, and a simulation of thousands of idle seconds costs nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from cybermiles.runtime.tasks import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.runtime.clock import Clock


class Pacemaker:
    """Calls `tick(now_ms)`, which returns when it wants to be called next, both in monotonic milliseconds."""

    def __init__(self, clock: Clock, tick: Callable[[int], int], *, soon_ms: int) -> None:
        self._clock = clock
        self._tick = tick
        self._soon_ms = soon_ms
        self._news = asyncio.Event()

    def now_ms(self) -> int:
        """Return the monotonic time that `tick` gets."""
        return int(self._clock.monotonic() * 1000)

    def wake(self) -> None:
        """Have `tick` called within `soon_ms`."""
        self._news.set()

    async def run(self) -> NoReturn:
        """Tick until cancelled."""
        while True:
            due_ms = self._tick(self.now_ms())
            if not await self._news_before(due_ms - self.now_ms()):
                continue
            self._news.clear()
            await self._clock.sleep(self._soon_ms / 1000)

    async def _news_before(self, wait_ms: int) -> bool:
        """Wait for news, or for the time to pass; whether news came first."""
        if self._news.is_set():
            return True
        try:
            await within(self._clock, max(wait_ms, 1) / 1000, self._news.wait())
        except TimeoutError:
            return False
        return True
