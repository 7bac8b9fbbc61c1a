"""Everything a holder can do with a grant, with slashes and time between: coins agree with the books, locks hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.staking.layout import ledger_of
from cybermiles.vesting.grants import stake_account
from tests.factories import double_vote
from tests.fakes.grants import ABI, CMT, DURATION, FOUNDERS, HOLDER, STAKING_ABI, TOTAL, UNBONDING, GrantChain


class Grants(RuleBasedStateMachine):
    """`awards` is what the contract says it paid; everything else the holder has came from what time released."""

    @initialize()
    def begin(self):
        self.chain = GrantChain()
        self.first = self.chain.balance(HOLDER)
        self.gas = self.awards = self.own = 0
        self.slashed = []

    def call(self, name, *arguments):
        outcome = self.chain.run(name, *arguments)
        self.note(outcome)
        return outcome

    def note(self, outcome):
        self.gas += outcome.gas_used * outcome.effective_gas_price

    def wait_for(self, seconds, **more):
        _, outcome = self.chain.advance((), seconds, **more)
        self.hear(outcome)

    def hear(self, outcome):
        for log in outcome.system_logs:
            if log.topics[0] == ABI.events["LockedReturned"].topic:
                self.awards += int.from_bytes(log.data[64:96])

    @rule(founder=st.sampled_from(FOUNDERS), amount=st.sampled_from([1_000, 40_000, 900_000]))
    def delegate(self, founder, amount):
        self.call("delegateLocked", founder, amount * CMT)

    @rule(founder=st.sampled_from(FOUNDERS), part=st.sampled_from([1, 10, 50, 99, 100]))
    def undelegate(self, founder, part):
        _, worth = self.chain.ask("lockedStake", HOLDER, founder)
        self.call("undelegateLocked", founder, 2**256 - 1 if part == 100 else worth * part // 100)

    @rule()
    def release(self):
        self.call("release")

    @rule(seconds=st.sampled_from([1, 100, UNBONDING, DURATION // 7]))
    def wait(self, seconds):
        self.wait_for(seconds)

    @rule()
    def slash(self):
        """The second founder signs twice, once in a chain's life."""
        height = self.chain.head.height
        members = self.chain.validators(height)
        liar = next((v for v in members.validators if v.operator == FOUNDERS[1]), None) if height else None
        if liar is not None and not self.slashed:
            self.slashed.append(height)
            self.wait_for(1, evidence=[double_vote(self.chain.chain, liar, height).encode()])

    @invariant()
    def books_agree(self):
        if not hasattr(self, "slashed"):
            return
        chain = self.chain
        total, released, staked, lost = chain.grant()
        held = total - released - staked - lost
        assert chain.balance(VESTING) == chain.held() == held + TOTAL, "the other grant is untouched"
        passed = min(max(chain.head.timestamp - chain.start, 0), DURATION)
        assert released * DURATION <= total * passed
        assert chain.ask("releasable", HOLDER) + released <= total
        assert lost == 0 or self.slashed
        assert chain.balance(STAKING) >= ledger_of(chain.staking).liabilities
        assert chain.balance(stake_account(HOLDER)) == 0
        principals = sum(chain.ask("lockedStake", HOLDER, founder)[0] for founder in FOUNDERS)
        assert principals <= staked

    @invariant()
    def nobody_has_more_than_time_and_awards_gave(self):
        if not hasattr(self, "slashed"):
            return
        released = self.chain.grant()[1]
        # Blocks of the holder's calls may pay exits too, so awards are counted from below.
        assert self.chain.balance(HOLDER) + self.gas - self.first - released >= self.awards
        out = self.chain.balance(HOLDER) + self.gas - self.first - released
        assert out <= self.chain.minted + self.gas

    def teardown(self):
        if not hasattr(self, "slashed"):
            return
        for founder in FOUNDERS:
            if self.chain.ask("lockedStake", HOLDER, founder)[1]:
                self.call("undelegateLocked", founder, 2**256 - 1)
        self.wait_for(DURATION + UNBONDING)
        self.wait_for(1)
        self.call("release")
        total, released, staked, lost = self.chain.grant()
        assert (released, staked) == (total - lost, 0), "at the end everything that was not slashed is the holder's"
        assert STAKING_ABI


Grants.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestGrants = pytest.mark.slow(Grants.TestCase)
