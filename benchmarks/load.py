"""Signed load, made before any clock starts, and a real node process to send it to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from cybermiles.chain.genesis import Allocation, GenesisValidator
from cybermiles.chain.networks import network_genesis
from cybermiles.chain.writing import format_genesis
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.node.data_dir import DataDir
from cybermiles.types.primitives import GWEI, WEI_PER_CMT, Address, Wei
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.types.validator import Validator

CHAIN_ID = 181818
PRICE = 2 * GWEI


def private_key(index):
    """Return the index-th account's key."""
    return (1_000_000 + index).to_bytes(32)


def accounts(count):
    """Return the addresses of the first accounts."""
    return [Address(address_of(private_key(index))) for index in range(count)]


def transfers(senders, each, recipients):
    """Return signed transfers: `each` of every sender, interleaved, to recipients in turn."""
    return [
        UnsignedTransaction(
            chain_id=CHAIN_ID,
            nonce=nonce,
            max_fee_per_gas=PRICE,
            max_priority_fee_per_gas=PRICE,
            gas_limit=21_000,
            to=recipients[(sender * 7 + nonce) % len(recipients)],
            value=1,
        ).sign(private_key(sender))
        for nonce in range(each)
        for sender in range(senders)
    ]


@contextmanager
def node(home, funded, port=18545, log=None):
    """Run a one-validator node whose genesis funds the accounts; yield (url, process)."""
    directory = DataDir(Path(home))
    template = network_genesis("devnet")
    key = directory.create_keys()
    share = Wei(1_000 * WEI_PER_CMT)
    allocations = [Allocation(f"load {i}", address, share) for i, address in enumerate(funded)]
    rest = Wei(template.supply - share * len(funded))
    allocations.append(Allocation("rest", Address(b"\x99" * 20), rest))
    document = type(template)(
        name=template.name,
        chain_id=template.chain_id,
        timestamp=int(time.time()),
        allow_unprotected=True,
        supply=template.supply,
        params=template.params,
        validators=(GenesisValidator("load", Validator(key, funded[0], 1)),),
        allocations=tuple(allocations),
        vesting=(),
    )
    directory.create_chain(document)
    assert format_genesis(document)
    output = (Path(log) if log else Path(home) / "node.log").open("w")  # noqa: SIM115  (closed after the yield)
    process = subprocess.Popen(
        [sys.executable, "-m", "cybermiles", "node", "start", "--home", str(home), "--rpc-port", str(port)],
        stdout=output,
        stderr=output,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_serving(url, process)
        yield url, process
    finally:
        process.terminate()
        process.wait(30)
        output.close()


def wait_until_serving(url, process):
    """Return when the node answers."""
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError("the node ended; see its log")
        try:
            rpc(url, "eth_blockNumber")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the node does not answer")


def rpc(url, method, *params):
    """Return the result of one request."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def resident_bytes(pid):
    """Return (now, peak) resident memory of a process."""
    return _status_bytes(pid, "VmRSS", "VmHWM")


def own_and_mapped_bytes(pid):
    """Return what a process holds itself, and how much of the files that it maps is in memory: the system takes that back."""
    return _status_bytes(pid, "RssAnon", "RssFile")


def _status_bytes(pid, *names):
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) * 1024 for name in names)
