"""The same load on this node and on other Ethereum nodes, one after another on the same machine.

    python -m benchmarks.bench_peers --modules DIR --geth PATH

Plain transfers, then ERC-20 transfers, of 200 senders, signed before the clock starts, in JSON-RPC batches of 100, as fast as the
node takes them; the clock stops when a node serves the block that holds the last. Blocks come once a second everywhere. `--modules` is a
folder in which `npm install @foundry-rs/anvil hardhat@2` was run, `--geth` a geth binary; what is missing is left out and said.

What the others do not do: anvil, Hardhat and geth's developer mode have one process, no consensus, no network and no votes; anvil and
Hardhat keep everything in memory. Their transactions pay for gas, and their chains charge a base fee.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.bench_network import fund
from benchmarks.bench_rpc import send_batches
from benchmarks.load import accounts, private_key, resident_bytes, rpc
from benchmarks.workload import SENDERS, port_of, token_transfers, transfers
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction_codec import UnsignedTransaction
from tests.e2e.network.cluster import Cluster

GAS_LIMIT = 200_000_000
HARDHAT = """module.exports = { solidity: "0.8.24", networks: { hardhat: { chainId: 31337, blockGasLimit: %d,
  mining: { auto: false, interval: 1000, mempool: { order: "fifo" } } } } };"""


class Peer:
    """A node that serves, and what is particular to its kind."""

    def __init__(self, name, urls, chain_id, max_fee, pids):
        self.name, self.urls, self.chain_id, self.max_fee, self.pids = name, urls, chain_id, max_fee, pids

    def sign(self, sender, nonce, to, data=b"", gas=21_000, value=0):
        return UnsignedTransaction(
            chain_id=self.chain_id, nonce=nonce, max_fee_per_gas=self.max_fee, max_priority_fee_per_gas=2 * GWEI,
            gas_limit=gas, to=to, value=value, data=data,
        ).sign(private_key(sender))  # fmt: skip


@contextlib.contextmanager
def process(command, url, **options):
    """Run a program until the block ends; yield it once it serves."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                rpc(url, "eth_blockNumber")
                break
            time.sleep(0.1)
        yield running
    finally:
        running.terminate()
        running.wait(30)


@contextlib.contextmanager
def ours(validators):
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(home, validators=validators, params=(), environment={}).create().start() as cluster,
    ):
        fund(cluster.nodes[0])
        name = f"cybermiles, {validators} validator{'s' if validators > 1 else ''}"
        yield Peer(name, [n.url for n in cluster.nodes], 181818, 2 * GWEI, [n.process.pid for n in cluster.nodes])


@contextlib.contextmanager
def anvil(modules, port=28_545):
    url = f"http://127.0.0.1:{port}"
    command = [
        modules / "node_modules/.bin/anvil",
        "--port",
        str(port),
        "--block-time",
        "1",
        "--gas-limit",
        str(GAS_LIMIT),
        "--silent",
    ]
    with process(command, url) as running:
        for address in accounts(SENDERS):
            rpc(url, "anvil_setBalance", "0x" + address.hex(), hex(10**24))
        yield Peer("anvil", [url], 31337, 10_000 * GWEI, [running.pid])


@contextlib.contextmanager
def hardhat(modules, port=28_546):
    url = f"http://127.0.0.1:{port}"
    (modules / "hardhat.config.js").write_text(HARDHAT % GAS_LIMIT)
    with process([modules / "node_modules/.bin/hardhat", "node", "--port", str(port)], url, cwd=modules) as running:
        for address in accounts(SENDERS):
            rpc(url, "hardhat_setBalance", "0x" + address.hex(), hex(10**24))
        yield Peer("hardhat node", [url], 31337, 10_000 * GWEI, [running.pid])


