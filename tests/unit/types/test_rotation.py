"""Proposer priority: CometBFT's own cases bit for bit, and what the algorithm promises."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError, InvariantViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.rotation import (
    MAX_VALIDATORS,
    WINDOW,
    Rotation,
    _centred,
    _clipped,
    _rescaled,
    decode_rotation,
    first_rotation,
)
from cybermiles.types.validator import MAX_TOTAL_POWER, Validator, ValidatorSet, consensus_address

KEYS = sorted((number.to_bytes(32) for number in range(40)), key=consensus_address)
"""Keys whose addresses ascend, so that names can be given in the order of the reference's addresses."""
POWERS = st.lists(st.integers(1, 1000), min_size=1, max_size=6)


def named(*names):
    """A function from name to key: keys' addresses are ordered as the names are."""
    return dict(zip(sorted(names), KEYS, strict=False))


def validators(powers, keys=None):
    keys = keys or named(*powers)
    return ValidatorSet(tuple(Validator(keys[name], Address(bytes(20)), power) for name, power in powers.items()))


def of_powers(powers):
    return validators({f"{number:02}": power for number, power in enumerate(powers)})


def sequence(rotation, length):
    members = []
    for _ in range(length):
        members.append(rotation.proposer)
        rotation = rotation.advanced()
    return members


@pytest.fixture(scope="module")
def cases(vectors):
    return json.loads((vectors / "consensus" / "proposer_priority.json").read_text())


# --- the reference's cases --------------------------------------------------------------------------------------------------


def test_every_case_of_the_reference_is_of_a_kind_that_is_tested(cases):
    kinds = Counter(
        next(kind for kind in ("error", "proposers", "counts", "raw", "start") if kind in case) for case in cases
    )
    assert kinds == {"error": 3, "proposers": 4, "counts": 1, "raw": 14, "start": 5}


def test_the_reference_s_sequences_of_proposers(cases):
    for case in cases:
        if "proposers" in case or "counts" in case:
            keys = named(*(name for name, _ in case["validators"]))
            names = {key: name for name, key in keys.items()}
            rotation = first_rotation(validators(dict(case["validators"]), keys))
            chosen = [
                names[m.consensus_key] for m in sequence(rotation, case.get("rounds", len(case.get("proposers", ()))))
            ]
            assert chosen == case.get("proposers", chosen), case["name"]
            assert dict(Counter(chosen)) == case.get("counts", dict(Counter(chosen))), case["name"]


def test_the_reference_s_priorities_after_increments(cases):
    for case in cases:
        if "raw" in case and any(power for _, power, _ in case["raw"]):
            keys = named(*(name for name, _, _ in case["raw"]))
            members = validators({name: power for name, power, _ in case["raw"]}, keys)
            rotation = Rotation(members, tuple(priority for _, _, priority in case["raw"]), 0).advanced(
                case["increments"]
            )
            assert list(rotation.priorities) == case["priorities"], case
            assert rotation.proposer.consensus_key == keys[case["proposer"]], case


def test_the_reference_s_centring_of_validators_without_power(cases):
    """Such a set cannot exist here, and a step changes nothing in it: only the centring is left of these cases."""
    for case in cases:
        if "raw" in case and not any(power for _, power, _ in case["raw"]):
            assert _centred([priority for _, _, priority in case["raw"]]) == case["priorities"]


def test_the_reference_s_changes_of_the_set(cases):
    for case in cases:
        if "start" in case:
            powers = dict(case["start"])
            keys = named(*powers, *(name for name, _ in case["changes"]))
            names = {key: name for name, key in keys.items()}
            rotation = first_rotation(validators(powers, keys)).advanced(case["increments_before"])
            changed = {name: power for name, power in (powers | dict(case["changes"])).items() if power}
            rotation = rotation.updated(validators(changed, keys))
            after = [
                [names[member.consensus_key], member.power, priority]
                for member, priority in zip(rotation.validators.validators, rotation.priorities, strict=True)
            ]
            assert after == case["after"], case["name"]
            chosen = [names[m.consensus_key] for m in sequence(rotation.advanced(), len(case["proposers_after"]))]
            assert chosen == case["proposers_after"], case["name"]


def test_the_reference_s_errors(cases):
    for case in cases:
        if case.get("error"):
            keys = named(*(name for name, _ in case["validators"]))
            with pytest.raises(InvariantViolation):
                ValidatorSet(
                    tuple(Validator(keys[name], Address(bytes(20)), power) for name, power in case["validators"])
                )


# --- known by hand --------------------------------------------------------------------------------------------------------------


def test_two_validators_take_turns_by_power_and_a_newcomer_waits():
    keys = named("p1", "p2", "p3")
    rotation = first_rotation(validators({"p1": 1, "p2": 3}, keys))
    names = {key: name for name, key in keys.items()}
    assert [names[m.consensus_key] for m in sequence(rotation, 8)] == ["p2", "p1", "p2", "p2"] * 2
    after = rotation.updated(validators({"p1": 1, "p2": 3, "p3": 8}, keys))
    by_name = {names[m.consensus_key]: p for m, p in zip(after.validators.validators, after.priorities, strict=True)}
    assert by_name == {"p1": 6, "p2": 4, "p3": -8}


