"""Freeze, vote, move, pay the victims: and that one validator alone does none of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.governance import errors
from cybermiles.governance.layout import Status, head_of, hold_of
from cybermiles.governance.recovery import leaf_of, root_of
from tests.fakes.governance import (
    CLAIM,
    CMT,
    EVERYONE_HAS,
    HOLDERS,
    NOTICE,
    OWNERS,
    STRANGER,
    THIEF,
    TIMELOCK,
    VICTIM_A,
    VICTIM_B,
    VOTING,
    Chamber,
    account,
    tree,
    with_params,
)

STOLEN = 3_000 * CMT
VICTIMS = {VICTIM_A: 1_000 * CMT, VICTIM_B: 2_000 * CMT}


def status(chamber, proposal):
    return Status(head_of(chamber.state().storage, proposal).status)


def voted(chamber, proposal, owners=OWNERS[:4]):
    chamber.wait(NOTICE)
    for owner in owners:
        chamber.vote(proposal, owner)
    chamber.wait(VOTING)


def recovered(chamber, **terms):
    proposal = chamber.recover(**terms)
    chamber.support(proposal, *OWNERS[:2])
    voted(chamber, proposal)
    chamber.wait(TIMELOCK)
    return proposal


def test_a_theft_is_frozen_voted_on_and_paid_back():
    chamber = Chamber()
    before = chamber.coins
    proposal = chamber.recover(proposer=STRANGER)
    chamber.support(proposal, OWNERS[0])
    assert chamber.frozen() == ()
    chamber.support(proposal, OWNERS[1])
    assert chamber.frozen() == (THIEF,)
    voted(chamber, proposal)
    assert (status(chamber, proposal), chamber.frozen()) == (Status.PASSED, (THIEF,))
    assert chamber.world.balance(THIEF) == EVERYONE_HAS
    chamber.wait(TIMELOCK)
    assert (status(chamber, proposal), chamber.frozen()) == (Status.EXECUTED, ())
    assert chamber.world.balance(THIEF) == EVERYONE_HAS - STOLEN
    assert chamber.world.balance(GOVERNANCE) == STOLEN
    proofs = tree(VICTIMS)[1]
    for victim, amount in VICTIMS.items():
        assert chamber.claim(proposal, victim, amount, proofs[victim]) == amount
        assert chamber.world.balance(victim) == amount
        with pytest.raises(errors.AlreadyClaimed):
            chamber.claim(proposal, victim, amount, proofs[victim])
    assert chamber.world.balance(GOVERNANCE) == 0
    chamber.wait(CLAIM)
    assert chamber.world.balance(THIEF) == EVERYONE_HAS - STOLEN
    assert (chamber.coins, chamber.world.burnt) == (before, 0)
    names = ("Proposed", "HoldSupported", "HoldPlaced", "Voted", "Closed", "BondReturned", "FundsRecovered", "Executed",
             "HoldLifted", "Claimed", "VaultClosed")  # fmt: skip
    assert [len(chamber.events(name)) for name in names] == [1, 2, 1, 4, 1, 1, 1, 1, 1, 2, 1]


def test_what_nobody_claims_goes_back_once():
    chamber = Chamber()
    proposal = recovered(chamber)
    chamber.claim(proposal, VICTIM_A, VICTIMS[VICTIM_A], tree(VICTIMS)[1][VICTIM_A])
    chamber.wait(CLAIM - 5)
    assert chamber.world.balance(GOVERNANCE) == 2_000 * CMT
    chamber.wait(5)
    chamber.wait(CLAIM)
    assert chamber.world.balance(GOVERNANCE) == 0
    assert chamber.world.balance(THIEF) == EVERYONE_HAS - 1_000 * CMT
    with pytest.raises(errors.VaultIsClosed):
        chamber.claim(proposal, VICTIM_B, VICTIMS[VICTIM_B], tree(VICTIMS)[1][VICTIM_B])


def test_claims_end_with_their_time_and_not_with_the_vault():
    chamber = Chamber()
    proposal = recovered(chamber)
    chamber.end_block(CLAIM)
    with pytest.raises(errors.VaultIsClosed):
        chamber.claim(proposal, VICTIM_B, VICTIMS[VICTIM_B], tree(VICTIMS)[1][VICTIM_B])


@pytest.mark.parametrize(
    ("victim", "amount", "proof", "error"),
    [
        (VICTIM_A, 1_000 * CMT + 1, "right", "BadProof"),
        (VICTIM_B, 1_000 * CMT, "right", "BadProof"),
        (STRANGER, 1_000 * CMT, "right", "BadProof"),
        (VICTIM_A, 1_000 * CMT, "empty", "BadProof"),
        (VICTIM_A, 1_000 * CMT, "long", "BadProof"),
        (STAKING, 1_000 * CMT, "right", "ProtectedAccount"),
    ],
)
def test_a_bad_claim_is_refused(victim, amount, proof, error):
    chamber = Chamber()
    proposal = recovered(chamber)
    right = tree(VICTIMS)[1][VICTIM_A]
    given = {"right": right, "empty": (), "long": right * 33}[proof]
    with pytest.raises(getattr(errors, error)):
        chamber.claim(proposal, victim, amount, given)
    assert chamber.world.balance(GOVERNANCE) == STOLEN


def test_nothing_is_claimed_before_the_execution_or_from_another_kind():
    chamber = Chamber()
    proposal = chamber.recover()
    for id_ in (proposal, chamber.signal(), 77):
        with pytest.raises(errors.NoVault):
            chamber.claim(id_, VICTIM_A, VICTIMS[VICTIM_A], tree(VICTIMS)[1][VICTIM_A])


def test_victims_share_what_was_left():
    chamber = Chamber()
    proposal = chamber.recover()
    chamber.world.set_balance(THIEF, 1_500 * CMT + 1)
    chamber.support(proposal, *OWNERS[:2])
    voted(chamber, proposal)
    chamber.wait(TIMELOCK)
    proofs = tree(VICTIMS)[1]
    paid = [chamber.claim(proposal, victim, amount, proofs[victim]) for victim, amount in VICTIMS.items()]
    assert paid == [500 * CMT, 1_000 * CMT]
    chamber.wait(CLAIM)
    assert chamber.world.balance(THIEF) == 1


def test_a_root_that_promises_more_than_the_amount_pays_no_more_than_there_is():
    chamber = Chamber()
    victims = {VICTIM_A: 2_900 * CMT, VICTIM_B: 2_000 * CMT, STRANGER: 100 * CMT}
    root, proofs = tree(victims)
    proposal = recovered(chamber, root=root)
    assert chamber.claim(proposal, VICTIM_A, victims[VICTIM_A], proofs[VICTIM_A]) == 2_900 * CMT
    assert chamber.claim(proposal, VICTIM_B, victims[VICTIM_B], proofs[VICTIM_B]) == 100 * CMT
    with pytest.raises(errors.NothingToRecover):
        chamber.claim(proposal, STRANGER, victims[STRANGER], proofs[STRANGER])
    assert chamber.world.balance(GOVERNANCE) == 0


@pytest.mark.parametrize(
    ("voters", "paid"), [(OWNERS[:4], True), (OWNERS[:3], True), ((*OWNERS[:2], OWNERS[3]), False)]
)
def test_proposer_and_validators_are_paid_only_where_four_fifths_said_yes(voters, paid):
    """Powers 3, 3, 2, 1: without the last 8/9, without the third 7/9."""
    victims = {OWNERS[0]: 1_000 * CMT, STRANGER: 1_000 * CMT, VICTIM_A: 1_000 * CMT}
    root, proofs = tree(victims)
    chamber = Chamber()
    proposal = chamber.recover(root=root, proposer=STRANGER)
    chamber.support(proposal, *OWNERS[:2])
    voted(chamber, proposal, voters)
    chamber.wait(TIMELOCK)
    for victim in (OWNERS[0], STRANGER):
        if paid:
            assert chamber.claim(proposal, victim, victims[victim], proofs[victim]) == 1_000 * CMT
            continue
        with pytest.raises(errors.InterestedParty):
            chamber.claim(proposal, victim, victims[victim], proofs[victim])
    assert chamber.claim(proposal, VICTIM_A, victims[VICTIM_A], proofs[VICTIM_A]) == 1_000 * CMT


@pytest.mark.parametrize("share", [1_000, 4_000, 30_000, 1_000_000])
def test_one_validator_of_whatever_size_freezes_nothing_and_moves_nothing(share):
    chamber = Chamber((share, 1_000, 1_000))
    proposal = chamber.recover(victims={OWNERS[0]: STOLEN}, proposer=OWNERS[0])
    chamber.support(proposal, OWNERS[0])
    assert chamber.frozen() == ()
    voted(chamber, proposal, OWNERS[:1])
    assert (status(chamber, proposal), chamber.frozen()) == (Status.EXPIRED, ())
    chamber.wait(TIMELOCK)
    assert chamber.world.balance(THIEF) == EVERYONE_HAS
    assert hold_of(chamber.state().storage, THIEF) == (0, 0, 0, 0)


def test_where_there_is_one_validator_it_is_the_network():
    chamber = Chamber((3_000,))
    proposal = chamber.recover()
    chamber.support(proposal, OWNERS[0])
    assert chamber.frozen() == (THIEF,)
    voted(chamber, proposal, OWNERS[:1])
    chamber.wait(TIMELOCK)
    assert chamber.world.balance(THIEF) == EVERYONE_HAS - STOLEN


def test_a_freeze_needs_a_third_of_power_and_validators_of_the_snapshot():
    chamber = Chamber((1_000, 1_000, 1_001, 4_000))
    proposal = chamber.recover()
    with pytest.raises(errors.NotValidator):
        chamber.support(proposal, HOLDERS[0])
    chamber.support(proposal, *OWNERS[:2])
    with pytest.raises(errors.AlreadyCounted):
        chamber.support(proposal, OWNERS[0])
    assert chamber.frozen() == ()
    chamber.support(proposal, OWNERS[2])
    assert chamber.frozen() == (THIEF,)
    chamber.support(proposal, OWNERS[3])
    assert hold_of(chamber.state().storage, THIEF).holders == 1
    for id_, error in ((chamber.signal(), errors.NotARecovery), (99, errors.UnknownProposal)):
        with pytest.raises(error):
            chamber.support(id_, OWNERS[0])


def test_a_freeze_ends_with_a_vote_that_does_not_pass():
    chamber = Chamber()
    proposal = chamber.recover()
    chamber.support(proposal, *OWNERS[:2])
    voted(chamber, proposal, OWNERS[:2])
    assert (status(chamber, proposal), chamber.frozen()) == (Status.EXPIRED, ())
    with pytest.raises(errors.NotOpen):
        chamber.support(proposal, OWNERS[2])


def test_a_freeze_ends_with_cancelling_and_its_time_is_counted():
    chamber = Chamber()
    proposal = chamber.recover()
    chamber.support(proposal, *OWNERS[:2])
    chamber.end_block(70)
    chamber.cancel(proposal, OWNERS[0])
    assert chamber.frozen() == ()
    assert hold_of(chamber.state().storage, THIEF) == (0, 0, 0, 70)


def test_an_account_is_frozen_for_so_long_in_all_and_then_never_again():
    chamber = Chamber(params=with_params(gov_freeze_seconds=1_500))
    seconds = 0
    for _ in range(3):
        proposal = chamber.recover()
        try:
            chamber.support(proposal, *OWNERS[:2])
        except errors.FreezeSpent:
            chamber.cancel(proposal, OWNERS[0])
            break
        while chamber.frozen():
            seconds += 50
            chamber.end_block(50)
        chamber.wait(2_000)
    assert 1_500 <= seconds <= 1_600
    assert hold_of(chamber.state().storage, THIEF) == (0, 0, 0, 1_500)
    with pytest.raises(errors.FreezeSpent):
        chamber.support(chamber.recover(), OWNERS[2])


def test_a_freeze_that_reached_its_end_during_a_vote_ends_and_is_not_renewed_by_passing():
    chamber = Chamber(params=with_params(gov_freeze_seconds=500))
    proposal = chamber.recover()
    chamber.support(proposal, *OWNERS[:2])
    chamber.end_block(499)
    assert chamber.frozen() == (THIEF,)
    chamber.end_block(1)
    assert chamber.frozen() == ()
    chamber.end_block(1)
    for owner in OWNERS[:4]:
        chamber.vote(proposal, owner)
    with pytest.raises(errors.FreezeSpent):
        chamber.support(proposal, OWNERS[2])
    with pytest.raises(errors.FreezeSpent):
        chamber.support(chamber.recover(), OWNERS[2])
    chamber.wait(VOTING - 400)
    assert (status(chamber, proposal), chamber.frozen()) == (Status.PASSED, ())
    chamber.wait(TIMELOCK)
    assert status(chamber, proposal) is Status.EXECUTED
    assert hold_of(chamber.state().storage, THIEF) == (0, 0, 0, 500)


def test_a_recovery_that_passes_without_a_freeze_freezes_for_the_time_lock():
    chamber = Chamber()
    proposal = chamber.recover()
    voted(chamber, proposal)
    assert chamber.frozen() == (THIEF,)
    chamber.wait(TIMELOCK)
    assert chamber.frozen() == ()
    assert hold_of(chamber.state().storage, THIEF).used <= TIMELOCK + 2


def test_two_recoveries_hold_one_account_until_the_last_lets_go():
    chamber = Chamber()
    first, second = chamber.recover(), chamber.recover(proposer=STRANGER)
    chamber.support(first, *OWNERS[:2])
    chamber.end_block(10)
    chamber.support(second, *OWNERS[:2])
    chamber.cancel(first, OWNERS[0])
    assert chamber.frozen() == (THIEF,)
    chamber.end_block(10)
    chamber.cancel(second, STRANGER)
    assert chamber.frozen() == ()
    assert hold_of(chamber.state().storage, THIEF) == (0, 0, 0, 20)


def test_recoveries_of_thirty_days_have_a_cap_together():
    chamber = Chamber(params=with_params(gov_recovery_window_cap=Fraction(15, 1000)))
    thieves = [account(4_000 + number) for number in range(3)]
    one_percent = chamber.supply // 100
    for thief in thieves:
        chamber.world.set_balance(thief, one_percent)
    first, second = (chamber.recover(from_=thief, amount=one_percent * 9 // 10) for thief in thieves[:2])
    chamber.wait(NOTICE)
    for owner in OWNERS[:4]:
        chamber.vote(first, owner)
        chamber.vote(second, owner)
    chamber.wait(VOTING)
    chamber.wait(TIMELOCK)
    assert (status(chamber, first), status(chamber, second)) == (Status.EXECUTED, Status.FAILED)
    assert chamber.world.balance(thieves[1]) == one_percent
    chamber.wait(30 * 86_400)
    third = chamber.recover(from_=thieves[2], amount=one_percent * 9 // 10)
    voted(chamber, third)
    chamber.wait(TIMELOCK)
    assert status(chamber, third) is Status.EXECUTED


def test_a_cap_lowered_after_the_proposal_holds():
    chamber = Chamber()
    proposal = chamber.recover()
    voted(chamber, proposal)
    chamber.params = replace(chamber.params, gov_recovery_cap=Fraction(1, 1000))
    chamber.wait(TIMELOCK)
    assert (status(chamber, proposal), chamber.frozen()) == (Status.FAILED, ())
    assert chamber.world.balance(THIEF) == EVERYONE_HAS


def test_an_emptied_account_leaves_nothing_to_recover():
    chamber = Chamber()
    proposal = chamber.recover()
    chamber.world.set_balance(THIEF, 0)
    voted(chamber, proposal)
    chamber.wait(TIMELOCK)
    assert status(chamber, proposal) is Status.FAILED


def test_leaves_and_roots_are_openzeppelins():
    """Values of @openzeppelin/merkle-tree's README: StandardMerkleTree of two (address, uint256) pairs."""
    first = bytes.fromhex("11" * 20), 5 * 10**18
    second = bytes.fromhex("22" * 20), 25 * 10**17
    root, proofs = tree(dict([first, second]))
    assert root.hex() == "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"
    for victim, amount in (first, second):
        assert root_of(leaf_of(victim, amount), proofs[victim]) == root
