"""Four validators of Polygon Edge (IBFT, Go) on loopback: the BFT EVM chain of `bench_peers`.

Fresh keys, a genesis with the four as its authorities (proof of authority, ECDSA seals) and coins for the senders, one second between
blocks, London rules with a burn contract, so that it charges a base fee as the others do. Its limits on batches and on its pool,
which are made for public networks, are raised so that no load here meets them. Each node dials the other three.

The binary: a Go module of one's own whose `main` calls `root.NewRootCommand().Execute()` of
`github.com/0xPolygon/polygon-edge/command/root`. It requires `github.com/0xPolygon/polygon-edge` v0.9.0 and two newer versions of what
that asks for: `github.com/libp2p/go-libp2p` v0.30.0, since the older does not compile with Go 1.21 or later (and v0.33 lacks what Edge
calls), and `gopkg.in/DataDog/dd-trace-go.v1` v1.60.0, since the older imports a module that was not to be had. Nothing of Edge is changed.

    go build -mod=mod -ldflags=-checklinkname=0 -o polygon-edge .
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.load import CHAIN_ID, accounts, rpc
from benchmarks.peers import COINS, GAS_LIMIT, START_SECONDS, Peer, PeerError, process
from benchmarks.workload import SENDERS

VALIDATORS = 4
POOL = 200_000
BURN = "0:0x000000000000000000000000000000000000dEaD"


def run(binary, *arguments, cwd):
    """Run one of its commands and return what it printed."""
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise PeerError(f"{' '.join(arguments[:2])}: {done.stderr[-2_000:]}{done.stdout[-2_000:]}")
    return done.stdout


def create(binary, home, port):
    """Write the four nodes' keys and their genesis. Returns their folders."""
    keys = json.loads(
        run(
            binary, "secrets", "init", "--insecure", "--num", str(VALIDATORS), "--data-dir", "node-", "--json", cwd=home
        )
    )
    arguments = [
        "genesis", "--consensus", "ibft", "--ibft-validator-type", "ecdsa", "--chain-id", str(CHAIN_ID),
        "--block-gas-limit", str(GAS_LIMIT), "--block-time", "1s", "--burn-contract", BURN,
    ]  # fmt: skip
    for number, key in enumerate(keys):
        arguments += ["--ibft-validator", key["address"]]
        arguments += ["--bootnode", f"/ip4/127.0.0.1/tcp/{port + 3 * number + 2}/p2p/{key['node_id']}"]
    for address in accounts(SENDERS):
        arguments += ["--premine", f"0x{address.hex()}:{COINS}"]
    run(binary, *arguments, cwd=home)
    return [Path(home) / f"node-{number + 1}" for number in range(VALIDATORS)]


def command(binary, folder, first):
    """Return one node's command; its ports are JSON-RPC, gRPC and peer-to-peer from `first` on."""
    rpc_port, grpc, p2p = (f"127.0.0.1:{first + offset}" for offset in range(3))
    return [
        binary, "server", "--data-dir", str(folder), "--chain", str(folder.parent / "genesis.json"), "--seal",
        "--jsonrpc", rpc_port, "--grpc-address", grpc, "--libp2p", p2p, "--log-level", "ERROR",
        "--json-rpc-batch-request-limit", "0", "--max-slots", str(POOL), "--max-enqueued", str(POOL),
    ]  # fmt: skip


def wait_for_blocks(urls):
    """Return when every node has a block: they found each other and agree."""
    for _ in range(START_SECONDS * 10):
        if min(int(rpc(url, "eth_blockNumber"), 16) for url in urls) > 0:
            return
        time.sleep(0.1)
    raise PeerError("the four nodes make no blocks")


@contextlib.contextmanager
def polygon_edge(binary, port=28_600):
    """Run the four."""
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        pids, urls = [], []
        for number, folder in enumerate(create(binary, home, port)):
            first = port + 3 * number
            urls.append(f"http://127.0.0.1:{first}")
            pids.append(stack.enter_context(process(command(binary, folder, first), urls[-1])).pid)
        wait_for_blocks(urls)
        note = "makes no fsync (LevelDB, written unsynced); its validators are fixed; rules of London"
        yield Peer("polygon-edge (IBFT), 4 validators", urls, pids, note)
