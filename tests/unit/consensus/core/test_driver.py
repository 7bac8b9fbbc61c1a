"""Whole transcripts of one height, each about a line of the paper or a way in which others got it wrong."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core import outputs as o
from cybermiles.consensus.core.driver import HeightDriver
from cybermiles.consensus.core.inputs import StartHeight
from cybermiles.consensus.core.timeouts import EngineSettings, Timeouts
from cybermiles.errors import InvariantViolation
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.vote import VoteType
from tests.fakes.consensus_core import IN_TIME, NEVER, PRECOMMIT, PREVOTE, STAMP, Player, block_hash, parts_of


@pytest.fixture
def player():
    """Follows others' proposals in rounds 0 to 2; started."""
    player = Player().rotate(to_own=False)
    player.start()
    return player


@pytest.fixture
def proposer():
    """Proposes in round 0; not started."""
    return Player().rotate(to_own=True)


def locked_on(player, value, round_=0):
    """Bring the player from the start of `round_` to the next round, locked on the value."""
    player.block(round_, value)
    assert player.prevotes(round_, value, 1, 2) == [("precommit", round_, value)]
    player.precommits(round_, None, 1, 2)
    player.timeout("precommit", round_)
    return player


def skip_to(player, round_):
    """Bring the player to a round in which one other prevoted and one precommitted, both nil."""
    player.prevotes(round_, None, 1)
    player.precommits(round_, None, 2)
    assert player.engine.round == round_


# --- a height without trouble ------------------------------------------------------------------------------------------


def test_a_block_is_prevoted_precommitted_and_decided(player):
    assert player.proposal(0, "A") == []
    assert player.checked("A") == [("prevote", 0, "A")]
    assert player.prevotes(0, "A", 1) == []
    assert player.prevotes(0, "A", 2) == [("precommit", 0, "A")]
    assert player.state == (0, "precommit", ("A", 0), ("A", 0))
    assert player.precommits(0, "A", 1) == []
    assert player.precommits(0, "A", 2) == [("decide", 0, "A")]
    assert player.engine.is_decided


def test_the_proposer_builds_proposes_and_votes_for_its_own_block(proposer):
    assert proposer.start() == [("build", 0), ("timer", "propose", 0)]
    assert proposer.built(0, "A") == [("propose", 0, "A", -1), ("prevote", 0, "A")]
    assert proposer.built(0, "B") == []


def test_a_block_that_was_built_too_late_is_not_proposed(proposer):
    proposer.start()
    assert proposer.timeout("propose", 0) == [("prevote", 0, None)]
    assert proposer.built(0, "A") == []


def test_a_block_built_for_another_round_or_by_nobody_s_order_is_not_proposed(proposer, player):
    proposer.start()
    assert proposer.built(1, "A") == []
    assert player.built(0, "A") == []


def test_one_validator_alone_decides():
    player = Player(5).rotate(to_own=True)
    player.start()
    assert player.built(0, "A") == [
        ("propose", 0, "A", -1), ("prevote", 0, "A"), ("precommit", 0, "A"), ("decide", 0, "A"),
    ]  # fmt: skip


# --- what is voted -------------------------------------------------------------------------------------------------------


def test_line_26_a_refused_block_gets_nil(player):
    player.proposal(0, "A")
    assert player.checked("A", accepted=False) == [("prevote", 0, None)]


def test_line_26_a_block_other_than_the_locked_one_gets_nil(player):
    locked_on(player, "A")
    assert player.block(1, "B") == [("prevote", 1, None)]


def test_line_23_the_locked_block_is_voted_for_again(player):
    locked_on(player, "A")
    assert player.block(1, "A") == [("prevote", 1, "A")]


def test_line_28_a_polka_newer_than_the_lock_frees_the_vote(player):
    locked_on(player, "A")  # in round 0
    player.prevotes(1, "B", 1, 2, 3)
    player.round_certificate(2, *(player.vote(PRECOMMIT, 1, None, k) for k in (1, 2, 3)))
    player.timeout("precommit", 1)
    assert player.engine.round == 2
    assert player.block(2, "B", 1) == [("prevote", 2, "B")]
    assert player.state[2] == ("A", 0)


def test_line_28_a_polka_older_than_the_lock_does_not(player):
    player.prevotes(0, "B", 1, 2, 3)
    player.round_certificate(1, *(player.vote(PRECOMMIT, 0, None, k) for k in (1, 2, 3)))
    player.timeout("precommit", 0)
    locked_on(player, "A", 1)
    assert player.block(2, "B", 0) == [("prevote", 2, None)]


