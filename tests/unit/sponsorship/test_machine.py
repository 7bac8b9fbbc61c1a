"""Everything anybody can do with a sponsored target, in any order: books, limits and coins always agree."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import FEES, STAKING
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.fees_contract import (
    BUY,
    FAIL,
    SHOP,
    ShopChain,
    shop_call,
)

GAS = 600_000
UNIT = GAS * PAID
USERS = range(1, 5)


class Sponsorships(RuleBasedStateMachine):
    """`spent` and `used` are what the model allows and counts; the chain must agree."""

    @initialize()
    def begin(self):
        self.chain = ShopChain(ChainParams(free_slots_per_block=2))
        self.rules = (GAS, 2, 4 * UNIT, False)
        self.deposit, self.listed = 0, set()
        self.spent, self.used = {}, {}
        self.supply = sum(map(self.chain.balance, self.accounts()))
        self.minted = self.chain.minted
        self.owner("claimSponsorship", SHOP, 0)
        self.owner("setSponsorRules", SHOP, *self.rules)
        self.fund(2 * UNIT)

    def accounts(self):
        return [*ADDRESSES[:12], FEES, STAKING, SHOP, ADDRESSES[-1]]

    def owner(self, name, *arguments, value=0):
        assert self.chain.owner_does(name, *arguments, value=value).receipt.succeeded

    @rule(units=st.integers(1, 3 * UNIT))
    def fund(self, units):
        self.owner("fundSponsorship", SHOP, value=units)
        self.deposit += units

    @rule(part=st.integers(0, 100))
    def withdraw(self, part):
        amount = self.deposit * part // 100
        if amount:
            self.owner("withdrawSponsorship", SHOP, amount, ADDRESSES[9])
            self.deposit -= amount

    @rule(gas=st.sampled_from([0, GAS - 1, GAS]), per_user=st.integers(0, 3), day=st.integers(0, 5), only=st.booleans())
    def change_rules(self, gas, per_user, day, only):
        self.owner("setSponsorRules", SHOP, gas, per_user, day * UNIT, only)
        self.rules = (gas, per_user, day * UNIT, only)

    @rule(user=st.sampled_from(USERS), allowed=st.booleans())
    def list_user(self, user, allowed):
        self.owner("setSponsoredUser", SHOP, ADDRESSES[user], allowed)
        (self.listed.add if allowed else self.listed.discard)(user)

    @rule(seconds=st.sampled_from([1, 3_600, 86_399, 86_400]))
    def wait(self, seconds):
        self.chain.advance((), seconds)

    @rule(
        offers=st.lists(
            st.tuples(
                st.sampled_from(USERS),
                st.sampled_from([BUY, FAIL, shop_call("spin(uint256)", 300)]),
                st.sampled_from([200_000, GAS, GAS + 1]),
                st.sampled_from([0, 0, 0, PAID - 1, PAID]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def block(self, offers):
        nonces = {user: self.chain.nonce(ADDRESSES[user]) for user in USERS}
        offered = []
        for user, data, gas, price in offers:
            offered.append(sign(KEYS[user], nonces[user], to=SHOP, gas=gas, price=price, data=data))
            nonces[user] += 1
        block, outcome = self.chain.advance(offered)
        for transaction, did in zip(block.transactions, outcome.transactions, strict=True):
            if did.lane is Lane.SPONSORED:
                self.note_sponsored(transaction, did)
            elif did.lane is Lane.PAID:
                assert transaction.effective_gas_price(0) >= PAID
            else:
                assert transaction.gas_limit <= 500_000

    def note_sponsored(self, transaction, did):
        user, most = ADDRESSES.index(transaction.sender), transaction.gas_limit * PAID
        gas, per_user, per_day, only = self.rules
        day = self.chain.head.timestamp // 86_400
        assert transaction.gas_limit <= gas
        assert user in self.listed or not only
        assert self.used.get((day, user), 0) < per_user
        assert self.spent.get(day, 0) + most <= per_day
        assert most <= self.deposit
        self.used[day, user] = self.used.get((day, user), 0) + 1
        fee = did.gas_used * PAID
        self.spent[day] = self.spent.get(day, 0) + fee
        self.deposit -= fee
        assert did.effective_gas_price == 0

    @invariant()
    def books_agree(self):
        if not hasattr(self, "supply"):
            return
        assert self.chain.balance(FEES) == self.chain.deposit == self.deposit
        total = sum(map(self.chain.balance, self.accounts()))
        assert total == self.supply + self.chain.minted - self.minted


Sponsorships.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestSponsorships = pytest.mark.slow(Sponsorships.TestCase)