def test_equals_take_turns_in_the_order_of_their_addresses_even_where_the_set_stands_in_another():
    members = of_powers([1, 1, 1])
    assert [member.address for member in sequence(first_rotation(members), 6)] == sorted(members.addresses) * 2
    strong_last = validators({"a": 1, "b": 2}, named("a", "b"))  # in the set, b stands first
    assert Rotation(strong_last, (-1, 0), 0).advanced().proposer.consensus_key == named("a", "b")["a"]


def test_rescaling_truncates_toward_zero_and_centring_rounds_down():
    assert _rescaled([-7, 3], 5) == [-3, 1]  # -7/2 is -3, not -4
    assert _rescaled([-7, 3], 10) == [-7, 3]
    assert _rescaled([10, 0], 3) == [2, 0]  # by the ceiling of 10/3
    assert _centred([1, 2]) == [0, 1]  # 3/2 is 1
    assert _centred([-1, -2]) == [1, 0]  # -3/2 is -2


def test_priorities_stay_in_64_bits():
    assert (_clipped(2**63), _clipped(2**63 - 1), _clipped(-(2**63) - 1)) == (2**63 - 1, 2**63 - 1, -(2**63))
    rotation = first_rotation(of_powers([MAX_TOTAL_POWER - 1, 1]))
    for _ in range(20):
        rotation = rotation.advanced()
        assert all(-(2**63) <= priority < 2**63 for priority in rotation.priorities)


# --- promises -------------------------------------------------------------------------------------------------------------------


@given(POWERS)
def test_each_proposes_exactly_by_its_power(powers):
    members = of_powers([power % 7 + 1 for power in powers])
    counts = Counter(member.address for member in sequence(first_rotation(members), members.total_power))
    assert counts == {member.address: member.power for member in members.validators}


@given(POWERS, st.lists(st.integers(-(10**6), 10**6), min_size=6, max_size=6), st.integers(1, 5))
def test_priorities_are_centred_and_within_the_window_before_each_step(powers, priorities, steps):
    members = of_powers(powers)
    count = len(members.validators)
    before = _centred(_rescaled(list(priorities[:count]), WINDOW * members.total_power))
    assert 0 <= sum(before) < count
    assert max(before) - min(before) <= WINDOW * members.total_power
    after = Rotation(members, tuple(priorities[:count]), 0).advanced(steps)
    assert sum(after.priorities) == sum(before)


@given(POWERS, st.integers(0, 30))
def test_the_proposer_of_a_round_is_found_in_one_pass_or_from_scratch(powers, round_):
    rotation = first_rotation(of_powers(powers)).advanced(3)
    proposers = rotation.proposers()
    chosen = [next(proposers) for _ in range(round_ + 1)]
    expected = rotation if round_ == 0 else rotation.advanced(round_)
    assert chosen[round_] == expected.proposer_index


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(1, 30), st.integers(1, 10))
def test_leaving_and_coming_back_gains_nothing(powers, wait, absence):
    """Who left comes back behind everybody: the others' turns come first, whenever it left."""
    members = of_powers(powers)
    leaver = members.validators[-1]
    others = ValidatorSet(members.validators[:-1])
    rotation = first_rotation(members).advanced(wait).updated(others).advanced(absence).updated(members)
    back = members.position(leaver.address)
    assert rotation.priorities[back] == min(rotation.priorities)
    stayed = first_rotation(members).advanced(wait + absence)
    turns = 3 * members.total_power
    with_break = sum(member == leaver for member in sequence(rotation.advanced(), turns))
    without = sum(member == leaver for member in sequence(stayed.advanced(), turns))
    assert with_break <= without


def test_a_set_that_stays_is_only_advanced_and_one_that_changes_is_updated_first():
    members, more = of_powers([3, 2]), of_powers([3, 2, 1])
    rotation = first_rotation(members)
    assert rotation.following(None) == rotation.following(members) == rotation.advanced()
    assert rotation.following(more) == rotation.updated(more).advanced()


def test_a_rotation_goes_forward():
    with pytest.raises(InvariantViolation):
        first_rotation(of_powers([1])).advanced(0)


def test_members_that_stay_keep_their_priority():
    rotation = first_rotation(of_powers([5, 3])).advanced(2)
    assert rotation.updated(rotation.validators).priorities == rotation.priorities


# --- encoding -------------------------------------------------------------------------------------------------------------------


@given(POWERS, st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6), st.integers(0, 5))
def test_encoding_and_decoding(powers, priorities, proposer):
    members = of_powers(powers)
    count = len(members.validators)
    rotation = Rotation(members, tuple(priorities[:count]), proposer % count)
    raw = rlp.encode(rotation.to_item())
    assert decode_rotation(rlp.decode(raw)) == rotation


def item(**changes):
    rotation = first_rotation(of_powers([2, 1]))
    members, proposer = rotation.to_item()
    return [changes.get("members", lambda m: m)(list(members)), changes.get("proposer", proposer)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (item(proposer=b"\x02"), "with proposer 2"),
        (item(members=lambda m: []), "of 0 validators"),
        (item(members=lambda m: m[::-1]), "canonical order"),
        (item(members=lambda m: [m[0], m[0]]), "names no key twice"),
        (item(members=lambda m: [m[0], [*m[1][:2], b"", m[1][3]]]), "positive"),
        (item(members=lambda m: [m[0], m[1][:3]]), "4 items are expected"),
        (item(members=lambda m: m * (MAX_VALIDATORS // 2 + 1)), f"of {MAX_VALIDATORS + 2} validators"),
    ],
)
def test_bytes_that_are_no_rotation(broken, reason):
    with pytest.raises(DecodingError, match=reason):
        decode_rotation(broken)