def test_line_28_waits_for_the_polka_and_takes_it_from_a_certificate(player):
    skip_to(player, 1)
    assert player.block(1, "A", 0) == []
    assert player.prevotes(0, "A", 1, 2) == []
    assert player.polka(0, "A", 1, 2, 3) == [("prevote", 1, "A")]


def test_line_32_a_refused_block_with_its_polka_gets_nil_not_silence(player):
    skip_to(player, 1)
    player.proposal(1, "A", 0)
    assert player.checked("A", accepted=False) == []
    assert player.prevotes(0, "A", 1, 2, 3) == [("prevote", 1, None)]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_polka_for_another_block_or_round_does_not_support_a_proposal(player, accepted):
    skip_to(player, 2)
    player.prevotes(0, "B", 1, 2, 3)
    player.prevotes(1, "A", 1, 2, 3)
    player.proposal(2, "A", 0)
    assert player.checked("A", accepted=accepted) == []


def test_a_proposal_cannot_rest_on_its_own_round(player):
    player.prevotes(0, "A", 1, 2, 3)
    assert player.block(0, "A", 0) == []
    assert player.engine.proposals(0) == ()


def test_line_57_without_a_proposal_in_time_the_vote_is_nil(player):
    player.prevotes(0, "A", 1, 2, 3)
    assert player.state[1] == "propose"  # a quorum alone does nothing
    assert player.timeout("propose", 1) == []
    assert player.timeout("propose", 0)[0] == ("prevote", 0, None)
    assert player.timeout("propose", 0) == []


def test_the_first_of_two_proposals_that_is_known_decides_the_vote(player):
    player.proposal(0, "A")
    player.proposal(0, "B")
    assert player.checked("B") == [("prevote", 0, "B")]
    assert player.checked("A") == []


# --- what is precommitted ---------------------------------------------------------------------------------------------------


def test_line_36_waits_for_the_block(player):
    player.timeout("propose", 0)
    assert player.prevotes(0, "A", 1, 2) == [("timer", "prevote", 0)]
    assert player.prevotes(0, "A", 3) == []
    assert player.proposal(0, "A") == []
    assert player.checked("A") == [("precommit", 0, "A")]


def test_line_36_needs_a_proposal_of_its_own_round(player):
    """The block is known and valid from round 0; a quorum prevotes it in round 1, where nobody proposed it yet."""
    locked_on(player, "A")
    player.timeout("propose", 1)
    assert player.prevotes(1, "A", 1, 2, 3) == [("timer", "prevote", 1)]
    assert player.proposal(1, "A", 0) == [("precommit", 1, "A")]


def test_line_42_too_late_to_lock_but_not_to_know_the_valid_block(player):
    player.timeout("propose", 0)
    player.prevotes(0, "A", 1, 2)
    assert player.timeout("prevote", 0) == [("precommit", 0, None)]
    assert player.prevotes(0, "A", 3) == []
    player.block(0, "A")
    assert player.state == (0, "precommit", None, ("A", 0))


def test_the_valid_block_of_a_late_polka_is_proposed_again_with_its_certificate():
    player = Player().rotate(to_own=False)
    player.start()
    turn = player.own_rounds[0]
    player.timeout("propose", 0)
    player.prevotes(0, "A", 1, 2)
    player.timeout("prevote", 0)
    player.prevotes(0, "A", 3)
    player.block(0, "A")
    skip_to(player, turn)
    polka = next(message for message in player.published if isinstance(message, PolkaCertificate))
    assert (polka.round, polka.block_hash) == (0, block_hash("A"))
    assert sorted(vote.validator for vote in polka.votes) == sorted(player.members.addresses[1:])
    proposal = player.engine.proposal(turn)
    assert (proposal.pol_round, proposal.block_hash, proposal.parts) == (0, block_hash("A"), parts_of("A"))
    assert player.state[1:3] == ("prevote", None)
    assert player.engine.votes(turn, PREVOTE)[0].block_hash == block_hash("A")


