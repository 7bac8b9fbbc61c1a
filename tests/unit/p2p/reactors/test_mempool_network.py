"""Thirty nodes with eight peers each: how many bytes each receives for each transaction, and how soon."""

from __future__ import annotations

import random

import pytest

from cybermiles.p2p.reactors.mempool import MempoolReactor
from tests.fakes.gossip import Network, regular_graph
from tests.fakes.transactions import FakePool, FakeTransaction
from tests.simulation.latency import zone_matrix


class Driven:
    """A reactor whose pool answers at once, so that its worker can be driven from a tick."""

    def __init__(self, reactor):
        self._reactor = reactor
        self.receive, self.peer_added, self.peer_removed = reactor.receive, reactor.peer_added, reactor.peer_removed

    def tick(self, now_ms):  # noqa: ARG002  (the reactor looks at the network's clock)
        try:
            self._reactor.turn().send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("the pool waited")


def spread(latency, *, size, transactions=300):
    net = Network(MempoolReactor.channels, soon_ms=1)
    pools = []
    for index in range(30):
        pool = FakePool()
        pool.clock = net.clock
        net.add(str(index), Driven(MempoolReactor(pool, lambda: False, net.clock)))
        pools.append(pool)
    for one, other in regular_graph(30, 8):
        net.connect(str(one), str(other), latency(one, other))
    rng, entered = random.Random(1), {}
    for _ in range(transactions):
        raw, index = rng.randbytes(size), rng.randrange(30)

        def enter(raw=raw, index=index):
            entered[FakeTransaction(raw).hash] = net.clock.ms
            pools[index].submit(raw)
            net.soon(str(index))

        net.at(rng.randrange(3000), enter)
    net.run(until_ms=10_000)
    assert net.drops == []
    return net, pools, entered


@pytest.mark.slow
@pytest.mark.parametrize("size", [110, 1000])
def test_a_node_receives_at_most_three_times_the_bytes_of_a_transaction_and_soon(size):
    net, pools, entered = spread(lambda one, other: zone_matrix()[one % 13][other % 13], size=size)
    assert all(len(pool.content) == 300 for pool in pools)
    unique = 300 * size
    assert sum(net.received_bytes.values()) / 30 <= 3 * unique  # announcements and requests included
    delays = sorted(pool.admitted_at[h] - entered[h] for pool in pools for h in entered)
    assert delays[len(delays) * 99 // 100] <= 2_000
