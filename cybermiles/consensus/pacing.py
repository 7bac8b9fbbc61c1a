"""When a height starts: the block interval, whole-second header times, and whether there is anything to decide.

    interval     the least time between the starts of two heights, by the monotonic clock
    whole second from an interval of 1000 ms on, a block's time is the proposer's clock, never ahead of it, so a height
                 waits until the clock shows a second after the parent's
    content      without empty blocks a height waits for a transaction or evidence

A node that sees others at work on the height joins them at once; that is the runner's business.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_SECOND_MS = 1_000
"""Block intervals from here on keep header times at or below the clock; shorter ones let them run ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Both clocks at one instant."""

    wall_ms: int
    """Since 1970."""
    monotonic_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The chain's or the node's block interval."""

    interval_ms: int

    @property
    def follows_clock(self) -> bool:
        """Whether header times never run ahead of the proposer's clock."""
        return self.interval_ms >= WHOLE_SECOND_MS

    def wait_ms(self, now: Moment, *, last_start_ms: int | None, parent_timestamp: int) -> int:
        """Return how long the next height waits for its time, 0 when it is due.

        `last_start_ms` is when the height before started (monotonic), None where this process did not see it: then the
        parent's header time stands for it, and a clock that went back costs one interval at most.
        """
        if last_start_ms is not None:
            wait = last_start_ms + self.interval_ms - now.monotonic_ms
        elif self.follows_clock:
            wait = min(self.interval_ms, parent_timestamp * 1000 + self.interval_ms - now.wall_ms)
        else:
            wait = 0
        return max(0, wait, self.clock_wait_ms(now.wall_ms, parent_timestamp))

    def clock_wait_ms(self, wall_ms: int, parent_timestamp: int) -> int:
        """Return how long until the clock shows a second after the parent's, 0 where that does not matter."""
        return max(0, (parent_timestamp + 1) * 1000 - wall_ms) if self.follows_clock else 0

    def timestamp(self, wall_ms: int, parent_timestamp: int) -> int:
        """Return the header time of a block built now, whole seconds."""
        return max(wall_ms // 1000, parent_timestamp + 1)