def test_hidden_lock_a_locked_validator_is_freed_by_the_polka_that_the_others_saw(player):
    """Only this node saw the polka for A in round 0; the others agree on B in round 1 and it must follow."""
    locked_on(player, "A")
    assert player.block(1, "B") == [("prevote", 1, None)]
    assert player.prevotes(1, "B", 1, 2) == [("timer", "prevote", 1)]
    assert player.prevotes(1, "B", 3) == [("precommit", 1, "B")]
    assert player.state == (1, "precommit", ("B", 1), ("B", 1))


def test_relock_the_same_block_moves_the_lock_to_the_newer_round(player):
    locked_on(player, "A")
    player.block(1, "A", 0)
    assert player.prevotes(1, "A", 1, 2) == [("precommit", 1, "A")]
    assert player.state == (1, "precommit", ("A", 1), ("A", 1))


def test_line_44_a_polka_for_nil_is_not_hidden_by_a_quorum_of_anything(player):
    player.timeout("propose", 0)
    assert player.prevotes(0, None, 1, 2) == [("precommit", 0, None)]


def test_line_44_a_polka_for_nil_is_found_behind_a_quorum_of_anything_and_of_precommits(player):
    player.timeout("propose", 0)
    player.precommits(0, None, 1, 2, 3)
    assert player.prevotes(0, "A", 1) == []
    assert player.prevotes(0, None, 2) == [("timer", "prevote", 0)]
    assert player.prevotes(0, None, 3) == [("precommit", 0, None)]


def test_line_61_without_agreement_in_time_the_precommit_is_nil(player):
    player.timeout("propose", 0)
    assert player.prevotes(0, "A", 1, 2) == [("timer", "prevote", 0)]
    assert player.timeout("prevote", 1) == []
    assert player.timeout("prevote", 0) == [("precommit", 0, None)]
    assert player.timeout("prevote", 0) == []


def test_what_was_stored_too_early_counts_when_its_step_comes(player):
    """Prevotes and precommits for the block came before it: one verdict brings everything to the end."""
    player.prevotes(0, "A", 1, 2, 3)
    player.precommits(0, "A", 1, 2)
    player.proposal(0, "A")
    assert player.checked("A") == [("prevote", 0, "A"), ("precommit", 0, "A"), ("decide", 0, "A")]


def test_what_was_stored_for_the_next_round_counts_when_it_is_entered(player):
    player.block(1, "A")
    player.timeout("propose", 0)
    player.precommits(0, None, 1, 2, 3)
    assert player.timeout("precommit", 0) == [("timer", "propose", 1), ("prevote", 1, "A")]


# --- rounds -------------------------------------------------------------------------------------------------------------------


def test_line_47_a_unanimous_nil_still_waits_for_the_timer(player):
    player.timeout("propose", 0)
    player.prevotes(0, None, 1, 2)
    assert player.precommits(0, None, 1) == []
    assert player.precommits(0, None, 2) == [("timer", "precommit", 0)]
    assert player.precommits(0, None, 3) == []
    assert player.timeout("precommit", 0) == [("timer", "propose", 1)]


def test_line_47_the_timer_starts_in_every_step_and_again_in_every_round(player):
    for round_ in range(3):
        assert player.precommits(round_, None, 1, 2, 3) == [("timer", "precommit", round_)]
        assert player.state[1] == "propose"
        player.timeout("precommit", round_)
        assert player.engine.round == round_ + 1


def test_line_47_the_timer_starts_again_after_a_round_was_skipped(player):
    player.precommits(0, None, 1, 2, 3)
    player.prevotes(2, None, 1, 2)
    assert player.engine.round == 2
    assert player.precommits(2, None, 1, 2, 3) == [("timer", "precommit", 2)]


def test_a_precommit_timer_of_another_round_changes_nothing(player):
    assert player.timeout("precommit", 1) == []
    assert player.engine.round == 0


def test_line_55_more_than_a_third_in_a_later_round_is_followed_there(player):
    assert player.prevotes(1, "A", 1) == []
    assert player.precommits(1, None, 1) == []  # the same sender again
    assert player.precommits(1, None, 2) == [("timer", "propose", 1)]
    assert player.engine.round == 1


def test_line_55_goes_to_the_highest_such_round(player):
    votes = [player.vote(PREVOTE, round_, None, k) for round_ in (3, 4) for k in (1, 2)]
    player.round_certificate(4, *votes)
    assert player.engine.round == 4


def test_line_55_does_not_go_back(player):
    player.prevotes(2, None, 1, 2)
    player.prevotes(1, None, 1, 2, 3)
    assert player.engine.round == 2


