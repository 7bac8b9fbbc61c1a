"""Certificates hold votes about one thing, and nothing else decodes."""

from __future__ import annotations

import dataclasses

import pytest

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.certificate import (
    MAX_CERTIFICATE_VOTES,
    PolkaCertificate,
    RoundCertificate,
    decode_polka,
    decode_round_certificate,
)
from cybermiles.types.primitives import Hash32
from cybermiles.types.vote import Vote, VoteType

A, B = Hash32(b"A" * 32), Hash32(b"B" * 32)
PREVOTE, PRECOMMIT = VoteType


def vote(sender, type_=PREVOTE, round_=4, block_hash=A, height=7):
    return Vote(type_, height, round_, block_hash, bytes([sender]) * 20, bytes([sender]) * 64)


POLKA = PolkaCertificate(7, 4, A, (vote(1), vote(2)))
ROUND = RoundCertificate(7, 4, (vote(1, PRECOMMIT, 3, None), vote(2, PRECOMMIT, 3, B), vote(3, PREVOTE, 4)))


def test_encodings_come_back():
    assert decode_polka(rlp.decode(rlp.encode(POLKA.to_item()))) == POLKA
    assert decode_round_certificate(rlp.decode(rlp.encode(ROUND.to_item()))) == ROUND


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        ((), "a certificate of 0 votes"),
        ((vote(1, PRECOMMIT),), "prevotes for a block"),
        ((vote(1, block_hash=None),), "prevotes for a block"),
        ((vote(1), vote(2, block_hash=B)), "one block in one round"),
        ((vote(1), vote(2, block_hash=None)), "one block in one round"),
        ((vote(1), vote(2, round_=5)), "one block in one round"),
        ((vote(1), vote(2, height=8)), "one block in one round"),
        ((vote(1), vote(2, PRECOMMIT)), "one block in one round"),
        ((vote(1),) * (MAX_CERTIFICATE_VOTES + 1), "are allowed"),
    ],
)
def test_what_is_no_polka(votes, reason):
    with pytest.raises(DecodingError, match=reason):
        decode_polka(dataclasses.replace(POLKA, votes=votes).to_item())


@pytest.mark.parametrize(
    ("round_", "votes", "reason"),
    [
        (4, (), "a certificate of 0 votes"),
        (0, (vote(1, round_=0),), "a certificate of round 0"),
        (4, (vote(1, round_=2),), "of the round before"),
        (4, (vote(1, round_=5),), "of the round before"),
        (4, (vote(1), vote(2, height=8)), "of one height"),
    ],
)
def test_what_justifies_no_round(round_, votes, reason):
    with pytest.raises(DecodingError, match=reason):
        decode_round_certificate(RoundCertificate(7, round_, votes).to_item())


def test_the_largest_certificate_decodes():
    largest = dataclasses.replace(POLKA, votes=(vote(1),) * MAX_CERTIFICATE_VOTES)
    assert decode_polka(largest.to_item()) == largest
