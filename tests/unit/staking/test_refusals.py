"""Every refusal of every operation: its error, its arguments, and that nothing is left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cybermiles.crypto import ed25519
from cybermiles.staking import errors
from cybermiles.staking.delegations import ALL
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from tests.fakes.staking import CMT, account, consensus_key

M = 1_000_000 * CMT
T = 1_000 * CMT


@dataclass
class Case:
    desc: str
    act: Any
    error: Any
    before: Any = lambda s: None


def jailed(s):
    for _ in range(8):
        s.end(absent=[1])


def tombstoned(s):
    s.begin(offences=[Offence(s.sets[1].validators[0])]) if s.height > 1 else (s.end(), tombstoned(s))


class Offence:
    def __init__(self, member):
        self.validator, self.height, self.evidence_hash = member, 1, b"\x0f" * 32


def barred(s):
    """Return the owner of who was tombstoned."""
    return next(n for n in range(4) if account(n) == s.sets[1].validators[0].operator)


def rates_used_up(s):
    for step in range(8):
        rate = 200_000 - step
        s.act("update_candidacy", 0, 0, rate, 0)
        s.delegate(10 + step, 0, T)


def exits_used_up(s):
    s.delegate(10, 0, 100 * T)
    for _ in range(32):
        s.undelegate(10, 0, 1)


def moved(s):
    s.delegate(10, 0, 10 * T)
    s.redelegate(10, 0, 1, 5 * T)


def withdrawn(s):
    s.act("withdraw", 0)


PUBLIC = ed25519.public_key(consensus_key(77))
CASES = [
    Case("delegate to nobody", lambda s: s.delegate(10, 11, T), errors.UnknownValidator(account(11))),
    Case("delegate nothing", lambda s: s.delegate(10, 0, 0), errors.BelowMinimum(1)),
    Case("delegate too little", lambda s: s.delegate(10, 0, T - 1), errors.BelowMinimum(T)),
    Case("delegate over the cap", lambda s: s.delegate(10, 0, 9 * M + 1), errors.StakeCapReached(10 * M, 10 * M + 1)),
    Case("delegate to the barred", lambda s: s.delegate(10, barred(s), T), errors.ValidatorTombstoned(), tombstoned),
    Case("delegate to who withdrew", lambda s: s.delegate(10, 0, T), errors.ValidatorWithdrawn(), withdrawn),
    Case("undelegate from nobody", lambda s: s.undelegate(10, 11, T), errors.UnknownValidator(account(11))),
    Case("undelegate without a delegation", lambda s: s.undelegate(10, 0, T), errors.NotEnoughStake(0, T)),
    Case("undelegate all of nothing", lambda s: s.undelegate(10, 0, ALL), errors.NotEnoughStake(0, ALL)),
    Case("undelegate nothing", lambda s: s.undelegate(10, 0, 0), errors.BelowMinimum(1), moved),
    Case("undelegate more than there is", lambda s: s.undelegate(10, 0, 5 * T + 1), errors.NotEnoughStake(5 * T, 5 * T + 1), moved),
    Case("an owner goes under its part", lambda s: s.undelegate(0, 0, 1), errors.SelfStakeTooLow(M, M - 1)),
    Case("an owner goes wholly", lambda s: s.undelegate(0, 0, ALL), errors.SelfStakeTooLow(M, 0)),
    Case("one exit more", lambda s: s.undelegate(10, 0, 1), errors.TooManyExits(32), exits_used_up),
    Case("redelegate to where it is", lambda s: s.redelegate(10, 0, 0, T), errors.SameValidator()),
    Case("redelegate from nobody", lambda s: s.redelegate(10, 11, 0, T), errors.UnknownValidator(account(11))),
    Case("redelegate to nobody", lambda s: s.redelegate(10, 0, 11, T), errors.UnknownValidator(account(11))),
    Case("redelegate what is not there", lambda s: s.redelegate(10, 0, 1, T), errors.NotEnoughStake(0, T)),
    Case("a second hop", lambda s: s.redelegate(10, 1, 2, T), errors.CooldownUntil(1_700_000_101), moved),
    Case("a second arrival", lambda s: s.redelegate(10, 0, 1, T), errors.CooldownUntil(1_700_000_101), moved),
    Case("redelegate too little", lambda s: s.redelegate(10, 0, 2, T - 1), errors.BelowMinimum(T), moved),
    Case("an owner moves its part", lambda s: s.redelegate(0, 0, 1, T), errors.SelfStakeTooLow(M, M - T)),
    Case("declare twice", lambda s: s.declare(0), errors.AlreadyValidator(account(0))),
    Case("declare with a rate of nothing", lambda s: s.declare(9, rate=0), errors.BadCompRate(999_999, 0)),
    Case("declare with a rate of all", lambda s: s.declare(9, rate=10**6), errors.BadCompRate(999_999, 10**6)),
    Case("declare a cap over the supply", lambda s: s.declare(9, cap=10**28 + 1), errors.StakeCapReached(10**28, 10**28 + 1)),
    Case("declare a cap under the stake", lambda s: s.declare(9, cap=M - 1), errors.StakeCapReached(M - 1, M)),
    Case("declare too little", lambda s: s.declare(9, stake=T - 1), errors.BelowMinimum(T)),
    Case("declare too little of the cap", lambda s: s.declare(9, cap=10 * M + 1), errors.SelfStakeTooLow(M + 1, M)),
    Case("declare a long name", lambda s: s.declare(9, profile=("é" * 33, "", "", "", "")), errors.TextTooLong("name", 64)),
    Case("declare a short key", lambda s: s.declare(9, public=PUBLIC[:31]), errors.BadConsensusKey()),
    Case("declare another's key", lambda s: s.declare(9, key=consensus_key(0)), errors.ConsensusKeyUsed()),
    Case("declare with another's proof", lambda s: s.declare(9, public=PUBLIC), errors.BadKeyProof()),
    Case("declare with half a proof", lambda s: s.declare(9, proof=b"\x01" * 63), errors.BadKeyProof()),
    Case("profile of nobody", lambda s: s.act("update_profile", 9, ("",) * 5), errors.UnknownValidator(account(9))),
    Case("a long text", lambda s: s.act("update_profile", 0, ("", "", "", "", "x" * 1025)), errors.TextTooLong("about", 1024)),
    Case("update of nobody", lambda s: s.act("update_candidacy", 9, 0, 0, 0), errors.UnknownValidator(account(9))),
    Case("update to a rate of all", lambda s: s.act("update_candidacy", 0, 0, 10**6, 0), errors.BadCompRate(999_999, 10**6)),
    Case("update to a larger cap", lambda s: s.act("update_candidacy", 0, 11 * M, 0, 0), errors.SelfStakeTooLow(11 * M // 10, M)),
    Case("update over the supply", lambda s: s.act("update_candidacy", 0, 10**29, 0, 0), errors.StakeCapReached(10**28, 10**29)),
    Case("top up over the cap", lambda s: s.act("update_candidacy", 0, M, 0, 1, value=1), errors.StakeCapReached(M, M + 1)),
    Case("update of the barred", lambda s: s.act("update_candidacy", barred(s), 0, 0, 0), errors.ValidatorTombstoned(), tombstoned),
    Case("update of who withdrew", lambda s: s.act("update_candidacy", 0, 0, 0, 0), errors.ValidatorWithdrawn(), withdrawn),
    Case("one rate more", lambda s: s.act("update_candidacy", 0, 0, 7, 0), errors.TooManyRates(8), rates_used_up),
    Case("grant one rate more", lambda s: s.grant(0, 10, 7), errors.TooManyRates(8), rates_used_up),
    Case("rotate of nobody", lambda s: s.rotate(9, consensus_key(77)), errors.UnknownValidator(account(9))),
    Case("rotate to another's key", lambda s: s.rotate(0, consensus_key(1)), errors.ConsensusKeyUsed()),
    Case("rotate to the own key", lambda s: s.rotate(0, consensus_key(0)), errors.ConsensusKeyUsed()),
    Case("rotate with a proof for another owner", lambda s: s.rotate(0, consensus_key(77), signer=1), errors.BadKeyProof()),
    Case("rotate with a proof for another chain", lambda s: s.rotate(0, consensus_key(77), chain_id=18), errors.BadKeyProof()),
    Case("rotate of the barred", lambda s: s.rotate(barred(s), consensus_key(77)), errors.ValidatorTombstoned(), tombstoned),
    Case("grant by nobody", lambda s: s.grant(9, 10, 1), errors.UnknownValidator(account(9))),
    Case("grant nothing", lambda s: s.grant(0, 10, 0), errors.BadCompRate(200_000, 0), moved),
    Case("grant more than the own rate", lambda s: s.grant(0, 10, 200_001), errors.BadCompRate(200_000, 200_001), moved),
    Case("grant oneself", lambda s: s.grant(0, 0, 1), errors.NotAllowed()),
    Case("grant a stranger", lambda s: s.grant(0, 12, 1), errors.NotEnoughStake(0, 1)),
    Case("grant by who withdrew", lambda s: s.grant(0, 10, 1), errors.ValidatorWithdrawn(), withdrawn),
    Case("activate nobody", lambda s: s.act("activate", 9), errors.UnknownValidator(account(9))),
    Case("activate the active", lambda s: s.act("activate", 0), errors.AlreadyActive(True)),
    Case("activate in jail", lambda s: s.act("activate", 1), errors.ValidatorJailed(1_700_000_037), jailed),
    Case("activate the barred", lambda s: s.act("activate", barred(s)), errors.ValidatorTombstoned(), tombstoned),
    Case("activate who withdrew", lambda s: s.act("activate", 0), errors.ValidatorWithdrawn(), withdrawn),
    Case("deactivate nobody", lambda s: s.act("deactivate", 9), errors.UnknownValidator(account(9))),
    Case("deactivate the inactive", lambda s: s.act("deactivate", 0), errors.AlreadyActive(False), lambda s: s.act("deactivate", 0)),
    Case("deactivate who withdrew", lambda s: s.act("deactivate", 0), errors.ValidatorWithdrawn(), withdrawn),
    Case("withdraw nobody", lambda s: s.act("withdraw", 9), errors.UnknownValidator(account(9))),
    Case("withdraw twice", lambda s: s.act("withdraw", 0), errors.ValidatorWithdrawn(), withdrawn),
    Case("offer what one has not", lambda s: s.act("offer_ownership", 9, account(8)), errors.UnknownValidator(account(9))),
    Case("offer to a validator", lambda s: s.act("offer_ownership", 0, account(1)), errors.AlreadyValidator(account(1))),
    Case("offer to oneself", lambda s: s.act("offer_ownership", 0, account(0)), errors.NotAllowed()),
    Case("offer to nobody", lambda s: s.act("offer_ownership", 0, ZERO_ADDRESS), errors.NotAllowed()),
    Case("offer to a precompile", lambda s: s.act("offer_ownership", 0, Address(bytes(19) + b"\x01")), errors.NotAllowed()),
    Case("offer to a delegator", lambda s: s.act("offer_ownership", 0, account(10)), errors.NotAllowed(), moved),
    Case("accept what is not offered", lambda s: s.act("accept_ownership", 9, 1), errors.UnknownOffer(1)),
    Case("accept another's", lambda s: s.act("accept_ownership", 9, 1), errors.NotAllowed(), lambda s: s.act("offer_ownership", 0, account(8))),
    Case("verify by anybody", lambda s: s.act("set_verified", 0, account(1), verified=True), errors.NotAllowed()),
    Case("verify nobody", lambda s: s.act("set_verified", 39, account(9), verified=True), errors.UnknownValidator(account(9))),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.desc)
def test_what_the_rules_refuse_leaves_no_trace(staking, case):
    case.before(staking)
    balances = [staking.balance(number) for number in range(40)]
    words, events = staking.world.changes(), len(staking.log.entries)
    with pytest.raises(type(case.error)) as refused:
        case.act(staking)
    assert refused.value.arguments == case.error.arguments
    assert [staking.balance(number) for number in range(40)] == balances
    assert staking.world.changes() == words
    assert len(staking.log.entries) == events


def test_every_error_of_staking_is_in_the_table_or_tested_elsewhere():
    tabled = {type(case.error).__name__ for case in CASES}
    all_ = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.Refusal)
    }
    assert all_ - tabled == {"Refusal", "EvidenceRejected"}
