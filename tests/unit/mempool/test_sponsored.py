"""The pool and sponsored transactions: what is admitted, promised once, offered to blocks, given up."""

from __future__ import annotations

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.errors import InvalidTransaction, Underpriced
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.reasons import State
from cybermiles.mempool.service import MempoolService
from cybermiles.runtime.clock import ManualClock
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import KEYS, PAID, sign
from tests.fakes.fees_contract import CMT, OWNER, OWNER_KEY, SHOP, ShopChain, fee_call, sponsored

GAS = 600_000
COST = GAS * PAID


class Inline:
    """Runs at once and counts hand-overs."""

    def __init__(self):
        self.calls = 0

    async def run(self, function, *args, **kwargs):
        self.calls += 1
        return function(*args, **kwargs)


class Setup:
    def __init__(self, params=None, **rules):
        params = params or ChainParams()
        self.chain = ShopChain(params)
        if rules.pop("opened", True):
            self.chain.open(**rules)
        self.threads = Inline()
        self.service = MempoolService(
            pool=Pool(PoolLimits(), params),
            admission=Admission(ChainRules(fork=Fork.OSAKA, chain_id=181818), params, allow_unprotected=False),
            head=lambda: self.chain.state,
            clock=ManualClock(self.chain.head.timestamp * 1_000),
            threads=self.threads,
            publish=lambda event: None,
        )
        self.pool = self.service.pool

    async def offer(self, *transactions):
        """Which of them the pool takes."""
        results = await self.service.submit_batch([tx.raw for tx in transactions])
        return [not isinstance(result, InvalidTransaction) for result in results]

    def commit(self, transactions=None, seconds=1):
        """A block of these, or of what the pool offers; the lanes of what was taken."""
        offered = self.service.candidates() if transactions is None else transactions
        block, outcome = self.chain.advance(offered, seconds)
        self.service.block_committed(block, outcome)
        return [tx.lane for tx in outcome.transactions]

    def owner(self, name, *arguments, value=0):
        self.commit([fee_call(OWNER_KEY, self.chain.nonce(OWNER), name, *arguments, value=value)])


@pytest.mark.asyncio
async def test_a_large_transaction_is_admitted_where_a_deposit_pays_and_a_block_takes_it():
    setup = Setup()
    assert await setup.offer(sponsored(KEYS[1])) == [True]
    assert setup.commit() == [Lane.SPONSORED]
    assert len(setup.pool) == 0
    assert setup.pool.promises.targets == ()


@pytest.mark.asyncio
async def test_one_that_nobody_pays_for_is_refused_before_its_signature_is_looked_at():
    setup = Setup(opened=False)
    with pytest.raises(Underpriced, match="over the free limit"):
        await setup.service.submit(sponsored(KEYS[1]).raw)
    with pytest.raises(Underpriced):
        await setup.service.submit(sponsored(KEYS[1], to=None).raw)
    assert setup.threads.calls == 0


@pytest.mark.asyncio
async def test_the_refusal_says_why_the_sponsor_does_not_pay():
    setup = Setup(only_listed=True)
    with pytest.raises(Underpriced, match=r"2 gwei .*; the recipient's sponsor pays for listed users only"):
        await setup.service.submit(sponsored(KEYS[1]).raw)
    with pytest.raises(Underpriced, match="pays for at most 1000000 gas"):
        await setup.service.submit(sponsored(KEYS[1], gas=1_000_001).raw)


@pytest.mark.asyncio
async def test_a_deposit_is_promised_once_and_again_when_a_promise_is_gone():
    setup = Setup(deposit=3 * COST - 1, per_user=9)
    assert await setup.offer(*[sponsored(KEYS[n]) for n in (1, 2, 3)]) == [True, True, False]
    cheaper = sponsored(KEYS[2], gas=GAS - 1)
    assert await setup.offer(cheaper) == [True], "what it replaces is not counted twice"
    assert await setup.offer(sponsored(KEYS[3], gas=GAS)) == [True]
    assert setup.commit() == [Lane.SPONSORED] * 3


@pytest.mark.asyncio
async def test_a_users_limit_counts_what_is_pending():
    setup = Setup(per_user=2)
    offers = [sponsored(KEYS[1], nonce) for nonce in range(3)]
    assert await setup.offer(*offers) == [True, True, False]
    assert await setup.offer(sponsored(KEYS[1], 1, gas=GAS + 1), sponsored(KEYS[2])) == [True, True]
    assert setup.commit() == [Lane.SPONSORED] * 3
    assert await setup.offer(sponsored(KEYS[1], 2)) == [False]


