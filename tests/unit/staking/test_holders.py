"""What holders get: exits in their order, rates by pools, nothing gained by splitting, ordering or coming first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.staking.book import MAX_SHARES, Book, close_book, open_book
from cybermiles.staking.delegations import ALL
from cybermiles.staking.errors import BadCompRate, BelowMinimum, SelfStakeTooLow
from cybermiles.staking.exits import PAID_PER_BLOCK
from cybermiles.staking.layout import candidate_of, identity_of, status_of
from cybermiles.staking.records import VERIFIED, Awards, Pool, Status
from cybermiles.staking.snapshots import candidate_stake_at, delegation_at, open_snapshot
from cybermiles.staking.views import (
    delegation_view,
    delegations_page,
    delegators_page,
    exits_page,
    profile_view,
    validator_view,
)
from cybermiles.types.primitives import ZERO_ADDRESS
from tests.fakes.staking import CMT, PROFILE, Staking, account, consensus_key

M = 1_000_000 * CMT
T = 1_000 * CMT
COINS = 100_000_000 * CMT

# Exits


def test_an_exit_is_paid_by_the_first_block_at_its_time_and_earns_nothing(staking):
    staking.delegate(10, 0, 10 * T)
    exit_id, release = staking.undelegate(10, 0, 5 * T)
    assert release == staking.time + 100
    assert exits_page(staking.storage, account(10), 0, 10) == [(exit_id, account(0), 5 * T, release)]
    assert delegation_view(staking.storage, account(10), 1).leaving == 5 * T
    staking.end(seconds=99)
    staking.end(seconds=1)
    assert staking.balance(10) == COINS - 10 * T
    staking.end()
    assert staking.balance(10) == COINS - 5 * T
    assert exits_page(staking.storage, account(10), 0, 10) == []
    assert delegation_view(staking.storage, account(10), 1).leaving == 0


def test_exits_are_paid_in_order_and_a_block_pays_a_bounded_number(staking):
    for holder in range(10, 14):
        staking.delegate(holder, 0, 50 * T)
    for turn in range(20):
        for holder in range(10, 14):
            staking.undelegate(holder, 0, turn + 1)
    staking.wait(100, minted=0)
    ids = [event[2] for event in staking.log.named("ExitPaid")]
    assert ids == list(range(1, PAID_PER_BLOCK + 1))
    staking.end(minted=0)
    assert [event[2] for event in staking.log.named("ExitPaid")] == list(range(1, 81))


def test_a_shorter_waiting_time_lets_nobody_jump_the_queue(staking):
    staking.delegate(10, 0, 10 * T)
    _, first = staking.undelegate(10, 0, 1)
    staking.with_params(unbonding_seconds=100)
    staking.with_params(evidence_max_age_seconds=10, unbonding_seconds=10)
    _, second = staking.undelegate(10, 0, 1)
    assert second == first


def test_all_leaves_where_less_than_the_minimum_would_stay(staking):
    staking.delegate(10, 0, 10 * T)
    staking.run(5)
    staking.undelegate(10, 0, 10 * T)
    assert delegation_view(staking.storage, account(10), 1)[1:3] == (0, 0)
    assert exits_page(staking.storage, account(10), 0, 1)[0].amount > 10 * T, "awards that came in meanwhile too"


def test_an_owner_may_take_out_what_the_cap_does_not_need(staking):
    staking.act("update_candidacy", 0, 8 * M, 0, 0)
    staking.undelegate(0, 0, M // 5)
    with pytest.raises(SelfStakeTooLow):
        staking.undelegate(0, 0, 1)


# Candidacies


def test_withdrawing_frees_the_owners_stake_and_leaves_delegators_their_own(staking):
    staking.delegate(10, 0, 10 * T)
    staking.run(3)
    staking.act("withdraw", 0)
    staking.run(2)
    assert account(0) not in [member.operator for member in staking.current.validators]
    staking.wait(100)
    assert staking.balance(0) > 99_000_000 * CMT + M
    staking.undelegate(10, 0, ALL)
    staking.wait(100)
    assert staking.balance(10) > COINS
    assert delegators_page(staking.storage, 1, 0, 10) == []


def test_ownership_moves_with_the_stake_and_the_number_stays(staking):
    staking.delegate(10, 0, 10 * T)
    staking.run(2)
    stake = validator_view(staking.storage, 1).self_stake
    offer = staking.act("offer_ownership", 0, account(30))
    assert staking.act("offer_ownership", 0, account(31)) == offer + 1
    with pytest.raises(Exception, match="UnknownOffer"):
        staking.act("accept_ownership", 30, offer)
    staking.act("accept_ownership", 31, offer + 1)
    with pytest.raises(Exception, match="UnknownOffer"):
        staking.act("accept_ownership", 31, offer + 1)
    assert (candidate_of(staking.storage, account(0)), staking.id(31)) == (0, 1)
    assert validator_view(staking.storage, 1).self_stake == stake
    assert delegators_page(staking.storage, 1, 0, 5) == [account(10), account(31)]
    assert delegations_page(staking.storage, account(0), 0, 5) == []
    assert staking.log.named("OwnerChanged") == [(account(0), account(31))]
    staking.declare(0, key=consensus_key(700))
    assert staking.id(0) == 5
    staking.act("update_candidacy", 31, 2 * M, 0, 0)
    staking.undelegate(31, 31, M // 2)


def test_a_profile_that_changes_is_verified_no_more(staking):
    staking.act("set_verified", 39, account(0), verified=True)
    assert status_of(staking.storage, 1).flags & VERIFIED
    staking.act("update_profile", 0, ("a" * 64, "b" * 128, "", "é" * 32, "about " * 100))
    assert profile_view(staking.storage, 1) == ("a" * 64, "b" * 128, "", "é" * 32, "about " * 100)
    assert not status_of(staking.storage, 1).flags & VERIFIED
    assert staking.log.named("VerifiedChanged") == [(account(0), True), (account(0), False)]
    staking.act("update_profile", 0, PROFILE)
    assert profile_view(staking.storage, 1) == PROFILE
    assert len(staking.log.named("VerifiedChanged")) == 2


def test_a_rotated_key_votes_two_blocks_later_and_the_old_one_is_nobody_elses(staking):
    staking.run(3)
    old = validator_view(staking.storage, 1).consensus_key
    staking.rotate(0, consensus_key(600))
    staking.end()
    new = validator_view(staking.storage, 1).consensus_key
    keys = [{member.consensus_key for member in staking.sets[height].validators} for height in (5, 6)]
    assert [(old in found, new in found) for found in keys] == [(True, False), (False, True)]
    assert staking.log.named("ConsensusKeyRotated") == [(account(0), old, new)]
    with pytest.raises(Exception, match="ConsensusKeyUsed"):
        staking.declare(9, key=consensus_key(0))
    staking.run(3)
    assert validator_view(staking.storage, 1).stake > M


def test_nobody_may_verify_where_no_foundation_is_named(staking):
    from cybermiles.staking.layout import FOUNDATION

    staking.storage.store_address(FOUNDATION, ZERO_ADDRESS)
    from cybermiles.staking import candidates

    with pytest.raises(Exception, match="NotAllowed"):
        staking.call(candidates.set_verified, ZERO_ADDRESS, account(0), verified=True)


# Rates


def test_a_granted_rate_is_paid_from_then_on_and_a_new_one_is_for_new_stake(staking):
    for holder in (10, 11):
        staking.delegate(holder, 0, M)
    staking.grant(0, 10, 50_000)
    staking.act("update_candidacy", 0, 0, 400_000, 0)
    staking.delegate(12, 0, M)
    staking.run(2, minted=0)
    staking.end(minted=160 * CMT)
    awards = [delegation_view(staking.storage, account(holder), 1) for holder in (10, 11, 12)]
    assert [view.comp_rate_ppm for view in awards] == [50_000, 200_000, 400_000]
    assert [view.awards for view in awards] == [95 * CMT // 10, 8 * CMT, 6 * CMT], "10 CMT each, less the rate"
    assert delegation_view(staking.storage, account(0), 1).awards == 16 * CMT + CMT // 2


def test_a_pool_that_was_left_serves_another_rate(staking):
    staking.delegate(10, 0, M)
    for rate in range(30, 0, -1):
        staking.grant(0, 10, rate)
    assert status_of(staking.storage, 1).pools <= 3
    assert delegation_view(staking.storage, account(10), 1).principal == M


def test_a_raised_rate_is_not_put_on_who_came_under_a_lower_one(staking):
    staking.delegate(10, 0, M)
    staking.act("update_candidacy", 0, 0, 999_999, 0)
    with pytest.raises(BadCompRate, match="200000"):
        staking.grant(0, 10, 999_999)
    staking.grant(0, 10, 100_000)
    with pytest.raises(BadCompRate, match="100000"):
        staking.grant(0, 10, 100_001)
    assert delegation_view(staking.storage, account(10), 1).comp_rate_ppm == 100_000


# Nobody gains


def test_the_first_depositor_cannot_inflate_the_price_of_a_share(staking):
    """A pool has shares of a minimum delegation at least, and its tokens grow by awards only."""
    staking.delegate(10, 0, T)
    for _ in range(5):
        staking.end(minted=10_000 * CMT)
    staking._move(account(10), 50_000 * CMT)
    worth = staking.delegate(11, 0, T)
    assert T - 100 <= worth <= T
    with pytest.raises(BelowMinimum):
        staking.delegate(12, 0, 1)


def test_a_worn_out_pool_takes_no_deposit_and_breaks_nothing():
    book = Book(1, Status(0, 0, 0, 0, 1, 1), Awards(0, 0, 0), [Pool(1, 1, 0), Pool(0, 5, 1)])
    assert not book.takes(1, 10**21)
    assert book.least_deposit(1) == 2**256 - 1
    book.pools[1] = Pool(1, MAX_SHARES - 1, 1)
    assert not book.takes(1, 10**21)
    assert book.least_deposit(1) == 2**256 - 1
    book.pools[1] = Pool(3 * 10**18, 10**18, 1)
    assert book.least_deposit(1) == 3
    assert not book.takes(1, 2)
    assert book.takes(1, 3)


steps = st.lists(st.sampled_from(["award", "slash", "other", "absent"]), max_size=12)


def life(parts, moves, exits):
    """Return what holders of these parts have at the end, after all of it left."""
    economy = Staking(
        ChainParams(unbonding_seconds=50, evidence_max_age_seconds=50, absence_window=10, max_absences=1), founders=2
    )
    economy.delegate(20, 0, 12_345 * T // 1_000)
    for holder, part in enumerate(parts, start=10):
        economy.delegate(holder, 0, part)
    for move in moves:
        if move == "award":
            economy.end(minted=3 * 10**18 + 1)
        elif move == "absent":
            economy.end(minted=7, absent=[0])
        elif move == "slash":
            from cybermiles.staking.roles import Fault
            from cybermiles.staking.slashing import slash

            slash(economy.state, 1, Fault.ABSENCE, ratio=1_237, height=economy.height, evidence=bytes(32))
        else:
            economy.delegate(20, 0, 7 * T + 1)
    for holder in range(10, 10 + len(parts)):
        for amount in exits:
            economy.undelegate(holder, 0, amount)
        economy.undelegate(holder, 0, ALL)
    economy.wait(60, minted=0)
    economy.end(minted=0)
    return sum(economy.balance(holder) - COINS for holder in range(10, 10 + len(parts))) + sum(parts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(T, 40 * T), min_size=2, max_size=4), steps)
def test_splitting_stake_among_accounts_gains_nothing(parts, moves):
    assert life(parts, moves, []) <= life([sum(parts)], moves, [])


@settings(max_examples=60, deadline=None)
@given(st.integers(30 * T, 40 * T), st.lists(st.integers(1, 3 * T), max_size=8), steps)
def test_leaving_in_crumbs_gains_nothing(stake, crumbs, moves):
    assert life([stake], moves, crumbs) <= life([stake], moves, [])


@settings(max_examples=30, deadline=None)
@given(st.integers(T, 40 * T))
def test_coming_and_going_at_once_gains_nothing(stake):
    assert life([stake], [], []) <= stake


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 10**24))
def test_touching_a_book_compounds_nothing(touches, minted):
    """With and without somebody opening and closing the books: all the same, but for the rounding of each time."""
    worths = []
    for touched in (False, True):
        economy = Staking(ChainParams())
        economy.delegate(10, 0, M)
        economy.delegate(11, 1, 3 * M)
        economy.grant(0, 10, 7)
        for candidate in [*touches, *[0] * 20]:
            if touched:
                close_book(economy.state, open_book(economy.storage, candidate + 1))
            economy.end(minted=minted)
        worths.append(
            [delegation_view(economy.storage, account(h), c).awards for h, c in ((0, 1), (10, 1), (1, 2), (11, 2))]
        )
    assert all(abs(a - b) <= 2 * len(touches) + 50 for a, b in zip(*worths, strict=True))


# Snapshots


def test_a_snapshot_keeps_what_was_whatever_comes(staking):
    staking.delegate(10, 0, 10 * T)
    staking.run(30, minted=0)
    first = open_snapshot(staking.storage)
    staking.delegate(10, 0, 5 * T)
    staking.delegate(11, 0, 7 * T)
    second = open_snapshot(staking.storage)
    third = open_snapshot(staking.storage)
    staking.undelegate(10, 0, ALL)
    staking.run(30)
    found = [
        (candidate_stake_at(staking.storage, 1, n), delegation_at(staking.storage, account(10), 1, n), delegation_at(staking.storage, account(11), 1, n))
        for n in (first, second, third)
    ]  # fmt: skip
    assert found == [(M + 10 * T, 10 * T, 0), (M + 22 * T, 15 * T, 7 * T), (M + 22 * T, 15 * T, 7 * T)]
    assert identity_of(staking.storage, 1).delegators == 2
