"""Who decides about a deposit, called by transactions and by a contract; every refusal, and what views say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import CREATE2_DEPLOYER, FEES, STAKING
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.simulate import AccountOverride
from cybermiles.sponsorship.layout import DEPOSIT_WORD, RULES_WORD, SPONSORSHIPS, USER_WORD, USERS, Rules
from cybermiles.state.slots import mapping_slot
from cybermiles.state.world import WorldState
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import contract_address
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.fees_contract import (
    ABI,
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

USER, OTHER = ADDRESSES[1:3]
NOBODY = bytes(20)
MOST = 2**96 - 1


@pytest.fixture
def chain():
    return ShopChain()


def run(chain, key, name, *arguments, value=0):
    """A call of the fees contract in a block; its outcome."""
    sender = ADDRESSES[KEYS.index(key)]
    return chain.advance([fee_call(key, chain.nonce(sender), name, *arguments, value=value)])[1].transactions[0]


def through(chain, name, *arguments, value=0, key=KEYS[3]):
    """The same by the shop itself."""
    sender = ADDRESSES[KEYS.index(key)]
    data = shop_call("act(bytes)", calldata(name, *arguments))
    tx = sign(key, chain.nonce(sender), to=SHOP, gas=500_000, price=PAID, data=data, value=value)
    return chain.advance([tx])[1].transactions[0]


def error(name, *arguments):
    return ABI.errors[name].encode(arguments)


def owner_of(chain, target=SHOP):
    return chain.ask("sponsorBudget", target)[0][0]


def logged(outcome, name, *arguments):
    topics, data = ABI.events[name].encode(arguments)
    return [(log.address, log.topics, log.data) for log in outcome.receipt.logs] == [(FEES, topics, data)]


def test_the_creator_proves_itself_by_address_and_nonce(chain):
    for key, nonce in ((KEYS[1], 0), (OWNER_KEY, 1), (OWNER_KEY, 2**64 - 1)):
        assert run(chain, key, "claimSponsorship", SHOP, nonce).output == error("NotCreator", SHOP)
    assert logged(run(chain, OWNER_KEY, "claimSponsorship", SHOP, 0), "SponsorOwnerSet", SHOP, OWNER)
    assert owner_of(chain) == OWNER
    assert run(chain, OWNER_KEY, "claimSponsorship", SHOP, 0).output == error("HasOwner", OWNER)


def test_a_contract_that_creates_one_is_its_creator_by_create_and_not_by_create2(chain):
    factory = shop_call("make(bytes,uint256)", shop_code(), 0)
    salted = shop_call("make(bytes,uint256)", shop_code(), 7)
    made = contract_address(SHOP, 1)
    for nonce, data in enumerate((factory, salted)):
        _, outcome = chain.advance([sign(KEYS[1], nonce, to=SHOP, gas=3_000_000, price=PAID, data=data)])
        assert outcome.transactions[0].receipt.succeeded
    assert chain.state.account(made) is not None
    assert run(chain, OWNER_KEY, "claimSponsorship", made, 1).output == error("NotCreator", made)
    assert through(chain, "claimSponsorship", made, 1).receipt.succeeded
    assert owner_of(chain, made) == SHOP
    salt = (7).to_bytes(32)
    made2 = keccak256(b"\xff" + SHOP + salt + keccak256(shop_code()))[12:]
    assert chain.state.account(made2) is not None
    for nonce in range(4):
        assert through(chain, "claimSponsorship", made2, nonce).output == error("NotCreator", made2)


def test_a_target_may_be_claimed_and_funded_before_it_exists(chain):
    later = contract_address(OTHER, 5)
    assert run(chain, KEYS[2], "claimSponsorship", later, 5).receipt.succeeded
    assert run(chain, KEYS[2], "fundSponsorship", later, value=7).receipt.succeeded
    before = chain.balance(OTHER)
    out = run(chain, KEYS[2], "withdrawSponsorship", later, 7, OTHER)
    assert chain.balance(OTHER) == before + 7
    assert logged(out, "SponsorshipChanged", later, 0)


def test_a_constructor_names_the_owner_and_the_creator_comes_too_late(chain):
    made = contract_address(USER, 0)
    deploy = sign(KEYS[1], 0, to=None, gas=2_000_000, price=PAID, data=shop_code(OTHER))
    assert chain.advance([deploy])[1].transactions[0].receipt.succeeded
    assert owner_of(chain, made) == OTHER
    assert run(chain, KEYS[1], "claimSponsorship", made, 0).output == error("HasOwner", OTHER)
    through_deployer = sign(
        KEYS[1], 2, to=CREATE2_DEPLOYER, gas=2_000_000, price=PAID, data=bytes(32) + shop_code(USER)
    )
    (did,) = chain.advance([through_deployer])[1].transactions
    assert did.receipt.succeeded
    assert did.receipt.logs[0].topics[2][12:] == USER


def test_the_target_itself_may_always_act_and_another_owner_replaces_the_first(chain):
    assert through(chain, "setSponsorOwner", SHOP, OTHER).receipt.succeeded
    assert run(chain, KEYS[2], "setSponsorOwner", SHOP, USER).receipt.succeeded
    assert run(chain, KEYS[2], "setSponsorRules", SHOP, 1, 1, 1, False).output == error("NotAllowed")
    assert run(chain, KEYS[1], "setSponsorRules", SHOP, 1, 1, 1, False).receipt.succeeded
    assert through(chain, "setSponsorOwner", SHOP, SHOP).receipt.succeeded
    assert run(chain, KEYS[1], "setSponsorRules", SHOP, 2, 1, 1, False).output == error("NotAllowed")
    assert run(chain, OWNER_KEY, "claimSponsorship", SHOP, 0).output == error("HasOwner", SHOP)
    assert through(chain, "setSponsorRules", SHOP, 2, 1, 1, False).receipt.succeeded


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("setSponsorOwner", (SHOP, USER)),
        ("setSponsorRules", (SHOP, 1, 1, 1, False)),
        ("setSponsoredUser", (SHOP, USER, True)),
        ("withdrawSponsorship", (SHOP, 1, USER)),
    ],
)
def test_strangers_decide_nothing_with_or_without_an_owner(chain, name, arguments):
    assert run(chain, KEYS[1], name, *arguments).output == error("NotAllowed")
    chain.open()
    assert run(chain, KEYS[1], name, *arguments).output == error("NotAllowed")
    free_for_nobody = (NOBODY, *arguments[1:])
    assert run(chain, KEYS[1], name, *free_for_nobody).output == error("NotAllowed")
    message = CallMessage(sender=NOBODY, to=FEES, gas=10**6, data=calldata(name, OTHER, *arguments[1:]))
    assert chain.simulation.call(message, compute_units=10_000).output == error("NotAllowed"), "as of no owner"


def test_every_refused_argument_has_its_error(chain):
    assert run(chain, KEYS[1], "fundSponsorship", SHOP, value=5).output == error("NoOwner", SHOP)
    for name, arguments in (("setSponsorRules", (SHOP, 1, 1, 1, False)), ("setSponsoredUser", (SHOP, USER, True))):
        assert through(chain, name, *arguments).output == error("NoOwner", SHOP)
    assert through(chain, "setSponsorOwner", SHOP, NOBODY).output == error("NoOwner", SHOP)
    chain.open(deposit=10)
    assert run(chain, OWNER_KEY, "setSponsorOwner", SHOP, NOBODY).output == error("NoOwner", SHOP)
    assert run(chain, KEYS[1], "fundSponsorship", SHOP).output == error("NothingSent")
    assert run(chain, OWNER_KEY, "withdrawSponsorship", SHOP, 0, USER).output == error("NothingSent")
    assert run(chain, OWNER_KEY, "withdrawSponsorship", SHOP, 11, USER).output == error("NotEnoughDeposit", 10, 11)
    for to in (NOBODY, FEES, STAKING, (1).to_bytes(20)):
        assert run(chain, OWNER_KEY, "withdrawSponsorship", SHOP, 1, to).output == error("BadRecipient", to)
    for name, arguments in (("setSponsorRules", (SHOP, 1, 1, 1, False)), ("withdrawSponsorship", (SHOP, 1, USER))):
        assert run(chain, OWNER_KEY, name, *arguments, value=1).output == b""
    assert chain.deposit == chain.balance(FEES) == 10


def test_a_call_that_pretends_to_have_more_coins_than_there_are_is_refused(chain):
    chain.open(deposit=1)
    rich = {USER: AccountOverride(balance=2**128)}
    for value, fine in ((MOST - 1, True), (MOST, False), (2**128, False)):
        message = CallMessage(sender=USER, to=FEES, gas=10**6, value=value, data=calldata("fundSponsorship", SHOP))
        result = replace(chain.simulation, overrides=rich).call(message, compute_units=10_000)
        assert (result.failure is None) == fine
        assert result.output == (b"" if fine else error("NotAllowed"))


@pytest.mark.parametrize("taking", [("withdrawSponsorship", SHOP, 1, OWNER), ("setSponsorOwner", SHOP, USER)])
def test_whose_coins_are_frozen_can_neither_take_deposits_out_nor_give_them_away(chain, taking):
    chain.open()
    message = CallMessage(sender=OWNER, to=FEES, gas=10**6, data=calldata(*taking))
    context = chain.simulation._context()
    for frozen, fine in (((), True), ((OWNER,), False), ((SHOP,), False), ((USER,), True)):
        result = chain.chain.backend.call(
            WorldState(chain.state), replace(context, frozen=frozenset(frozen)), message, compute_units=10_000
        )
        assert (result.failure is None) == fine


def test_words_lie_where_the_layout_says(chain):
    chain.open(deposit=123, max_gas=7, per_user=8, per_day=9, only_listed=True)
    run(chain, OWNER_KEY, "setSponsoredUser", SHOP, USER, True)
    slot = mapping_slot(SPONSORSHIPS, SHOP)
    deposit = DEPOSIT_WORD.load(chain.storage, slot)
    assert (deposit.owner.to_bytes(20), deposit.amount) == (OWNER, 123)
    assert RULES_WORD.load(chain.storage, slot + 1) == Rules(9, 7, 8, 1)
    assert USER_WORD.load(chain.storage, mapping_slot(USERS, SHOP, USER)).listed == 1
    assert chain.ask("sponsoredUser", SHOP, USER) == (True, 0)
    assert chain.ask("sponsoredUser", SHOP, OTHER) == (False, 0)


# What a transaction would be


@pytest.mark.parametrize(
    ("gas", "price", "to", "lane", "fee", "why"),
    [
        (20_999, 0, SHOP, 3, 0, "a transaction has from 21000 to 16777216 gas"),
        (21_000, 0, SHOP, 0, 0, "free: the gas limit is at most 500000, while the block has a free slot"),
        (500_000, 5 * PAID, SHOP, 0, 0, "free: "),
        (500_001, PAID, SHOP, 1, 500_001 * PAID, "paid by the sender: the price is at least 2 gwei"),
        (500_001, PAID - 1, SHOP, 2, 0, "paid by the recipient's sponsor"),
        (
            1_000_001,
            0,
            SHOP,
            3,
            0,
            "gas limit 1000001 is over the free limit 500000: set a gas price of at least 2 gwei",
        ),
        (500_001, 0, NOBODY, 3, 0, "gas limit 500001 is over the free limit 500000"),
        (500_001, 0, OTHER, 3, 0, "gas limit 500001 is over the free limit 500000"),
        (2**24, 2**255, SHOP, 1, 2**256 - 1, "paid by the sender"),
        (2**24 + 1, PAID, SHOP, 3, 0, "a transaction has from"),
    ],
)
def test_a_quote_names_lane_fee_and_reason(gas, price, to, lane, fee, why):
    chain = ShopChain().open()
    said = chain.ask("quote", USER, to, gas, price)
    assert said[:2] == (lane, fee)
    assert said[2].startswith(why)


def test_a_quote_is_what_the_next_block_does():
    chain = ShopChain().open(per_user=1)
    for gas, price in ((500_000, 0), (600_000, 0), (600_000, PAID), (1_000_001, 0)):
        lane, fee, _ = chain.ask("quote", USER, SHOP, gas, price)
        done = chain.build([sponsored(KEYS[1], gas=gas, price=price)])[1].transactions
        assert [tx.lane for tx in done] == ([] if lane == 3 else [lane])
        assert all(tx.gas_used * tx.effective_gas_price <= fee for tx in done)
    chain.advance([sponsored(KEYS[1])])
    assert chain.ask("quote", USER, SHOP, 600_000, 0)[0] == 3
    assert chain.ask("quote", OTHER, SHOP, 600_000, 0)[0] == 2


def test_rules_and_the_free_lane_can_be_read():
    chain = ShopChain(ChainParams(free_slots_per_block=9, min_gas_price=PAID + 1))
    assert chain.ask("rules") == (500_000, PAID + 1, 9, 20_000_000, 1)
    assert chain.ask("freeLaneNow") == (0, 0, chain.head.height - 1)
    chain.advance([sign(KEYS[1], 0, gas=30_000), sign(KEYS[2], 0, gas=40_000)])
    used = chain.head.height
    assert chain.ask("freeLaneNow") == (2, 70_000, used)
    chain.advance()
    assert chain.ask("freeLaneNow") == (2, 70_000, used)
    chain.advance()
    assert chain.ask("freeLaneNow") == (0, 0, used + 1)


def test_a_transaction_sees_the_free_lane_of_the_block_before_it():
    chain = ShopChain()
    chain.advance([sign(KEYS[1], 0, gas=30_000)])
    _, outcome = chain.advance(
        [
            sign(KEYS[2], 0, gas=40_000),
            sign(KEYS[3], 0, to=SHOP, gas=300_000, price=PAID, data=shop_call("act(bytes)", calldata("freeLaneNow"))),
        ]
    )
    assert outcome.transactions[1].receipt.succeeded
    assert chain.ask("freeLaneNow") == (2, 340_000, chain.head.height)


CALLS = {
    "claimSponsorship": (SHOP, 0),
    "setSponsorOwner": (SHOP, OWNER),
    "setSponsorRules": (SHOP, 5, 6, 7, True),
    "setSponsoredUser": (SHOP, USER, True),
    "fundSponsorship": (SHOP,),
    "withdrawSponsorship": (SHOP, 1, USER),
    "quote": (USER, SHOP, 600_000, 0),
    "sponsorBudget": (SHOP,),
    "sponsoredUser": (SHOP, USER),
    "rules": (),
    "freeLaneNow": (),
}


def test_the_calls_below_are_all_there_are():
    assert CALLS.keys() == ABI.functions.keys()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("opened", [False, True])
def test_calls_and_estimates_agree_with_execution(name, opened):
    chain = ShopChain()
    if opened:
        chain.open()
    value = 3 if name == "fundSponsorship" else 0
    data = calldata(name, *CALLS[name])
    message = CallMessage(sender=OWNER, to=FEES, gas=1_000_000, data=data, value=value)
    said = chain.simulation.call(message, compute_units=100_000)
    gas = 400_000 if said.failure is not None else chain.simulation.estimate_gas(message)
    tx = sign(OWNER_KEY, chain.nonce(OWNER), to=FEES, gas=gas, price=0, data=data, value=value)
    (did,) = chain.build([tx])[1].transactions
    assert (said.failure is None, said.gas_used, said.logs) == (did.receipt.succeeded, did.gas_used, did.receipt.logs)
    assert gas * 3 // 2 <= 500_000 or said.failure is not None


def test_an_estimate_of_a_sponsored_call_needs_no_coins():
    chain = ShopChain().open()
    poor = CallMessage(sender=b"\x55" * 20, to=SHOP, gas=1_000_000, data=shop_call("spin(uint256)", 4_000))
    gas = chain.simulation.estimate_gas(poor)
    assert gas > 500_000
    (did,) = chain.build([sponsored((77).to_bytes(32), gas=gas, data=poor.data)])[1].transactions
    assert did.receipt.succeeded
