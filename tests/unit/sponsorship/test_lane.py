"""The sponsored lane in blocks: who pays, how much, how often, and what nobody can do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import FEES, STAKING
from cybermiles.errors import InvalidBlock, InvalidTransaction, NotIncludable, Underpriced
from cybermiles.execution.block import BlockExecution
from cybermiles.execution.validation import apply_block, environment_of
from cybermiles.types.receipt import Log
from cybermiles.vm.backend import Failure
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.fees_contract import (
    ABI,
    BURN,
    BUY,
    CMT,
    FAIL,
    OWNER,
    OWNER_KEY,
    SHOP,
    ShopChain,
    calldata,
    fee_call,
    shop_call,
    shop_code,
    sponsored,
)

POOR_KEY = (77).to_bytes(32)
USER = ADDRESSES[1]


def execution(chain, seconds=1):
    """The next block, to apply transactions to one by one."""
    request = chain.request(seconds)
    block, _ = chain.build((), seconds)
    environment = environment_of(chain.parent, block.consensus, request.timestamp, ())
    return BlockExecution(chain.chain, chain.parent, environment)


def refusal(chain, transaction, seconds=1):
    """Why the next block does not take the transaction."""
    with pytest.raises(InvalidTransaction) as caught:
        execution(chain, seconds).apply(transaction)
    return caught.value


def event(user, fee):
    return Log(FEES, *ABI.events["Sponsored"].encode((SHOP, user, fee)))


def test_the_deposit_pays_for_the_gas_used_and_nobody_else_does():
    chain = ShopChain().open()
    user, shop, pot = chain.balance(USER), chain.balance(SHOP), chain.balance(STAKING)
    _, outcome = chain.advance([sponsored(KEYS[1])])
    (did,) = outcome.transactions
    fee = did.gas_used * PAID
    assert (did.lane, did.receipt.succeeded, did.effective_gas_price) == (Lane.SPONSORED, True, 0)
    assert did.receipt.logs[-1] == event(USER, fee)
    assert did.receipt.logs[0].data == bytes(32) + (CMT - 600_000 * PAID).to_bytes(32), "GASPRICE, and what is reserved"
    assert (chain.deposit, chain.balance(FEES)) == (CMT - fee, CMT - fee)
    assert (chain.balance(USER), chain.balance(SHOP)) == (user, shop)
    assert (outcome.fees, chain.balance(STAKING)) == (fee, pot + outcome.minted + fee)


def test_an_account_without_coins_can_be_sponsored():
    chain = ShopChain().open()
    _, outcome = chain.advance([sponsored(POOR_KEY)])
    assert outcome.transactions[0].lane is Lane.SPONSORED
    assert "insufficient funds" in str(refusal(chain, sponsored(POOR_KEY, 1, value=1)))


@pytest.mark.parametrize(("data", "failure"), [(FAIL, Failure.REVERT), (BURN, Failure.OUT_OF_GAS)])
def test_a_transaction_that_fails_is_paid_for_too_and_says_so(data, failure):
    chain = ShopChain().open()
    _, outcome = chain.advance([sponsored(KEYS[1], data=data)])
    (did,) = outcome.transactions
    assert (did.lane, did.receipt.succeeded, did.failure) == (Lane.SPONSORED, False, failure.value)
    assert did.receipt.logs == (event(USER, did.gas_used * PAID),)
    assert chain.deposit == CMT - did.gas_used * PAID
    assert chain.ask("sponsoredUser", SHOP, USER) == (False, 1)


@pytest.mark.parametrize(
    ("gas", "price", "lane"),
    [
        (500_000, 0, Lane.FREE),
        (500_001, 0, Lane.SPONSORED),
        (500_001, PAID - 1, Lane.SPONSORED),
        (500_001, PAID, Lane.PAID),
        (1_000_000, 0, Lane.SPONSORED),
        (1_000_001, 0, "the recipient's sponsor pays for at most 1000000 gas"),
    ],
)
def test_free_and_paid_come_before_sponsored(gas, price, lane):
    chain = ShopChain().open()
    transaction = sponsored(KEYS[1], gas=gas, price=price)
    if isinstance(lane, Lane):
        assert chain.build([transaction])[1].transactions[0].lane is lane
    else:
        error = refusal(chain, transaction)
        assert isinstance(error, Underpriced)
        assert str(error).endswith(f"for this transaction); {lane}")


def test_a_small_transaction_is_sponsored_where_the_free_lane_has_no_room_for_it():
    chain = ShopChain(ChainParams(free_slots_per_block=1)).open()
    offers = [sponsored(KEYS[1], gas=100_000), sponsored(KEYS[2], gas=100_000), sponsored(KEYS[1], 1, gas=100_000)]
    _, outcome = chain.advance([*offers, sign(KEYS[3], 0)])
    assert [tx.lane for tx in outcome.transactions] == [Lane.FREE, Lane.SPONSORED, Lane.SPONSORED]
    assert isinstance(
        refusal(ShopChain(ChainParams(free_slots_per_block=0)), sponsored(KEYS[1], gas=100_000)), NotIncludable
    )


@pytest.mark.parametrize("missing", [0, 1])
def test_the_deposit_covers_the_maximum_to_the_wei(missing):
    chain = ShopChain().open(deposit=600_000 * PAID - missing)
    if missing:
        text = f"the sponsor's deposit of {600_000 * PAID - 1} wei does not cover the {600_000 * PAID} wei"
        assert text in str(refusal(chain, sponsored(KEYS[1])))
    else:
        _, outcome = chain.advance([sponsored(KEYS[1]), sponsored(KEYS[2])])
        assert [tx.lane for tx in outcome.transactions] == [Lane.SPONSORED]


@pytest.mark.parametrize("missing", [0, 1])
def test_the_budget_of_a_day_counts_what_was_used_to_the_wei(missing):
    spent = ShopChain().open().advance([sponsored(KEYS[1])])[1].fees
    chain = ShopChain().open(per_day=spent + 600_000 * PAID - missing)
    chain.advance([sponsored(KEYS[1])])
    assert chain.ask("sponsorBudget", SHOP)[0][6] == spent
    if missing:
        assert "the recipient's sponsor pays" in str(refusal(chain, sponsored(KEYS[2])))
    else:
        assert execution(chain).apply(sponsored(KEYS[2])).lane is Lane.SPONSORED


def test_a_users_transactions_of_a_day_are_counted_and_a_day_ends_with_its_last_second():
    chain = ShopChain().open(per_user=2)
    chain.skip_to_next_day()
    _, outcome = chain.advance([sponsored(KEYS[1], nonce) for nonce in range(3)])
    assert [tx.lane for tx in outcome.transactions] == [Lane.SPONSORED] * 2
    assert chain.ask("sponsoredUser", SHOP, USER) == (False, 2)
    assert "pays for 2 transactions of a user a day" in str(refusal(chain, sponsored(KEYS[1], 2)))
    last_second = 86_400 - chain.head.timestamp % 86_400 - 1
    assert isinstance(refusal(chain, sponsored(KEYS[1], 2), last_second), Underpriced)
    assert execution(chain, last_second + 1).apply(sponsored(KEYS[1], 2)).lane is Lane.SPONSORED
    chain.skip_to_next_day()
    assert chain.ask("sponsoredUser", SHOP, USER) == (False, 0)
    assert chain.ask("sponsorBudget", SHOP)[0][6] == 0


def test_where_only_listed_users_are_sponsored_nobody_else_is():
    chain = ShopChain().open(only_listed=True)
    assert "listed users only" in str(refusal(chain, sponsored(KEYS[1])))
    assert chain.owner_does("setSponsoredUser", SHOP, USER, True).receipt.succeeded
    assert execution(chain).apply(sponsored(KEYS[1])).lane is Lane.SPONSORED
    assert chain.owner_does("setSponsoredUser", SHOP, USER, False).receipt.succeeded
    assert "listed users only" in str(refusal(chain, sponsored(KEYS[1])))


@pytest.mark.parametrize("rules", [{"max_gas": 0}, {"per_user": 0}, {"per_day": 0}])
def test_a_zero_in_the_rules_means_nothing_and_not_everything(rules):
    assert isinstance(refusal(ShopChain().open(**rules), sponsored(KEYS[1])), Underpriced)


def test_creations_and_strangers_are_not_sponsored():
    chain = ShopChain().open()
    for transaction in (sponsored(KEYS[1], to=None), sponsored(KEYS[1], to=ADDRESSES[5]), sponsored(KEYS[1], to=FEES)):
        assert str(refusal(chain, transaction)).endswith("for this transaction)")


def test_the_target_cannot_take_the_reserve_away_while_it_is_needed():
    chain = ShopChain().open()
    everything = CMT - 600_000 * PAID
    chain.owner_does("setSponsorOwner", SHOP, SHOP)
    too_much = shop_call("act(bytes)", calldata("withdrawSponsorship", SHOP, everything + 1, ADDRESSES[9]))
    _, outcome = chain.advance([sponsored(KEYS[1], data=too_much)])
    (did,) = outcome.transactions
    assert did.output == ABI.errors["NotEnoughDeposit"].encode((everything, everything + 1))
    left = CMT - did.gas_used * PAID
    rest = left - 600_000 * PAID
    before = chain.balance(ADDRESSES[9])
    take = shop_call("act(bytes)", calldata("withdrawSponsorship", SHOP, rest, ADDRESSES[9]))
    _, outcome = chain.advance([sponsored(KEYS[1], 1, data=take)])
    (did,) = outcome.transactions
    assert did.receipt.succeeded
    assert chain.balance(ADDRESSES[9]) == before + rest
    assert chain.deposit == chain.balance(FEES) == (600_000 - did.gas_used) * PAID


def test_rules_that_change_inside_the_transaction_hold_from_the_next_one_on():
    chain = ShopChain().open()
    stop = shop_call("act(bytes)", calldata("setSponsorRules", SHOP, 0, 0, 0, True))
    _, outcome = chain.advance([sponsored(KEYS[1], data=stop), sponsored(KEYS[2])])
    (did,) = outcome.transactions
    assert chain.deposit == CMT - did.gas_used * PAID
    assert chain.ask("sponsorBudget", SHOP)[0][6] == did.gas_used * PAID


def test_a_transaction_that_the_full_block_cuts_leaves_deposit_and_counters_alone():
    params = ChainParams(
        compute_units_per_block=100_000,
        compute_units_per_transaction=100_000,
        free_compute_units_per_block=2_000,
        free_compute_units_per_transaction=1_000,
    )
    chain = ShopChain(params).open(max_gas=10_000_000)
    spin = shop_call("spin(uint256)", 500)
    block = execution(chain)
    first = block.apply(sponsored(KEYS[1], data=spin, gas=10_000_000))
    block.apply(sponsored(KEYS[2], data=spin, gas=10_000_000))
    while True:
        try:
            block.apply(sponsored(KEYS[len(block.transactions) + 1], data=spin, gas=10_000_000))
        except NotIncludable as error:
            assert "compute budget" in str(error)
            break
    outcome = block.seal()
    paid = sum(tx.gas_used for tx in outcome.transactions) * PAID
    assert len({tx.gas_used for tx in outcome.transactions[1:]}) == 1 < len(outcome.transactions)
    assert outcome.fees == paid > first.gas_used * PAID
    assert outcome.changes.accounts[FEES][1] == CMT - paid


# Regressions of the original: domain.md, 11.2, 1 to 4


def test_nobody_burns_a_strangers_balance():
    """The original took gas · 2 gwei from whoever was called, where the caller's own transfer then failed."""
    chain = ShopChain()
    victim = ADDRESSES[7]
    for to in (victim, SHOP):
        for value in (0, 1, 10**30):
            assert isinstance(
                refusal(chain, sponsored(POOR_KEY, to=to, value=value, gas=8_000_000, data=b"\x01")), Underpriced
            )
    chain.open(max_gas=8_000_000)
    before = chain.balance(SHOP), chain.balance(victim)
    assert "insufficient funds" in str(refusal(chain, sponsored(POOR_KEY, value=10**30, gas=8_000_000)))
    assert (chain.balance(SHOP), chain.balance(victim), chain.deposit) == (*before, CMT)


