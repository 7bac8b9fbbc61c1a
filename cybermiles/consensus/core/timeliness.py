"""Proposer-based timestamps: whether a fresh block's time is credible when its proposal arrives.

    time · 1000 - precision  ≤  received  ≤  time · 1000 + 999 + delay · 1.1^round + precision     (milliseconds)

Header times are whole seconds, so the proposer's clock showed something in [time, time + 1 s). A block that is proposed
again was timely for a quorum before and keeps its time: it is exempt. Source: CometBFT v1, spec/consensus/proposer-
based-timestamp; the delay grows so that a network slower than its parameter still decides.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_MESSAGE_DELAY_MS = 24 * 60 * 60 * 1000
"""The delay grows no further."""
_LAST_GROWTH = 200
"""1.1^200 exceeds the cap already from 1 ms."""


@dataclass(frozen=True, slots=True)
class Timeliness:
    """The two chain parameters, milliseconds."""

    precision_ms: int
    """How far correct clocks may differ."""
    delay_ms: int
    """How long a proposal may travel in round 0."""

    def is_timely(self, timestamp: int, received_ms: int, round_: int) -> bool:
        """Whether a block stamped `timestamp` (seconds) may have been proposed when it came in."""
        stamped_ms = timestamp * 1000
        earliest = stamped_ms - self.precision_ms
        latest = stamped_ms + 999 + self.message_delay_ms(round_) + self.precision_ms
        return earliest <= received_ms <= latest

    def message_delay_ms(self, round_: int) -> int:
        """Return the delay allowed in a round: delay · 1.1^round, rounded down once, capped."""
        growth = min(round_, _LAST_GROWTH)
        grown: int = self.delay_ms * 11**growth // 10**growth
        return min(grown, MAX_MESSAGE_DELAY_MS)
