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

from eth_abi import encode

from benchmarks.bench_network import SENDERS, fund, rounds
from benchmarks.bench_rpc import send_batches
from benchmarks.load import PRICE, accounts, private_key, resident_bytes, rpc
from cybermiles.crypto.hashing import keccak256
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.pyevm.backend import contract_address
from tests.e2e.network.cluster import Cluster

TOKEN = Path(__file__).parent / "erc20_shanghai.json"
BATCH = 100
TICKS = os.sysconf("SC_CLK_TCK")


def signed(sender, nonce, to, data=b"", gas=21_000, value=0):
    return UnsignedTransaction(
        chain_id=181818, nonce=nonce, max_fee_per_gas=PRICE, max_priority_fee_per_gas=PRICE, gas_limit=gas,
        to=to, value=value, data=data,
    ).sign(private_key(sender))  # fmt: skip


def transfers(count, recipients):
    """Return plain transfers, senders in turn."""
    return [signed(i % SENDERS, i // SENDERS, recipients[i * 7 % len(recipients)], value=1) for i in range(count)]


def token_transfers(node, count, recipients):
    """Deploy a token, give every sender some, and return transfers of it, senders in turn."""
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:])
    token = contract_address(accounts(1)[0], 0)
    deploy = signed(0, 0, None, code + encode(["string", "string", "uint256"], ["T", "T", 10**27]), gas=2_000_000)
    selector = keccak256(b"transfer(address,uint256)")[:4]

    def move(sender, nonce, to, amount):
        return signed(
            sender, nonce, token, selector + encode(["address", "uint256"], ["0x" + to.hex(), amount]), 80_000
        )

    shares = [move(0, 1 + i, address, 10**22) for i, address in enumerate(accounts(SENDERS)[1:])]
    submit(node, [deploy, *shares])
    nonces = [SENDERS, *[0] * (SENDERS - 1)]
    return [
        move(i % SENDERS, nonces[i % SENDERS] + i // SENDERS, recipients[i * 7 % len(recipients)], 1)
        for i in range(count)
    ]


def submit(node, transactions):
    """Send transactions to one node and wait for the last."""
    send_batches(int(node.url.rsplit(":", 1)[1]), [tx.raw for tx in transactions], BATCH)
    while rpc(node.url, "eth_getTransactionReceipt", "0x" + transactions[-1].hash.hex()) is None:
        time.sleep(0.1)


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


def drive(cluster, transactions, rate):
    """Offer `rate` transactions a second and return what became of them."""
    ports = [int(node.url.rsplit(":", 1)[1]) for node in cluster.nodes]
    batches = [transactions[at : at + BATCH] for at in range(0, len(transactions), BATCH)]
    watcher = Watcher(cluster.nodes[-1].url, len(transactions))
    watcher.start()
    entered = rounds(cluster)
    before = [cpu_seconds(node.process.pid) for node in cluster.nodes]
    began, sent = time.perf_counter(), {}
    for number, batch in enumerate(batches):
        due = began + number * BATCH / rate
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
        if options.kind == "erc20":
            load = token_transfers(cluster.nodes[0], count, recipients)
        else:
            load = transfers(count, recipients)
        figures = drive(cluster, load, options.rate)
    print(json.dumps({"case": options.kind, "validators": options.validators, **figures}))


if __name__ == "__main__":
    main()
