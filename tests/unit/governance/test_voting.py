"""Votes: validators', delegators' over them, again, and by stake as it was."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cybermiles.governance import errors
from cybermiles.governance.layout import Choice, votes_of
from cybermiles.staking import candidates, delegations
from cybermiles.staking.layout import candidate_of
from cybermiles.staking.slashing import punish_double_vote
from tests.fakes.governance import CMT, HOLDERS, NOTICE, OWNERS, STRANGER, VOTING, Chamber, with_params

YES, NO = Choice.YES, Choice.NO
A, B = OWNERS[0], OWNERS[1]


def delegate(chamber, holder, owner, amount):
    def act(_):
        staking = chamber.staking()
        chamber.world.subtract_balance(holder, amount)
        chamber.world.add_balance(staking.storage.address, amount)
        delegations.delegate(staking, holder, owner, amount)

    chamber.run(act)


def open_vote(chamber, **motion):
    proposal = chamber.signal(**motion)
    chamber.wait(NOTICE)
    return proposal


def tally(chamber, proposal):
    yes, no = votes_of(chamber.state().storage, proposal)
    return yes // CMT, no // CMT


@pytest.fixture
def chamber():
    chamber = Chamber((3_000, 2_000))
    delegate(chamber, HOLDERS[0], A, 1_000 * CMT)
    delegate(chamber, HOLDERS[1], A, 2_000 * CMT)
    delegate(chamber, HOLDERS[0], B, 1_500 * CMT)
    return chamber


def test_a_validator_votes_for_all_that_do_not_vote_themselves(chamber):
    proposal = open_vote(chamber)
    chamber.vote(proposal, A)
    assert tally(chamber, proposal) == (6_000, 0)
    chamber.vote(proposal, B, NO)
    assert tally(chamber, proposal) == (6_000, 3_500)


ORDERS = [("A", "0"), ("0", "A")]


@pytest.mark.parametrize("order", ORDERS)
def test_a_delegators_vote_leaves_its_validators_in_whatever_order(chamber, order):
    proposal = open_vote(chamber)
    for who in order:
        if who == "A":
            chamber.vote(proposal, A, YES)
        else:
            chamber.vote(proposal, HOLDERS[0], NO)
    assert tally(chamber, proposal) == (5_000, 2_500)


@pytest.mark.parametrize("order", ORDERS)
def test_the_last_vote_counts(chamber, order):
    proposal = open_vote(chamber)
    for who in order:
        chamber.vote(proposal, A if who == "A" else HOLDERS[0], YES)
    assert tally(chamber, proposal) == (7_500, 0)
    chamber.vote(proposal, HOLDERS[0], NO)
    assert tally(chamber, proposal) == (5_000, 2_500)
    chamber.vote(proposal, A, NO)
    assert tally(chamber, proposal) == (0, 7_500)
    chamber.vote(proposal, HOLDERS[0], YES)
    chamber.vote(proposal, HOLDERS[0], YES)
    assert tally(chamber, proposal) == (2_500, 5_000)


def test_an_owner_votes_as_validator_and_as_anothers_delegator(chamber):
    delegate(chamber, A, B, 1_000 * CMT)
    proposal = open_vote(chamber)
    chamber.vote(proposal, B, NO)
    chamber.vote(proposal, A, YES)
    assert tally(chamber, proposal) == (7_000, 3_500)


def test_a_damped_validators_delegators_share_its_power():
    chamber = Chamber((6_000, 1_000), with_params(validator_size_threshold=Fraction(3, 10)))
    delegate(chamber, HOLDERS[0], A, 3_000 * CMT)
    proposal = open_vote(chamber)
    chamber.vote(proposal, A, NO)
    assert tally(chamber, proposal) == (0, 3_000)
    chamber.vote(proposal, HOLDERS[0], YES)
    assert tally(chamber, proposal) == (1_000, 2_000)


@pytest.mark.parametrize(
    ("voter", "choice", "error"),
    [(STRANGER, YES, "NotAMember"), (A, Choice.NONE, "BadChoice"), (HOLDERS[5], NO, "NotAMember")],
)
def test_a_bad_vote_is_refused(chamber, voter, choice, error):
    proposal = open_vote(chamber)
    with pytest.raises(getattr(errors, error)):
        chamber.vote(proposal, voter, choice)
    assert tally(chamber, proposal) == (0, 0)


def test_votes_are_taken_between_notice_and_close_only(chamber):
    proposal = chamber.signal()
    chamber.end_block(NOTICE - 1)
    with pytest.raises(errors.NotVoting):
        chamber.vote(proposal, A)
    chamber.end_block()
    chamber.vote(proposal, A)
    chamber.end_block(VOTING - 1)
    chamber.vote(proposal, A)
    chamber.end_block()
    with pytest.raises(errors.NotVoting):
        chamber.vote(proposal, A)
    chamber.end_block()
    with pytest.raises(errors.NotVoting):
        chamber.vote(proposal, A)
    with pytest.raises(errors.UnknownProposal):
        chamber.vote(proposal + 1, A)


def test_what_moves_after_the_proposal_counts_for_nothing(chamber):
    proposal = chamber.signal()
    chamber.end_block(NOTICE)
    delegate(chamber, HOLDERS[4], A, 5_000 * CMT)
    chamber.run(lambda _: delegations.redelegate(chamber.staking(), HOLDERS[0], A, B, 1_000 * CMT))
    chamber.run(lambda _: delegations.undelegate(chamber.staking(), HOLDERS[1], A, 2_000 * CMT))
    with pytest.raises(errors.NotAMember):
        chamber.vote(proposal, HOLDERS[4])
    chamber.vote(proposal, HOLDERS[0], YES)
    chamber.vote(proposal, HOLDERS[1], YES)
    chamber.vote(proposal, A, NO)
    chamber.vote(proposal, B, NO)
    assert tally(chamber, proposal) == (4_500, 5_000)
    later = open_vote(chamber)
    chamber.vote(later, HOLDERS[4], YES)
    chamber.vote(later, HOLDERS[0], NO)
    assert tally(chamber, later) == (5_000, 2_500)


def test_a_slash_after_the_proposal_changes_no_power_in_it(chamber):
    proposal = open_vote(chamber)
    number = candidate_of(chamber.staking().storage, A)
    chamber.run(lambda _: punish_double_vote(chamber.staking(), number, chamber.height, b"\x01" * 32))
    chamber.vote(proposal, A)
    chamber.vote(proposal, HOLDERS[0])
    assert tally(chamber, proposal) == (7_500, 0)


def test_who_owned_the_validator_at_the_proposal_votes(chamber):
    proposal = chamber.signal()
    offer = chamber.run(lambda _: candidates.offer_ownership(chamber.staking(), A, STRANGER))
    chamber.run(lambda _: candidates.accept_ownership(chamber.staking(), STRANGER, offer))
    chamber.end_block(NOTICE)
    with pytest.raises(errors.NotAMember):
        chamber.vote(proposal, STRANGER)
    chamber.vote(proposal, A)
    assert tally(chamber, proposal) == (6_000, 0)
