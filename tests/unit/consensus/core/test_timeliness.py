"""Proposer-based timestamps in integers, against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.core.timeliness import MAX_MESSAGE_DELAY_MS, Timeliness

DEFAULTS = Timeliness(505, 15_000)


@pytest.mark.parametrize(
    ("received_ms", "is_timely"),
    [(99_494, False), (99_495, True), (100_000, True), (100_999, True), (116_504, True), (116_505, False)],
)
def test_round_0_with_the_default_parameters(received_ms, is_timely):
    assert DEFAULTS.is_timely(100, received_ms, 0) is is_timely


@pytest.mark.parametrize(("round_", "delay_ms"), [(0, 15_000), (1, 16_500), (2, 18_150), (3, 19_965), (4, 21_961)])
def test_each_round_allows_a_tenth_more(round_, delay_ms):
    assert DEFAULTS.message_delay_ms(round_) == delay_ms


@given(st.integers(0, 20_000), st.integers(0, 400))
def test_the_growth_is_exact_up_to_the_cap(delay_ms, round_):
    exact = floor(delay_ms * Fraction(11, 10) ** round_)
    assert Timeliness(0, delay_ms).message_delay_ms(round_) == min(exact, MAX_MESSAGE_DELAY_MS)


def test_a_round_out_of_all_bounds_costs_nothing():
    assert DEFAULTS.message_delay_ms(2**32) == MAX_MESSAGE_DELAY_MS == 86_400_000
    assert Timeliness(0, 1).message_delay_ms(2**32) == MAX_MESSAGE_DELAY_MS