def test_line_55_needs_more_than_a_third_of_the_power():
    player = Player(4, 3, 3, own=0)
    player.start()
    player.prevotes(1, None, 1)
    assert player.engine.round == 0
    player.prevotes(1, None, 2)
    assert player.engine.round == 1


# --- decisions --------------------------------------------------------------------------------------------------------------------


def test_line_49_decides_in_a_past_round(player):
    player.block(0, "A")
    player.precommits(0, "A", 1)
    player.prevotes(2, None, 1, 2)
    assert player.engine.round == 2
    assert player.precommits(0, "A", 2) == []
    assert player.precommits(0, "A", 3) == [("decide", 0, "A")]


def test_line_49_decides_in_a_future_round_and_that_outranks_skipping_to_it():
    player = Player(1, 1, 1, 1)
    player.start()
    player.checked("A")
    assert player.commit(6, "A", 1, 2, 3) == [("decide", 6, "A")]
    assert player.engine.round == 0


def test_a_block_that_came_by_block_sync_is_decided_without_its_proposal(player):
    assert player.commit(1, "A", 1, 2, 3) == [("timer", "propose", 1), ("timer", "precommit", 1)]
    assert player.checked("A") == [("decide", 1, "A")]


def test_precommits_that_come_later_join_the_commit(player):
    player.checked("A")
    player.commit(0, "A", 1, 2, 3)
    assert player.engine.commit().signatures[0] is None
    assert player.precommits(0, "A", 0) == []
    assert None not in player.engine.commit().signatures


def test_a_commit_counts_the_second_vote_of_a_liar(player):
    player.checked("A")
    player.precommits(0, None, 1)
    player.precommits(0, "A", 1, 2)
    assert player.precommits(0, "A", 3) == [("decide", 0, "A")]
    assert [s is not None for s in player.engine.commit().signatures] == [False, True, True, True]


def test_there_is_one_decision_and_nothing_after_it(player):
    player.checked("A")
    player.commit(0, "A", 1, 2, 3)
    assert player.precommits(1, "A", 1, 2, 3) == []
    assert player.block(0, "B") == []
    assert player.timeout("propose", 0) == player.timeout("precommit", 0) == []
    before = len(player.published)
    assert player.timeout("rebroadcast", 0) == []
    assert len(player.published) == before


# --- proposer-based timestamps -------------------------------------------------------------------------------------------------------

TIMELY = EngineSettings(clock_precision_ms=500, message_delay_ms=2_000)


@pytest.mark.parametrize(
    ("received_ms", "vote"),
    [(-501, None), (-500, "A"), (0, "A"), (3_499, "A"), (3_500, None)],
)
def test_a_fresh_block_whose_time_is_not_credible_gets_nil(received_ms, vote):
    player = Player(settings=TIMELY).rotate(to_own=False)
    player.start()
    assert player.block(0, "A", received_ms=STAMP * 1000 + received_ms) == [("prevote", 0, vote)]


def test_the_first_arrival_counts_for_the_time():
    player = Player(settings=TIMELY).rotate(to_own=False)
    player.start()
    player.proposal(0, "A", received_ms=STAMP * 1000)
    player.proposal(0, "A", received_ms=STAMP * 1000 + 10_000)
    assert player.checked("A") == [("prevote", 0, "A")]


def test_a_block_proposed_again_is_exempt_from_its_time(player):
    player.prevotes(0, "A", 1, 2, 3)
    skip_to(player, 1)
    assert player.block(1, "A", 0, received_ms=IN_TIME + 10**9) == [("prevote", 1, "A")]


def test_an_untimely_block_that_a_quorum_prevotes_is_locked(player):
    """Time is no part of validity: the others' clocks decided."""
    assert player.block(0, "A", received_ms=IN_TIME + 10**9) == [("prevote", 0, None)]
    assert player.prevotes(0, "A", 1, 2, 3) == [("timer", "prevote", 0), ("precommit", 0, "A")]


# --- blocks and parts ----------------------------------------------------------------------------------------------------------------


def test_a_good_block_s_hash_over_rubbish_is_refused_and_the_block_is_not(player):
    player.proposal(0, "A", parts="X")
    assert player.checked("A", accepted=False, parts="X") == [("prevote", 0, None)]
    assert player.prevotes(0, "A", 1, 2, 3) == [("timer", "prevote", 0)]
    player.proposal(0, "A")
    assert player.checked("A") == [("precommit", 0, "A")]


