"""Minting: the whitepaper's ten years to the wei, and no drift however time is cut."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.issuance import SECONDS_PER_YEAR, IssuanceSchedule, minted_between, supply_at
from cybermiles.types.primitives import WEI_PER_CMT

GENESIS = 1_800_000_000
BILLION = 10**9 * WEI_PER_CMT


def schedule(**changes):
    values = {
        "genesis_time": GENESIS,
        "genesis_supply": BILLION,
        "rate": Fraction(8, 100),
        "rate_after": Fraction(0),
        "max_supply": 10 * BILLION,
    }
    return IssuanceSchedule(**values | changes)


TEN_YEARS = [
    1_000_000_000_000_000_000_000_000_000,
    1_080_000_000_000_000_000_000_000_000,
    1_166_400_000_000_000_000_000_000_000,
    1_259_712_000_000_000_000_000_000_000,
    1_360_488_960_000_000_000_000_000_000,
    1_469_328_076_800_000_000_000_000_000,
    1_586_874_322_944_000_000_000_000_000,
    1_713_824_268_779_520_000_000_000_000,
    1_850_930_210_281_881_600_000_000_000,
    1_999_004_627_104_432_128_000_000_000,
    2_158_924_997_272_786_698_240_000_000,
]
"""Supply at each anniversary of genesis in wei."""


@pytest.mark.parametrize("year", range(11))
def test_the_ten_years_to_the_wei(year):
    assert supply_at(schedule(), GENESIS + year * SECONDS_PER_YEAR) == TEN_YEARS[year]
    assert TEN_YEARS[year] == BILLION * 108**year // 100**year


def test_growth_is_linear_inside_a_year():
    half = supply_at(schedule(), GENESIS + SECONDS_PER_YEAR // 2)
    assert half == (TEN_YEARS[0] + TEN_YEARS[1]) // 2
    one_second = 80_000_000 * WEI_PER_CMT // SECONDS_PER_YEAR
    assert minted_between(schedule(), GENESIS, GENESIS + 1) == one_second == 2536783358701166920


def test_issue_stops_at_the_tenth_anniversary():
    end = GENESIS + 10 * SECONDS_PER_YEAR
    assert supply_at(schedule(), end + 99 * SECONDS_PER_YEAR) == TEN_YEARS[10]
    assert minted_between(schedule(), end, end + 1) == 0
    assert minted_between(schedule(), end - 1, end) > 0


def test_after_ten_years_the_rate_set_by_governance_compounds():
    later = schedule(rate_after=Fraction(1, 100))
    end = GENESIS + 10 * SECONDS_PER_YEAR
    assert supply_at(later, end + SECONDS_PER_YEAR) == TEN_YEARS[10] * 101 // 100
    assert supply_at(later, end + 2 * SECONDS_PER_YEAR) == TEN_YEARS[10] * 101 // 100 * 101 // 100


def test_the_cap_holds_for_ever():
    endless = schedule(rate_after=Fraction(8, 100))
    assert supply_at(endless, GENESIS + 29 * SECONDS_PER_YEAR) < 10 * BILLION
    assert supply_at(endless, GENESIS + 30 * SECONDS_PER_YEAR) == 10 * BILLION
    assert supply_at(endless, GENESIS + 500 * SECONDS_PER_YEAR) == 10 * BILLION


def test_nothing_is_minted_before_genesis():
    assert supply_at(schedule(), GENESIS - 5) == BILLION


@given(st.lists(st.integers(0, 12 * SECONDS_PER_YEAR), min_size=1, max_size=40))
def test_every_partition_of_time_mints_the_same(moments):
    times = [GENESIS, *sorted(GENESIS + moment for moment in moments)]
    parts = [minted_between(schedule(), a, b) for a, b in zip(times, times[1:], strict=False)]
    assert min(parts) >= 0
    assert sum(parts) == minted_between(schedule(), GENESIS, times[-1])
