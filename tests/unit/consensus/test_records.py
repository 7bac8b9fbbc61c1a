"""The log's entries as bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.core.inputs import (
    CertificateReceived,
    CommitReceived,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    TimeoutKind,
    ValueBuilt,
    ValueChecked,
    VoteReceived,
)
from cybermiles.consensus.records import Entry, Record, RecordType, Start, decode_entry, encode_entry, entry_of
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.consensus import validators

HEIGHT = 9
hashes = st.binary(min_size=32, max_size=32).map(Hash32)
signatures = st.binary(min_size=64, max_size=64)
rounds = st.integers(0, 2**31)
parts = st.builds(PartsHeader, st.integers(1, 1024), hashes)
votes = st.builds(
    Vote,
    st.sampled_from(VoteType),
    st.just(HEIGHT),
    rounds,
    st.none() | hashes,
    st.binary(min_size=20, max_size=20),
    signatures,
)
proposals = rounds.flatmap(
    lambda round_: st.builds(
        SignedProposal, st.just(HEIGHT), st.just(round_), st.integers(-1, round_ - 1), hashes, parts, signatures
    )
)


@st.composite
def polkas(draw):
    round_, block_hash = draw(rounds), draw(hashes)
    who = draw(st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=4))
    held = tuple(Vote(VoteType.PREVOTE, HEIGHT, round_, block_hash, address, draw(signatures)) for address in who)
    return PolkaCertificate(HEIGHT, round_, block_hash, held)


@st.composite
def round_certificates(draw):
    round_ = draw(st.integers(1, 1000))
    held = draw(st.lists(votes, min_size=1, max_size=4))
    return RoundCertificate(
        HEIGHT, round_, tuple(Vote(v.type, HEIGHT, round_ - 1, v.block_hash, v.validator, v.signature) for v in held)
    )


entries = st.one_of(
    st.builds(Start, st.just(HEIGHT), st.booleans()).map(Entry),
    st.builds(ProposalReceived, proposals, st.integers(0, 2**60)).map(Entry),
    st.builds(
        Entry,
        st.builds(ValueBuilt, height=st.just(HEIGHT), round=rounds, block_hash=hashes, parts=parts, timestamp=rounds),
        st.binary(max_size=50),
    ),
    st.builds(
        Entry,
        st.builds(
            ValueChecked,
            height=st.just(HEIGHT), block_hash=hashes, parts=parts, accepted=st.booleans(), timestamp=rounds,
        ),
        st.binary(max_size=50),
    ),
    st.builds(VoteReceived, votes).map(Entry),
    st.builds(CertificateReceived, polkas() | round_certificates()).map(Entry),
    st.builds(
        CommitReceived,
        st.builds(Commit, st.just(HEIGHT), rounds, hashes, st.lists(st.none() | signatures, max_size=4).map(tuple)),
    ).map(Entry),
    st.builds(TimeoutElapsed, st.sampled_from(TimeoutKind), st.just(HEIGHT), rounds).map(Entry),
)  # fmt: skip


@given(entry=entries)
def test_every_entry_survives_the_log(entry):
    assert decode_entry(encode_entry(entry), HEIGHT) == entry


def test_a_height_begins_with_the_rotation_of_its_parent():
    rotation = first_rotation(validators(3))
    start = StartHeight(height=HEIGHT, rotation=rotation, is_voting=False)
    entry = decode_entry(encode_entry(entry_of(start)), HEIGHT)
    assert entry.input.to_input(rotation) == start


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (encode_entry(Entry(Start(8, True))), "begins with height 8"),
        (Record(RecordType.TIMEOUT, rlp.encode([b"\x09", b""])), "no timer of kind 9"),
        (Record(RecordType.VOTE, b"\x00"), "rlp"),
        (Record(RecordType.VALUE, rlp.encode([b""])), "5"),
    ],
)
def test_what_no_version_wrote_is_refused(record, message):
    with pytest.raises(DecodingError, match=message):
        decode_entry(record, HEIGHT)