def test_there_is_no_free_unlimited_execution():
    """The original kept the effects of a call that its target had not agreed to pay for, and charged nobody."""
    chain = ShopChain()
    chain.advance([sign(KEYS[3], 0, to=SHOP, value=500 * CMT, gas=100_000)])
    assert isinstance(
        refusal(chain, sponsored(KEYS[1], data=shop_call("spin(uint256)", 100), gas=8_000_000)), Underpriced
    )
    _, outcome = chain.advance([sponsored(KEYS[1], gas=8_000_000)])
    assert outcome.transactions == ()


def test_a_callee_cannot_make_its_caller_or_another_target_pay():
    """In the original any contract called inside could raise the flag that made the outer one pay."""
    chain = ShopChain().open()
    _, outcome = chain.advance([sign(KEYS[1], 0, to=None, gas=2_000_000, price=PAID, data=shop_code())])
    other = outcome.transactions[0].contract_address
    assert isinstance(refusal(chain, sponsored(KEYS[2], to=other)), Underpriced)
    steal = shop_call("act(bytes)", calldata("withdrawSponsorship", SHOP, 1, USER))
    grab = shop_call("act(bytes)", calldata("setSponsorOwner", SHOP, other))
    _, outcome = chain.advance(
        [sign(KEYS[2], n, to=other, gas=400_000, data=d) for n, d in enumerate((steal, grab))], 1
    )
    assert outcome.transactions[0].output == ABI.errors["NotAllowed"].selector
    assert chain.deposit == CMT


