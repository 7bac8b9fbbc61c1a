"""The nodes that `bench_peers` compares: how each is started, which processes it is, and what it does not do.

A node is a context manager that yields a `Peer` once it serves and the senders have coins. Blocks come once a second everywhere. All
chains but ours, whose limit is a chain parameter, get a block gas limit that no load here fills.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from benchmarks.bench_network import fund
from benchmarks.load import CHAIN_ID, accounts, resident_bytes, rpc
from benchmarks.workload import SENDERS
from tests.e2e.network.cluster import Cluster

GAS_LIMIT = 1_000_000_000
COINS = 10**24
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 120
HARDHAT = """module.exports = { solidity: "0.8.24", networks: { hardhat: { chainId: %d, blockGasLimit: %d,
  mining: { auto: false, interval: 1000, mempool: { order: "fifo" } } } } };"""


class PeerError(RuntimeError):
    """A node did not start, ended, refused a transaction or came to a standstill."""


@dataclass(frozen=True)
class Peer:
    """A network that serves."""

    name: str
    urls: list
    """One of each node."""
    pids: list
    """The process that was started for each node."""
    note: str
    """What it does not do that a validator of a public network must."""


def family(pid):
    """Return a process and all its descendants: some nodes are started through a wrapper, some have workers."""
    members = [pid]
    for member in members:
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f"/proc/{member}/task").iterdir():
                members += map(int, (task / "children").read_text().split())
    return members


def cpu_seconds(peer):
    """Return the CPU time of all processes with all their threads, and of their children that ended."""
    total = 0
    for member in [member for pid in peer.pids for member in family(pid)]:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def peak_resident_bytes(peer):
    """Return the peak of each node: its processes' added up, so that pages they share count more than once."""
    return [sum(resident_bytes(member)[1] for member in family(pid)) for pid in peer.pids]


@contextlib.contextmanager
def process(command, url, **options):
    """Run a program until the block ends; yield it once it serves. Raises PeerError with its last lines otherwise."""
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, **options)
        try:
            wait_until_serving(running, url, log)
            yield running
        except (OSError, HTTPException) as error:
            if running.poll() is not None:
                raise PeerError(f"{command[0]} ended by itself: {last_lines(log)}") from error
            raise
        finally:
            running.terminate()
            running.wait(60)


def last_lines(log):
    log.seek(0)
    return log.read().decode(errors="replace")[-2_000:]


def wait_until_serving(running, url, log):
    """Return when the program answers."""
    for _ in range(START_SECONDS * 10):
        if running.poll() is not None:
            break
        with contextlib.suppress(OSError):
            rpc(url, "eth_blockNumber")
            return
        time.sleep(0.1)
    raise PeerError(f"{running.args[0]} does not serve: {last_lines(log)}")


@contextlib.contextmanager
def ours(validators):
    """Real validators of this project with their default settings."""
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(home, validators=validators, params=(), environment={}).create().start() as cluster,
    ):
        fund(cluster.nodes[0])
        name = f"cybermiles, {validators} validator{'s' if validators > 1 else ''}"
        note = "leaves nothing out: consensus, network, every check, an fsync for each block"
        if validators == 1:
            note = "waits for no other validator; it proposes, votes and makes an fsync for each block"
        yield Peer(name, [n.url for n in cluster.nodes], [n.process.pid for n in cluster.nodes], note)


@contextlib.contextmanager
def anvil(modules, port=28_545):
    """Foundry's development node, without the JavaScript process that npm's command puts around it."""
    url = f"http://127.0.0.1:{port}"
    (binary,) = (modules / "node_modules/@foundry-rs").glob("anvil-*/bin/anvil")
    command = [
        binary, "--port", str(port), "--block-time", "1", "--gas-limit", str(GAS_LIMIT),
        "--chain-id", str(CHAIN_ID), "--silent",
    ]  # fmt: skip
    with process(command, url) as running:
        for address in accounts(SENDERS):
            rpc(url, "anvil_setBalance", "0x" + address.hex(), hex(COINS))
        yield Peer("anvil", [url], [running.pid], "has no consensus, network or disk: one process, all in memory")


@contextlib.contextmanager
def hardhat(modules, port=28_546):
    """Hardhat's development node. It reads its settings from a file beside its package."""
    url = f"http://127.0.0.1:{port}"
    (modules / "hardhat.config.js").write_text(HARDHAT % (CHAIN_ID, GAS_LIMIT))
    with process([modules / "node_modules/.bin/hardhat", "node", "--port", str(port)], url, cwd=modules) as running:
        for address in accounts(SENDERS):
            rpc(url, "hardhat_setBalance", "0x" + address.hex(), hex(COINS))
        yield Peer(
            "hardhat node", [url], [running.pid], "has no consensus, network or disk: one process, all in memory"
        )


MAINNET_FORKS = ("shanghaiTime", "cancunTime", "pragueTime", "osakaTime")


def geth_genesis(binary):
    """Return geth's own developer genesis with the load's chain id, a large block gas limit and coins for the senders.

    Forks after Osaka, which a developer chain may switch on before mainnet, are left out: they charge for a new storage slot more gas
    than the load gives.
    """
    dumped = subprocess.run([binary, "--dev", "dumpgenesis"], capture_output=True, check=True)
    genesis = json.loads(dumped.stdout)
    config = genesis["config"]
    genesis["config"] = {k: v for k, v in config.items() if not k.endswith("Time") or k in MAINNET_FORKS}
    genesis["config"]["chainId"] = CHAIN_ID
    genesis["gasLimit"] = hex(GAS_LIMIT)
    genesis["alloc"] |= {address.hex(): {"balance": hex(COINS)} for address in accounts(SENDERS)}
    return json.dumps(genesis)


@contextlib.contextmanager
def geth(binary, port=28_547):
    """go-ethereum in developer mode, on disk."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as home:
        genesis = Path(home) / "genesis.json"
        genesis.write_text(geth_genesis(binary))
        made = subprocess.run(
            [binary, "init", "--datadir", home, str(genesis)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise PeerError(made.stderr[-2_000:])
        command = [
            binary, "--dev", "--dev.period", "1", "--datadir", home, "--http", "--http.port", str(port),
            "--http.api", "eth,net,web3", "--rpc.txfeecap", "0", "--miner.gaslimit", str(GAS_LIMIT),
            "--txpool.accountslots", "4096", "--txpool.globalslots", "200000", "--txpool.accountqueue", "4096",
            "--txpool.globalqueue", "200000", "--port", "0", "--authrpc.port", str(port + 1000),
        ]  # fmt: skip
        with process(command, url) as running:
            note = "has no consensus, network or fsync: one process, blocks written to disk unsynced, state later"
            yield Peer("geth --dev", [url], [running.pid], note)
