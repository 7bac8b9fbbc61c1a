"""Proof of a double vote: one encoding of one offence, and nobody is framed."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import ed25519
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.evidence import (
    MAX_EVIDENCE_ITEM_BYTES,
    DuplicateVote,
    decode_evidence,
    duplicate_vote,
    verify_evidence,
)
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType

CHAIN_ID, GENESIS = 18, b"\x0e" * 32
PRIVATE = [bytes(31) + bytes((number,)) for number in (1, 2, 3)]
MEMBERS = [Validator(ed25519.public_key(key), Address(bytes(20)), 10 + n) for n, key in enumerate(PRIVATE)]
SET = ValidatorSet(tuple(MEMBERS))
A, B = Hash32(b"A" * 32), Hash32(b"B" * 32)


def signed(block_hash, who=0, *, type_=VoteType.PRECOMMIT, height=7, round_=2, chain_id=CHAIN_ID):
    vote = Vote(type_, height, round_, block_hash, MEMBERS[who].address, bytes(64))
    return dataclasses.replace(vote, signature=ed25519.sign(PRIVATE[who], vote.sign_bytes(chain_id, GENESIS)))


EVIDENCE = duplicate_vote(signed(A), signed(B))


@pytest.mark.parametrize("values", list(itertools.permutations((A, B, None), 2)))
def test_the_two_votes_stand_in_one_order(values):
    one, other = (signed(value) for value in values)
    evidence = duplicate_vote(one, other)
    assert evidence == duplicate_vote(other, one)
    assert (evidence.first.block_hash or b"") < evidence.second.block_hash
    assert evidence.hash == keccak256(evidence.encode())
    assert (evidence.height, evidence.validator) == (7, MEMBERS[0].address)


@pytest.mark.parametrize(
    "other",
    [signed(B, 1), signed(B, type_=VoteType.PREVOTE), signed(B, height=8), signed(B, round_=3), signed(A)],
)
def test_votes_that_do_not_exclude_each_other_are_no_evidence(other):
    with pytest.raises(ProtocolViolation, match="conflict"):
        duplicate_vote(signed(A), other)


def test_the_encoding_comes_back_and_is_the_only_one():
    raw = EVIDENCE.encode()
    assert decode_evidence(raw) == EVIDENCE
    assert len(raw) < MAX_EVIDENCE_ITEM_BYTES
    swapped = DuplicateVote(EVIDENCE.second, EVIDENCE.first).encode()
    with pytest.raises(DecodingError, match="smaller hash stands first"):
        decode_evidence(swapped)


@pytest.mark.parametrize(
    "raw",
    [
        rlp.encode([signed(A).to_item(), signed(A).to_item()]),
        rlp.encode([signed(A).to_item(), signed(B, 1).to_item()]),
        rlp.encode([signed(A).to_item()]),
        b"",
        bytes(MAX_EVIDENCE_ITEM_BYTES + 1),
    ],
)
def test_bytes_that_are_no_evidence(raw):
    with pytest.raises(DecodingError):
        decode_evidence(raw)


@given(st.integers(0, 400), st.binary(max_size=3))
def test_mutated_bytes_never_accuse(position, patch):
    raw = bytearray(EVIDENCE.encode())
    raw[position : position + len(patch)] = patch
    if bytes(raw) == EVIDENCE.encode():
        return
    try:
        evidence = decode_evidence(bytes(raw))
        verify_evidence(evidence, SET, CHAIN_ID, GENESIS)
    except (DecodingError, ProtocolViolation):
        return
    raise AssertionError(bytes(raw).hex())


def test_verified_evidence_names_the_validator_and_the_powers_of_its_height():
    found = verify_evidence(EVIDENCE, SET, CHAIN_ID, GENESIS)
    assert (found.validator, found.height, found.total_power) == (MEMBERS[0], 7, SET.total_power)


def test_who_was_no_validator_cannot_be_accused():
    with pytest.raises(ProtocolViolation, match="was no validator at height 7"):
        verify_evidence(EVIDENCE, ValidatorSet(tuple(MEMBERS[1:])), CHAIN_ID, GENESIS)


@pytest.mark.parametrize("place", ["first", "second"])
def test_both_signatures_are_checked(place):
    forged = dataclasses.replace(getattr(EVIDENCE, place), signature=bytes(64))
    with pytest.raises(ProtocolViolation, match="wrong signature"):
        verify_evidence(dataclasses.replace(EVIDENCE, **{place: forged}), SET, CHAIN_ID, GENESIS)


def test_votes_of_another_chain_accuse_nobody_here():
    foreign = duplicate_vote(signed(A, chain_id=19), signed(B, chain_id=19))
    verify_evidence(foreign, SET, 19, GENESIS)
    with pytest.raises(ProtocolViolation, match="wrong signature"):
        verify_evidence(foreign, SET, CHAIN_ID, GENESIS)
    with pytest.raises(ProtocolViolation, match="wrong signature"):
        verify_evidence(EVIDENCE, SET, CHAIN_ID, bytes(32))
