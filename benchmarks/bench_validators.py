"""4 to 21 validators under load in the simulated network: what grows with their number, and why.

    python -m benchmarks.bench_validators --validators 4 7 13 21 --rate 200 --heights 30

Whole nodes with the real application, pool and gossip (tests/simulation) on a virtual clock, each connected to `--peers` others, links with the
delays of the zone table or `--lan`; an fsync takes 1 ms and a block 20 ms of virtual time. Clients send `--rate` transfers a second, each to
one node. One line for each number of validators.

* CPU is what the nodes' own code takes, by the process's CPU time, sorted by the task or the channel that it ran for; the simulator's own share is
  left out. Validators' signatures cost a microsecond in the simulation, so they are counted, and the real price, measured at the start, is added.
  What a transport does (sealing, sockets), a disk and the garbage collector is not in it.
* Messages and bytes are those that a node sends, by what they are about. Votes are counted one by one: a node needs 2 n of a height.
* Latency is virtual, so it knows of delays and rounds and not of computing: where `cores` (CPU seconds a virtual second and node) nears 1, a
  real node falls behind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections import Counter
from contextlib import contextmanager
from statistics import quantiles

from cybermiles.crypto import ed25519
from cybermiles.p2p.reactors.consensus_relay import DATA_CHANNEL, STATE_CHANNEL, VOTES_CHANNEL
from cybermiles.p2p.reactors.mempool import MEMPOOL_CHANNEL
from cybermiles.types.transaction import recover_senders
from cybermiles.types.vote import Vote
from cybermiles.vm.pyevm.startup import prepare_runtime
from tests import factories
from tests.simulation import chains, keys
from tests.simulation.campaign import silent_logs
from tests.simulation.chains import RealChain
from tests.simulation.latency import Latency
from tests.simulation.mesh import Mesh
from tests.simulation.plan import Plan
from tests.simulation.wan import WanWorld
from tests.simulation.whole_node import WholeNode
from tests.simulation.wire import consensus_messages

SENDERS = 250
BATCH = 10
"""Transactions that a client sends together."""
CHANNELS = {STATE_CHANNEL: "state", DATA_CHANNEL: "parts", VOTES_CHANNEL: "votes", MEMPOOL_CHANNEL: "transactions"}
"""Proposals travel with the parts of their blocks."""
TASKS = {
    "runner": "consensus",
    "ConsensusReactor": "consensus",
    "MempoolReactor": "transactions",
    "client": "transactions",
}
SIMULATOR = "simulator"
WARM_UP = 3
"""Heights before measuring: connections are made, code is compiled."""


class Meter:
    """CPU time by label; an inner label's time is not the outer one's, and looking at the clock is nobody's."""

    def __init__(self):
        self._labels = [SIMULATOR]
        self._since = time.process_time()
        self._inside, self._outside = self._calibrated()
        self.reset()

    def _charge(self):
        now = time.process_time()
        self._seconds[self._labels[-1]] += now - self._since
        self._since = now

    def on(self, label, function, *arguments, **more):
        """Call the function at the label's expense."""
        self._charge()
        self._entered[label] += 1
        self._left[self._labels[-1]] += 1
        self._labels.append(label)
        try:
            return function(*arguments, **more)
        finally:
            self._charge()
            self._labels.pop()

    def reset(self):
        """Forget everything so far."""
        self._seconds, self._entered, self._left = Counter(), Counter(), Counter()
        self._since = time.process_time()

    def seconds(self):
        """Return seconds by label, without the simulator's and without what measuring took."""
        self._charge()
        return {
            label: max(spent - self._entered[label] * self._inside - self._left[label] * self._outside, 0.0)
            for label, spent in self._seconds.items()
            if label != SIMULATOR
        }

    def wrap(self, label, function):
        def metered(*arguments, **more):
            return self.on(label(*arguments) if callable(label) else label, function, *arguments, **more)

        return metered

    def _calibrated(self):
        """Return what one measurement costs the inner label, and the outer one."""
        self.reset()
        rounds, nothing = 50_000, self.wrap("nothing", lambda: None)
        for _ in range(rounds):
            nothing()
        self._charge()
        return self._seconds["nothing"] / rounds, self._seconds[SIMULATOR] / rounds


