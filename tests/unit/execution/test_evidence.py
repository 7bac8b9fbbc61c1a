"""Evidence in blocks: who judges it, when it is too early and too late, its order, its room, and what it cannot do."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.errors import DecodingError, InvalidBlock
from cybermiles.execution.evidence import is_expired, select_evidence, validate_evidence
from cybermiles.execution.validation import check_block, validate_consensus
from cybermiles.types import rlp
from cybermiles.types.block import MAX_EVIDENCE_BYTES, Block
from cybermiles.types.evidence import DuplicateVote, decode_evidence, duplicate_vote
from cybermiles.types.vote import Vote, VoteType
from tests.factories import MemoryChain, double_vote, signed_vote, validator

SHORT = ChainParams(evidence_max_age_blocks=3, evidence_max_age_seconds=100)


def four(params=None, heights=3, seconds=1):
    chain = MemoryChain(params, accounts=(), powers=(4, 3, 2, 1))
    for _ in range(heights):
        chain.advance(seconds=seconds)
    return chain


def against(chain, number, height, **more):
    """Evidence against a test validator of the founding set."""
    member = next(
        m for m in chain.document.validator_set.validators if m.consensus_key == validator(number).consensus_key
    )
    return double_vote(chain.chain, member, height, **more)


@pytest.mark.parametrize(
    ("blocks", "seconds", "expired"),
    [(3, 100, False), (4, 100, False), (3, 101, False), (4, 101, True), (10**9, 100, False), (3, 10**9, False)],
)
def test_evidence_is_expired_only_when_both_clocks_say_so(blocks, seconds, expired):
    assert is_expired(SHORT, age_blocks=blocks, age_seconds=seconds) is expired


AGES = [
    # (blocks after the offence, seconds between them, accepted)
    (1, 1, True),
    (3, 1, True),
    (30, 1, True),  # 29 blocks, but only 29 s old
    (3, 1_000, True),  # old enough in seconds, but only 2 blocks
    (4, 1_000, True),  # 3 blocks: not more than 3
    (5, 25, True),  # 4 blocks and 100 s: not more than 100
    (5, 26, False),
    (5, 1_000, False),
]


@pytest.mark.parametrize(("blocks", "seconds", "accepted"), AGES)
def test_age_counts_from_the_offence_to_the_parent(blocks, seconds, accepted):
    chain = four(SHORT, heights=1)
    evidence = against(chain, 1, 1)
    for _ in range(blocks - 1):
        chain.advance(seconds=seconds)
    block, outcome = chain.advance(evidence=[evidence.encode()])
    assert block.consensus.evidence == ((evidence.encode(),) if accepted else ())
    assert len(outcome.misbehaviour) == accepted
    if not accepted:
        chain.evidence.clear()
        with pytest.raises(InvalidBlock, match="is expired: "):
            validate_evidence(chain.chain, chain.parent, (evidence.encode(),))


def test_evidence_tells_the_application_who_it_was_with_the_power_of_then():
    chain = four()
    evidence = against(chain, 2, 2, type_=VoteType.PRECOMMIT, round_=7)
    _, outcome = chain.advance(evidence=[evidence.encode()])
    (misbehaviour,) = outcome.misbehaviour
    assert (misbehaviour.validator, misbehaviour.height, misbehaviour.total_power) == (validator(2, 2), 2, 10)


def test_a_block_lists_evidence_by_hash_whatever_the_order_it_came_in():
    chain = four()
    pieces = [against(chain, number, height) for number in range(4) for height in (1, 2, 3)]
    block, outcome = chain.build(evidence=[piece.encode() for piece in pieces] * 2)
    hashes = [decode_evidence(raw).hash for raw in block.consensus.evidence]
    assert hashes == sorted(piece.hash for piece in pieces)
    assert [m.height for m in outcome.misbehaviour] == [decode_evidence(r).height for r in block.consensus.evidence]
    assert check_block(chain.chain, chain.parent, block) == outcome


def test_the_builder_leaves_out_what_its_block_may_not_contain():
    chain = four()
    good = against(chain, 0, 2)
    early = against(chain, 0, 4).encode()  # of the block that is being built
    stranger = (
        dataclasses.replace(good.first, validator=bytes(20)),
        dataclasses.replace(good.second, validator=bytes(20)),
    )
    offered = [
        b"",
        b"\xc0",
        early,
        against(chain, 0, 99).encode(),
        DuplicateVote(*stranger).encode(),
        dataclasses.replace(good, second=dataclasses.replace(good.second, signature=bytes(64))).encode(),
        DuplicateVote(good.second, good.first).encode(),
        good.encode(),
    ]
    block, _ = chain.advance(evidence=offered)
    assert block.consensus.evidence == (good.encode(),)
    block, _ = chain.advance(evidence=offered)
    assert block.consensus.evidence == (early,)
    block, _ = chain.advance(evidence=offered)
    assert block.consensus.evidence == ()


def test_a_block_holds_as_much_evidence_as_fits_and_no_more():
    chain = four()
    pieces = [against(chain, number % 4, 1 + number % 3, round_=number) for number in range(90)]
    block, _ = chain.build(evidence=[piece.encode() for piece in pieces])
    size = sum(map(len, block.consensus.evidence))
    assert MAX_EVIDENCE_BYTES - 400 < size <= MAX_EVIDENCE_BYTES
    check_block(chain.chain, chain.parent, block)
    everything = tuple(piece.encode() for piece in sorted(pieces, key=lambda piece: piece.hash))
    with pytest.raises(InvalidBlock, match="bytes of evidence"):
        validate_evidence(chain.chain, chain.parent, everything)


REFUSED = {
    "twice": lambda a, b: (a, a),
    "out of order": lambda a, b: (b, a),
}


@pytest.mark.parametrize("name", REFUSED)
def test_evidence_out_of_order_or_twice_makes_a_block_invalid(name):
    chain = four()
    one, other = sorted((against(chain, 0, 1), against(chain, 1, 1)), key=lambda piece: piece.hash)
    assert len(validate_evidence(chain.chain, chain.parent, (one.encode(), other.encode()))) == 2
    with pytest.raises(InvalidBlock, match="order of its hashes"):
        validate_evidence(chain.chain, chain.parent, REFUSED[name](one.encode(), other.encode()))


def test_a_header_commits_to_the_evidence():
    chain = four()
    evidence = against(chain, 0, 1).encode()
    block, _ = chain.build(evidence=[evidence])
    stripped = Block(block.header, block.transactions, dataclasses.replace(block.consensus, evidence=()))
    with pytest.raises(InvalidBlock, match="extra data"):
        check_block(chain.chain, chain.parent, stripped)


def test_evidence_is_committed_once():
    chain = four()
    evidence = against(chain, 0, 1).encode()
    chain.advance(evidence=[evidence])
    block, _ = chain.build()
    again = dataclasses.replace(block.consensus, evidence=(evidence,))
    with pytest.raises(InvalidBlock, match="in an earlier block"):
        validate_consensus(chain.chain, chain.parent, again)


def test_votes_of_another_chain_prove_nothing():
    chain, other = four(), four(SHORT)
    assert chain.document.hash != other.document.hash
    with pytest.raises(InvalidBlock, match="wrong signature"):
        validate_evidence(chain.chain, chain.parent, (against(other, 0, 1).encode(),))


CHAIN = four()
FIELDS = st.sampled_from(["type", "height", "round", "block_hash", "validator", "signature"])


@st.composite
def forged(draw):
    """Honest votes and real evidence, with fields changed: somebody's attempt to frame or to get twice."""
    members = CHAIN.document.validator_set.validators
    member = draw(st.sampled_from(members))
    height = draw(st.integers(1, 3))
    hashes = draw(
        st.lists(
            st.sampled_from([None, b"\x01" * 32, b"\x02" * 32, CHAIN.headers[height].hash]),
            min_size=2,
            max_size=2,
            unique=True,
        )
    )
    votes = [signed_vote(CHAIN.chain, member, height, h, type_=VoteType.PREVOTE, round_=1) for h in hashes]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, 1))
        vote = votes[at]
        match draw(FIELDS):
            case "type":
                change = {"type": VoteType.PRECOMMIT}
            case "height":
                change = {"height": draw(st.integers(0, 2**64 - 1))}
            case "round":
                change = {"round": draw(st.integers(0, 2**32 - 1))}
            case "block_hash":
                change = {"block_hash": draw(st.none() | st.binary(min_size=32, max_size=32))}
            case "validator":
                change = {
                    "validator": draw(
                        st.sampled_from([m.address for m in members]) | st.binary(min_size=20, max_size=20)
                    )
                }
            case _:
                bit = draw(st.integers(0, 511))
                change = {"signature": (int.from_bytes(vote.signature) ^ (1 << bit)).to_bytes(64)}
        votes[at] = dataclasses.replace(vote, **change)
    order = draw(st.booleans())
    return DuplicateVote(*(votes if order else reversed(votes)))


