"""Recorded exchanges of Ethereum clients over a test chain: `>> request` lines, each answered by a `<< response` line.

`CMT_RPC_EXCHANGES` names another archive or directory of the same form: genesis.json, chain.rlp, <method>/<name>.io.
"""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("CMT_VECTORS", ROOT.parent / "shared" / "vectors"))
SOURCE = Path(os.environ.get("CMT_RPC_EXCHANGES", VECTORS / "rpc" / "execution-apis-cancun.tar.gz"))

EXCEPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "eth_feeHistory/fee-history.io": (
        ("baseFeePerBlobGas", "blobGasUsedRatio"),
        "blobs: the record says that half of block 2's blob gas is used and that the price of blobs doubles after it, "
        "but that block's own header has blobGasUsed 0 and excessBlobGas 0, and no block of the chain has more than "
        "one blob of six",
    ),
}
"""Exchange to the fields of its result that are not compared, and why. Everything else must be equal."""


@dataclass(frozen=True)
class Exchange:
    """One request with the recorded answer."""

    name: str
    request: bytes
    response: dict[str, Any]


def read_files() -> dict[str, bytes]:
    """Return every file of the source by its name below the directory that has genesis.json; nothing where absent."""
    if SOURCE.is_dir():
        files = {str(path.relative_to(SOURCE)): path.read_bytes() for path in SOURCE.rglob("*") if path.is_file()}
    elif SOURCE.is_file():
        with tarfile.open(SOURCE) as archive:
            members = [member for member in archive if member.isfile()]
            files = {member.name: archive.extractfile(member).read() for member in members}
    else:
        return {}
    genesis = min((name for name in files if name.endswith("genesis.json")), key=len)
    root = genesis.removesuffix("genesis.json")
    return {name.removeprefix(root): content for name, content in files.items() if name.startswith(root)}


def exchanges(files: dict[str, bytes]) -> list[Exchange]:
    """Return every exchange in order of names."""
    found = []
    for name in sorted(files):
        if name.endswith(".io"):
            lines = files[name].decode().splitlines()
            requests = [line[3:] for line in lines if line.startswith(">> ")]
            responses = [line[3:] for line in lines if line.startswith("<< ")]
            pairs = zip(requests, responses, strict=True)
            found += [Exchange(name, request.encode(), json.loads(response)) for request, response in pairs]
    return found


def comparable(name: str, response: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what is not compared."""
    answer = dict(response)
    if "error" in answer:
        answer["error"] = {key: value for key, value in answer["error"].items() if key != "message"}
    if name in EXCEPTIONS:
        left_out = EXCEPTIONS[name][0]
        answer["result"] = {key: value for key, value in answer["result"].items() if key not in left_out}
    return answer
