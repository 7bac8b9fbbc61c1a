"""Blocks in parts: who may announce what, and what a verdict is about."""

from __future__ import annotations

import pytest

from cybermiles.consensus.messages import PartMessage
from cybermiles.consensus.values import MAX_ORPHANS, MAX_SETS, CompleteValue, Values
from cybermiles.errors import ProtocolViolation
from cybermiles.types.abci import Verdict
from cybermiles.types.part_set import PART_BYTES, Part, PartsHeader, split
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal

HEIGHT = 3
GOOD, EVIL = Hash32(b"g" * 32), Hash32(b"e" * 32)
VALUE = b"".join(number.to_bytes(4) for number in range(64_000))
PARTS = split(VALUE)
YES = Verdict(accepted=True, block_hash=GOOD, timestamp=77)


def proposal(block_hash=GOOD, header=PARTS.header, round_=0):
    return SignedProposal(HEIGHT, round_, -1, block_hash, header, bytes(64))


def part(index, parts=PARTS):
    return PartMessage(HEIGHT, parts.header.id, parts.part(index))


@pytest.fixture
def values():
    return Values(HEIGHT, 1024 * 1024)


def fill(values, parts=PARTS):
    results = [values.add(part(index, parts), "peer") for index in range(parts.header.total)]
    assert all(is_news for is_news, _ in results)
    assert [complete for _, complete in results[:-1]] == [None] * (len(results) - 1)
    return results[-1][1]


def told(checks):
    return [(checked.block_hash, checked.accepted, checked.timestamp) for checked in checks]


def test_parts_make_the_value_that_is_checked_and_kept(values):
    assert values.expect(proposal(), ()) is None
    complete = fill(values)
    assert complete == CompleteValue(PARTS.header, VALUE)
    assert told(values.checked(complete, YES)) == [(GOOD, True, 77)]
    assert values.value(GOOD) == VALUE
    assert values.part_set(PARTS.header.id).is_complete


def test_a_part_again_is_no_news(values):
    values.expect(proposal(), ())
    assert values.add(part(0), "peer") == (True, None)
    assert values.add(part(0), "other") == (False, None)


def test_a_part_that_proves_nothing_is_a_violation(values):
    values.expect(proposal(), ())
    wrong = Part(1, PARTS.part(1).payload, PARTS.part(0).proof)
    with pytest.raises(ProtocolViolation, match="does not belong"):
        values.add(PartMessage(HEIGHT, PARTS.header.id, wrong), "peer")


def test_parts_that_overtook_their_proposal_are_adopted(values):
    assert values.add(part(0), "one") == (False, None)
    assert values.add(part(1), "two") == (False, None)
    assert values.part_set(PARTS.header.id) is None
    values.expect(proposal(), ())
    assert values.adopt(PARTS.header.id) == [(part(0), "one"), (part(1), "two")]
    assert values.adopt(PARTS.header.id) == []


def test_parts_nobody_announced_have_bounded_room_and_the_newest_stay(values):
    for number in range(MAX_ORPHANS * 3):
        values.add(PartMessage(HEIGHT, Hash32(number.to_bytes(32)), PARTS.part(0)), "liar")
    assert values.adopt(Hash32((MAX_ORPHANS * 2 - 1).to_bytes(32))) == []
    assert len(values.adopt(Hash32((MAX_ORPHANS * 2).to_bytes(32)))) == 1


def test_a_hash_over_other_bytes_is_refused_and_the_real_block_is_not(values):
    """The proposer lies about the hash; under its own parts the block stays good."""
    rubbish = split(b"rubbish")
    values.expect(proposal(header=rubbish.header), ())
    complete = fill(values, rubbish)
    assert told(values.checked(complete, Verdict(accepted=False, block_hash=None))) == [(GOOD, False, 0)]
    assert values.expect(proposal(round_=1), ()) is None
    assert told(values.checked(fill(values), YES)) == [(GOOD, True, 77)]


