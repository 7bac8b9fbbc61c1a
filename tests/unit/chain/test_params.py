"""Parameters: defaults as decided, bounds at their edges, one hash for one set of values."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import PARAM_SPECS, ChainParams, params_from_strings
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.types import rlp
from cybermiles.types.block import MAX_CONSENSUS_BYTES, MAX_HEADER_BYTES
from cybermiles.types.primitives import GWEI, WEI_PER_CMT


def test_the_defaults_are_the_whitepapers_and_the_originals_numbers():
    params = ChainParams()
    assert params.free_gas_limit == 500_000
    assert params.free_slots_per_block == 100
    assert params.min_gas_price == 2 * GWEI
    assert params.inflation_rate == Fraction(8, 100)
    assert params.inflation_rate_after == 0
    assert params.max_supply == 10**10 * WEI_PER_CMT
    assert params.block_interval_ms == 1000
    assert (params.clock_precision_ms, params.message_delay_ms) == (505, 15_000)
    assert (params.evidence_max_age_blocks, params.evidence_max_age_seconds) == (100_000, 48 * 3600)


def test_the_table_of_bounds_names_every_parameter_once_and_holds_its_default():
    assert list(PARAM_SPECS) == [field.name for field in fields(ChainParams)]
    for name, spec in PARAM_SPECS.items():
        value = getattr(ChainParams(), name)
        assert type(spec.minimum) is type(spec.maximum) is type(value)
        assert spec.minimum <= value <= spec.maximum
        assert spec.unit


def test_the_wire_form_of_a_block_has_room_for_prefixes_and_consensus_fields():
    for size in (PARAM_SPECS["max_block_bytes"].minimum, PARAM_SPECS["max_block_bytes"].maximum):
        smallest = 78  # nonce to s of a transaction without content, in RLP
        prefixes = 2 * (size // smallest)
        limit = ChainParams(max_block_bytes=size).max_value_bytes
        assert limit >= size + prefixes + MAX_HEADER_BYTES + MAX_CONSENSUS_BYTES + 16


def relaxed(name, value):
    """Parameters with one value changed and every other moved out of the way of the cross-field rules."""
    low = {
        "free_compute_units_per_transaction": 1_000,
        "free_compute_units_per_block": 1_000,
        "compute_units_per_transaction": 100_000,
        "compute_units_per_block": 30_000_000,
        "free_gas_limit": 21_000,
        "free_gas_per_block": 2**40,
        "max_absences": 1,
        "absence_window": 65_536,
        "evidence_max_age_seconds": 1,
        "unbonding_seconds": 31_536_000,
        "gov_recovery_cap": Fraction(0),
    }
    if name == "free_compute_units_per_transaction":
        low |= {"free_compute_units_per_block": 10_000_000, "compute_units_per_transaction": 30_000_000}
    return ChainParams(**low | {name: value})


@pytest.mark.parametrize("name", PARAM_SPECS)
def test_a_value_outside_its_bounds_is_refused(name):
    spec = PARAM_SPECS[name]
    step = Fraction(1, 10**9) if isinstance(spec.minimum, Fraction) else 1
    for wrong in (spec.minimum - step, spec.maximum + step):
        with pytest.raises(ConfigError, match=f"{name} is .* must be between"):
            replace(ChainParams(), **{name: wrong})


NOT_REACHED = {"free_gas_per_block": 21_000, "free_compute_units_per_block": 1_000}
"""Least values that the cross-field rules leave, where those are over the table's."""


@pytest.mark.parametrize("name", PARAM_SPECS)
def test_the_bounds_themselves_are_allowed(name):
    spec = PARAM_SPECS[name]
    for edge in (NOT_REACHED.get(name, spec.minimum), spec.maximum):
        assert getattr(relaxed(name, edge), name) == edge


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"free_compute_units_per_transaction": 500_001}, "must not be over free_compute_units_per_block"),
        ({"free_compute_units_per_block": 1_200_001}, "must not be over compute_units_per_block"),
        ({"compute_units_per_transaction": 1_200_001}, "must not be over compute_units_per_block"),
        ({"free_gas_per_block": 499_999}, "must not be over free_gas_per_block"),
        ({"absence_window": 1_199}, "must not be over absence_window"),
        ({"unbonding_seconds": 172_799}, "must not be over unbonding_seconds"),
        (
            {"free_compute_units_per_transaction": 100_001, "compute_units_per_transaction": 100_000},
            "must not be over compute_units_per_transaction",
        ),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ChainParams(**changes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("free_gas_limit", "", "decimal integer"),
        ("free_gas_limit", "0500000", "decimal integer"),
        ("free_gas_limit", "-1", "decimal integer"),
        ("free_gas_limit", "5e5", "decimal integer"),
        ("free_gas_limit", "500_000", "decimal integer"),
        ("free_gas_limit", " 500000", "decimal integer"),
        ("free_gas_limit", "٥٠٠٠٠٠", "decimal integer"),
        ("free_gas_limit", "1" * 10_000, "decimal integer"),
        ("inflation_rate", "0.08", "ratio"),
        ("inflation_rate", "8/", "ratio"),
        ("inflation_rate", "/100", "ratio"),
        ("inflation_rate", "8/0", "ratio"),
        ("inflation_rate", "8/100/1", "ratio"),
        ("inflation_rate", "-8/100", "ratio"),
        ("inflation_rate", "08/100", "ratio"),
        ("inflation_rate", "1/10001", "denominator may be 10000 at most"),
        ("inflation_rate", "8", "must be between 0 and 1/5 per year"),
        ("free_gas_limits", "1", 'did you mean "free_gas_limit"'),
        ("colour", "1", "valid: free_gas_limit"),
    ],
)
def test_a_text_that_is_no_value_of_the_parameter_is_refused(name, text, message):
    with pytest.raises(ConfigError, match=message):
        params_from_strings({name: text})


def test_a_ratio_may_be_written_in_several_ways_and_is_one_value():
    values = [params_from_strings({"inflation_rate": text}) for text in ("8/100", "2/25", "80/1000")]
    assert values == [ChainParams()] * 3
    assert params_from_strings({"inflation_rate_after": "0"}) == ChainParams()
    assert params_from_strings({"inflation_rate": "2/20000"}).inflation_rate == Fraction(1, 10_000)
    assert ChainParams().to_strings()["inflation_rate"] == "2/25"


def test_unnamed_parameters_have_their_defaults():
    assert params_from_strings({}) == ChainParams()
    assert params_from_strings({"min_gas_price": "3"}) == ChainParams(min_gas_price=3)


def test_the_hash_is_over_name_and_decimal_string_in_order_of_names():
    values = ChainParams().to_strings()
    pairs = [[name.encode(), values[name].encode()] for name in sorted(values)]
    assert pairs[0] == [b"absence_slash", b"1/1000"]
    assert ChainParams().hash == keccak256(rlp.encode(pairs))
    assert ChainParams().hash.hex() == "34c027a47aae4ee53f612b489f05bbfbaa6e88cd6fe302127f8423d88d191562"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(PARAM_SPECS)), st.data())
def test_strings_and_parameters_are_inverse_and_another_value_is_another_hash(name, data):
    spec = PARAM_SPECS[name]
    low = NOT_REACHED.get(name, spec.minimum)
    ratio = isinstance(spec.minimum, Fraction)
    values = st.fractions(low, spec.maximum, max_denominator=10_000) if ratio else st.integers(low, spec.maximum)
    params = relaxed(name, data.draw(values))
    assert params_from_strings(params.to_strings()) == params
    other = relaxed(name, data.draw(values))
    assert (params.hash == other.hash) == (params == other)
