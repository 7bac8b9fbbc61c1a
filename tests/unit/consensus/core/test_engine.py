"""The engine from height to height: what waits, what is dropped, what it shows."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core import inputs as i
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.next_height import MAX_PROPOSALS, MAX_VOTES
from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.errors import InvariantViolation
from tests.fakes.consensus_core import HEIGHT, PRECOMMIT, PREVOTE, Player, block_hash


@pytest.fixture
def player():
    player = Player().rotate(to_own=False)
    player.start()
    return player


def decide(player, value="A"):
    player.checked(value)
    assert player.commit(0, value, 1, 2, 3)[-1] == ("decide", 0, value)
    return player


def next_height(player):
    player.height += 1
    return player


# --- before the first height ----------------------------------------------------------------------------------------------------


def test_before_the_first_height_an_engine_ignores_everything():
    engine, player = Engine(None, EngineSettings()), Player(height=0)
    assert engine.handle(i.VoteReceived(player.vote(PREVOTE, 0, "A", 1))) == ()
    assert engine.handle(i.TimeoutElapsed(i.TimeoutKind.PROPOSE, 0, 0)) == ()
    assert not engine.wants(player.vote(PREVOTE, 0, "A", 1))
    assert (engine.height, engine.round, engine.step) == (0, -1, Step.UNSTARTED)
    assert not engine.is_decided
    assert not engine.is_voting
    assert engine.commit() is None
    assert engine.explain() == "No height has started."


@pytest.mark.parametrize(
    "ask", [lambda e: e.validators, lambda e: e.locked, lambda e: e.proposer(0), lambda e: e.rounds()]
)
def test_before_the_first_height_there_is_nothing_to_ask_about(ask):
    with pytest.raises(InvariantViolation, match="before the first one started"):
        ask(Engine(None, EngineSettings()))


# --- order of heights -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [HEIGHT - 1, HEIGHT, HEIGHT + 2])
def test_a_decided_height_is_followed_by_the_next(player, height):
    decide(player).height = height
    with pytest.raises(InvariantViolation, match="so the one after it is next"):
        player.start()


def test_an_undecided_height_is_not_left(player):
    with pytest.raises(InvariantViolation, match="is undecided"):
        next_height(player).start()


def test_a_new_height_starts_without_lock_decision_and_votes(player):
    player.block(0, "A")
    player.prevotes(0, "A", 1, 2)
    player.precommits(0, "A", 1, 2)
    assert player.engine.locked is not None
    next_height(player).start()
    assert player.state == (0, "propose", None, None)
    assert player.engine.height == HEIGHT + 1
    assert player.engine.rounds() == ()
    assert player.engine.commit() is None
    assert player.engine.round_certificate() is None
    assert player.proposal(0, "A") == []


def test_inputs_of_other_heights_change_nothing(player):
    for height in (HEIGHT - 1, HEIGHT + 2):
        player.height = height
        assert player.prevotes(0, "A", 1, 2, 3) == []
        assert player.block(0, "A") == []
        assert player.timeout("propose", 0) == []
        assert player.commit(0, "A", 1, 2, 3) == []
        assert not player.engine.wants(player.vote(PREVOTE, 0, "A", 1))
        assert not player.engine.wants(player.signed(0, "A"))
    assert player.engine.rounds() == ()


# --- the next height waits --------------------------------------------------------------------------------------------------------------


def test_messages_of_the_next_height_wait_for_it(player):
    next_height(player)
    assert player.proposal(0, "B") == []
    assert player.prevotes(0, "B", 1) == []
    assert player.polka(0, "B", 1, 2) == []
    player.height -= 1
    decide(player)
    next_height(player)
    player.start()
    assert player.engine.proposal(0) == player.signed(0, "B")
    assert [vote is not None for vote in player.engine.votes(0, PREVOTE)] == [False, True, True, False]
    assert player.checked("B") == [("prevote", 0, "B"), ("precommit", 0, "B")]


def test_the_round_that_the_others_are_in_is_entered_at_once(player):
    next_height(player)
    player.prevotes(3, None, 1)
    player.precommits(3, None, 2)
    player.proposal(3, "B")
    player.height -= 1
    decide(player)
    next_height(player).start()
    assert player.engine.round == 3
    assert player.engine.proposal(3) == player.signed(3, "B")


def test_verdicts_timers_and_commits_of_the_next_height_do_not_wait(player):
    next_height(player)
    player.checked("B")
    player.timeout("propose", 0)
    player.commit(0, "B", 1, 2, 3)
    player.height -= 1
    decide(player)
    next_height(player).start()
    assert player.engine.rounds() == ()
    assert player.proposal(0, "B") == []


def test_of_the_next_height_each_validator_has_bounded_room(player):
    next_height(player)
    for round_ in range(1_000):
        for type_ in (PREVOTE, PRECOMMIT):
            vote = player.vote(type_, round_, "A", 1)
            assert player.engine.wants(vote)
            player.feed(i.VoteReceived(vote))
            assert not player.engine.wants(vote)
    kept = list(player.engine._next.votes())
    assert len(kept) == MAX_VOTES
    assert {vote.round for vote in kept} == {996, 997, 998, 999}
    assert not player.engine.wants(player.vote(PREVOTE, 5, "A", 1))
    player.feed(i.VoteReceived(player.vote(PREVOTE, 5, "A", 1)))
    assert list(player.engine._next.votes()) == kept
    assert player.engine.wants(player.vote(PREVOTE, 5, "A", 2))


def test_of_the_next_height_few_proposals_wait(player):
    next_height(player)
    for round_ in range(100):
        for letter in "ABC":
            player.proposal(round_, letter)
            player.proposal(round_, letter)
    kept = [(r.proposal.round, chr(r.proposal.block_hash[0])) for r in player.engine._next.proposals()]
    assert kept == [(round_, letter) for round_ in range(4) for letter in "AB"]
    assert len(kept) == MAX_PROPOSALS


# --- what is wanted ----------------------------------------------------------------------------------------------------------------------


def test_a_proposal_is_wanted_of_rounds_up_to_the_next_one(player):
    for round_, is_wanted in ((0, True), (1, True), (2, False)):
        assert player.engine.wants(player.signed(round_, "A")) is is_wanted
        player.proposal(round_, "A")
        assert not player.engine.wants(player.signed(round_, "A"))
        assert player.engine.proposals(round_) == ((player.signed(round_, "A"),) if is_wanted else ())


def test_a_block_that_a_quorum_voted_for_finds_room_among_a_liar_s_proposals(player):
    for letter in "BCDE":
        player.proposal(0, letter)
    assert not player.engine.wants(player.signed(0, "A"))
    player.prevotes(0, "A", 1, 2, 3)
    assert player.engine.wants(player.signed(0, "A"))
    player.proposal(0, "A")
    assert player.engine.proposal(0) == player.signed(0, "A")  # what gossip passes on first
    assert len(player.engine.proposals(0)) == 5


def test_of_a_decided_height_precommits_are_wanted_and_proposals_are_not(player):
    decide(player)
    assert player.engine.wants(player.vote(PRECOMMIT, 0, "A", 0))
    assert not player.engine.wants(player.signed(0, "A"))


def test_a_certificate_is_wanted_while_one_of_its_votes_is(player):
    player.prevotes(0, "A", 1)
    certificates = []
    other = Player(own=3)
    other.start()
    other.prevotes(0, "A", 1, 2, 3)
    certificates.append(other.engine.polka_certificate(0))
    assert player.engine.wants(certificates[0])
    player.prevotes(0, "A", 2, 3)
    assert not player.engine.wants(certificates[0])


def test_a_certificate_of_the_next_height_is_wanted_vote_by_vote(player):
    next_height(player)
    other = Player(own=3, height=HEIGHT + 1)
    other.start()
    other.prevotes(0, "A", 1, 2, 3)
    certificate = other.engine.polka_certificate(0)
    player.prevotes(0, "A", 1)
    assert [vote.validator for vote in player.engine.news(certificate)] == list(player.members.addresses[2:])
    player.prevotes(0, "A", 2, 3)
    assert not player.engine.wants(certificate)


# --- views ----------------------------------------------------------------------------------------------------------------------------------


def test_views_show_what_is_kept(player):
    player.prevotes(0, "A", 1)
    player.prevotes(0, "B", 1)
    player.prevotes(1, None, 2)
    engine = player.engine
    assert engine.rounds() == (0, 1)
    assert engine.votes(0, PREVOTE) == (None, player.vote(PREVOTE, 0, "A", 1), None, None)
    assert engine.conflicting_votes(0, PREVOTE) == (player.vote(PREVOTE, 0, "B", 1),)
    assert engine.votes(5, PRECOMMIT) == (None,) * 4
    assert engine.conflicting_votes(5, PRECOMMIT) == ()
    assert engine.proposal(0) is None
    assert engine.polka_certificate(0) is None
    assert engine.polka_certificate(5) is None
    assert engine.validators == player.members
    assert engine.is_voting
    player.proposal(0, "A")
    player.proposal(0, "B")
    assert engine.proposal(0) == player.signed(0, "A")
    player.proposal(1, "A")
    assert engine.proposal(1) == player.signed(1, "A")
    player.prevotes(0, "B", 2, 3)
    assert engine.proposal(0) == player.signed(0, "B")
    assert engine.polka_certificate(0).block_hash == block_hash("B")
    assert len(engine.polka_certificate(0).votes) == 3


def test_the_commit_names_the_decision_and_verifies_by_power(player):
    decide(player)
    commit = player.engine.commit()
    assert (commit.height, commit.round, commit.block_hash) == (HEIGHT, 0, block_hash("A"))
    assert [signature is not None for signature in commit.signatures] == [False, True, True, True]