def test_what_sponsors_pay_is_an_award_and_no_coin_is_burnt():
    """The original burnt what contracts paid."""
    chain = ShopChain().open()
    accounts = [*ADDRESSES, FEES, STAKING, SHOP]
    before = sum(map(chain.balance, accounts))
    _, outcome = chain.advance([sponsored(KEYS[1]), sponsored(KEYS[2], data=FAIL)])
    assert outcome.burnt == 0
    assert outcome.fees == sum(tx.gas_used for tx in outcome.transactions) * PAID
    assert sum(map(chain.balance, accounts)) == before + outcome.minted


def test_a_block_that_calls_an_unsponsored_transaction_sponsored_is_invalid():
    chain, other = ShopChain().open(), ShopChain()
    block, _ = chain.build([sponsored(KEYS[1])])
    assert apply_block(chain.chain, chain.parent, block, ())
    for name in ("claimSponsorship", "setSponsorRules", "fundSponsorship"):
        arguments = {"claimSponsorship": (SHOP, 0), "setSponsorRules": (SHOP, 599_999, 9, CMT, False)}.get(
            name, (SHOP,)
        )
        other.owner_does(name, *arguments, value=CMT if name == "fundSponsorship" else 0)
    forged = replace(other.build()[0], transactions=block.transactions)
    with pytest.raises(InvalidBlock, match="over the free limit"):
        apply_block(other.chain, other.parent, forged, ())