class CountingMesh(Mesh):
    """Counts what leaves a node."""

    def __init__(self, world):
        super().__init__(world)
        self.messages, self.bytes, self.votes = Counter(), Counter(), 0

    def transmit(self, peer, channel, message):
        return self._world.meter.on(SIMULATOR, self._counted, peer, channel, message)

    def _counted(self, peer, channel, message):
        is_sent = super().transmit(peer, channel, message)
        if is_sent:
            kind = CHANNELS.get(channel, "other")
            self.messages[kind] += 1
            self.bytes[kind] += len(message)
            if channel == VOTES_CHANNEL:
                self.votes += sum(isinstance(said, Vote) for said in consensus_messages(channel, message))
        return is_sent


class LoadChain(RealChain):
    """Tells when a transaction is in a durable block."""

    def block_committed(self, block, outcome):
        super().block_committed(block, outcome)
        self._node.world.included(block)


class LoadWorld(WanWorld):
    """A healthy network under a stream of transactions."""

    def __init__(self, plan, peers, meter, load):
        self.meter = meter
        super().__init__(plan, peers, application="real")
        self.mesh = CountingMesh(self)
        self.chain_type = LoadChain
        self.load, self.position = load, 0
        self.sent_ms, self.latency_ms = {}, []
        self.verified, self.blocks = 0, {}
        self.began_ms = None

    def _submit(self):
        """Send the next transactions on time; each sender's always to the same node, in the order of nonces."""
        due = self.load.due(self.now_ms)
        while self.position < min(due, len(self.load.raws)):
            number = self.position // BATCH
            raws = self.load.raws[self.position : self.position + BATCH]
            self.position += len(raws)
            for tx_hash in self.load.hashes[self.position - len(raws) : self.position]:
                self.sent_ms[tx_hash] = self.now_ms
            node = self.nodes[number % (SENDERS // BATCH) % len(self.nodes)]
            task = self.loop.create_task(node.chain.transactions.submit_batch(raws), name="0 client")
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        self.later(1_000 * BATCH / self.load.rate, self._submit)

    def included(self, block):
        """A node has the block: the first one's time counts."""
        if block.height in self.blocks:
            return
        self.blocks[block.height] = len(block.transactions)
        if block.height == WARM_UP:
            self.began_ms = self.now_ms
            self.meter.reset()
            self.mesh.messages.clear()
            self.mesh.bytes.clear()
            self.mesh.votes = self.verified = 0
            self.decide_ms.clear()
            self.rounds.clear()
        for transaction in block.transactions:
            if block.height > WARM_UP:
                self.latency_ms.append(self.now_ms - self.sent_ms[transaction.hash])


class Load:
    """Transfers of many senders in turn, signed beforehand; a client's batch holds one of each of ten senders."""

    def __init__(self, count, rate):
        self.rate = rate
        signed = [
            factories.sign(
                factories.KEYS[i % SENDERS],
                i // SENDERS,
                to=factories.ADDRESSES[i * 7 % 300],
                value=1,
                price=factories.PAID,
            )
            for i in range(count)
        ]
        self.raws = [transaction.raw for transaction in signed]
        self.hashes = [transaction.hash for transaction in signed]

    def due(self, now_ms):
        return int(now_ms * self.rate / 1_000)


@contextmanager
def metered(meter, world_of):
    """Charge each task's steps, each received message and each piece of blocking work to what it is for."""
    run, moved, receive, verify = asyncio.Handle._run, WholeNode.moved, WholeNode.receive, keys.verify
    work = chains.Work.run

    def label_of(handle):
        owner = getattr(handle._callback, "__self__", None)
        return TASKS.get(owner.get_name().rpartition(" ")[2], "other") if isinstance(owner, asyncio.Task) else SIMULATOR

    def counted(public, message, signature):
        world_of().verified += 1
        return verify(public, message, signature)

    async def patched_work(self, function, *args, **kwargs):
        await self.work()
        return meter.on("recovery" if function is recover_senders else "execution", function, *args, **kwargs)

    channel_label = lambda node, peer, channel, message: "transactions" if channel == MEMPOOL_CHANNEL else "consensus"  # noqa: E731
    asyncio.Handle._run = meter.wrap(label_of, run)
    WholeNode.moved = meter.wrap(SIMULATOR, moved)
    WholeNode.receive = meter.wrap(channel_label, receive)
    chains.Work.run, keys.verify = patched_work, counted
    try:
        yield
    finally:
        asyncio.Handle._run, WholeNode.moved, WholeNode.receive = run, moved, receive
        chains.Work.run, keys.verify = work, verify


def signature_us():
    """Return what verifying one vote costs outside the simulation."""
    private, message = bytes(range(32)), bytes(120)
    public, signature = ed25519.public_key(private), ed25519.sign(private, message)
    began = time.process_time()
    for _ in range(1_000):
        assert ed25519.verify(public, message, signature)
    return (time.process_time() - began) * 1_000


def measure(validators, options, verify_us):
    """Return the line of one network."""
    seconds = options.heights + WARM_UP + 5
    latency = Latency("uniform", 1.0) if options.lan else Latency("zones")
    plan = Plan(
        seed=options.seed, powers=(1,) * validators, gst_ms=0, heights=options.heights + WARM_UP, latency=latency,
        bandwidth=options.mbit * 125_000,
    )  # fmt: skip
    meter = Meter()
    world = LoadWorld(plan, options.peers, meter, Load(options.rate * seconds * 2, options.rate))
    gc.collect()
    gc.disable()  # it would look at all nodes' objects at the expense of one
    try:
        with silent_logs(), metered(meter, lambda: world):
            world.run()
    finally:
        gc.enable()
    return figures(world, meter, validators, verify_us)


def figures(world, meter, validators, verify_us):
    """Return what the run showed."""
    heights = [height for height in world.blocks if height > WARM_UP]
    transactions = sum(world.blocks[height] for height in heights)
    node_heights = validators * len(heights)
    node_transactions = validators * transactions
    seconds = (world.now_ms - world.began_ms) / 1_000
    cpu = meter.seconds()
    cpu["signatures of validators"] = world.verified * verify_us / 1e6
    mesh = world.mesh
    latency, decide = quantiles(world.latency_ms, n=20), quantiles(world.decide_ms, n=20)
    return {
        "validators": validators, "peers": min(world._peers_each, validators - 1), "heights": len(heights),
        "transactions": transactions, "committed_per_second": round(transactions / seconds, 1),
        "cpu_ms_per_height_and_node": round(sum(cpu.values()) / node_heights * 1_000, 2),
        "cpu_us_per_transaction_and_node": round(sum(cpu.values()) / node_transactions * 1e6, 1),
        "cores": round(sum(cpu.values()) / validators / seconds, 3),
        "cpu_ms_by_work": {label: round(spent / node_heights * 1_000, 2) for label, spent in sorted(cpu.items())},
        "messages_per_height_and_node": {kind: round(n / node_heights, 1) for kind, n in sorted(mesh.messages.items())},
        "kb_per_height_and_node": {kind: round(n / node_heights / 1_000, 1) for kind, n in sorted(mesh.bytes.items())},
        "bytes_per_transaction_and_node": round(sum(mesh.bytes.values()) / node_transactions),
        "transaction_bytes_sent_per_transaction_and_node": round(mesh.bytes["transactions"] / node_transactions),
        "votes_sent_per_height_and_node": round(mesh.votes / node_heights, 1), "votes_needed": 2 * validators,
        "signatures_checked_per_height_and_node": round(world.verified / node_heights, 1),
        "decisions_above_round_0": sum(round_ > 0 for round_ in world.rounds),
        "proposal_to_decision_ms": {"p50": round(decide[9]), "p95": round(decide[18])},
        "submission_to_block_ms": {"p50": round(latency[9]), "p95": round(latency[18])},
    }  # fmt: skip


def main():
    """Print a line for each number of validators."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validators", type=int, nargs="*", default=[4, 7, 13, 21])
    parser.add_argument("--rate", type=int, default=200, help="transactions a second of all clients together")
    parser.add_argument("--heights", type=int, default=30)
    parser.add_argument("--peers", type=int, default=8, help="connections of each node, an even number")
    parser.add_argument("--lan", action="store_true", help="links of 1 ms instead of a world's")
    parser.add_argument("--mbit", type=int, default=0, help="of one link each way; 0: no limit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    prepare_runtime()
    verify_us = signature_us()
    for validators in options.validators:
        print(json.dumps(measure(validators, options, verify_us)), flush=True)


if __name__ == "__main__":
    main()