@contextlib.contextmanager
def geth(binary, port=28_547):
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as home:
        command = [
            binary, "--dev", "--dev.period", "1", "--dev.gaslimit", str(GAS_LIMIT), "--datadir", home, "--http", "--http.port", str(port),
            "--http.api", "eth,net,web3", "--rpc.txfeecap", "0", "--miner.gaslimit", str(GAS_LIMIT), "--txpool.accountslots", "4096", "--txpool.globalslots", "200000",
            "--txpool.accountqueue", "4096", "--txpool.globalqueue", "200000", "--port", "0", "--authrpc.port", str(port + 1000),
        ]  # fmt: skip
        with process(command, url) as running:
            rich = rpc(url, "eth_accounts")[0]
            for address in accounts(SENDERS):
                rpc(url, "eth_sendTransaction", {"from": rich, "to": "0x" + address.hex(), "value": hex(10**22)})
            while int(rpc(url, "eth_getBalance", "0x" + accounts(SENDERS)[-1].hex(), "latest"), 16) == 0:
                time.sleep(0.1)
            yield Peer("geth --dev", [url], 1337, 10_000 * GWEI, [running.pid])


def measure(peer, kind, count):
    """Send everything and wait for the last. Returns committed transactions a second."""
    first = peer.urls[0]
    nonces = [int(rpc(first, "eth_getTransactionCount", "0x" + a.hex(), "latest"), 16) for a in accounts(SENDERS)]
    signed = kind(peer.sign, first, count, nonces, accounts(2_000))
    watched = peer.urls[-1]
    height = int(rpc(watched, "eth_blockNumber"), 16)
    began = time.perf_counter()
    for at in range(0, count, 100):
        sender_of_batch = at // 100 % len(peer.urls)
        send_batches(port_of(peer.urls[sender_of_batch]), [tx.raw for tx in signed[at : at + 100]], 100)
    accepted = time.perf_counter()
    done = 0
    while done < count:
        while height < int(rpc(watched, "eth_blockNumber"), 16):
            height += 1
            done += int(rpc(watched, "eth_getBlockTransactionCountByNumber", hex(height)), 16)
        time.sleep(0.02)
    ended = time.perf_counter()
    receipt = rpc(watched, "eth_getTransactionReceipt", "0x" + signed[-1].hash.hex())
    assert receipt["status"] == "0x1"
    return {
        "node": peer.name,
        "load": kind.__name__,
        "transactions": count,
        "accepted_per_second": round(count / (accepted - began)),
        "committed_per_second": round(count / (ended - began)),
        "peak_rss_mb": max(resident_bytes(pid)[1] for pid in peer.pids) // 2**20,
    }


def main():
    """Print a line for each node and load, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path)
    parser.add_argument("--geth", type=Path)
    parser.add_argument("--transactions", type=int, default=20_000)
    parser.add_argument("--only", default="", help="nodes whose name contains this")
    options = parser.parse_args()
    kinds = {"cybermiles 1": lambda: ours(1), "cybermiles 4": lambda: ours(4)}
    if options.modules:
        kinds |= {
            "anvil": lambda: anvil(options.modules.resolve()),
            "hardhat": lambda: hardhat(options.modules.resolve()),
        }
    if options.geth:
        kinds["geth"] = lambda: geth(options.geth.resolve())
    for name in {"anvil", "hardhat", "geth"} - set(kinds):
        print(json.dumps({"node": name, "left out": "see --help"}))
    rows = []
    for name, start in kinds.items():
        if options.only in name:
            with start() as peer:
                for kind in (transfers, token_transfers):
                    rows.append(measure(peer, kind, options.transactions))
                    print(json.dumps(rows[-1]), flush=True)
    for kind in ("transfers", "token_transfers"):
        chosen = [row for row in rows if row["load"] == kind]
        base = chosen[0]["committed_per_second"]
        ratios = {row["node"]: round(row["committed_per_second"] / base, 2) for row in chosen}
        print(json.dumps({"load": kind, "ratio to the first": ratios}))


if __name__ == "__main__":
    main()
