"""Commits: their encoding, and who must have signed."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import ed25519
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.commit import EMPTY_COMMIT, Commit, decode_commit, signed_power, verify_commit
from cybermiles.types.primitives import ZERO_HASH, Address, Hash32
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import VoteType, vote_sign_bytes

CHAIN_ID = 18
GENESIS = b"\x0e" * 32
BLOCK = Hash32(b"\xbb" * 32)
KEYS = [bytes(31) + bytes((number,)) for number in range(1, 6)]
PRIVATE = {ed25519.public_key(key): key for key in KEYS}


def validators(*powers):
    return ValidatorSet(
        tuple(
            Validator(ed25519.public_key(key), Address(bytes(20)), power)
            for key, power in zip(KEYS, powers, strict=False)
        )
    )


def signature(member, *, chain_id=CHAIN_ID, genesis=GENESIS, kind=VoteType.PRECOMMIT, height=7, round_=0, block=BLOCK):
    return ed25519.sign(PRIVATE[member.consensus_key], vote_sign_bytes(chain_id, genesis, kind, height, round_, block))


def commit(members, signs=lambda _: True, **signed):
    return Commit(7, 0, BLOCK, tuple(signature(m, **signed) if signs(m) else None for m in members.validators))


SIGNATURES = st.lists(st.none() | st.binary(min_size=64, max_size=64), max_size=5).map(tuple)
COMMITS = st.builds(
    Commit,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=32, max_size=32).map(Hash32),
    SIGNATURES,
)


@given(COMMITS)
def test_a_commit_round_trips(value):
    raw = rlp.encode(value.to_item())
    assert decode_commit(rlp.decode(raw)) == value
    assert decode_commit(rlp.decode(raw)).hash == value.hash


def test_the_empty_commit_round_trips():
    assert decode_commit(EMPTY_COMMIT.to_item()) == EMPTY_COMMIT


@given(COMMITS, COMMITS)
def test_the_hash_commits_to_every_field(first, second):
    assert (first.hash == second.hash) == (first == second)


ITEM = [b"\x07", b"", BLOCK, [b"\x01" * 64, b""]]


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, b"\x00"),
        (0, b"\x01" * 9),
        (1, b"\x01" * 5),
        (2, b"\xbb" * 31),
        (2, b""),
        (3, b""),
        (3, [b"\x01" * 63]),
        (3, [b"\x01" * 65]),
        (3, [[b"\x01" * 64]]),
        (0, []),
    ],
)
def test_other_items_are_no_commit(position, value):
    item = list(ITEM)
    item[position] = value
    with pytest.raises(DecodingError):
        decode_commit(item)
    with pytest.raises(DecodingError, match="4 items"):
        decode_commit(item[:3])


@pytest.mark.parametrize(
    ("powers", "signing", "enough"),
    [
        ((1,), (1,), True),
        ((1, 1, 1, 1), (1, 1, 1), True),
        ((1, 1, 1, 1), (1, 1), False),
        ((1, 1, 1), (1, 1), False),
        ((1, 1, 1), (1, 1, 1), True),
        ((4, 3, 3), (4, 3), True),
        ((6, 2, 2), (6,), False),
        ((7, 2, 1), (7,), True),
        ((1,), (), False),
    ],
)
def test_more_than_two_thirds_of_the_power_must_have_signed(powers, signing, enough):
    members = validators(*powers)
    chosen = [member.address for member in members.validators][: len(signing)]
    value = commit(members, lambda member: member.address in chosen)
    if enough:
        verify_commit(value, members, CHAIN_ID, GENESIS)
    else:
        with pytest.raises(ProtocolViolation, match=f"only {sum(signing)} of {sum(powers)} power"):
            verify_commit(value, members, CHAIN_ID, GENESIS)


@pytest.mark.parametrize(
    "signed",
    [
        {"chain_id": 19},
        {"genesis": bytes(32)},
        {"kind": VoteType.PREVOTE},
        {"height": 8},
        {"round_": 1},
        {"block": ZERO_HASH},
        {"block": None},
    ],
)
def test_a_signature_over_anything_else_is_refused(signed):
    members = validators(1, 1, 1, 1)
    with pytest.raises(ProtocolViolation, match="wrong precommit signature"):
        verify_commit(commit(members, **signed), members, CHAIN_ID, GENESIS)


def test_one_wrong_signature_spoils_a_quorum():
    members = validators(1, 1, 1, 1)
    good = commit(members)
    for index in range(4):
        signatures = list(good.signatures)
        signatures[index] = bytes(64)
        with pytest.raises(ProtocolViolation, match=members.validators[index].address.hex()):
            verify_commit(dataclasses.replace(good, signatures=tuple(signatures)), members, CHAIN_ID, GENESIS)


def test_signatures_stand_in_the_order_of_the_set():
    members = validators(1, 1, 1, 1)
    good = commit(members)
    verify_commit(good, members, CHAIN_ID, GENESIS)
    with pytest.raises(ProtocolViolation):
        verify_commit(dataclasses.replace(good, signatures=good.signatures[::-1]), members, CHAIN_ID, GENESIS)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_another_number_of_signatures_is_refused(count):
    members = validators(1, 1, 1, 1)
    signatures = (commit(members).signatures * 2)[:count]
    with pytest.raises(ProtocolViolation, match="4 validators"):
        verify_commit(Commit(7, 0, BLOCK, signatures), members, CHAIN_ID, GENESIS)


def test_the_power_of_a_commit_counts_who_signed():
    members = ValidatorSet(
        tuple(Validator(bytes([n]) * 32, Address(bytes(20)), power) for n, power in ((1, 5), (2, 3), (3, 1)))
    )
    for signatures, power in (((b"x",) * 3, 9), ((b"x", None, None), 5), ((None, b"x", b"x"), 4), ((None,) * 3, 0)):
        assert signed_power(Commit(1, 0, Hash32(bytes(32)), signatures), members) == power
    for signatures in ((), (b"x",) * 2, (b"x",) * 4):
        with pytest.raises(ProtocolViolation, match=f"{len(signatures)} signatures for 3 validators"):
            signed_power(Commit(1, 0, Hash32(bytes(32)), signatures), members)
