"""Counting votes: integer thresholds, conflicting votes, far rounds, and bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.core.far_votes import MAX_FAR_ROUNDS
from cybermiles.consensus.core.tally import Tally
from cybermiles.consensus.core.vote_keeper import VoteKeeper
from cybermiles.errors import InvariantViolation
from cybermiles.types.vote import Vote
from tests.fakes.consensus_core import HEIGHT, PRECOMMIT, PREVOTE, SIGNATURE, block_hash, letter, members

FOUR = members(1, 1, 1, 1)
POWERS = st.lists(st.integers(1, 2**60 // 8), min_size=1, max_size=7).map(lambda powers: sorted(powers, reverse=True))


def vote(sender, value="A", round_=0, type_=PREVOTE, validators=FOUR):
    address = validators.addresses[sender] if isinstance(sender, int) else sender
    return Vote(type_, HEIGHT, round_, block_hash(value), address, SIGNATURE)


def add(keeper, *votes):
    return [outcome for each in votes for outcome in keeper.add(each)]


# --- thresholds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "power", "is_quorum", "is_honest"),
    [
        (3, 2, False, True), (3, 3, True, True), (10, 6, False, True), (10, 7, True, True), (10, 3, False, False),
        (10, 4, False, True), (1, 1, True, True), (1, 0, False, False), (6, 4, False, True), (6, 2, False, False),
        (2**60 - 1, (2**60 - 1) // 3, False, False), (2**60 - 1, (2**60 - 1) // 3 + 1, False, True),
        (2**60 - 1, (2**60 - 1) // 3 * 2, False, True), (2**60 - 1, (2**60 - 1) // 3 * 2 + 1, True, True),
    ],
)  # fmt: skip
def test_a_quorum_is_more_than_two_thirds_and_an_honest_minority_more_than_one(total, power, is_quorum, is_honest):
    half = total // 2
    validators = members(*filter(None, (total - half, half)))
    assert validators.total_power == total
    assert validators.has_quorum(power) is is_quorum
    assert validators.has_honest(power) is is_honest


@given(POWERS, st.data())
def test_thresholds_are_exact_for_any_powers(powers, data):
    validators = members(*powers)
    voters = data.draw(st.lists(st.sampled_from(range(len(powers))), unique=True))
    keeper = VoteKeeper(validators)
    for sender in voters:
        keeper.add(vote(sender, validators=validators))
    power, total = sum(powers[k] for k in voters), sum(powers)
    votes = keeper.round(0)
    assert bool(votes and votes.prevotes.has_quorum) == (3 * power > 2 * total)
    assert (letter(votes.prevotes.block_hash) if votes else None) == ("A" if 3 * power > 2 * total else None)
    assert (keeper.highest_honest_round == 0) == (3 * power > total)


@given(st.integers(1, (2**60 - 1) // 3))
def test_exactly_two_thirds_are_no_quorum_and_exactly_one_third_is_no_honest_minority(third):
    validators = members(third, third, third)
    keeper = VoteKeeper(validators)
    add(keeper, vote(0, validators=validators))
    assert not keeper.round(0).has_honest
    add(keeper, vote(1, validators=validators))
    assert keeper.round(0).has_honest
    assert not keeper.round(0).prevotes.has_quorum
    add(keeper, vote(2, validators=validators))
    assert keeper.round(0).prevotes.has_quorum


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["A", "B", None]), st.sampled_from([PREVOTE, PRECOMMIT]))))
def test_the_tallies_are_those_of_counting_anew(entries):
    keeper, first, kept = VoteKeeper(FOUR), {}, {}
    for sender, value, type_ in entries:
        if sender > 0 or first.setdefault((sender, type_), value) == value:  # one validator at most lies less
            try:
                keeper.add(vote(sender, value, type_=type_))
            except InvariantViolation:
                return
            values = kept.setdefault((type_, sender), [])
            if value not in values and len(values) < 2:
                values.append(value)
    for type_ in (PREVOTE, PRECOMMIT):
        senders = [sender for kind, sender in kept if kind is type_]
        if not senders:
            continue
        tally = keeper.round(0).tally(type_)
        assert tally.power == len(senders)
        assert tally.has_quorum == (len(senders) >= 3)
        for value in ("A", "B", None):
            supporters = sorted(k for k in senders if value in kept[type_, k])
            assert [k for k, v in enumerate(tally.votes_for(block_hash(value))) if v is not None] == supporters
            has_quorum = tally.is_nil if value is None else tally.block_hash == block_hash(value)
            assert has_quorum == (len(supporters) >= 3)
    assert keeper.round(0) is None or keeper.round(0).power == len({sender for _, sender in kept})


# --- what one vote does --------------------------------------------------------------------------------------------------------


def test_outcomes_say_what_is_news_and_what_completes_a_threshold():
    keeper = VoteKeeper(FOUR)
    outcomes = add(keeper, vote(0), vote(0), vote(1), vote(2), vote(3))
    assert [outcome.is_kept for outcome in outcomes] == [True, False, True, True, True]
    assert [outcome.is_threshold for outcome in outcomes] == [False, False, True, True, False]  # f+1, 2f+1


def test_a_vote_with_another_signature_is_the_same_vote():
    keeper = VoteKeeper(FOUR)
    again = Vote(PREVOTE, HEIGHT, 0, block_hash("A"), FOUR.addresses[0], b"\x06" * 64)
    outcomes = add(keeper, vote(0), again)
    assert outcomes[1].evidence is None
    assert not outcomes[1].is_kept


def test_a_quorum_is_announced_once_for_its_value_and_once_for_anything():
    keeper = VoteKeeper(FOUR)
    add(keeper, vote(0, "A"), vote(1, "A"))
    assert add(keeper, vote(2, "B"))[0].is_threshold  # of anything
    assert add(keeper, vote(3, "A"))[0].is_threshold  # for A
    assert not add(keeper, vote(2, "A"))[0].is_threshold  # again for A: the second vote of a liar


def test_the_evidence_holds_both_votes_in_canonical_order():
    keeper = VoteKeeper(FOUR)
    add(keeper, vote(0, "B"))
    (outcome,) = add(keeper, vote(0, None))
    assert (outcome.evidence.first, outcome.evidence.second) == (vote(0, None), vote(0, "B"))
    assert keeper.round(0).prevotes.second == {0: vote(0, None)}


def test_votes_of_both_types_make_one_sender():
    keeper = VoteKeeper(FOUR)
    add(keeper, vote(0), vote(0, type_=PRECOMMIT))
    assert keeper.round(0).power == 1
    assert not keeper.round(0).has_honest


def test_strangers_are_not_counted():
    keeper = VoteKeeper(FOUR)
    assert add(keeper, vote(b"\xdd" * 20)) == []
    assert keeper.rounds() == ()
    assert not keeper.wants(vote(b"\xdd" * 20))


def test_two_quorums_are_told_apart_from_a_second_vote():
    tally = Tally(FOUR)
    for sender in (0, 1, 2):
        tally.add(sender, 1, vote(sender, "A"))
    for sender in (0, 1):
        tally.add(sender, 1, vote(sender, "B"))
    with pytest.raises(InvariantViolation, match="quorums of prevotes for"):
        tally.add(3, 1, vote(3, "B"))


def test_a_quorum_for_nil_and_one_for_a_block_exclude_each_other_too():
    for first, second in ((None, "A"), ("A", None)):
        tally = Tally(FOUR)
        for sender in (0, 1, 2):
            tally.add(sender, 1, vote(sender, first))
        with pytest.raises(InvariantViolation, match="nil"):
            for sender in (0, 1, 2):
                tally.add(sender, 1, vote(sender, second))


def test_what_is_wanted_is_what_would_be_kept():
    keeper = VoteKeeper(FOUR)
    for each in (vote(0), vote(0), vote(0, "B"), vote(0, "B"), vote(0, "C"), vote(1, round_=9), vote(1, round_=9)):
        wanted = keeper.wants(each)
        assert [outcome.is_kept for outcome in keeper.add(each)] == [wanted]


# --- far rounds ------------------------------------------------------------------------------------------------------------------


def test_of_a_far_future_each_validator_keeps_its_two_highest_rounds():
    keeper = VoteKeeper(FOUR)
    outcomes = add(keeper, *(vote(0, round_=round_) for round_ in (5, 7, 3, 9, 5, 7)))
    assert [outcome.is_kept for outcome in outcomes] == [True, True, False, True, False, False]
    assert keeper.rounds() == ()
    assert not keeper.wants(vote(0, round_=6))
    assert keeper.wants(vote(0, round_=8))
    assert MAX_FAR_ROUNDS == 2


def test_a_far_round_becomes_real_with_an_honest_minority_and_loses_nothing():
    keeper = VoteKeeper(FOUR)
    add(keeper, vote(0, "A", 5), vote(0, "B", 5), vote(0, None, 5, PRECOMMIT))
    outcomes = add(keeper, vote(1, "A", 5))
    assert keeper.highest_honest_round == 5
    assert any(outcome.is_threshold for outcome in outcomes)
    assert [outcome.evidence is not None for outcome in outcomes].count(True) == 1
    votes = keeper.round(5)
    assert (votes.power, votes.prevotes.power, votes.precommits.power) == (2, 2, 1)


def test_far_votes_of_a_round_that_is_entered_are_counted_then():
    keeper = VoteKeeper(FOUR)
    add(keeper, vote(0, "A", 5), vote(0, "A", 6), vote(1, "A", 7))
    assert [outcome.is_kept for outcome in keeper.enter(5)] == [True, True]
    assert keeper.rounds() == (5, 6)
    assert keeper.round(5).prevotes.votes[0] == vote(0, "A", 5)
    assert keeper.round(7) is None


def test_four_votes_of_a_validator_in_one_far_round_are_the_most():
    keeper = VoteKeeper(FOUR)
    outcomes = add(keeper, *(vote(0, value, 5, type_) for type_ in (PREVOTE, PRECOMMIT) for value in "ABC"))
    assert [outcome.is_kept for outcome in outcomes].count(True) == 4


def test_a_certificate_of_an_honest_minority_is_taken_whole_in_spite_of_later_votes():
    keeper = VoteKeeper(FOUR)
    add(keeper, *(vote(sender, round_=20 + 2 * sender + k) for sender in range(4) for k in (0, 1)))
    keeper.add_together(tuple(vote(sender, "A", 6) for sender in (0, 1, 2)))
    assert keeper.round(6).prevotes.block_hash == block_hash("A")


def test_a_certificate_of_less_is_bounded_like_its_votes():
    keeper = VoteKeeper(FOUR)
    for round_ in range(10, 1000):
        keeper.add_together((vote(0, "A", round_), vote(0, "B", round_)))
    assert keeper.rounds() == ()
    assert sum(len(rounds) for rounds in keeper._far._by_member) == MAX_FAR_ROUNDS


def test_a_commit_of_an_earlier_round_than_any_vote_is_found():
    keeper = VoteKeeper(FOUR)
    keeper.add_together(tuple(vote(sender, "A", 3, PRECOMMIT) for sender in range(3)))
    assert keeper.commits == {3: block_hash("A")}


def test_a_stranger_s_vote_in_a_certificate_counts_for_nothing():
    keeper = VoteKeeper(FOUR)
    stranger = vote(b"\xdd" * 20)
    votes = (vote(0), vote(1), stranger)
    keeper.add_together(votes)
    assert keeper.round(0).prevotes.block_hash is None
    assert keeper.news((stranger,)) == ()
