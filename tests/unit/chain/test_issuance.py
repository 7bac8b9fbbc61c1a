"""Minting: the whitepaper's ten years to the wei, and no drift however time is cut."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.issuance import SECONDS_PER_YEAR, IssuanceSchedule, minted_between, supply_at
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.params import MAX_DENOMINATOR
from cybermiles.errors import InvariantViolation
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


def test_ten_years_without_issue_do_not_end_issue_for_ever():
    paused = schedule(rate=Fraction(0), rate_after=Fraction(1, 10))
    assert supply_at(paused, GENESIS + 10 * SECONDS_PER_YEAR) == BILLION
    assert supply_at(paused, GENESIS + 12 * SECONDS_PER_YEAR) == BILLION * 121 // 100


def test_the_cap_holds_for_ever():
    endless = schedule(rate_after=Fraction(8, 100))
    assert supply_at(endless, GENESIS + 29 * SECONDS_PER_YEAR) < 10 * BILLION
    assert supply_at(endless, GENESIS + 30 * SECONDS_PER_YEAR) == 10 * BILLION
    assert supply_at(endless, GENESIS + 500 * SECONDS_PER_YEAR) == 10 * BILLION


def test_no_timestamp_makes_the_schedule_slow_to_compute():
    growing = schedule(rate_after=Fraction(1, 1000))
    for final in (schedule(), growing):
        assert supply_at(final, 2**64 - 1) == supply_at(final, GENESIS + 10**5 * SECONDS_PER_YEAR)
    assert supply_at(growing, 2**64 - 1) == 10 * BILLION
    slowest = schedule(rate_after=Fraction(1, MAX_DENOMINATOR))
    assert supply_at(slowest, 2**64 - 1) == 10 * BILLION


def test_the_cap_is_reached_in_the_middle_of_a_year_and_minting_ends_there():
    near = schedule(max_supply=BILLION + 40_000_000 * WEI_PER_CMT)
    half = GENESIS + SECONDS_PER_YEAR // 2
    assert minted_between(near, half - 1, half) > 0
    assert minted_between(near, half, half + 1) == 0
    assert minted_between(near, GENESIS, GENESIS + 20 * SECONDS_PER_YEAR) == 40_000_000 * WEI_PER_CMT


def test_time_that_runs_backwards_is_a_bug_of_the_node():
    assert minted_between(schedule(), GENESIS + 5, GENESIS + 5) == 0
    with pytest.raises(InvariantViolation, match="backwards"):
        minted_between(schedule(), GENESIS + 5, GENESIS + 4)


def test_the_shipped_networks_follow_the_whitepaper():
    for network in NETWORKS:
        issuance = network_genesis(network).issuance
        start = issuance.genesis_time
        assert [supply_at(issuance, start + year * SECONDS_PER_YEAR) for year in range(12)] == [
            *TEN_YEARS,
            TEN_YEARS[10],
        ]


def test_nothing_is_minted_before_genesis():
    assert supply_at(schedule(), GENESIS - 5) == BILLION


schedules = st.builds(
    schedule,
    genesis_supply=st.integers(1, 10 * BILLION),
    rate=st.fractions(0, Fraction(1, 5), max_denominator=10_000),
    rate_after=st.fractions(0, Fraction(1, 5), max_denominator=10_000),
)


@given(schedules, st.lists(st.integers(0, 40 * SECONDS_PER_YEAR), min_size=1, max_size=40))
def test_every_partition_of_time_mints_the_same(any_schedule, moments):
    times = [GENESIS, *sorted(GENESIS + moment for moment in moments)]
    parts = [minted_between(any_schedule, a, b) for a, b in zip(times, times[1:], strict=False)]
    assert min(parts) >= 0
    assert any_schedule.genesis_supply + sum(parts) == supply_at(any_schedule, times[-1]) <= 10 * BILLION


@given(schedules, st.integers(0, 39), st.integers(0, SECONDS_PER_YEAR))
def test_the_supply_inside_a_year_is_the_exact_line_rounded_down(any_schedule, year, within):
    start = supply_at(any_schedule, GENESIS + year * SECONDS_PER_YEAR)
    rate = any_schedule.rate if year < 10 else any_schedule.rate_after
    line = start + Fraction(math.floor(start * rate) * within, SECONDS_PER_YEAR)
    assert supply_at(any_schedule, GENESIS + year * SECONDS_PER_YEAR + within) == min(math.floor(line), 10 * BILLION)
