"""The pool after a vote: other parameters, frozen accounts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.chain.params import ChainParams
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from tests.factories import ADDRESSES, KEYS, PAID, sign

PARAMS = ChainParams()
RICH = 10**24


def filled():
    pool = Pool(PoolLimits(), PARAMS)
    pooled = {
        "paid": sign(KEYS[0], 0, price=PAID),
        "free": sign(KEYS[1], 0, price=0),
        "large": sign(KEYS[2], 0, price=PAID, gas=PARAMS.free_gas_limit + 1),
        "small": sign(KEYS[3], 0, price=0, gas=400_000),
        "next": sign(KEYS[2], 1, price=PAID),
    }
    for transaction in pooled.values():
        pool.add(transaction, 0, RICH, 0)
    return pool, pooled


def test_the_same_parameters_change_nothing():
    pool, pooled = filled()
    assert pool.adopt(ChainParams()) == []
    assert len(pool) == len(pooled)


@pytest.mark.parametrize(
    ("changes", "gone", "free"),
    [
        ({"min_gas_price": 2 * PAID}, {"large"}, {"paid", "free", "small", "next"}),
        ({"free_gas_limit": 300_000}, {"small"}, {"free"}),
        ({"min_gas_price": 1}, set(), {"free", "small"}),
    ],
)
def test_what_the_new_parameters_admit_no_more_goes_and_lanes_are_judged_again(changes, gone, free):
    pool, pooled = filled()
    dropped = pool.adopt(replace(PARAMS, **changes))
    assert {drop.hash for drop in dropped} == {pooled[name].hash for name in gone}
    left = {name: pool.get(transaction.hash) for name, transaction in pooled.items()}
    assert {name for name, transaction in left.items() if transaction is None} == gone
    assert {name for name, transaction in left.items() if transaction is not None and pool.is_free(transaction)} == free
    entries = [entry for sender in pool.senders.values() for entry in sender.entries.values()]
    assert pool.free_count == sum(entry.is_free for entry in entries) == len(free)
    assert pool.size_bytes == sum(entry.transaction.size for entry in entries)


def test_all_transactions_of_a_sender_can_be_dropped():
    pool, pooled = filled()
    dropped = pool.drop_senders([ADDRESSES[2], ADDRESSES[50]], "why")
    assert {(drop.hash, drop.reason) for drop in dropped} == {(pooled[n].hash, "why") for n in ("large", "next")}
    assert ADDRESSES[2] not in pool.senders
    assert len(pool) == 3
