"""Grants: released to the wei and the second, staked but never moved, returned, slashed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.errors import ConfigError
from cybermiles.execution.genesis import genesis_block
from cybermiles.staking.layout import stake_of
from cybermiles.staking.supply import staked_supply
from cybermiles.state.slots import mapping_slot
from cybermiles.system.errors import shared_errors
from cybermiles.vesting.grants import Grant, find, leaving_principal, stake_account
from cybermiles.vesting.layout import GRANT_OF, PRINCIPALS, Paid, Stake, Terms, exiting_slot
from cybermiles.vm.backend import CallMessage
from tests.factories import ADDRESSES, KEYS, PAID, double_vote, sign
from tests.fakes.grants import (
    ABI,
    CMT,
    CONTRACT,
    DELAY,
    DURATION,
    FOUNDERS,
    HOLDER,
    HOLDER_KEY,
    STAKING_ABI,
    TOTAL,
    UNBONDING,
    GrantChain,
    grant_document,
    holder_call,
)

FOUNDER = FOUNDERS[0]
ALL = 2**256 - 1


def error(name, *arguments):
    return shared_errors()[name].encode(arguments)


def events(outcome, name):
    topic = ABI.events[name].topic
    return [log for log in outcome.receipt.logs if log.topics[0] == topic]


@pytest.fixture
def chain():
    return GrantChain()


# Release


def test_the_genesis_block_has_the_grants_in_storage_and_their_coins(chain):
    assert chain.balance(VESTING) == 2 * TOTAL
    assert chain.ask("grantCount") == 2
    view = chain.ask("grantOf", HOLDER)
    assert view == (HOLDER, TOTAL, chain.start, chain.start + DURATION, 0, 0, 0, stake_account(HOLDER), "grant 0")
    assert chain.ask("grants", 1, 5) == (chain.ask("grantOf", CONTRACT),)
    assert chain.ask("grants", 2, 5) == ()
    assert find(chain.storage, HOLDER).paid.total == TOTAL
    assert chain.storage.load(mapping_slot(GRANT_OF, CONTRACT)) == 2


@pytest.mark.parametrize(
    ("passed", "vested"),
    [
        (-DELAY + 1, 0),
        (0, 0),
        (1, TOTAL // DURATION),
        (DURATION // 3, TOTAL * (DURATION // 3) // DURATION),
        (DURATION - 1, TOTAL * (DURATION - 1) // DURATION),
        (DURATION, TOTAL),
        (DURATION + 10**9, TOTAL),
    ],
)
def test_time_releases_to_the_wei_and_the_second(chain, passed, vested):
    before = chain.balance(HOLDER)
    chain.at(chain.start + passed - 1) if passed > -DELAY + 1 else None
    out = chain.run("release", seconds=1)
    if vested == 0:
        assert out.output == error("NothingToRelease")
    else:
        assert chain.balance(HOLDER) == before + vested - out.gas_used * out.effective_gas_price
        assert out.receipt.logs[0].data == vested.to_bytes(32) + (TOTAL - vested).to_bytes(32)
    assert chain.grant() == (TOTAL, vested, 0, 0)
    assert chain.ask("locked", HOLDER) == TOTAL - vested
    assert chain.ask("releasable", HOLDER) == 0
    assert chain.balance(VESTING) == chain.held() == 2 * TOTAL - vested


def test_releasing_often_gives_no_wei_more_than_releasing_once(chain):
    chain.at(chain.start + 10)
    for seconds in (1, 7, 13, 1_000, 77_777):
        chain.run("release", seconds=seconds)
    passed = chain.head.timestamp - chain.start
    assert chain.grant()[1] == TOTAL * passed // DURATION
    assert chain.ask("releasable", HOLDER) == 0


def test_who_has_no_grant_is_told_so(chain):
    stranger = ADDRESSES[5]
    for name, arguments in (("release", ()), ("delegateLocked", (FOUNDER, CMT)), ("undelegateLocked", (FOUNDER, CMT))):
        assert chain.run(name, *arguments, key=KEYS[5]).output == error("NoGrant", stranger)
    for name in ("grantOf", "locked", "releasable", "lockedStake"):
        arguments = (stranger, FOUNDER) if name == "lockedStake" else (stranger,)
        message = CallMessage(sender=HOLDER, to=VESTING, gas=10**6, data=ABI.functions[name].encode_call(*arguments))
        assert chain.simulation.call(message, compute_units=10_000).output == error("NoGrant", stranger)
    assert chain.run("grants", 0, 101).output == error("PageTooLong", 100)
    assert chain.run("release", value=1).output == b""


# Stake


def test_locked_coins_are_staked_in_the_grants_name_and_the_holders_own_stake_stays_apart(chain):
    out = chain.run("delegateLocked", FOUNDER, 600_000 * CMT)
    assert out.receipt.succeeded
    assert len(events(out, "LockedDelegated")) == 1
    assert chain.grant() == (TOTAL, 0, 600_000 * CMT, 0)
    assert chain.balance(VESTING) == chain.held()
    principal, worth = chain.ask("lockedStake", HOLDER, FOUNDER)
    assert principal == 600_000 * CMT <= worth
    assert stake_of(chain.staking, 1) >= 800_000 * CMT
    own = STAKING_ABI.functions["delegate"].encode_call(FOUNDER)
    assert chain.send(STAKING, own, value=500 * CMT).output == error("BelowMinimum", 1_000 * CMT)
    take = STAKING_ABI.functions["undelegate"].encode_call(FOUNDER, CMT)
    assert chain.send(STAKING, take).output == error("NotEnoughStake", 0, CMT)


def test_staking_refusals_and_too_large_amounts_leave_nothing_behind(chain):
    nobody = ADDRESSES[30]
    for arguments, refusal in (
        ((FOUNDER, TOTAL + 1), error("NotEnoughLocked", TOTAL, TOTAL + 1)),
        ((FOUNDER, ALL), error("NotEnoughLocked", TOTAL, ALL)),
        ((nobody, CMT), error("UnknownValidator", nobody)),
        ((FOUNDER, 999 * CMT), error("BelowMinimum", 1_000 * CMT)),
        ((FOUNDER, 0), error("BelowMinimum", 1)),
    ):
        assert chain.run("delegateLocked", *arguments).output == refusal
    assert chain.run("undelegateLocked", nobody, 1).output == error("UnknownValidator", nobody)
    assert chain.run("undelegateLocked", FOUNDER, 1).output == error("NotEnoughStake", 0, 1)
    assert chain.run("undelegateLocked", FOUNDER, ALL).output == error("NotEnoughStake", 0, 0)
    assert chain.run("delegateLocked", FOUNDER, 1_500_000 * CMT).output[:4] == error("NotEnoughLocked", 0, 0)[:4]
    assert chain.grant() == (TOTAL, 0, 0, 0)
    assert chain.balance(VESTING) == 2 * TOTAL


def test_staked_coins_are_the_last_to_vest(chain):
    chain.run("delegateLocked", FOUNDER, 900_000 * CMT)
    chain.at(chain.start + DURATION // 2)
    assert chain.ask("releasable", HOLDER) == TOTAL - 900_000 * CMT
    assert chain.ask("locked", HOLDER) == TOTAL - TOTAL // 2
    chain.run("release")
    assert chain.run("release").output == error("NothingToRelease")
    assert chain.run("delegateLocked", FOUNDER, 1).output == error("NotEnoughLocked", 0, 1)
    assert chain.balance(VESTING) == chain.held() == TOTAL


def test_awards_leave_first_and_are_the_holders_and_the_principal_goes_back_under_the_lock(chain):
    chain.run("delegateLocked", FOUNDER, 600_000 * CMT)
    chain.at(chain.head.timestamp + 50)
    principal, worth = chain.ask("lockedStake", HOLDER, FOUNDER)
    gain = worth - principal
    assert gain > CMT
    out = chain.run("undelegateLocked", FOUNDER, gain // 2)
    (log,) = events(out, "LockedUndelegated")
    assert log.data == (1).to_bytes(32) + bytes(32) + (gain // 2).to_bytes(32)
    before, lock = chain.balance(HOLDER), chain.balance(VESTING)
    chain.at(chain.head.timestamp + UNBONDING)
    assert (chain.balance(HOLDER), chain.balance(VESTING)) == (before + gain // 2, lock)
    out = chain.run("undelegateLocked", FOUNDER, ALL)
    (log,) = events(out, "LockedUndelegated")
    awards = int.from_bytes(log.data[64:])
    assert int.from_bytes(log.data[32:64]) == principal
    before = chain.balance(HOLDER)
    assert chain.grant()[2] == principal, "what is on the way back is not in the contract"
    chain.advance((), UNBONDING - 1)
    assert chain.balance(HOLDER) == before
    _, outcome = chain.advance((), 1)
    assert chain.balance(HOLDER) == before + awards
    assert chain.balance(VESTING) == lock + principal == chain.held()
    assert chain.grant() == (TOTAL, 0, 0, 0)
    assert chain.balance(stake_account(HOLDER)) == 0
    returned = [log for log in outcome.system_logs if log.topics[0] == ABI.events["LockedReturned"].topic]
    assert [log.data for log in returned] == [b"".join(n.to_bytes(32) for n in (2, principal, awards, 0))]
    assert chain.ask("lockedStake", HOLDER, FOUNDER) == (0, 0)
    assert [chain.storage.load(exiting_slot(exit_id)) for exit_id in (1, 2)] == [0, 0]


def test_a_slash_of_staked_coins_reduces_the_grant_and_what_is_lost_is_missing_at_the_end(chain):
    chain.run("delegateLocked", FOUNDERS[1], 500_000 * CMT)
    chain.at(chain.head.timestamp + 5)
    member = chain.validators(chain.head.height).by_address(
        next(v.address for v in chain.validators(chain.head.height).validators if v.operator == FOUNDERS[1])
    )
    evidence = double_vote(chain.chain, member, chain.head.height)
    chain.advance((), 1, evidence=[evidence.encode()])
    principal, worth = chain.ask("lockedStake", HOLDER, FOUNDERS[1])
    assert worth < principal == 500_000 * CMT
    chain.run("undelegateLocked", FOUNDERS[1], worth // 2)
    chain.run("undelegateLocked", FOUNDERS[1], ALL)
    assert chain.grant() == (TOTAL, 0, principal, 0)
    chain.at(chain.head.timestamp + UNBONDING)
    total, released, staked, lost = chain.grant()
    assert (released, staked) == (0, 0)
    assert principal - worth - 2 <= lost <= principal - worth + 2
    assert chain.ask("locked", HOLDER) == total - lost, "not more than there is"
    assert chain.balance(VESTING) == chain.held() == 2 * TOTAL - lost
    chain.at(chain.start + DURATION)
    chain.run("release")
    assert chain.grant() == (TOTAL, TOTAL - lost, 0, lost)
    assert chain.ask("locked", HOLDER) == 0


def test_a_slash_while_leaving_is_taken_from_the_awards_first(chain):
    """What comes back fills the lock first."""
    chain.run("delegateLocked", FOUNDERS[1], 500_000 * CMT)
    chain.at(chain.head.timestamp + 300)
    fault = chain.head.height
    member = next(v for v in chain.validators(fault).validators if v.operator == FOUNDERS[1])
    principal, _ = chain.ask("lockedStake", HOLDER, FOUNDERS[1])
    out = chain.run("undelegateLocked", FOUNDERS[1], ALL)
    awards = int.from_bytes(events(out, "LockedUndelegated")[0].data[64:])
    chain.advance((), 1, evidence=[double_vote(chain.chain, member, fault).encode()])
    before = chain.balance(HOLDER)
    chain.at(chain.head.timestamp + UNBONDING)
    cut = -(-(principal + awards) // 20)
    assert chain.balance(HOLDER) == before + max(awards - cut, 0)
    assert chain.grant() == (TOTAL, 0, 0, max(cut - awards, 0))
    assert chain.balance(VESTING) == chain.held()


def test_two_exits_paid_by_one_block_are_told_apart(chain):
    chain.run("delegateLocked", FOUNDER, 500_000 * CMT)
    chain.run("delegateLocked", FOUNDERS[1], 400_000 * CMT)
    for founder in FOUNDERS:
        chain.run("undelegateLocked", founder, ALL)
    chain.at(chain.head.timestamp + 2 * UNBONDING)
    assert chain.grant() == (TOTAL, 0, 0, 0)
    assert chain.balance(stake_account(HOLDER)) == 0
    assert chain.balance(VESTING) == chain.held() == 2 * TOTAL


def test_coins_sent_to_the_contract_or_the_stake_account_are_nobodys_grant(chain):
    bomb = bytes.fromhex("73") + VESTING + bytes.fromhex("ff")
    chain.advance([sign(KEYS[4], 0, to=None, gas=200_000, value=5, data=bomb)])
    chain.advance([sign(KEYS[4], 1, to=stake_account(HOLDER), value=7)])
    assert chain.balance(VESTING) == chain.held() + 5
    chain.run("delegateLocked", FOUNDER, 500_000 * CMT)
    chain.run("undelegateLocked", FOUNDER, ALL)
    chain.at(chain.head.timestamp + UNBONDING)
    assert chain.balance(stake_account(HOLDER)) == 7
    assert chain.balance(VESTING) == chain.held() + 5 == 2 * TOTAL + 5


def test_a_contract_may_hold_a_grant(chain):
    chain.deploy_holder()
    stake = holder_call("stake(address,uint256)", FOUNDER, 300_000 * CMT)
    regret = holder_call("stakeAndRegret(address,uint256)", FOUNDER, 100_000 * CMT)
    for data in (stake, regret):
        tx = sign(KEYS[3], chain.nonce(ADDRESSES[3]), to=CONTRACT, gas=2_000_000, price=PAID, data=data)
        assert chain.advance([tx])[1].transactions[0].receipt.succeeded
    assert chain.grant(CONTRACT) == (TOTAL, 0, 300_000 * CMT, 0)
    assert chain.balance(VESTING) == chain.held()
    chain.at(chain.start + DURATION // 10)
    assert chain.send(CONTRACT, holder_call("release()"), key=KEYS[3]).receipt.succeeded
    assert chain.balance(CONTRACT) == chain.grant(CONTRACT)[1] > 0
    assert chain.send(CONTRACT, holder_call("leave(address,uint256)", FOUNDER, ALL), key=KEYS[3]).receipt.succeeded
    before = chain.balance(CONTRACT)
    chain.at(chain.head.timestamp + UNBONDING)
    assert chain.balance(CONTRACT) > before, "awards are paid without running the holder's code"
    assert chain.grant(CONTRACT)[2:] == (0, 0)
    message = CallMessage(sender=HOLDER, to=CONTRACT, gas=10**6, data=holder_call("read()"))
    assert chain.simulation.call(message, compute_units=10_000).failure is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("release", ()),
        ("delegateLocked", (FOUNDER, 5_000 * CMT)),
        ("undelegateLocked", (FOUNDER, 2_000 * CMT)),
        ("grantOf", (HOLDER,)),
        ("grants", (0, 2)),
        ("locked", (HOLDER,)),
        ("releasable", (HOLDER,)),
        ("lockedStake", (HOLDER, FOUNDER)),
        ("grantCount", ()),
    ],
)
def test_calls_and_estimates_agree_with_execution_and_are_free(chain, name, arguments):
    chain.run("delegateLocked", FOUNDER, 5_000 * CMT)
    chain.at(chain.start + 1_000)
    data = ABI.functions[name].encode_call(*arguments)
    message = CallMessage(sender=HOLDER, to=VESTING, gas=1_000_000, data=data)
    gas = chain.simulation.estimate_gas(message)
    assert gas * 3 // 2 <= 500_000
    tx = sign(HOLDER_KEY, chain.nonce(HOLDER), to=VESTING, gas=gas, data=data)
    (did,) = chain.build([tx])[1].transactions
    said = chain.simulation.call(message, compute_units=100_000)
    assert (did.receipt.succeeded, did.gas_used, did.lane) == (True, said.gas_used, 0)


def test_the_storage_of_locked_stake_is_where_the_layout_says(chain):
    chain.run("delegateLocked", FOUNDERS[1], 5_000 * CMT)
    assert chain.storage.load(mapping_slot(PRINCIPALS, HOLDER, 2)) == 5_000 * CMT
    assert staked_supply(chain.staking) >= 405_000 * CMT


# Documents


def test_a_holder_has_one_grant_and_a_grant_ends_after_it_starts():
    document = grant_document()
    first = document.vesting[0]
    with pytest.raises(ConfigError, match=r"genesis.vesting\[1\].holder: this account has a grant already"):
        replace(document, vesting=(first, replace(document.vesting[1], holder=first.holder)))
    with pytest.raises(ConfigError, match=r"genesis.vesting\[0\].end: the end must be after the start"):
        replace(document, vesting=(replace(first, end=first.start), document.vesting[1]))


def test_a_network_without_grants_has_an_empty_list():
    document = grant_document()
    moved = replace(document.allocations[0], amount=2 * TOTAL)
    block = genesis_block(replace(document, vesting=(), allocations=(*document.allocations, moved)))
    assert VESTING not in block.changes.storage


# Arithmetic

WEI = st.integers(1, 10**28)


@given(WEI, st.integers(0, 2**40), st.integers(1, 2**40), st.lists(st.integers(0, 2**41), min_size=1, max_size=6))
def test_release_never_passes_what_time_allows(total, start, length, times):
    terms, released = Terms(1, start, start + length), 0
    for time in sorted(times):
        grant = Grant(0, terms, Paid(total, released), Stake(0, 0))
        amount = grant.releasable(time)
        released += amount
        assert 0 <= amount
        assert released * length <= total * max(0, min(time - start, length))
        assert grant.locked(time) == total - released
    if max(times) >= start + length:
        assert released == total


@pytest.mark.parametrize(
    ("principal", "worth", "amount", "leaving"),
    [(10, 3, 1, 4), (10, 3, 3, 10), (10, 10, 4, 4), (10, 12, 2, 0), (10, 12, 3, 1), (10, 12, 12, 10), (0, 5, 5, 0)],
)
def test_awards_leave_first_and_a_shrunken_principal_in_equal_parts_rounded_up(principal, worth, amount, leaving):
    assert leaving_principal(principal, worth, amount) == leaving


@settings(max_examples=300)
@given(WEI, WEI, st.lists(st.integers(1, 10**6), min_size=1, max_size=5))
def test_leaving_bit_by_bit_takes_the_whole_principal_and_no_more(principal, worth, parts):
    have, left = worth, principal
    for part in [*parts, None]:
        amount = have if part is None else max(1, have * part // 10**7)
        if not have:
            break
        leaving = leaving_principal(left, have, amount)
        assert 0 <= leaving <= left
        if worth >= principal:
            assert leaving <= amount, "what is over the principal is the holder's"
        else:
            assert leaving >= amount, "nothing of a shrunken principal is an award"
        have, left = have - amount, left - leaving
        assert have >= left if worth >= principal else have <= left
    assert (have, left) == (0, 0)
