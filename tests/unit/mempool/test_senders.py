"""Senders of a block come from the pool where it knows them, and from their signatures where not."""

from __future__ import annotations

import pytest

from cybermiles.mempool.senders import SenderBook
from cybermiles.runtime.executor import Worker
from cybermiles.types.transaction_codec import decode_transaction
from tests.fakes.rpc import sign_transaction


class Threads:
    """Remembers what it was given."""

    def __init__(self):
        self.items = []

    def spread(self, function, items):
        self.items += items
        function(items)


def fresh(signed):
    return [decode_transaction(tx.raw) for tx in signed]


def test_the_pool_spares_the_recovery():
    signed = [sign_transaction(nonce) for nonce in range(4)]
    pooled = {tx.hash: tx for tx in fresh(signed[:2])}
    for tx in pooled.values():
        assert tx.sender
    unknown = fresh(signed[2:3])[0]
    pooled[unknown.hash] = unknown
    threads, block = Threads(), fresh(signed)
    SenderBook(pooled.get, threads).fill_in(block)
    assert [tx.hash for tx in threads.items] == [tx.hash for tx in signed[2:]]
    assert [tx.sender for tx in block] == [tx.sender for tx in signed]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 100, 333])
def test_every_thread_takes_a_part(count):
    worker = Worker("signatures", 2)
    try:
        parts = []
        worker.spread(parts.append, list(range(count)))
    finally:
        worker.close()
    assert sorted(item for part in parts for item in part) == list(range(count))
    assert len(parts) == (2 if count >= 32 else 1)


def test_what_a_thread_raises_reaches_the_caller():
    def fail(items):
        if 99 in items:
            raise ValueError(len(items))

    worker = Worker("signatures", 2)
    try:
        with pytest.raises(ValueError, match="50"):
            worker.spread(fail, list(range(100)))
    finally:
        worker.close()