def test_wrong_parts_of_a_block_that_is_known_are_refused_at_once(player):
    player.checked("A")
    assert player.proposal(0, "A", parts="X") == [("prevote", 0, None)]


def test_an_acceptance_is_final(player):
    player.checked("A")
    player.checked("A", accepted=False)
    assert player.proposal(0, "A") == [("prevote", 0, "A")]


def test_a_verdict_on_a_block_of_another_height_counts_nothing(player):
    player.checked("A", height=player.height - 1)
    assert player.proposal(0, "A") == []


# --- who votes twice -------------------------------------------------------------------------------------------------------------------


def test_two_votes_of_one_validator_are_reported_once_and_count_once_for_anything(player):
    player.timeout("propose", 0)
    player.prevotes(0, "A", 1)
    assert player.prevotes(0, "B", 1) == [("equivocation", "prevote", 0, 1)]
    assert player.prevotes(0, "B", 1) == []
    assert player.prevotes(0, "C", 1) == []  # a third one is one too many
    assert player.prevotes(0, "C", 2) == [("timer", "prevote", 0)]


def test_a_second_vote_counts_for_its_own_value(player):
    player.block(0, "A")
    player.prevotes(0, "B", 1)
    assert player.prevotes(0, "A", 2) == [("timer", "prevote", 0)]
    assert player.prevotes(0, "A", 1) == [("equivocation", "prevote", 0, 1), ("precommit", 0, "A")]


def test_two_quorums_in_one_round_stop_the_node_and_name_the_liars(player):
    player.prevotes(0, "A", 1, 2, 3)
    player.prevotes(0, "B", 1, 2)
    with pytest.raises(InvariantViolation, match="more than one third of the power is faulty") as raised:
        player.prevotes(0, "B", 3)
    for liar in (1, 2, 3):
        assert player.members.addresses[liar].hex() in str(raised.value)
    assert player.members.addresses[0].hex() not in str(raised.value)


def test_precommits_of_two_rounds_for_two_blocks_stop_the_node(player):
    player.precommits(0, "A", 1, 2, 3)
    player.precommits(1, "A", 1, 2, 3)
    player.precommits(2, None, 1, 2, 3)
    with pytest.raises(InvariantViolation, match="more than one third of the power is faulty: quorums precommitted"):
        player.precommits(3, "B", 1, 2, 3)


# --- own signatures ------------------------------------------------------------------------------------------------------------------------


def test_an_observer_follows_and_signs_nothing():
    for options in ({"own": None}, {"is_voting": False}):
        player = Player(**options).rotate(to_own=False) if options.get("own", 0) is not None else Player(own=None)
        assert player.start() == [("timer", "propose", 0)]
        assert player.block(0, "A") == []
        assert player.prevotes(0, "A", 1, 2, 3) == []
        assert player.state == (0, "precommit", ("A", 0), ("A", 0))
        assert player.precommits(0, "A", 1, 2, 3)[-1] == ("decide", 0, "A")
        assert not player.engine.is_voting


def test_a_validator_that_follows_only_does_not_build():
    player = Player(is_voting=False).rotate(to_own=True)
    assert player.start() == [("timer", "propose", 0)]
    assert player.built(0, "A") == []


def test_where_an_own_vote_is_known_no_other_is_asked_for(player):
    """After its log was lost, a node learns from its peers what it said."""
    player.prevotes(0, "A", 0)
    assert player.timeout("propose", 0) == []
    player.precommits(0, None, 0)
    assert player.prevotes(0, None, 1, 2, 3) == [("timer", "prevote", 0)]
    assert player.state[1] == "precommit"


@pytest.mark.parametrize("outputs", [(o.Prevote(None), o.Prevote(None)), (o.Precommit(None), o.Precommit(None))])
def test_the_guard_refuses_a_second_vote_in_a_round_whatever_the_rules_say(outputs):
    player = Player()
    driver = HeightDriver(
        StartHeight(height=1, rotation=player.rotation), player.members.addresses[0], EngineSettings()
    )
    driver.begin()
    driver._perform(outputs[0])
    with pytest.raises(InvariantViolation, match="second pre"):
        driver._perform(outputs[1])


