"""Senders are recovered in threads by the batch, whoever hands the transactions in."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.mempool.recovery import SenderRecovery
from cybermiles.types.transaction_codec import decode_transaction
from tests.factories import ADDRESSES, KEYS, sign


class Threads:
    """Finishes its work when it is told to."""

    def __init__(self):
        self.batches = []
        self.permits = asyncio.Semaphore(0)

    async def run(self, function, *args):
        self.batches.append(list(args[0]))
        await self.permits.acquire()
        return function(*args)


def fresh(number):
    return decode_transaction(sign(KEYS[number], 0).raw)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_those_that_come_while_others_are_recovered_go_together():
    threads = Threads()
    recovery = SenderRecovery(threads)
    one, *others = [fresh(number) for number in range(4)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recovery.recover([one]))
        await settle()
        for transactions in (others[:2], others[2:]):
            tasks.create_task(recovery.recover(transactions))
        await settle()
        assert threads.batches == [[one]]
        threads.permits.release()
        await settle()
        assert threads.batches == [[one], others]
        late = tasks.create_task(recovery.recover([fresh(4)]))
        threads.permits.release()
        await settle()
        assert [transaction.sender for transaction in others] == ADDRESSES[1:4]
        assert len(threads.batches) == 3
        assert not late.done()
        for _ in range(3):
            threads.permits.release()
    assert len(threads.batches) == 3


@pytest.mark.asyncio
async def test_whoever_waits_with_one_that_gives_up_is_served_all_the_same():
    threads = Threads()
    recovery = SenderRecovery(threads)
    first, second, third = [fresh(number) for number in range(3)]
    begun = asyncio.gather(recovery.recover([first]))
    await settle()
    cancelled, patient = asyncio.gather(recovery.recover([second])), asyncio.gather(recovery.recover([third]))
    await settle()
    threads.permits.release()
    await begun
    await settle()
    cancelled.cancel()
    await settle()
    threads.permits.release()
    await patient
    assert threads.batches == [[first], [second, third], [second, third]]
    assert third.has_sender


@pytest.mark.asyncio
async def test_a_signature_that_names_nobody_leaves_the_others_alone():
    threads = Threads()
    threads.permits.release()
    good, bad = fresh(0), fresh(1)
    bad.r = 5  # no point of the curve has it
    await SenderRecovery(threads).recover([bad, good])
    assert (bad.has_sender, good.has_sender) == (False, True)
