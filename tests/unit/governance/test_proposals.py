"""Making proposals: what each refuses, what it writes down, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from cybermiles.chain.predeploys import FEES, GOVERNANCE, MULTICALL3, STAKING, VESTING
from cybermiles.governance import errors
from cybermiles.governance.end import end_governance
from cybermiles.governance.layout import (
    NEXT_DUE,
    Status,
    bond_of,
    course_of,
    head_of,
    open_ids,
    powers_of,
    times_of,
    votes_of,
)
from cybermiles.governance.proposals import app_version
from cybermiles.state.slots import Storage
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from tests.fakes.governance import (
    CMT,
    EVERYONE_HAS,
    HOLDERS,
    NOTICE,
    OWNERS,
    START,
    STRANGER,
    THIEF,
    TIMELOCK,
    VOTING,
    Chamber,
    with_params,
)

LONG = "é" * 4_096


def refused(kind, *arguments):
    return pytest.raises(getattr(errors, kind), match=str(arguments).replace("(", r"\(").replace(")", r"\)"))


@pytest.mark.parametrize(
    ("make", "error", "arguments"),
    [
        (lambda c: c.signal(bond=10 * CMT - 1), "BondTooLow", (10 * CMT,)),
        (lambda c: c.signal(title="x" * 129), "TextTooLong", ("title", 128)),
        (lambda c: c.signal(reason=LONG), "TextTooLong", ("reason", 4_096)),
        (lambda c: c.signal(closes=START + NOTICE + VOTING - 1), "BadClosingTime", (START + 1_100, START + 2_100)),
        (lambda c: c.signal(closes=START + NOTICE + 2 * VOTING + 1), "BadClosingTime", (START + 1_100, START + 2_100)),
        (lambda c: c.param(name="free_slots"), "UnknownParam", ("free_slots",)),
        (lambda c: c.param(name="x" * 65), "TextTooLong", ("name", 64)),
        (lambda c: c.param(value="1" * 65), "TextTooLong", ("newValue", 64)),
        (lambda c: c.param("block_interval_ms", "900"), "NotChangeable", ("block_interval_ms",)),
        (lambda c: c.param("max_block_bytes", "5000000"), "NotChangeable", ("max_block_bytes",)),
        (lambda c: c.param(value="many"), "BadParamValue", ("free_slots_per_block", "many")),
        (lambda c: c.param(value="0150"), "BadParamValue", ("free_slots_per_block", "0150")),
        (lambda c: c.param(value="-1"), "BadParamValue", ("free_slots_per_block", "-1")),
        (lambda c: c.param(value="100"), "BadParamValue", ("free_slots_per_block", "100")),
        (lambda c: c.param(value="10001"), "BadParamValue", ("free_slots_per_block", "10001")),
        (lambda c: c.param(value="201"), "StepTooLarge", ("free_slots_per_block", "50", "200")),
        (lambda c: c.param(value="49"), "StepTooLarge", ("free_slots_per_block", "50", "200")),
        (lambda c: c.param("inflation_rate", "8"), "BadParamValue", ("inflation_rate", "8")),
        (lambda c: c.param("inflation_rate", "17/100"), "StepTooLarge", ("inflation_rate", "1/25", "4/25")),
        (lambda c: c.param("inflation_rate", "1/20001"), "BadParamValue", ("inflation_rate", "1/20001")),
        (
            lambda c: c.param("free_compute_units_per_transaction", "500001"),
            "BadParamValue",
            ("free_compute_units_per_transaction", "500001"),
        ),
        (lambda c: c.param("gov_recovery_cap", "1/50"), "BadParamValue", ("gov_recovery_cap", "1/50")),
        (lambda c: c.param(from_block=5), "TooEarly", (6,)),
        (lambda c: c.upgrade(version=1), "NotNewer", (1,)),
        (lambda c: c.upgrade(version=0), "NotNewer", (1,)),
        (lambda c: c.upgrade(at_block=5), "TooEarly", (6,)),
        (lambda c: c.recover(amount=0, root=b"\x01" * 32), "NothingToRecover", ()),
        (lambda c: c.recover(amount=c.supply // 100 + 1), "AmountOverCap", (2_209_000 * CMT // 100, 22_090 * CMT + 1)),
        (lambda c: c.recover(from_=HOLDERS[0], amount=1), None, ()),
        (lambda c: c.recover(from_=Address(b"\x55" * 20), amount=1), "AmountOverBalance", (0, 1)),
        *[
            (lambda c, a=address: c.recover(from_=a, amount=1), "ProtectedAccount", (address,))
            for address in (
                STAKING,
                GOVERNANCE,
                VESTING,
                FEES,
                MULTICALL3,
                ZERO_ADDRESS,
                Address(b"\x00" * 19 + b"\x0a"),
            )
        ],
    ],
)
def test_a_bad_proposal_is_refused_with_its_error_and_changes_nothing(make, error, arguments):
    chamber = Chamber()
    before = chamber.coins, chamber.world.balance(OWNERS[0])
    if error is None:
        assert make(chamber) == 1
        return
    with pytest.raises(errors.Refusal) as caught:
        make(chamber)
    assert (type(caught.value).__name__, caught.value.arguments) == (error, arguments)
    assert (chamber.coins, chamber.world.balance(OWNERS[0])) == before
    assert open_ids(chamber.state().storage) == []
    assert chamber.logs == []


def test_texts_of_the_largest_size_are_kept():
    chamber = Chamber()
    proposal = chamber.signal(title="é" * 64, reason=LONG[:2_048])
    assert head_of(chamber.state().storage, proposal).status == Status.VOTING


def test_a_proposal_knows_its_times_bond_and_power():
    chamber = Chamber((3_000, 3_000, 2_000, 1_000))
    proposal = chamber.signal(bond=11 * CMT)
    storage = chamber.state().storage
    assert times_of(storage, proposal) == (START, START + NOTICE, START + NOTICE + VOTING, START + 1_100 + TIMELOCK)
    assert bond_of(storage, proposal) == (0, 11 * CMT)
    assert powers_of(storage, proposal) == (9_000 * CMT, 0)
    assert chamber.world.balance(GOVERNANCE) == 11 * CMT
    assert len(chamber.events("Proposed")) == 1


def test_power_over_the_threshold_does_not_count():
    chamber = Chamber((8_000, 1_000, 1_000), with_params(validator_size_threshold=Fraction(2, 10)))
    proposal = chamber.signal()
    assert powers_of(chamber.state().storage, proposal).total == 4_000 * CMT


def test_one_account_has_five_open_proposals_and_all_have_fifty():
    chamber = Chamber()
    for proposer in HOLDERS:
        for _ in range(5):
            chamber.signal(proposer=proposer)
        if proposer is not HOLDERS[-1]:
            with refused("TooManyProposals", 5):
                chamber.signal(proposer=proposer)
    with refused("TooManyProposals", 50):
        chamber.signal(proposer=STRANGER)
    chamber.cancel(7, HOLDERS[1])
    assert chamber.signal(proposer=HOLDERS[1]) == 51
    assert len(open_ids(chamber.state().storage)) == 50


def test_nobody_who_fills_the_list_keeps_members_from_proposing():
    chamber = Chamber()
    for number in range(50):
        chamber.signal(proposer=HOLDERS[number // 5])
    with refused("TooManyProposals", 50):
        chamber.recover(proposer=OWNERS[4])
    for _ in range(5):
        chamber.recover(proposer=OWNERS[3])
    with refused("TooManyProposals", 5):
        chamber.signal(proposer=OWNERS[3])
    assert len(open_ids(chamber.state().storage)) == 55


@pytest.mark.parametrize(
    ("yes", "no", "status", "burnt"),
    [
        ((0, 1, 2), (), Status.EXECUTED, False),
        ((0, 1), (), Status.EXPIRED, False),
        ((0, 1, 3), (), Status.EXECUTED, False),
        ((0,), (), Status.EXPIRED, False),
        ((2,), (), Status.EXPIRED, True),
        ((), (), Status.EXPIRED, True),
        ((), (0,), Status.REJECTED, True),
        ((1, 2, 3), (0,), Status.REJECTED, True),
        ((0, 1), (2,), Status.EXPIRED, False),
        ((0, 1), (3,), Status.EXPIRED, False),
    ],
)
def test_a_vote_closes_by_all_power_and_not_by_votes_cast(yes, no, status, burnt):
    """Powers 3, 3, 2, 1 of 9: two thirds are 6, which is not more than two thirds; a third is 3."""
    chamber = Chamber()
    proposal = chamber.signal(proposer=STRANGER)
    chamber.wait(NOTICE)
    for number in yes:
        chamber.vote(proposal, OWNERS[number], 1)
    for number in no:
        chamber.vote(proposal, OWNERS[number], 2)
    chamber.wait(VOTING - 3)
    assert head_of(chamber.state().storage, proposal).status == Status.VOTING
    chamber.wait(1)
    storage = chamber.state().storage
    assert head_of(storage, proposal).status == status
    assert course_of(storage, proposal).ended_block
    assert open_ids(storage) == []
    assert chamber.world.balance(STRANGER) == EVERYONE_HAS - (10 * CMT if burnt else 0)
    assert chamber.world.burnt == (10 * CMT if burnt else 0)
    assert chamber.world.balance(GOVERNANCE) == 0
    assert len(chamber.events("Closed")) == 1
    assert len(chamber.events("BondBurnt" if burnt else "BondReturned")) == 1


def test_nothing_is_decided_before_the_close_even_by_everybody():
    chamber = Chamber()
    proposal = chamber.param()
    chamber.wait(NOTICE)
    for owner in OWNERS[:4]:
        chamber.vote(proposal, owner)
    chamber.wait(VOTING - 10)
    assert head_of(chamber.state().storage, proposal).status == Status.VOTING
    assert chamber.params.free_slots_per_block == 100


def passed(chamber, proposal, owners=OWNERS[:4]):
    chamber.wait(NOTICE)
    for owner in owners:
        chamber.vote(proposal, owner)
    chamber.wait(VOTING)
    assert head_of(chamber.state().storage, proposal).status == Status.PASSED


def test_a_parameter_changes_after_the_time_lock_from_its_block_on():
    chamber = Chamber()
    proposal = chamber.param(from_block=20)
    passed(chamber, proposal)
    chamber.wait(TIMELOCK)
    while chamber.height < 19:
        assert chamber.params.free_slots_per_block == 100
        chamber.end_block()
    chamber.end_block()
    assert (chamber.height, chamber.params.free_slots_per_block) == (20, 150)
    assert head_of(chamber.state().storage, proposal).status == Status.EXECUTED
    assert [len(chamber.events(name)) for name in ("ParamChanged", "Executed")] == [1, 1]
    chamber.wait(10_000)
    assert len(chamber.events("ParamChanged")) == 1


def test_a_time_lock_longer_than_the_delay_rules():
    chamber = Chamber()
    proposal = chamber.param(from_block=6)
    passed(chamber, proposal)
    chamber.wait(TIMELOCK - 20)
    assert chamber.params.free_slots_per_block == 100
    chamber.wait(20)
    assert chamber.params.free_slots_per_block == 150


def test_two_doublings_voted_at_once_do_not_add_up():
    chamber = Chamber()
    first, second = chamber.param(value="200"), chamber.param(value="60")
    chamber.wait(NOTICE)
    for owner in OWNERS[:4]:
        chamber.vote(first, owner)
        chamber.vote(second, owner)
    chamber.wait(VOTING)
    chamber.wait(TIMELOCK)
    storage = chamber.state().storage
    assert head_of(storage, first).status == Status.EXECUTED
    assert head_of(storage, second).status == Status.FAILED
    assert chamber.params.free_slots_per_block == 200


def test_a_change_that_another_made_impossible_fails():
    chamber = Chamber()
    first = chamber.param("compute_units_per_block", "800000")
    second = chamber.param("free_compute_units_per_block", "1000000")
    chamber.wait(NOTICE)
    for owner in OWNERS[:4]:
        chamber.vote(first, owner)
        chamber.vote(second, owner)
    chamber.wait(VOTING)
    chamber.wait(TIMELOCK)
    assert head_of(chamber.state().storage, second).status == Status.FAILED
    assert chamber.params.free_compute_units_per_block == 500_000


def test_a_version_is_raised_at_its_block_and_not_before():
    chamber = Chamber()
    proposal = chamber.upgrade(at_block=30)
    passed(chamber, proposal)
    assert len(chamber.events("UpgradeScheduled")) == 1
    chamber.wait(TIMELOCK)
    while chamber.height < 29:
        chamber.end_block()
        assert app_version(chamber.state().storage) == 1
    chamber.end_block()
    assert (chamber.height, app_version(chamber.state().storage)) == (30, 2)
    with refused("NotNewer", 2):
        chamber.upgrade(version=2)


def test_an_upgrade_whose_block_comes_before_the_end_of_the_time_lock_fails():
    chamber = Chamber()
    proposal = chamber.upgrade(at_block=8)
    passed(chamber, proposal)
    for _ in range(8):
        chamber.end_block()
    assert head_of(chamber.state().storage, proposal).status == Status.FAILED
    assert app_version(chamber.state().storage) == 1


def test_an_upgrade_under_one_that_came_first_fails():
    chamber = Chamber()
    low, high = chamber.upgrade(version=2, at_block=31), chamber.upgrade(version=3, at_block=30)
    chamber.wait(NOTICE)
    for owner in OWNERS[:4]:
        chamber.vote(low, owner)
        chamber.vote(high, owner)
    chamber.wait(VOTING)
    chamber.wait(TIMELOCK)
    for _ in range(30):
        chamber.end_block()
    storage = chamber.state().storage
    assert (head_of(storage, high).status, head_of(storage, low).status) == (Status.EXECUTED, Status.FAILED)
    assert app_version(storage) == 3


def test_the_proposer_cancels_until_the_execution_and_gets_the_bond_back_once():
    for stage in range(3):
        chamber = Chamber()
        proposal = chamber.param(proposer=STRANGER)
        if stage == 1:
            chamber.wait(NOTICE)
        if stage == 2:
            passed(chamber, proposal)
        chamber.cancel(proposal, STRANGER)
        assert head_of(chamber.state().storage, proposal).status == Status.CANCELLED
        assert chamber.world.balance(STRANGER) == EVERYONE_HAS
        with refused("NotOpen", proposal):
            chamber.cancel(proposal, STRANGER)
        chamber.wait(10_000)
        assert chamber.params.free_slots_per_block == 100
        assert chamber.world.balance(STRANGER) == EVERYONE_HAS


def test_validators_with_a_third_of_power_cancel_what_passed():
    chamber = Chamber()
    proposal = chamber.param(proposer=STRANGER)
    passed(chamber, proposal)
    chamber.cancel(proposal, OWNERS[2])
    with refused("AlreadyCounted", proposal):
        chamber.cancel(proposal, OWNERS[2])
    with refused("NotValidator"):
        chamber.cancel(proposal, HOLDERS[0])
    assert head_of(chamber.state().storage, proposal).status == Status.PASSED
    chamber.cancel(proposal, OWNERS[3])
    assert head_of(chamber.state().storage, proposal).status == Status.CANCELLED
    chamber.wait(10_000)
    assert chamber.params.free_slots_per_block == 100
    with refused("UnknownProposal", 9):
        chamber.cancel(9, OWNERS[0])


def test_a_chain_without_stake_takes_proposals_that_nobody_can_pass():
    chamber = Chamber(())
    proposal = chamber.signal()
    assert powers_of(chamber.state().storage, proposal).total == 0
    chamber.wait(NOTICE)
    with pytest.raises(errors.NotAMember):
        chamber.vote(proposal, OWNERS[0])
    chamber.wait(VOTING)
    assert head_of(chamber.state().storage, proposal).status == Status.EXPIRED
    assert votes_of(chamber.state().storage, proposal) == (0, 0)


def test_most_blocks_read_one_word():
    chamber = Chamber()
    chamber.recover(from_=THIEF)
    chamber.end_block()
    reads = []

    class Counting(Storage):
        def load(self, slot):
            reads.append(slot)
            return super().load(slot)

    end_governance(replace(chamber.state(), storage=Counting(chamber.world, GOVERNANCE)))
    assert reads == [NEXT_DUE]
