"""Sustained load on real validators: so many transactions offered a second, for so long, to all of them in turn.

    python -m benchmarks.bench_throughput --validators 4 --kind erc20 --rate 1000 --seconds 60

Transactions are signed before the clock starts and sent in JSON-RPC batches of 100, on time whatever has been committed (an open
loop). A transaction's latency ends when the first node serves the block that holds it: blocks are final. Beside the clock stand
the CPU seconds that each validator took for a transaction, which other programs on the machine do not change.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.bench_network import fund, rounds
from benchmarks.bench_rpc import send_batches
from benchmarks.load import PRICE, accounts, own_and_mapped_bytes, private_key, resident_bytes, rpc
from benchmarks.workload import BATCH, SENDERS, port_of, token_transfers, transfers
from cybermiles.types.transaction_codec import UnsignedTransaction
from tests.e2e.network.cluster import Cluster

TICKS = os.sysconf("SC_CLK_TCK")
MEMORY_SECONDS = 300
"""Between two lines about memory in a run that takes longer."""


def signed(sender, nonce, to, data=b"", gas=21_000, value=0):
    return UnsignedTransaction(
        chain_id=181818, nonce=nonce, max_fee_per_gas=PRICE, max_priority_fee_per_gas=PRICE, gas_limit=gas,
        to=to, value=value, data=data,
    ).sign(private_key(sender))  # fmt: skip


def cpu_seconds(pid):
    """Return the CPU time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watcher(threading.Thread):
    """Notes when each transaction's block is served by a node."""

    def __init__(self, url, wanted):
        super().__init__(daemon=True)
        self.url = url
        self.wanted = wanted
        self.seen = {}
        self.blocks = 0

    def run(self):
        height = int(rpc(self.url, "eth_blockNumber"), 16)
        while len(self.seen) < self.wanted:
            if height < int(rpc(self.url, "eth_blockNumber"), 16):
                height += 1
                hashes = rpc(self.url, "eth_getBlockByNumber", hex(height), False)["transactions"]
                self.seen |= dict.fromkeys(hashes, time.perf_counter())
                self.blocks += bool(hashes)
            else:
                time.sleep(0.02)


def memory(cluster):
    """Return the most that any node holds itself, and of mapped files, in MB."""
    own, mapped = (
        max(sizes) // 2**20
        for sizes in zip(*(own_and_mapped_bytes(node.process.pid) for node in cluster.nodes), strict=True)
    )
    return {"own_mb": own, "mapped_files_mb": mapped}


def drive(cluster, transactions, rate):
    """Offer `rate` transactions a second and return what became of them."""
    ports = [port_of(node.url) for node in cluster.nodes]
    batches = [transactions[at : at + BATCH] for at in range(0, len(transactions), BATCH)]
    watcher = Watcher(cluster.nodes[-1].url, len(transactions))
    watcher.start()
    entered = rounds(cluster)
    before = [cpu_seconds(node.process.pid) for node in cluster.nodes]
    began, sent = time.perf_counter(), {}
    for number, batch in enumerate(batches):
        due = began + number * BATCH / rate
        if number * BATCH % (rate * MEMORY_SECONDS) == 0:
            print(json.dumps({"sent": number * BATCH, **memory(cluster)}), flush=True)
        time.sleep(max(0, due - time.perf_counter()))
        send_batches(ports[number % len(ports)], [tx.raw for tx in batch], BATCH)
        sent |= dict.fromkeys(("0x" + tx.hash.hex() for tx in batch), due)
    accepted = time.perf_counter()
    watcher.join()
    ended = max(watcher.seen.values())
    latencies = sorted(watcher.seen[name] - at for name, at in sent.items())
    cpu = [cpu_seconds(node.process.pid) - was for node, was in zip(cluster.nodes, before, strict=True)]
    return {
        "transactions": len(transactions),
        "offered_per_second": rate,
        "accepted_per_second": round(len(transactions) / (accepted - began)),
        "committed_per_second": round(len(transactions) / (ended - began)),
        "latency_p50_s": round(latencies[len(latencies) // 2], 2),
        "latency_p95_s": round(latencies[len(latencies) * 95 // 100], 2),
        "blocks": watcher.blocks,
        "rounds_above_0": rounds(cluster) - entered,
        "cpu_us_per_transaction_and_node": round(statistics.mean(cpu) / len(transactions) * 1e6),
        "rss_mb": max(resident_bytes(node.process.pid)[0] for node in cluster.nodes) // 2**20,
        **memory(cluster),
        "peak_rss_mb": max(resident_bytes(node.process.pid)[1] for node in cluster.nodes) // 2**20,
    }


def main():
    """Run one load and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--kind", choices=["transfers", "erc20"], default="transfers")
    parser.add_argument("--rate", type=int, default=1_500, help="transactions offered a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--recipients", type=int, default=2_000, help="accounts that receive")
    options = parser.parse_args()
    count = options.rate * options.seconds // (SENDERS * BATCH) * SENDERS * BATCH or SENDERS * BATCH
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(home, validators=options.validators, params=(), environment={}).create().start() as cluster,
    ):
        fund(cluster.nodes[0])
        recipients = accounts(options.recipients)
        kind = token_transfers if options.kind == "erc20" else transfers
        load = kind(signed, cluster.nodes[0].url, count, [0] * SENDERS, recipients)
        figures = drive(cluster, load, options.rate)
    print(json.dumps({"case": options.kind, "validators": options.validators, **figures}))


if __name__ == "__main__":
    main()
