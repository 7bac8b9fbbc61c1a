"""Proposals and votes on the wire."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal, decode_proposal, proposal_sign_bytes
from cybermiles.types.vote import Vote, VoteType, decode_vote, vote_sign_bytes

HASHES = st.binary(min_size=32, max_size=32).map(Hash32)
SIGNATURES = st.binary(min_size=64, max_size=64)
PROPOSAL = SignedProposal(7, 3, 1, Hash32(b"b" * 32), PartsHeader(2, Hash32(b"p" * 32)), b"s" * 64)
VOTE = Vote(VoteType.PRECOMMIT, 7, 3, Hash32(b"b" * 32), b"v" * 20, b"s" * 64)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.data())
def test_a_proposal_comes_back(height, round_, data):
    pol_round = data.draw(st.integers(-1, round_ - 1))
    parts = PartsHeader(data.draw(st.integers(1, 1024)), data.draw(HASHES))
    proposal = SignedProposal(height, round_, pol_round, data.draw(HASHES), parts, data.draw(SIGNATURES))
    assert decode_proposal(rlp.decode(rlp.encode(proposal.to_item()))) == proposal


def test_a_proposal_signs_its_fields():
    expected = proposal_sign_bytes(18, bytes(32), 7, 3, 1, PROPOSAL.block_hash, PROPOSAL.parts)
    assert PROPOSAL.sign_bytes(18, bytes(32)) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pol_round": 3}, "cannot rest on round 3"),
        ({"pol_round": 4}, "cannot rest on round 4"),
        ({"block_hash": b"short"}, "32"),
        ({"signature": b""}, "64"),
        ({"parts": PartsHeader(0, Hash32(bytes(32)))}, "0 parts"),
        ({"round": 2**32}, ""),
    ],
)
def test_what_is_no_proposal(changes, reason):
    with pytest.raises(DecodingError, match=reason or None):
        decode_proposal(dataclasses.replace(PROPOSAL, **changes).to_item())


@given(
    st.sampled_from(VoteType), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.none() | HASHES,
    st.binary(min_size=20, max_size=20), SIGNATURES,
)  # fmt: skip
def test_a_vote_comes_back(type_, height, round_, block_hash, validator, signature):
    vote = Vote(type_, height, round_, block_hash, validator, signature)
    assert decode_vote(rlp.decode(rlp.encode(vote.to_item()))) == vote
    assert vote.sign_bytes(18, bytes(32)) == vote_sign_bytes(18, bytes(32), type_, height, round_, block_hash)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": 0}, "no vote of type 0"),
        ({"type": 3}, "no vote of type 3"),
        ({"block_hash": b"x" * 31}, "32 bytes of block hash or none"),
        ({"validator": b"x" * 21}, "20"),
        ({"signature": b"x" * 63}, "64"),
    ],
)
def test_what_is_no_vote(changes, reason):
    with pytest.raises(DecodingError, match=reason):
        decode_vote(dataclasses.replace(VOTE, **changes).to_item())
