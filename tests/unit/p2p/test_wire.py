"""Every message of every channel: one encoding, bounds before decoding, no surprise from any bytes."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.wire import block_sync, consensus, mempool, state_sync
from cybermiles.p2p.wire import evidence as evidence_wire
from cybermiles.sync.snapshot_offers import Wanted
from cybermiles.types import rlp
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.evidence import duplicate_vote
from cybermiles.types.part_set import MAX_PARTS, Part, PartsHeader
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType

heights = st.integers(0, 2**64 - 1)
rounds = st.integers(0, 2**32 - 1)
hashes = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
addresses = st.binary(min_size=20, max_size=20)
types = st.sampled_from(VoteType)
votes = st.builds(Vote, types, heights, rounds, st.none() | hashes, addresses, signatures)
bits = st.integers(0, 2**consensus.MAX_VALIDATORS - 1)
have_votes = st.builds(consensus.HaveVotes, rounds, types, st.none() | hashes, bits)
have_parts = st.builds(consensus.HaveParts, rounds, hashes, st.integers(0, 2**MAX_PARTS - 1))
state_messages = st.one_of(
    st.builds(consensus.RoundStep, heights, rounds, st.sampled_from(Step)),
    st.builds(
        consensus.Have,
        heights,
        st.booleans(),
        st.lists(have_votes, max_size=consensus.MAX_HAVE_VOTES).map(tuple),
        st.lists(have_parts, max_size=consensus.MAX_HAVE_PARTS).map(tuple),
    ),
    st.builds(consensus.Prefer, heights, bits),
)
parts_headers = st.builds(PartsHeader, st.integers(1, MAX_PARTS), hashes)
proposals = st.builds(
    lambda height, rounds, *rest: SignedProposal(height, max(rounds), min(rounds) - 1, *rest),
    heights,
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    hashes,
    parts_headers,
    signatures,
)
parts = st.builds(
    Part, st.integers(0, MAX_PARTS - 1), st.binary(min_size=1, max_size=200), st.lists(hashes, max_size=10).map(tuple)
)
data_messages = proposals | st.builds(PartMessage, heights, hashes, parts)


@st.composite
def certificates(draw):
    height, round_ = draw(heights), draw(st.integers(1, 2**32 - 1))
    if draw(st.booleans()):
        block = draw(hashes)
        made = st.builds(
            Vote, st.just(VoteType.PREVOTE), st.just(height), st.just(round_), st.just(block), addresses, signatures
        )
        return PolkaCertificate(height, round_, block, tuple(draw(st.lists(made, min_size=1, max_size=5))))
    made = st.builds(
        Vote, types, st.just(height), st.sampled_from((round_ - 1, round_)), st.none() | hashes, addresses, signatures
    )
    return RoundCertificate(height, round_, tuple(draw(st.lists(made, min_size=1, max_size=5))))


votes_messages = certificates() | st.builds(consensus.Votes, st.lists(votes, min_size=1, max_size=5).map(tuple))
sizes = st.integers(1, 128 * 1024)
raws = st.lists(st.binary(min_size=1, max_size=50), max_size=5).map(tuple)
transactions_messages = st.one_of(
    st.builds(mempool.Push, raws),
    st.builds(
        mempool.Announce,
        st.lists(st.builds(mempool.Announcement, hashes, st.integers(0, 255), sizes), max_size=5).map(tuple),
    ),
    st.builds(mempool.Want, heights, st.lists(hashes, max_size=5).map(tuple)),
    st.builds(mempool.Answer, heights, raws),
)
commits = st.builds(Commit, heights, rounds, hashes, st.lists(st.none() | signatures, max_size=4).map(tuple))
questions = st.builds(state_sync.Question, st.sampled_from(Wanted), heights, heights)
state_sync_messages = questions | st.builds(state_sync.Answer, questions, st.binary(max_size=100))
block_sync_messages = st.one_of(
    st.builds(lambda a, b: block_sync.Status(min(a, b), max(a, b)), heights, heights),
    st.builds(block_sync.BlockRequest, heights),
    st.builds(block_sync.NoBlock, heights),
    st.builds(lambda v, c: block_sync.BlockResponse(c.height, v, c), st.binary(min_size=1, max_size=100), commits),
)


@st.composite
def evidence_batches(draw):
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        vote = draw(votes)
        other = draw(hashes.filter(lambda h: h != vote.block_hash))
        pieces.append(
            duplicate_vote(vote, Vote(vote.type, vote.height, vote.round, other, vote.validator, draw(signatures)))
        )
    return tuple(pieces)


CODECS = {
    "state": (state_messages, consensus.encode_state, consensus.decode_state),
    "data": (data_messages, consensus.encode_data, consensus.decode_data),
    "votes": (votes_messages, consensus.encode_votes, consensus.decode_votes),
    "mempool": (transactions_messages, mempool.encode_transactions, mempool.decode_transactions),
    "evidence": (evidence_batches(), evidence_wire.encode_evidence_batch, evidence_wire.decode_evidence_batch),
    "block sync": (block_sync_messages, block_sync.encode_block_sync, block_sync.decode_block_sync),
    "state sync": (state_sync_messages, state_sync.encode_state_sync, state_sync.decode_state_sync),
}
LARGEST = {
    "state": consensus.MAX_STATE_BYTES,
    "data": consensus.MAX_DATA_BYTES,
    "votes": consensus.MAX_VOTES_BYTES,
    "mempool": mempool.MAX_MESSAGE_BYTES,
    "evidence": evidence_wire.MAX_MESSAGE_BYTES,
    "block sync": block_sync.MAX_MESSAGE_BYTES,
    "state sync": state_sync.MAX_MESSAGE_BYTES,
}
channels = pytest.mark.parametrize("channel", CODECS)


@channels
@given(data=st.data())
def test_a_message_comes_back_as_it_was(channel, data):
    messages, encode, decode = CODECS[channel]
    message = data.draw(messages)
    assert decode(encode(message)) == message


@channels
@given(data=st.data())
def test_changed_bytes_are_refused_or_are_another_message(channel, data):
    messages, encode, decode = CODECS[channel]
    raw = bytearray(encode(data.draw(messages)))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw)
    try:
        decoded = decode(raw)
    except (DecodingError, ProtocolViolation):
        return
    assert encode(decoded) == raw  # one message, one encoding


@channels
def test_an_unknown_kind_is_a_violation(channel):
    with pytest.raises(ProtocolViolation, match="unknown kind 99"):
        CODECS[channel][2](b"\x63\xc0")


@channels
@pytest.mark.parametrize("filler", [b"\xc0", b"\x01", b"\xc1", b"\x80"])
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_the_largest_message_of_nothing_costs_little_memory(channel, filler, kind):
    """A list of a million empty lists is refused before it becomes a million objects."""
    limit = LARGEST[channel]
    size = min(limit, 1 << 20) - 16
    raw = bytes((kind,)) + rlp.encode_list([filler * size])
    decode = CODECS[channel][2]
    tracemalloc.start()
    with pytest.raises((DecodingError, ProtocolViolation)):
        decode(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@channels
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_a_message_over_its_kinds_limit_is_refused_unseen(channel, kind):
    with pytest.raises((DecodingError, ProtocolViolation), match="bytes|unknown kind"):
        CODECS[channel][2](bytes((kind,)) + bytes(LARGEST[channel] + 1))


@channels
def test_an_empty_message_is_refused(channel):
    with pytest.raises(DecodingError):
        CODECS[channel][2](b"")


def test_the_largest_vote_fits_its_bound():
    vote = Vote(VoteType.PRECOMMIT, 2**64 - 1, 2**32 - 1, b"\xff" * 32, b"\xff" * 20, b"\xff" * 64)
    assert len(rlp.encode(vote.to_item())) == 137 <= consensus.MAX_VOTE_BYTES
    batch = consensus.encode_votes(consensus.Votes((vote,) * consensus.MAX_BATCH_VOTES))
    assert consensus.decode_votes(batch).votes == (vote,) * consensus.MAX_BATCH_VOTES
    with pytest.raises(DecodingError):
        consensus.decode_votes(consensus.encode_votes(consensus.Votes((vote,) * (consensus.MAX_BATCH_VOTES + 1))))


def test_the_largest_announcement_of_what_one_has_fits_its_bound():
    votes_ = consensus.HaveVotes(2**32 - 1, VoteType.PRECOMMIT, b"\xff" * 32, 2**consensus.MAX_VALIDATORS - 1)
    parts_ = consensus.HaveParts(2**32 - 1, b"\xff" * 32, 2**MAX_PARTS - 1)
    have = consensus.Have(2**64 - 1, True, (votes_,) * consensus.MAX_HAVE_VOTES, (parts_,) * consensus.MAX_HAVE_PARTS)
    raw = consensus.encode_state(have)
    assert len(raw) <= consensus.MAX_STATE_BYTES
    assert consensus.decode_state(raw) == have


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (bytes((1,)) + rlp.encode([b"\x01", b"", b"\x05"]), "no step 5"),
        (bytes((2,)) + rlp.encode([b"\x01", b"\x02", [], []]), "flag is 0 or 1"),
        (bytes((2,)) + rlp.encode([b"\x01", b"", [[b"", b"\x03", b"", b""]], []]), "no vote of type 3"),
        (bytes((2,)) + rlp.encode([b"\x01", b"", [[b"", b"\x01", b"\x01", b""]], []]), "32 bytes of block hash"),
        (bytes((1,)) + rlp.encode([b"\x01" + bytes(8), b"", b""]), "over 64 bits"),
    ],
)
def test_state_messages_out_of_range_are_refused(message, match):
    with pytest.raises(DecodingError, match=match):
        consensus.decode_state(message)


def test_a_part_index_beyond_any_block_is_refused():
    part = PartMessage(1, bytes(32), Part(MAX_PARTS, b"x", ()))
    with pytest.raises(DecodingError, match="part 1024"):
        consensus.decode_data(consensus.encode_data(part))


def test_a_range_of_heights_that_is_none_is_refused():
    with pytest.raises(DecodingError, match="no range"):
        block_sync.decode_block_sync(block_sync.encode_block_sync(block_sync.Status(9, 7)))
    assert block_sync.decode_block_sync(block_sync.encode_block_sync(block_sync.Status(1, 0))).height == 0


@pytest.mark.parametrize(("value", "height"), [(b"", 7), (b"block", 6), (b"block", 8)])
def test_a_block_response_is_about_one_height_and_holds_a_block(value, height):
    """The sync service would take a block with another height's commit for applied, or out of turn."""
    response = block_sync.BlockResponse(7, value, Commit(height, 0, bytes(32), ()))
    with pytest.raises(DecodingError, match="response for height 7"):
        block_sync.decode_block_sync(block_sync.encode_block_sync(response))


def test_transactions_are_grouped_into_messages_that_fit():
    raws_ = [bytes([i]) * size for i, size in enumerate((100, 60_000, 10_000, 128 * 1024, 5))]
    groups = mempool.batches(raws_)
    assert [raw for group in groups for raw in group] == raws_
    assert [len(group) for group in groups] == [2, 1, 1, 1]
    for group in groups:
        assert mempool.decode_transactions(mempool.encode_transactions(mempool.Push(group))).transactions == group
    assert [len(g) for g in mempool.batches([b"x"] * 2000)] == [1024, 976]


@pytest.mark.parametrize("size", [0, 128 * 1024 + 1])
def test_an_announced_size_that_no_transaction_has_is_refused(size):
    message = mempool.encode_transactions(mempool.Announce((mempool.Announcement(bytes(32), 2, size),)))
    with pytest.raises(DecodingError, match="1 to"):
        mempool.decode_transactions(message)