def test_the_guard_refuses_a_precommit_for_a_block_that_is_not_valid():
    player = Player()
    driver = HeightDriver(
        StartHeight(height=1, rotation=player.rotation), player.members.addresses[0], EngineSettings()
    )
    driver.begin()
    with pytest.raises(InvariantViolation, match="not the valid block"):
        driver._perform(o.Precommit(block_hash("A")))
    with pytest.raises(InvariantViolation, match="never accepted"):
        driver._perform(o.Propose(block_hash("A"), -1))


# --- certificates, rebroadcast, timers --------------------------------------------------------------------------------------------------------


def test_entering_a_round_is_justified_by_the_precommits_before_it(player):
    player.precommits(0, None, 1, 2)
    player.precommits(0, "A", 3)
    player.timeout("precommit", 0)
    (certificate,) = player.published
    assert certificate == player.engine.round_certificate()
    assert isinstance(certificate, RoundCertificate)
    assert [(vote.type, vote.round) for vote in certificate.votes] == [(PRECOMMIT, 0)] * 3


def test_skipping_to_a_round_is_justified_by_the_votes_in_it(player):
    player.prevotes(4, "A", 1)
    player.precommits(4, None, 1, 2)
    (certificate,) = player.published
    assert certificate.round == 4
    assert [(vote.type, vote.validator) for vote in certificate.votes] == [
        (PREVOTE, player.members.addresses[1]), (PRECOMMIT, player.members.addresses[2]),
    ]  # fmt: skip


def test_a_round_certificate_brings_another_node_to_the_same_round(player):
    other = Player(own=3)
    other.rotation = player.rotation
    other.start()
    player.prevotes(4, None, 1, 2)
    other.round_certificate(4, *player.published[0].votes)
    assert other.engine.round == player.engine.round == 4


def test_what_was_said_is_said_again_until_the_height_is_decided():
    player = Player().rotate(to_own=False)
    player.start()
    turn = player.own_rounds[0]
    locked_on(player, "A")
    skip_to(player, turn)
    player.published.clear()
    player.schedule.clear()
    assert player.timeout("rebroadcast", 0) == []
    proposal, polka, certificate, prevote, precommit = player.published
    assert proposal == player.engine.proposal(turn)
    assert (polka.round, polka.block_hash) == (0, block_hash("A"))
    assert certificate == player.engine.round_certificate()
    assert (prevote.type, prevote.round, precommit.type, precommit.round) == (PREVOTE, turn, PRECOMMIT, 0)
    assert {prevote.validator, precommit.validator} == {player.members.addresses[0]}
    assert player.schedule == [("rebroadcast", turn, 5_000)]


def test_a_node_that_said_nothing_repeats_nothing(player):
    player.timeout("rebroadcast", 0)
    assert player.published == []


def test_a_proposal_of_an_earlier_round_is_not_said_again(proposer):
    proposer.start()
    proposer.built(0, "A")
    proposer.prevotes(2, None, 1, 2)
    proposer.published.clear()
    proposer.timeout("rebroadcast", 0)
    assert [type(message).__name__ for message in proposer.published] == ["RoundCertificate", "Vote"]


def test_timers_run_longer_in_later_rounds_up_to_the_cap():
    timeouts = Timeouts(propose_ms=100, propose_delta_ms=10, precommit_ms=50, precommit_delta_ms=1, cap_ms=115)
    player = Player(settings=EngineSettings(timeouts=timeouts, rebroadcast_ms=777)).rotate(to_own=False)
    player.start()
    player.prevotes(1, None, 1, 2)
    player.precommits(1, None, 1, 2, 3)
    player.prevotes(2, None, 1, 2)
    assert player.schedule == [
        ("propose", 0, 100), ("rebroadcast", 0, 777), ("propose", 1, 110), ("precommit", 1, 51), ("propose", 2, 115),
    ]  # fmt: skip


def test_the_proposer_of_a_round_is_the_rotation_that_many_steps_on(player):
    for round_ in (0, 1, 2, 7, 3):
        expected = player.rotation if round_ == 0 else player.rotation.advanced(round_)
        assert player.engine.proposer(round_) == expected.proposer


def test_a_vote_of_a_stranger_or_of_a_round_out_of_reach_changes_nothing(player):
    vote = player.vote(VoteType.PREVOTE, NEVER, "A", 1)
    player.prevotes(NEVER, "A", 1)
    assert NEVER not in player.engine.rounds()
    assert not player.engine.wants(vote)
