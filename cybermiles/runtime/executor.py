"""Blocking work off the event loop: one thread that executes blocks, a few for signatures, some for disks.

Block execution has a thread of its own with a C stack deep enough for 1024 nested call frames. A call that is
cancelled keeps running in its thread to the end; its result is dropped.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")
T = TypeVar("T")

STACK_BYTES = 64 * 1024 * 1024
"""C stack of worker threads; virtual, touched only as deep as calls go."""
SHORTEST_PART = 16
"""Items that a thread is woken for."""


class Worker:
    """A named pool of threads."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._threads = threads
        previous = threading.stack_size(STACK_BYTES)
        try:
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
            for future in [self._pool.submit(_start) for _ in range(threads)]:
                future.result()
        finally:
            threading.stack_size(previous)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in the pool and return its result, or raise its exception."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))

    def spread(self, function: Callable[[Sequence[T]], None], items: Sequence[T]) -> None:
        """Call the function on parts of a list in all threads and wait; a short list is not worth the way.

        For other threads than the pool's own. Raises what one of the calls raises.
        """
        if len(items) < self._threads * SHORTEST_PART:
            function(items)
            return
        size = -(-len(items) // self._threads)
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        for future in [self._pool.submit(function, part) for part in parts]:
            future.result()

    def close(self) -> None:
        """Wait for what runs and end the threads; what has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    """Threads are created while the stack size is set; this makes the pool create one."""
