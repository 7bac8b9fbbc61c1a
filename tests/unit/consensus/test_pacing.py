"""When a height's time comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.pacing import Moment, Pacing


@pytest.mark.parametrize(
    ("interval_ms", "wall_ms", "monotonic_ms", "last_start_ms", "parent_s", "wait_ms"),
    [
        # the interval since the last start, by the monotonic clock
        (3_000, 100_000, 50_000, 48_000, 95, 1_000),
        (3_000, 100_000, 51_000, 48_000, 95, 0),
        (3_000, 100_000, 90_000, 48_000, 95, 0),
        # the clock must show a second after the parent's
        (1_000, 100_400, 50_000, 48_000, 100, 600),
        (1_000, 101_000, 50_000, 48_000, 100, 0),
        (1_000, 99_000, 50_000, 48_000, 102, 4_000),
        # short intervals do not look at the wall clock
        (10, 99_000, 50_000, 49_995, 102, 5),
        (10, 99_000, 50_005, 49_995, 102, 0),
        # a new process: the parent's time stands for its start
        (3_000, 100_500, 50_000, None, 99, 1_500),
        (3_000, 200_000, 50_000, None, 99, 0),
        (10, 99_000, 50_000, None, 102, 0),
        # the clock went back: an interval at most for the pace, and then the second after the parent
        (60_000, 100_000, 50_000, None, 100, 60_000),
        (3_000, 90_000, 50_000, None, 100, 11_000),
    ],
)
def test_waiting(interval_ms, wall_ms, monotonic_ms, last_start_ms, parent_s, wait_ms):
    now = Moment(wall_ms=wall_ms, monotonic_ms=monotonic_ms)
    pacing = Pacing(interval_ms=interval_ms)
    assert pacing.wait_ms(now, last_start_ms=last_start_ms, parent_timestamp=parent_s) == wait_ms


@given(
    wall_ms=st.integers(0, 10**13),
    start_ms=st.integers(0, 10**9),
    parent_s=st.integers(0, 10**10),
    interval_ms=st.integers(1_000, 600_000),
)
def test_after_the_wait_the_header_time_is_the_clocks_and_after_the_parents(wall_ms, start_ms, parent_s, interval_ms):
    pacing = Pacing(interval_ms=interval_ms)
    now = Moment(wall_ms=wall_ms, monotonic_ms=start_ms)
    later = wall_ms + pacing.wait_ms(now, last_start_ms=start_ms, parent_timestamp=parent_s)
    assert pacing.timestamp(later, parent_s) == later // 1000 > parent_s


def test_on_short_intervals_header_times_run_ahead():
    assert Pacing(interval_ms=10).timestamp(100_000, 105) == 106
    assert Pacing(interval_ms=10).clock_wait_ms(100_000, 105) == 0
