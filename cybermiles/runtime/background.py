"""Work that runs beside its owner: the owner is woken and collects the result itself, so it stays the only writer.

Call    one coroutine; its result or exception waits until the owner takes it
Alarm   wakes the owner at a time, of which there is always one, the earliest asked for
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cybermiles.runtime.clock import Clock

T = TypeVar("T")


class Call(Generic[T]):
    """A coroutine on its way. Whoever starts one takes its result or cancels it."""

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, T], wake: Callable[[], None]) -> None:
        self._task = asyncio.create_task(coroutine, name=name)
        self._task.add_done_callback(lambda _: wake())

    @property
    def is_done(self) -> bool:
        """Whether `result` returns or raises at once."""
        return self._task.done()

    def result(self) -> T:
        """Return the result of a call that is done, or raise its exception."""
        return self._task.result()

    async def wait(self) -> T:
        """Return the result or raise the exception when it is there."""
        return await self._task

    async def cancel(self) -> None:
        """Stop it and return when it has ended; its result or exception is dropped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Alarm:
    """Wakes its owner once at the earliest time asked for."""

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._sleeping: asyncio.Task[None] | None = None
        self._due = 0.0

    def set(self, due: float) -> None:
        """Wake at `due` (seconds of the monotonic clock), unless an earlier alarm stands."""
        if self._sleeping is not None and not self._sleeping.done():
            if self._due <= due:
                return
            self._sleeping.cancel()
        self._due = due
        self._sleeping = asyncio.create_task(self._sleep(due), name="alarm")

    async def close(self) -> None:
        """Wake nobody any more."""
        if self._sleeping is not None:
            self._sleeping.cancel()
            await asyncio.gather(self._sleeping, return_exceptions=True)

    async def _sleep(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
        self._wake()
