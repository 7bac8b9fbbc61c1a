"""Minting: the supply as a function of time, exact to the wei.

S_0 is the genesis supply and S_{y+1} = S_y + floor(S_y · rate). Inside year y the supply grows linearly:
S(t) = S_y + floor(floor(S_y · rate) · elapsed / year). A block mints S(its time) - S(its parent's time), so slow or
fast blocks change nothing and every partition of time mints the same. After ten years the rate becomes
`inflation_rate_after`; the cap holds for ever. Years have 365 days and count from genesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.types.primitives import Wei

if TYPE_CHECKING:
    from fractions import Fraction

SECONDS_PER_YEAR = 31_536_000
"""365 days; the original's 3 153 600 blocks of 10 s."""
YEARS_OF_ISSUE = 10
"""Whitepaper 5.4: until the tenth anniversary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuanceSchedule:
    """What the supply follows until a vote changes it."""

    genesis_time: int
    """Seconds since 1970."""
    genesis_supply: int
    """Wei."""
    rate: Fraction
    """Yearly growth in the first ten years."""
    rate_after: Fraction
    """Yearly growth afterwards."""
    max_supply: int
    """Wei."""
    first_year: int = 0
    """Year that begins with `genesis_supply`, where the years before it went by other rates."""


def supply_at(schedule: IssuanceSchedule, timestamp: int) -> Wei:
    """Return the scheduled supply at a time not before genesis. Wei, rounded down."""
    elapsed = timestamp - schedule.genesis_time
    if elapsed <= 0:
        return Wei(schedule.genesis_supply)
    year, within = divmod(elapsed, SECONDS_PER_YEAR)
    start = supply_at_year(schedule, year)
    growth = _growth(schedule, year, start)
    supply = start + growth * within // SECONDS_PER_YEAR
    return Wei(min(supply, schedule.max_supply))


def minted_between(schedule: IssuanceSchedule, parent_time: int, time: int) -> Wei:
    """Return what the block at `time` mints after a parent at `parent_time`. Wei.

    Raises InvariantViolation for a time before the parent's; headers with one are refused long before.
    """
    if time < parent_time:
        raise InvariantViolation(f"time runs backwards: {time} after {parent_time}")
    return Wei(supply_at(schedule, time) - supply_at(schedule, parent_time))


@lru_cache(maxsize=256)
def supply_at_year(schedule: IssuanceSchedule, year: int) -> int:
    """Return the supply at the start of a year, counted from 0 at genesis."""
    supply = schedule.genesis_supply
    for earlier in range(schedule.first_year, year):
        grown = min(supply + _growth(schedule, earlier, supply), schedule.max_supply)
        if grown == supply and earlier >= YEARS_OF_ISSUE:
            break  # the rate changes no more, so neither does the supply: no timestamp makes this loop long
        supply = grown
    return supply


def _growth(schedule: IssuanceSchedule, year: int, start: int) -> int:
    rate = schedule.rate if year < YEARS_OF_ISSUE else schedule.rate_after
    return start * rate.numerator // rate.denominator
