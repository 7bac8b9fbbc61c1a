"""Validator sets: order, identity and the arithmetic of quorums."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError, InvariantViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.validator import (
    MAX_TOTAL_POWER,
    Validator,
    ValidatorSet,
    consensus_address,
    decode_validator_set,
)

OPERATOR = Address(b"\x0a" * 20)


def validator(number, power):
    return Validator(number.to_bytes(32), OPERATOR, power)


def test_the_address_is_the_start_of_the_keys_sha256():
    assert (
        validator(7, 1).address == hashlib.sha256((7).to_bytes(32)).digest()[:20] == consensus_address((7).to_bytes(32))
    )


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_and_hash_do_not_depend_on_the_order_given(powers, random):
    members = [validator(number, power) for number, power in enumerate(powers)]
    first = ValidatorSet(tuple(members))
    random.shuffle(members)
    second = ValidatorSet(tuple(members))
    assert first == second
    assert first.hash == second.hash
    ranks = [(-member.power, member.address) for member in first.validators]
    assert ranks == sorted(ranks)
    assert first.total_power == sum(powers)


@pytest.mark.parametrize(
    "other",
    [
        (validator(1, 3), validator(2, 2)),
        (validator(1, 3), validator(3, 1)),
        (validator(1, 3),),
        (validator(1, 3), Validator((2).to_bytes(32), Address(bytes(20)), 1)),
    ],
)
def test_the_hash_commits_to_key_operator_and_power(other):
    assert ValidatorSet(other).hash != ValidatorSet((validator(1, 3), validator(2, 1))).hash


def test_members_are_found_by_their_address():
    members = ValidatorSet((validator(1, 3), validator(2, 1)))
    assert members.by_address(validator(2, 1).address) == validator(2, 1)
    assert members.by_address(bytes(20)) is None


@pytest.mark.parametrize(
    ("power", "total", "quorum"),
    [
        (2, 3, False),
        (3, 3, True),
        (6, 10, False),
        (7, 10, True),
        (2, 4, False),
        (3, 4, True),
        (0, 1, False),
        (1, 1, True),
    ],
)
def test_a_quorum_is_more_than_two_thirds(power, total, quorum):
    assert ValidatorSet((validator(1, total),)).has_quorum(power) is quorum


@pytest.mark.parametrize(
    ("power", "total", "honest"), [(3, 10, False), (4, 10, True), (1, 3, False), (2, 3, True), (1, 4, False)]
)
def test_an_honest_share_is_more_than_one_third(power, total, honest):
    assert ValidatorSet((validator(1, total),)).has_honest(power) is honest


@given(st.integers(1, MAX_TOTAL_POWER))
def test_thresholds_are_exact_up_to_the_cap(total):
    members = ValidatorSet((validator(1, total),))
    quorum, honest = 2 * total // 3 + 1, total // 3 + 1
    assert members.has_quorum(quorum)
    assert not members.has_quorum(quorum - 1)
    assert members.has_honest(honest)
    assert not members.has_honest(honest - 1)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ((), "not empty"),
        ((validator(1, 1), validator(1, 2)), "no key twice"),
        ((validator(1, 0),), "positive"),
        ((validator(1, 5), validator(2, -1)), "positive"),
        ((validator(1, MAX_TOTAL_POWER), validator(2, 1)), "less than 2\\^60"),
    ],
)
def test_sets_that_cannot_decide_anything_do_not_exist(members, reason):
    with pytest.raises(InvariantViolation, match=reason):
        ValidatorSet(members)


def test_the_cap_itself_is_allowed():
    assert ValidatorSet((validator(1, MAX_TOTAL_POWER),)).total_power == (2**63 - 1) // 8


def test_a_set_is_decoded_as_it_was_encoded_and_in_canonical_order_only():
    members = ValidatorSet(tuple(Validator(bytes([n]) * 32, Address(bytes([n]) * 20), 10 - n) for n in range(1, 6)))
    item = rlp.decode(rlp.encode(members.to_item()))
    assert decode_validator_set(item) == members
    for wrong, reason in (
        ([], "not empty"),
        (list(reversed(item)), "canonical order"),
        ([*item, item[0]], "names no key twice"),
        ([[*item[0][:2], b""]], "positive"),
        ([[*item[0][:2], b"\x00"]], "rlp|integer|zero"),
        ([[b"", *item[0][1:]]], "32|bytes"),
        ([item[0][:2]], "3|length|items"),
        (b"", "list"),
    ):
        with pytest.raises(DecodingError, match=reason):
            decode_validator_set(wrong)
