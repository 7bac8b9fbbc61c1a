"""Supervised tasks: named, referenced, and no failure is lost.

    Supervisor   the node's own tasks: the first one that ends or fails stops the node
    TaskGroup    the tasks around one peer: the first one that ends or fails ends that group only
    within       one call with a deadline by the node's clock
    guarded      one plain call whose bugs are logged and cost only who caused it

Nothing else in the node makes tasks or catches every exception.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cybermiles.runtime.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")

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


def stop_on_signals(supervisor: Supervisor) -> None:
    """Have SIGTERM and SIGINT stop this supervisor, and no earlier one any more."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)


class TaskGroup:
    """Tasks that live and end together, apart from everything else.

    The first task that returns or raises ends the group: the others are cancelled, and when all have ended `on_end` is
    called once with the exception, or None where the task returned or the group was cancelled. `on_end` must not raise.
    """

    def __init__(self, on_end: Callable[[BaseException | None], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_end = on_end
        self._error: BaseException | None = None
        self._ending = False
        self._ended = asyncio.Event()

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run one more task; where the group is ending already, the coroutine is closed instead."""
        if self._ending:
            coroutine.close()
            return
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def cancel(self) -> None:
        """End the group; safe to call more than once and from its own tasks."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            self._end()

    async def wait(self) -> None:
        """Return when every task has ended and `on_end` was called."""
        await self._ended.wait()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and not self._ending:
            self._error = task.exception()
        elif not task.cancelled():
            task.exception()  # marks a failure during the ending as seen: the first reason is the one that counts
        self.cancel()

    def _end(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._on_end(self._error)


async def within(clock: Clock, seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result, or cancel it and raise TimeoutError once `clock` has moved that far."""
    async with asyncio.timeout(None) as scope:
        timer = asyncio.create_task(_expire(clock, seconds, scope), name="deadline")
        try:
            return await coroutine
        finally:
            timer.cancel()


async def _expire(clock: Clock, seconds: float, scope: asyncio.Timeout) -> None:
    await clock.sleep(seconds)
    scope.reschedule(0)


def guarded(function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Exception | None:
    """Call and return None, or log the exception with its traceback and return it."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        log.exception("call_failed", call=getattr(function, "__qualname__", repr(function)))
        return error
    return None
