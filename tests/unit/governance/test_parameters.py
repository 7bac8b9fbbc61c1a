"""Parameters in force: genesis, changes on it, their history, and how far one proposal may go."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import PARAM_SPECS, ChainParams, format_value
from cybermiles.errors import Refusal
from cybermiles.governance.parameters import (
    apply_change,
    changes_made,
    check_change,
    effective_params,
    point_at,
    points_view,
    step_bounds,
    value_of,
)
from tests.fakes.governance import Chamber

GENESIS = ChainParams()


def storage():
    chamber = Chamber()
    chamber.world.begin_transaction()
    return chamber.state().storage


def test_without_changes_the_parameters_are_those_of_genesis():
    assert effective_params(GENESIS, storage()) is GENESIS
    assert changes_made(storage()) == 0


def test_the_latest_change_of_each_parameter_is_in_force_and_all_are_remembered():
    store = storage()
    apply_change(store, "free_slots_per_block", 150, 10)
    apply_change(store, "free_compute_units_per_transaction", 50_000, 11)
    apply_change(store, "inflation_rate", Fraction(7, 100), 12)
    apply_change(store, "free_slots_per_block", 300, 20)
    params = effective_params(GENESIS, store)
    assert (params.free_slots_per_block, params.free_compute_units_per_transaction) == (300, 50_000)
    assert params.inflation_rate == Fraction(7, 100)
    assert type(params.free_slots_per_block) is int
    assert params.hash != GENESIS.hash
    assert changes_made(store) == 4
    points = points_view(store, "free_slots_per_block")
    assert [point_at(store, points, index) for index in range(len(points))] == [(10, 150), (20, 300)]


@pytest.mark.parametrize(
    ("name", "old", "bounds"),
    [
        ("free_slots_per_block", 100, (50, 200)),
        ("free_slots_per_block", 1, (0, 2)),
        ("free_slots_per_block", 0, (0, 10)),
        ("free_slots_per_block", 7, (3, 14)),
        ("gov_notice_seconds", 0, (0, 604)),
        ("slash_absence", 0, (0, 1)),
        ("slash_absence", 1, (0, 2)),
        ("inflation_rate", Fraction(8, 100), (Fraction(4, 100), Fraction(16, 100))),
        ("inflation_rate_after", Fraction(0), (0, Fraction(1, 500))),
        ("inflation_rate_after", Fraction(1, 500), (0, Fraction(1, 250))),
        ("inflation_rate_after", Fraction(1, 499), (Fraction(1, 998), Fraction(2, 499))),
    ],
)
def test_one_proposal_doubles_or_halves_and_leaves_zero_by_a_small_step(name, old, bounds):
    assert step_bounds(name, old) == bounds


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(PARAM_SPECS)), data=st.data())
def test_what_is_accepted_is_within_bounds_and_a_step_and_changes_one_value(name, data):
    spec = PARAM_SPECS[name]
    if isinstance(spec.minimum, Fraction):
        value = data.draw(st.fractions(min_value=0, max_value=2 * spec.maximum, max_denominator=20_000))
    else:
        value = data.draw(st.integers(0, 2 * spec.maximum) | st.integers(0, 3 * value_of(GENESIS, name)))
    try:
        changed = check_change(GENESIS, name, format_value(value))
    except Refusal:
        return
    old = value_of(GENESIS, name)
    assert spec.minimum <= value <= spec.maximum
    assert 2 * value >= old - 1 or old <= spec.maximum * Fraction(1, 100)
    assert value <= max(2 * old, spec.maximum * Fraction(1, 100), 1)
    before, after = GENESIS.to_strings(), changed.to_strings()
    assert [key for key in before if before[key] != after[key]] == [name]


@given(name=st.text(max_size=20), value=st.text(max_size=40))
def test_any_text_is_refused_or_a_parameters_value(name, value):
    with pytest.raises(Refusal):
        check_change(GENESIS, name, "x")
    try:
        check_change(GENESIS, "free_slots_per_block", value)
    except Refusal:
        return
    assert 50 <= int(value) <= 200