def test_the_deposit_pays_the_price_that_is_in_force():
    chain = ShopChain(ChainParams(min_gas_price=7 * PAID)).open()
    _, outcome = chain.advance([sponsored(KEYS[1], price=7 * PAID - 1)])
    (did,) = outcome.transactions
    assert outcome.fees == did.gas_used * 7 * PAID == CMT - chain.deposit


def test_forced_coins_change_no_deposit():
    chain = ShopChain().open()
    bomb = bytes.fromhex("73") + FEES + bytes.fromhex("ff")
    _, outcome = chain.advance([sign(KEYS[4], 0, to=None, gas=200_000, value=5, data=bomb)])
    assert outcome.transactions[0].receipt.succeeded
    assert (chain.balance(FEES), chain.deposit) == (CMT + 5, CMT)
    assert execution(chain).apply(sponsored(KEYS[1])).lane is Lane.SPONSORED


def test_the_owner_may_be_a_user_and_withdraw_in_between():
    chain = ShopChain().open()
    nonce = chain.nonce(OWNER)
    _, outcome = chain.advance(
        [
            fee_call(OWNER_KEY, nonce, "withdrawSponsorship", SHOP, CMT - 600_000 * PAID, OWNER),
            sponsored(OWNER_KEY, nonce + 1, data=BUY),
            sponsored(KEYS[2]),
        ]
    )
    assert [tx.lane for tx in outcome.transactions] == [Lane.FREE, Lane.SPONSORED]
