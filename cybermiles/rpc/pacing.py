"""Long answers are made a piece at a time, so that consensus and other callers get their turns between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

ITEMS_PER_TURN = 64
"""Transactions or receipts rendered before other tasks get their turn: about a millisecond."""


TURN_SECONDS = 0.005
"""What a row of short pieces of work may take before other tasks get their turn."""


class Turn:
    """Gives way once its turn has been long enough."""

    def __init__(self) -> None:
        self._began = _now()

    async def share(self) -> None:
        """Let other tasks run, unless they ran just now."""
        if _now() - self._began >= TURN_SECONDS:
            await give_way()
            self._began = _now()


async def give_way() -> None:
    """Let other tasks run."""
    await asyncio.sleep(0)  # noqa: TID251  (no time passes: there is nothing for a clock to drive)


async def collect(items: Iterable[T]) -> list[T]:
    """Return the items of a generator, giving way now and then."""
    collected: list[T] = []
    for item in items:
        collected.append(item)
        if len(collected) % ITEMS_PER_TURN == 0:
            await give_way()
    return collected


def _now() -> float:
    """Return the event loop's monotonic seconds."""
    return asyncio.get_running_loop().time()
