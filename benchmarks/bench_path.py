"""The way of a plain transaction through one validator, step by step: CPU time of one thread, whatever else the machine does.

    python -m benchmarks.bench_path --transactions 1000 --blocks 8

Transactions arrive by gossip from three peers in turn, are checked, recovered and pooled, and are told on. Another node's block of all of
them is checked, executed and written to LevelDB, and pool and metrics hear of it. Each figure is the least of all blocks but the first.
No sockets, no JSON-RPC, no second thread: what a real node spends beyond this sum goes there (`bench_throughput`, `stages`).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import structlog

from cybermiles.application.application import ChainApplication
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.genesis import genesis_block
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.node.metrics import BlockMetrics, create_metrics
from cybermiles.p2p.reactors.mempool import MEMPOOL_CHANNEL, MempoolReactor
from cybermiles.p2p.wire.mempool import Push, encode_transactions
from cybermiles.runtime.clock import ManualClock
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB
from cybermiles.types.primitives import Address
from cybermiles.types.transaction import recover_senders
from cybermiles.vm.pyevm.startup import prepare_runtime
from tests.factories import KEYS, PAID, MemoryChain, commit_of, sign
from tests.fakes.gossip import FakePeer

PUSH = 35
"""Transactions of one message: what arrives in a tick at 2 000 a second from three peers."""
SENDERS, RECIPIENTS = 200, 2_000


class Stopwatch:
    """Adds up the thread's CPU time by step; a step inside another one counts for itself alone."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self._running = []

    def measured(self, step, function):
        def call(*args, **kwargs):
            began = time.thread_time()
            self._running.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - began
                self.seconds[step] += spent - self._running.pop()
                if self._running:
                    self._running[-1] += spent

        return call


class Inline:
    """Threads that are this one."""

    async def run(self, function, *args):
        return function(*args)


class Validator:
    """A node's parts from the gossip channel to the disk."""

    def __init__(self, directory, chain, watch):
        self.watch, self.clock, self.document = watch, ManualClock(1_000_000_000), chain.document
        self.database = Database(LevelDB(directory))
        self.database.commit_genesis(genesis_block(self.document))
        params = self.document.params
        recover = watch.measured("recover", recover_senders)
        self.pool = MempoolService(
            pool=Pool(PoolLimits(), params),
            admission=Admission(chain.chain.backend.rules, params, allow_unprotected=False),
            head=self.database.state.reader,
            clock=self.clock,
            threads=self,
            publish=lambda _event: None,
        )
        self.gossip = MempoolReactor(self.pool, lambda: False, self.clock)
        self.peers = [FakePeer(str(number)) for number in range(3)]
        for peer in self.peers:
            self.gossip.peer_added(peer)
        metrics = BlockMetrics(create_metrics(), self.database.validators.validators, None)
        for listener in (self.pool, metrics):
            listener.block_committed = watch.measured("listeners", listener.block_committed)
        self.database.commit = watch.measured("commit", self.database.commit)
        self.application = ChainApplication(
            chain=chain.chain,
            database=self.database,
            params=params,
            worker=Inline(),
            listeners=(self.pool, metrics),
            pooled=self.pool.find,
            recover=recover,
        )

    async def run(self, function, *args):
        """Recover senders: the pool's threads."""
        return self.watch.measured("recover", function)(*args)

    def receive(self, raws):
        """Take transactions from the peers in turn, pool them and tell them on."""
        for number, start in enumerate(range(0, len(raws), PUSH)):
            message = encode_transactions(Push(tuple(raws[start : start + PUSH])))
            peer = self.peers[number % 3]
            self.watch.measured("gossip: receive", self.gossip.receive)(peer, MEMPOOL_CHANNEL, message)
            self.watch.measured("admission", lambda: _finish(self.gossip.feed()))()
            self.clock.advance(50)
            self.watch.measured("gossip: send", self.gossip.tick)(int(self.clock.monotonic() * 1000))
            for one in self.peers:
                one.take()
        if len(self.pool.pool) != len(raws):
            raise ValueError(f"{len(self.pool.pool)} of {len(raws)} transactions were pooled")

    def take(self, value, commit):
        """Check, execute and commit a block's bytes."""
        application = self.application
        verdict = self.watch.measured("check and execute", lambda: _finish(application.process_proposal(value)))()
        if not verdict.accepted:
            raise ValueError(verdict.reason)
        _finish(application.finalize_block(commit.block_hash))
        self.watch.measured("rest", lambda: _finish(application.commit(commit)))()


def _finish(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waits")


def transfers(first, count, recipients):
    """Return plain transfers of all senders in turn."""
    return [
        sign(KEYS[n % SENDERS], n // SENDERS, to=recipients[n * 7 % RECIPIENTS], value=1, price=PAID)
        for n in range(first, first + count)
    ]


def main():
    """Print one line for each step: µs of CPU for a transaction."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=1_000, help="in a block; 200 senders share them")
    parser.add_argument("--blocks", type=int, default=8)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    prepare_runtime()
    recipients = [Address(keccak256(b"recipient %d" % n)[:20]) for n in range(RECIPIENTS)]
    least = defaultdict(lambda: float("inf"))
    with tempfile.TemporaryDirectory() as directory:
        chain, watch = MemoryChain(), Stopwatch()
        validator = Validator(Path(directory), chain, watch)
        for number in range(options.blocks):
            block, _ = chain.build(transfers(number * options.transactions, options.transactions, recipients))
            height, raws, value = block.height, [tx.raw for tx in block.transactions], block.encode()
            commit = commit_of(chain.chain, chain.validators(height), height, block.hash)
            chain.advance(block.transactions)
            watch.seconds.clear()
            validator.receive(raws)
            validator.take(value, commit)
            if number:
                for step, seconds in watch.seconds.items():
                    least[step] = min(least[step], seconds / len(raws) * 1e6)
    for step, figure in least.items():
        print(json.dumps({"step": step, "us_per_transaction": round(figure, 1)}))
    print(json.dumps({"step": "all", "us_per_transaction": round(sum(least.values()), 1)}))


if __name__ == "__main__":
    main()
