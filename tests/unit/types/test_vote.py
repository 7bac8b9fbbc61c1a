"""What is signed: fixed layouts that no two messages share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import ZERO_HASH, Hash32
from cybermiles.types.proposal import proposal_sign_bytes
from cybermiles.types.vote import VoteType, vote_sign_bytes

GENESIS = bytes(range(32))
BLOCK = Hash32(b"\xbb" * 32)
HASHES = st.binary(min_size=32, max_size=32).map(Hash32)
U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
VOTES = st.tuples(U64, HASHES, st.sampled_from(VoteType), U64, U32, st.none() | st.just(ZERO_HASH) | HASHES)
PARTS = st.builds(PartsHeader, st.integers(1, 1024), HASHES)
PROPOSALS = st.tuples(U64, HASHES, U64, U32, st.integers(-1, 2**32 - 2), HASHES, PARTS)


def test_the_bytes_of_a_precommit_are_these():
    expected = (
        "636d742f766f74650000000000000000" + "0000000000000012" + GENESIS.hex() + "02"
        + "0000000000000007" + "00000003" + "00" + "bb" * 32
    )  # fmt: skip
    assert vote_sign_bytes(18, GENESIS, VoteType.PRECOMMIT, 7, 3, BLOCK).hex() == expected


def test_the_bytes_of_a_nil_prevote_are_these():
    expected = (
        "636d742f766f74650000000000000000" + "0000000000000012" + GENESIS.hex() + "01"
        + "0000000000000007" + "00000003" + "01" + "00" * 32
    )  # fmt: skip
    assert vote_sign_bytes(18, GENESIS, VoteType.PREVOTE, 7, 3, None).hex() == expected


@pytest.mark.parametrize(("pol_round", "encoded"), [(-1, "00000000"), (0, "00000001"), (2, "00000003")])
def test_the_bytes_of_a_proposal_are_these(pol_round, encoded):
    expected = (
        "636d742f70726f706f73616c00000000" + "0000000000000012" + GENESIS.hex()
        + "0000000000000007" + "00000003" + encoded + "bb" * 32 + "00000005" + "cc" * 32
    )  # fmt: skip
    parts = PartsHeader(5, Hash32(b"\xcc" * 32))
    assert proposal_sign_bytes(18, GENESIS, 7, 3, pol_round, BLOCK, parts).hex() == expected


@given(VOTES, VOTES)
def test_different_votes_have_different_bytes_of_one_length(first, second):
    assert len(vote_sign_bytes(*first)) == 102
    assert (vote_sign_bytes(*first) == vote_sign_bytes(*second)) == (first == second)


@given(PROPOSALS, PROPOSALS)
def test_different_proposals_have_different_bytes_of_one_length(first, second):
    assert len(proposal_sign_bytes(*first)) == 140
    assert (proposal_sign_bytes(*first) == proposal_sign_bytes(*second)) == (first == second)


def test_a_vote_for_the_zero_hash_is_not_nil():
    assert vote_sign_bytes(18, GENESIS, VoteType.PREVOTE, 1, 0, None) != vote_sign_bytes(
        18, GENESIS, VoteType.PREVOTE, 1, 0, ZERO_HASH
    )


@pytest.mark.parametrize(
    "changed",
    [
        (19, GENESIS, VoteType.PREVOTE, 1, 0, BLOCK),
        (18, bytes(32), VoteType.PREVOTE, 1, 0, BLOCK),
        (18, GENESIS, VoteType.PRECOMMIT, 1, 0, BLOCK),
        (18, GENESIS, VoteType.PREVOTE, 2, 0, BLOCK),
        (18, GENESIS, VoteType.PREVOTE, 1, 1, BLOCK),
        (18, GENESIS, VoteType.PREVOTE, 1, 0, None),
    ],
)
def test_every_field_is_signed(changed):
    assert vote_sign_bytes(*changed) != vote_sign_bytes(18, GENESIS, VoteType.PREVOTE, 1, 0, BLOCK)