def proves(evidence):
    """Whether it is honest evidence after all: two right signatures over votes that conflict, in canonical order."""
    votes: list[Vote] = [evidence.first, evidence.second]
    members = {m.address: m for m in CHAIN.document.validator_set.validators}
    if any(v.validator not in members for v in votes):
        return False
    right = [
        signed_vote(CHAIN.chain, members[v.validator], v.height, v.block_hash, type_=v.type, round_=v.round) == v
        for v in votes
    ]
    same = len({(v.type, v.height, v.round, v.validator) for v in votes}) == 1
    ordered = (votes[0].block_hash or b"") < (votes[1].block_hash or b"")
    return all(right) and same and ordered and 1 <= votes[0].height <= 3


@settings(max_examples=300, deadline=None)
@given(forged())
def test_evidence_with_any_field_changed_is_never_accepted(evidence):
    accepted = select_evidence(CHAIN.chain, CHAIN.parent, [evidence.encode()]) != ()
    assert accepted == proves(evidence)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_bytes_of_evidence_never_prove_anything_new(data):
    original = against(CHAIN, data.draw(st.integers(0, 3)), data.draw(st.integers(1, 3)))
    raw = bytearray(original.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                raw[at] = data.draw(st.integers(0, 255))
            case 1:
                del raw[at]
            case _:
                raw.insert(at, data.draw(st.integers(0, 255)))
    mutated = bytes(raw)
    chosen = select_evidence(CHAIN.chain, CHAIN.parent, [mutated])
    assert chosen == ((mutated,) if mutated == original.encode() else ())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_garbage_is_refused_as_undecodable(raw):
    with pytest.raises(DecodingError):
        decode_evidence(raw)
    with pytest.raises(InvalidBlock, match="does not decode"):
        validate_evidence(CHAIN.chain, CHAIN.parent, (raw,))


def test_two_votes_for_one_block_or_of_two_rounds_are_no_evidence():
    member = CHAIN.document.validator_set.validators[0]
    vote = signed_vote(CHAIN.chain, member, 1, bytes(32))
    later = signed_vote(CHAIN.chain, member, 1, None, round_=1)
    for pair in ((vote, vote), (vote, later)):
        raw = rlp.encode([v.to_item() for v in pair])
        with pytest.raises(InvalidBlock, match="conflict"):
            validate_evidence(CHAIN.chain, CHAIN.parent, (raw,))


def test_the_encoding_of_an_offence_is_one_whatever_order_the_votes_were_seen_in():
    member = CHAIN.document.validator_set.validators[0]
    one, other = (signed_vote(CHAIN.chain, member, 1, h) for h in (b"\x01" * 32, None))
    assert duplicate_vote(one, other).encode() == duplicate_vote(other, one).encode()
