"""Submission by the batch, statuses with their reasons, and the pool after blocks."""

from __future__ import annotations

import pytest

from cybermiles.chain.params import ChainParams
from cybermiles.errors import InvalidTransaction, Underpriced
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.reasons import State
from cybermiles.mempool.service import MempoolService
from cybermiles.runtime.clock import ManualClock
from cybermiles.types.events import TransactionDropped, TransactionsAdmitted
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, sign


class Inline:
    """A thread pool that runs at once and counts hand-overs."""

    def __init__(self):
        self.calls = 0

    async def run(self, function, *args, **kwargs):
        self.calls += 1
        return function(*args, **kwargs)


class Setup:
    def __init__(self, **limits):
        self.chain = MemoryChain()
        self.clock = ManualClock(1_000_000_000)
        self.threads = Inline()
        self.events = []
        params = ChainParams()
        rules = ChainRules(fork=Fork.OSAKA, chain_id=181818)
        self.service = MempoolService(
            pool=Pool(PoolLimits(**limits), params),
            admission=Admission(rules, params, allow_unprotected=False),
            head=lambda: self.chain.state,
            clock=self.clock,
            threads=self.threads,
            publish=self.events.append,
        )

    def commit(self, transactions):
        self.service.block_committed(*self.chain.advance(transactions))


@pytest.fixture
def setup():
    return Setup()


def wire(key, nonce, **fields):
    return sign(KEYS[key], nonce, **fields).raw


@pytest.mark.asyncio
async def test_a_batch_is_answered_in_order_with_one_hand_over(setup):
    raws = [wire(0, 0), b"junk", wire(1, 0, gas=812_345), wire(0, 1, chain_id=5), wire(2, 0, price=PAID)]
    results = await setup.service.submit_batch(raws)
    assert [isinstance(result, InvalidTransaction) for result in results] == [False, True, True, True, False]
    assert "812345 is over the free limit" in str(results[2])
    assert "invalid chain id" in str(results[3])
    assert setup.threads.calls == 1
    (told,) = setup.events
    assert [transaction.hash for transaction in told.transactions] == [results[0], results[4]]


@pytest.mark.asyncio
async def test_a_transaction_is_told_of_before_what_replaces_it(setup):
    first, second = wire(0, 0, price=PAID), wire(0, 0, price=2 * PAID)
    hashes = await setup.service.submit_batch([first, second])
    assert [type(event) for event in setup.events] == [TransactionsAdmitted, TransactionDropped, TransactionsAdmitted]
    admitted, dropped, replacing = setup.events
    assert [tx.hash for tx in admitted.transactions] == [dropped.hash] == [hashes[0]]
    assert [tx.hash for tx in replacing.transactions] == [hashes[1]]


@pytest.mark.asyncio
async def test_one_refused_transaction_raises_its_error_and_the_reason_is_kept_an_hour(setup):
    tx = sign(KEYS[0], 0, gas=600_000)
    with pytest.raises(Underpriced):
        await setup.service.submit(tx.raw)
    status = setup.service.status(tx.hash)
    assert status.state is State.REJECTED
    assert "set a gas price of at least 2 gwei" in status.reason
    setup.clock.advance(3_599_000)
    setup.commit([])
    assert setup.service.status(tx.hash) == status
    setup.clock.advance(1_000)
    setup.commit([])
    assert setup.service.status(tx.hash) is None


@pytest.mark.asyncio
async def test_statuses_follow_a_transactions_life(setup):
    service = setup.service
    first, gapped = sign(KEYS[0], 0), sign(KEYS[0], 2, price=PAID)
    await service.submit_batch([first.raw, gapped.raw])
    assert service.status(first.hash).state is State.PENDING
    assert service.status(gapped.hash).state is State.QUEUED
    setup.commit([first])
    assert service.status(first.hash) is None
    rival = sign(KEYS[0], 1, value=1)
    setup.commit([rival, sign(KEYS[0], 2, value=7, price=PAID)])
    status = service.status(gapped.hash)
    assert (status.state, status.reason) == (State.DROPPED, "nonce 2 was used by another transaction")
    assert isinstance(setup.events[-1], TransactionDropped)


@pytest.mark.asyncio
async def test_contracts_and_wrong_signatures_cannot_send(setup):
    deploy = sign(KEYS[0], 0, to=None, data=bytes.fromhex("60015f5360015ff3"), gas=100_000)
    setup.commit([deploy])
    tampered = bytearray(wire(1, 0))
    tampered[-1] ^= 1
    (result,) = await setup.service.submit_batch([bytes(tampered)])
    if isinstance(result, InvalidTransaction):
        assert "invalid" in str(result) or "insufficient" in str(result)


@pytest.mark.asyncio
async def test_free_senders_take_turns(setup):
    service = setup.service
    for sender in (0, 1):
        for nonce in (0, 1):
            await service.submit(wire(sender, nonce))
    (first, second) = service.candidates()
    setup.commit([first])
    assert [tx.sender for tx in service.candidates()] == [second.sender, first.sender]


@pytest.mark.asyncio
async def test_waiting_ends_with_the_first_executable_transaction(setup):
    import asyncio

    async def wait():
        await setup.service.wait_for_transactions()
        return True

    waiting = asyncio.create_task(wait())
    await setup.service.submit(wire(0, 3, price=PAID))
    await asyncio.sleep(0)
    assert not waiting.done()
    await setup.service.submit(wire(1, 0))
    assert await waiting


@pytest.mark.asyncio
async def test_the_head_states_nonce_rules_out_old_transactions(setup):
    setup.commit([sign(KEYS[0], 0)])
    (result,) = await setup.service.submit_batch([wire(0, 0, value=1)])
    assert str(result).startswith("nonce too low: next nonce 1, tx nonce 0")
    assert setup.service.pool.pending_nonce(ADDRESSES[0]) is None


@pytest.mark.asyncio
async def test_gossip_hears_of_each_admitted_transaction_once_and_can_look_it_up(setup):
    heard = []
    setup.service.listen(heard.extend)
    first, gapped = wire(0, 0), wire(0, 2)
    await setup.service.submit_batch([first, first, gapped, b"garbage"])
    assert [transaction.raw for transaction in heard] == [first, gapped]
    assert setup.service.lookup(heard[0].hash) is heard[0]
    assert setup.service.lookup(bytes(32)) is None
    assert setup.service.find(bytes(heard[0].raw)) is heard[0]
    assert setup.service.find(b"") is None
    assert [transaction.raw for transaction in setup.service.pending()] == [first]