@pytest.mark.asyncio
async def test_the_balance_needed_is_the_value_alone():
    setup = Setup()
    poor = (77).to_bytes(32)
    assert await setup.offer(sponsored(poor), sponsored((78).to_bytes(32), value=1)) == [True, False]
    assert await setup.offer(sponsored((79).to_bytes(32), price=1)) == [True]
    assert setup.commit() == [Lane.SPONSORED] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["withdraw", "close", "lower", "spend"])
async def test_when_the_deposit_covers_them_no_more_the_newest_leave_the_pool(how):
    setup = Setup(deposit=3 * COST, per_user=9)
    first, second = sponsored(KEYS[1]), sponsored(KEYS[2])
    third, small = sponsored(KEYS[3], gas=GAS - 50_000), sponsored(KEYS[4], gas=50_000)
    assert await setup.offer(first, second, third, small) == [True] * 4
    if how == "withdraw":
        setup.owner("withdrawSponsorship", SHOP, 2 * COST, OWNER)
        kept = [first]
    elif how == "close":
        setup.owner("setSponsorRules", SHOP, 0, 0, 0, False)
        kept = []
    elif how == "lower":
        setup.owner("setSponsorRules", SHOP, GAS - 1, 9, 100 * CMT, False)
        kept = [third]
    else:
        setup.commit([sponsored(KEYS[9], 0), sponsored(KEYS[9], 1)])
        kept = [first, second]
    assert [tx for tx in (first, second, third) if setup.pool.get(tx.hash)] == kept
    assert setup.pool.get(small.hash), "a small one may still be free"
    for gone in {first, second, third} - {*kept}:
        status = setup.service.status(gone.hash)
        assert (status.state, status.reason) == (State.DROPPED, "the recipient's sponsor does not pay for it any more")
    assert setup.commit()[1:] == [Lane.SPONSORED] * len(kept)


@pytest.mark.asyncio
async def test_a_block_without_a_change_of_the_deposit_leaves_promises_alone():
    setup = Setup()
    await setup.offer(sponsored(KEYS[1]))
    setup.commit([sign(KEYS[5], 0)])
    assert len(setup.pool) == 1


@pytest.mark.asyncio
async def test_paying_more_comes_first_and_the_floor_is_what_a_sponsor_pays():
    setup = Setup()
    dear, floor = sign(KEYS[5], 0, gas=GAS, price=2 * PAID), sign(KEYS[6], 0, gas=GAS, price=PAID)
    mine, later = sponsored(KEYS[1]), sign(KEYS[7], 0, gas=GAS, price=PAID)
    await setup.offer(floor, mine, later, dear)
    assert list(setup.service.candidates()) == [dear, floor, mine, later]


@pytest.mark.asyncio
async def test_small_ones_beyond_the_free_lane_are_offered_at_the_floor_and_nothing_twice():
    setup = Setup(ChainParams(free_slots_per_block=1), per_user=9)
    small = [sponsored(KEYS[n], gas=100_000) for n in range(1, 6)]
    following = sponsored(KEYS[1], 1, gas=100_000)
    stranger = sign(KEYS[20], 0)
    await setup.offer(stranger, *small, following)
    offered = list(setup.service.candidates())
    assert len(offered) == len(set(offered)) == 7
    assert setup.commit() == [Lane.FREE] + [Lane.SPONSORED] * 6
    assert len(setup.pool) == 0


@pytest.mark.asyncio
async def test_without_a_deposit_small_ones_wait_for_free_slots():
    setup = Setup(ChainParams(free_slots_per_block=1), opened=False)
    await setup.offer(*[sponsored(KEYS[n], gas=100_000) for n in range(1, 6)])
    assert len(setup.service.candidates()) == 2
    assert setup.commit() == [Lane.FREE]
    assert len(setup.pool) == 4


@pytest.mark.asyncio
async def test_a_flood_that_one_deposit_opens_the_pool_to_is_as_large_as_the_deposit():
    setup = Setup(deposit=2 * COST)
    taken = await setup.offer(*[sponsored(KEYS[n]) for n in range(1, 200)])
    assert sum(taken) == 2
