"""The engine's timers of one height, by the monotonic clock."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from cybermiles.consensus.core.inputs import TimeoutElapsed

if TYPE_CHECKING:
    from cybermiles.consensus.core.effects import ScheduleTimeout


class Timers:
    """Owned by the runner. Equal times elapse in the order they were scheduled."""

    def __init__(self) -> None:
        self._order = count()
        self._heap: list[tuple[int, int, TimeoutElapsed]] = []

    def schedule(self, effect: ScheduleTimeout, now_ms: int) -> None:
        """Start a timer at `now_ms`."""
        elapsed = TimeoutElapsed(effect.kind, effect.height, effect.round)
        heapq.heappush(self._heap, (now_ms + effect.after_ms, next(self._order), elapsed))

    @property
    def next_ms(self) -> int | None:
        """When the earliest elapses, None without any."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> TimeoutElapsed | None:
        """Remove and return the earliest timer that has elapsed, None where none has."""
        if self._heap and self._heap[0][0] <= now_ms:
            return heapq.heappop(self._heap)[2]
        return None

    def clear(self) -> None:
        """Stop all of them: the height is over, or begins anew."""
        self._heap.clear()
