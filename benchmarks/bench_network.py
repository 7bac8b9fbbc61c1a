"""Four real validators on this machine: how fast they agree, how much they carry, how fast a new node follows.

    latency   empty blocks without a pause between heights: from the proposal to the durable block, on every node
    load      pre-signed plain transfers in JSON-RPC batches of 100 to all four in turn, until each node has the last
    sync      one node's data deleted and fetched again from the others

Header times run ahead of the clock in the first and the last, which needs a chain parameter no real chain has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time

from benchmarks.bench_rpc import send_batches
from benchmarks.load import PRICE, accounts, resident_bytes, rpc, transfers
from benchmarks.workload import SENDERS
from cybermiles.types.transaction_codec import UnsignedTransaction
from tests.e2e.network.cluster import FAST, Cluster

NO_PAUSE = ("block_interval_ms=1", "clock_precision_ms=86400000")
FUNDER = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first of devnet's public test accounts."""


def quantile(cluster, share):
    """Return the upper quantile of the time from proposal to durable block, interpolated within its bucket. Seconds."""
    name = "cmt_consensus_decision_seconds_bucket"
    counts = {}
    for node in cluster.nodes:
        for line in node.get("/metrics").decode().splitlines():
            if line.startswith(name):
                bound = float(line.split('le="')[1].split('"')[0])
                counts[bound] = counts.get(bound, 0) + float(line.rpartition(" ")[2])
    goal, lower, below = share * counts[float("inf")], 0.0, 0.0
    for bound in sorted(counts):
        if counts[bound] >= goal:
            return (
                lower if bound == float("inf") else lower + (bound - lower) * (goal - below) / (counts[bound] - below)
            )
        lower, below = bound, counts[bound]
    raise AssertionError("a histogram ends with all")


def rounds(cluster):
    """Return how often any node entered a round above 0."""
    return int(sum(node.metric("cmt_consensus_rounds_entered_total") for node in cluster.nodes))


def latency(cluster, heights):
    """Decide so many empty heights."""
    began, first = time.perf_counter(), cluster.height()
    while (height := cluster.height()) < first + heights:
        for node in cluster.nodes:
            node.check_alive()
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    return {
        "case": "latency",
        "heights": height - first,
        "heights_per_second": round((height - first) / seconds, 1),
        "p50_ms": round(1000 * quantile(cluster, 0.5), 1),
        "p99_ms": round(1000 * quantile(cluster, 0.99), 1),
        "rounds_above_0": rounds(cluster),
    }


def sync(cluster):
    """Delete a node's data and time its way back."""
    node = cluster.nodes[3]
    node.stop()
    target = cluster.height()
    node.wipe()
    node.start()
    while node.height() < 1:
        node.check_alive()
        time.sleep(0.02)
    began, first = time.perf_counter(), node.height()
    while (height := node.height()) < target:
        node.check_alive()
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    return {"case": "sync", "blocks": height - first, "blocks_per_second": round((height - first) / seconds)}


def fund(node):
    """Give every sender 1 000 CMT."""
    start = int(node.rpc("eth_getTransactionCount", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "latest"), 16)
    raws = [
        UnsignedTransaction(
            chain_id=181818,
            nonce=start + index,
            max_fee_per_gas=PRICE,
            max_priority_fee_per_gas=PRICE,
            gas_limit=21_000,
            to=address,
            value=1_000 * 10**18,
        )
        .sign(FUNDER)
        .raw
        for index, address in enumerate(accounts(SENDERS))
    ]
    for begin in range(0, len(raws), 50):
        send_batches(int(node.url.rsplit(":", 1)[1]), raws[begin : begin + 50], 50)
        wanted = hex(start + min(begin + 50, len(raws)))
        while node.rpc("eth_getTransactionCount", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "latest") != wanted:
            time.sleep(0.1)


def load(cluster, count):
    """Send transfers to all nodes, each sender to one of them, and wait until every node has the last."""
    fund(cluster.nodes[0])
    signed = transfers(SENDERS, count // SENDERS, accounts(2_000))
    shares = [[tx.raw for i, tx in enumerate(signed) if i % SENDERS % 4 == number] for number in range(4)]
    ports = [int(node.url.rsplit(":", 1)[1]) for node in cluster.nodes]
    entered, first = rounds(cluster), cluster.height()
    began = time.perf_counter()
    for begin in range(0, max(map(len, shares)), 100):
        for port, share in zip(ports, shares, strict=True):
            send_batches(port, share[begin : begin + 100], 100)
    accepted = time.perf_counter()
    done, heights = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), first)
    while min(done.values()) < count:
        for number, node in enumerate(cluster.nodes):
            node.check_alive()
            while heights[number] < int(rpc(node.url, "eth_blockNumber"), 16):
                heights[number] += 1
                done[number] += int(rpc(node.url, "eth_getBlockTransactionCountByNumber", hex(heights[number])), 16)
        time.sleep(0.05)
    ended = time.perf_counter()
    return {
        "case": "load",
        "transactions": count,
        "accepted_per_second": round(count / (accepted - began)),
        "committed_per_second": round(count / (ended - began)),
        "blocks": max(heights.values()) - first,
        "rounds_above_0": rounds(cluster) - entered,
        "peak_rss_mb": max(resident_bytes(node.process.pid)[1] for node in cluster.nodes) // 2**20,
    }


def main():
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heights", type=int, default=2_000, help="of the latency case, and blocks to sync")
    parser.add_argument("--transactions", type=int, default=12_000, help="of the load case, a multiple of 200")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(home, params=NO_PAUSE, environment=FAST).create().start() as fast,
    ):
        print(json.dumps(latency(fast, options.heights)), flush=True)
        print(json.dumps(sync(fast)), flush=True)
    with tempfile.TemporaryDirectory() as home, Cluster(home, params=(), environment={}).create().start() as real:
        print(json.dumps(load(real, options.transactions)), flush=True)


if __name__ == "__main__":
    main()
