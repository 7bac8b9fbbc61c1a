"""Peer links: messages a second over loopback with both ends in one process, handshakes, and how long a vote waits.

The vote's wait is measured on a link of 20 Mbit/s with a queue of 50 ms (Linux only: a network namespace of its own with
`tc tbf` on loopback), first idle and then while a 10 MB block and 5 MB of transactions a second are being sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import statistics
import subprocess
import sys
import time

import structlog

from cybermiles.crypto import x25519
from cybermiles.p2p.book_file import new_book
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.handshake import Handshake, Role
from cybermiles.p2p.identity import Endpoint, NodeKey, PeerAddress
from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.switch import Environment, Switch
from cybermiles.p2p.transport import TcpNetwork
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.randomness import SystemRandomness

try:
    import uvloop
except ImportError:
    uvloop = None

VOTES, BLOCKS, TRANSACTIONS = 0x22, 0x21, 0x30
CHANNELS = (
    ChannelSpec(VOTES, 10, 1 << 20, 10_000, 64 << 20),
    ChannelSpec(BLOCKS, 6, 16 << 20, 1_000, 64 << 20),
    ChannelSpec(TRANSACTIONS, 5, 1 << 20, 10_000, 8 << 20),
)
SIZES = ((128, 400_000), (1_024, 150_000), (16_384, 20_000), (65_536, 6_000))
IN_FLIGHT = 2_000
INFO = NodeInfo(chain_id=18, genesis_hash=bytes(32), channels=(1,))
SHAPE = "ip link set lo up mtu 1500 && tc qdisc add dev lo root tbf rate 20mbit burst 32k latency 50ms && exec "


class Counter:
    """Counts messages; of votes it notes how long they took."""

    channels = CHANNELS

    def __init__(self):
        self.peers, self.received, self.waits = [], 0, []

    def peer_added(self, peer):
        self.peers.append(peer)

    def peer_removed(self, peer, reason):
        self.peers.remove(peer)

    def receive(self, peer, channel, message):
        self.received += 1
        if channel == VOTES and len(message) == 200:
            self.waits.append(time.perf_counter() - float(message[:20]))


async def connected():
    """Return two connected switches' reactors and what has to be stopped."""
    ends, tasks, persistent = [], [], ()
    for _ in range(2):
        config = P2PConfig(
            listen_host="127.0.0.1",
            listen_port=0,
            persistent_peers=persistent,
            dial_interval_ms=10,
            receive_bytes_per_second=1 << 40,
            receive_messages_per_second=1 << 40,
        )
        key, reactor, randomness = NodeKey.generate(), Counter(), SystemRandomness()
        environment = Environment(network=TcpNetwork(), clock=SystemClock(), randomness=randomness)
        switch = Switch(config, key, INFO, [reactor], environment, new_book(config, key.id, randomness))
        await switch.listen()
        tasks.append(asyncio.create_task(switch.run()))
        ends.append(reactor)
        persistent = (PeerAddress(key.id, Endpoint("127.0.0.1", switch.port)),)
    while not all(end.peers for end in ends):
        await asyncio.sleep(0.01)
    return *ends, tasks


async def stop(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def throughput(loop):
    """Print messages a second one way, for each size."""
    receiver, sender, tasks = await connected()
    for size, count in SIZES:
        rates, cpu_rates, message = [], [], bytes(size)
        for _ in range(3):
            receiver.received, sent, began, cpu_began = 0, 0, time.perf_counter(), time.process_time()
            while receiver.received < count:
                while sent < count and sent - receiver.received < IN_FLIGHT and sender.peers[0].send(VOTES, message):
                    sent += 1
                await asyncio.sleep(0)
            rates.append(count / (time.perf_counter() - began))
            cpu_rates.append(count / (time.process_time() - cpu_began))
        rate = statistics.median(rates)
        print(
            json.dumps(
                {
                    "case": f"link, {size} bytes, {loop}",
                    "messages_per_second": round(rate),
                    "mb_per_second": round(rate * size / 1e6, 1),
                    "messages_per_cpu_second": round(statistics.median(cpu_rates)),
                }
            )
        )
    await stop(tasks)


def handshakes():
    """Print how long the two sides of one handshake compute."""
    one_key, two_key, runs = NodeKey.generate(), NodeKey.generate(), []
    for _ in range(200):
        began = time.perf_counter()
        one = Handshake(Role.INITIATOR, key=one_key, ephemeral=x25519.generate(), info=INFO, expected_id=two_key.id)
        two = Handshake(Role.RESPONDER, key=two_key, ephemeral=x25519.generate(), info=INFO)
        two.receive(one.data_to_send())
        one.receive(two.data_to_send())
        one.accept()
        two.receive(one.data_to_send())
        two.accept()
        one.receive(two.data_to_send())
        runs.append((time.perf_counter() - began) * 1e6)
    print(json.dumps({"case": "handshake, both sides", "microseconds": round(statistics.median(runs))}))


async def votes_under_load():
    """Print the wait of votes on an idle and on a full link; run inside the slow namespace."""
    receiver, sender, tasks = await connected()
    for busy in (False, True):
        receiver.waits.clear()
        peer = sender.peers[0]
        ends = time.perf_counter() + (10 if busy else 3)
        if busy:
            peer.send(BLOCKS, bytes(10 << 20))
        while (now := time.perf_counter()) < ends:
            if busy:
                for _ in range(10):
                    peer.send(TRANSACTIONS, bytes(10_000))
            peer.send(VOTES, f"{now:020.9f}".encode() + bytes(180))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        waits = sorted(receiver.waits)
        print(
            json.dumps(
                {
                    "case": f"vote on a 20 Mbit/s link, {'full' if busy else 'idle'}",
                    "votes": len(waits),
                    "p50_ms": round(waits[len(waits) // 2] * 1e3, 1),
                    "p99_ms": round(waits[len(waits) * 99 // 100] * 1e3, 1),
                }
            )
        )
    for task in tasks:
        task.cancel()


def main():
    """Run everything, the slow link in a process of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if sys.argv[1:] == ["votes"]:
        asyncio.run(votes_under_load())
        return
    handshakes()
    asyncio.run(throughput("asyncio"))
    if uvloop is not None:
        uvloop.run(throughput("uvloop"))
    if all(map(shutil.which, ("unshare", "ip", "tc"))):
        command = f"{SHAPE} {sys.executable} -m benchmarks.bench_p2p votes"
        subprocess.run(["unshare", "-rn", "sh", "-c", command], check=False)


if __name__ == "__main__":
    main()