def test_who_announces_known_parts_under_another_hash_is_refused_at_once(values):
    values.expect(proposal(), ())
    values.checked(fill(values), YES)
    late = values.expect(proposal(EVIL), ())
    assert told([late]) == [(EVIL, False, 0)]
    assert values.expect(proposal(EVIL), ()) is None, "it is told once"


def test_two_hashes_over_the_same_parts_get_their_own_verdicts(values):
    values.expect(proposal(EVIL), ())
    values.expect(proposal(), ())
    assert told(values.checked(fill(values), YES)) == [(EVIL, False, 0), (GOOD, True, 77)]


def test_a_root_with_a_wrong_number_of_parts_does_not_keep_the_right_one_out(values):
    lying = PartsHeader(PARTS.header.total + 1, PARTS.header.root)
    values.expect(proposal(header=lying), ())
    values.expect(proposal(), ())
    assert fill(values) == CompleteValue(PARTS.header, VALUE)


def test_who_was_shown_a_wrong_number_of_parts_blames_nobody_for_the_right_ones(values):
    """Others were shown the right number and pass the parts on; the liar alone signed both."""
    values.expect(proposal(header=PartsHeader(PARTS.header.total + 1, PARTS.header.root)), ())
    assert values.add(part(0), "honest") == (False, None)
    values.expect(proposal(), ())
    assert values.adopt(PARTS.header.id) == [(part(0), "honest")]


def test_more_parts_than_a_block_may_have_are_refused_without_collecting_any():
    small = Values(HEIGHT, PART_BYTES)
    assert told([small.expect(proposal(), ())]) == [(GOOD, False, 0)]
    assert small.part_set(PARTS.header.id) is None


def test_an_accepted_block_under_other_parts_is_not_collected_again(values):
    values.expect(proposal(), ())
    values.checked(fill(values), YES)
    other = PartsHeader(1, Hash32(b"o" * 32))
    assert values.expect(proposal(header=other), ()) is None
    assert values.part_set(other.id) is None


def test_sets_have_bounded_room_and_needed_ones_stay(values):
    values.expect(proposal(), ())
    for number in range(MAX_SETS * 2):
        header = PartsHeader(1, Hash32(number.to_bytes(32)))
        values.expect(proposal(Hash32(number.to_bytes(32)), header, round_=number), (GOOD,))
    assert values.part_set(PARTS.header.id) is not None
    kept = [number for number in range(MAX_SETS * 2) if values.part_set(PartsHeader(1, Hash32(number.to_bytes(32))).id)]
    assert kept == list(range(MAX_SETS + 1, MAX_SETS * 2))


def test_a_block_that_was_announced_under_another_hash_only_is_told_under_its_own_too(values):
    values.expect(proposal(EVIL), ())
    assert told(values.checked(fill(values), YES)) == [(EVIL, False, 0), (GOOD, True, 77)]


def test_a_block_whose_set_made_room_while_it_was_checked_is_told_all_the_same(values):
    """Else nobody would ever say it: a later proposal of an accepted block is not collected again."""
    values.expect(proposal(), ())
    complete = fill(values)
    for number in range(MAX_SETS):
        values.expect(proposal(Hash32(number.to_bytes(32)), PartsHeader(1, Hash32(number.to_bytes(32)))), ())
    assert values.part_set(PARTS.header.id) is None
    assert told(values.checked(complete, YES)) == [(GOOD, True, 77)]
    assert values.expect(proposal(round_=1), ()) is None


def test_a_kept_block_answers_proposals_that_wait_for_it(values):
    values.expect(proposal(), ())
    values.add(part(0), "peer")
    assert told(values.keep(VALUE, PARTS, YES)) == [(GOOD, True, 77)]
    assert values.part_set(PARTS.header.id).is_complete
    assert told([values.expect(proposal(EVIL), ())]) == [(EVIL, False, 0)]
