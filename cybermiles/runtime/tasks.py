"""Supervised tasks: named, referenced, and the first failure stops the node loudly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = get_logger("tasks")


class Supervisor:
    """Owns every long-running task of the node."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run the coroutine until it ends, fails or the supervisor stops."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[task] = name
        task.add_done_callback(self._finished)

    def stop(self) -> None:
        """Ask `wait` to end; safe to call from a signal handler, more than once."""
        self._stopping.set()

    async def wait(self) -> None:
        """Return after `stop`, or raise the first failure; every task has ended then."""
        await self._stopping.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    def _finished(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._failure is None:
            self._failure = error
            log.error("task_failed", task=self._tasks[task], error=f"{type(error).__name__}: {error}")
        self._stopping.set()
