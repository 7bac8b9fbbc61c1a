"""Blocks of contract calls against stock py-evm's `import_block`: the same transactions, the same roots.

ERC-20 and ERC-721 of OpenZeppelin, a Uniswap-V2 pair, a loop of storage writes and a loop of arithmetic. The first three are the
unmodified contracts of shared/vectors; where those are absent, only the loops run. What is measured is the second block of a kind, or
a later one, as on a node in service: the first is where hot code is compiled.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

from eth_abi import encode

from benchmarks.bench_block import compare, erc20_transfers, sign
from benchmarks.load import accounts
from cybermiles.crypto.hashing import keccak256
from cybermiles.vm.pyevm.backend import contract_address
from cybermiles.vm.pyevm.startup import prepare_runtime

SENDERS = 50
VECTORS = Path(os.environ.get("CMT_VECTORS", Path(__file__).parents[2] / "shared" / "vectors"))
WORKLOADS = Path(__file__).parent / "contracts" / "workloads_shanghai.json"
"""Workloads.sol beside it, compiled for the Shanghai rules that stock runs under."""


def call(sender, nonce, to, signature="", arguments=(), gas=400_000):
    types = signature[signature.index("(") + 1 : -1].split(",") if signature else ()
    data = keccak256(signature.encode())[:4] if signature else b""
    return sign(sender, nonce, to, data + encode([t for t in types if t], arguments), gas=gas)


def creation(name, *arguments):
    """Return the creation code of a contract of the shared vectors with its constructor's arguments."""
    document = json.loads(gzip.decompress((VECTORS / "contracts" / f"{name}.json.gz").read_bytes()))
    inputs = next((item["inputs"] for item in document["abi"] if item["type"] == "constructor"), [])
    return bytes.fromhex(document["bytecode"].removeprefix("0x")) + encode([i["type"] for i in inputs], arguments)


def erc721_mints(count=300):
    funded = accounts(SENDERS)
    deploy = sign(0, 0, None, creation("oz4-ERC721PresetMinterPauserAutoId", "T", "T", "u"), gas=6_000_000)
    token = contract_address(funded[0], 0)
    mints = [call(0, 1 + i, token, "mint(address)", ["0x" + funded[i % SENDERS].hex()]) for i in range(2 * count)]
    return compare("ERC-721 mints", [[deploy], mints[:count], mints[count:]], funded)


def swaps(count=200):
    """Each pays one token into the pair, then swaps: two transactions, as a router's call would do in one."""
    funded = accounts(SENDERS)
    owner = funded[0]
    a, b, factory = (contract_address(owner, nonce) for nonce in range(3))
    deploys = [
        sign(0, 0, None, creation("oz4-ERC20PresetMinterPauser", "A", "A"), gas=6_000_000),
        sign(0, 1, None, creation("oz4-ERC20PresetMinterPauser", "B", "B"), gas=6_000_000),
        sign(0, 2, None, creation("UniswapV2Factory", "0x" + owner.hex()), gas=6_000_000),
        call(0, 3, factory, "createPair(address,address)", ["0x" + a.hex(), "0x" + b.hex()], gas=6_000_000),
    ]
    low, high = sorted((a, b))
    pair_code = bytes.fromhex(
        json.loads(gzip.decompress((VECTORS / "contracts/UniswapV2Pair.json.gz").read_bytes()))[
            "bytecode"
        ].removeprefix("0x")
    )
    pair = keccak256(b"\xff" + factory + keccak256(low + high) + keccak256(pair_code))[12:]
    mint = "mint(address,uint256)"
    fill = [call(0, 4 + i, t, mint, ["0x" + pair.hex(), 10**24]) for i, t in enumerate((a, b))]
    fill.append(call(0, 6, pair, "mint(address)", ["0x" + owner.hex()]))
    fill.append(call(0, 7, low, mint, ["0x" + owner.hex(), 10**24]))
    calls = []
    for i in range(2 * count):
        nonce = 8 + 2 * i
        calls.append(call(0, nonce, low, "transfer(address,uint256)", ["0x" + pair.hex(), 10**15]))
        swap = [0, 10**14, "0x" + funded[i % SENDERS].hex(), b""]
        calls.append(call(0, nonce + 1, pair, "swap(uint256,uint256,address,bytes)", swap))
    first, second = calls[: 2 * count], calls[2 * count :]
    return compare("Uniswap-V2: transfers in and swaps", [deploys, fill, first, second], funded)


def _workload(name, function, size, count):
    funded = accounts(SENDERS)
    deploy = sign(0, 0, None, bytes.fromhex(json.loads(WORKLOADS.read_text())["bytecode"][2:]), gas=2_000_000)
    target = contract_address(funded[0], 0)
    signature = f"{function}(uint256,uint256)"
    calls = [
        call(1 + i % 40, i // 40, target, signature, [size, i], gas=3_000_000 if size > 40 else 1_500_000)
        for i in range(2 * count)
    ]
    return compare(name, [[deploy], calls[:count], calls[count:]], funded)


def stores(count=60):
    return _workload("storage-heavy: 30 fresh words", "store", 30, count)


def computations(count=30):
    return _workload("compute-heavy: insertion sort of 120", "compute", 120, count)


CASES = (erc20_transfers, swaps, erc721_mints, stores, computations)


def main():
    """Print each case three times: read the medians of the ratios."""
    prepare_runtime()
    for case in CASES:
        if sys.argv[1:] and case.__name__ not in sys.argv[1:]:
            continue
        if case in (erc721_mints, swaps) and not VECTORS.is_dir():
            print(json.dumps({"case": case.__name__, "skipped": "no official contracts; set CMT_VECTORS"}))
            continue
        for _ in range(3):
            print(json.dumps(case()))


if __name__ == "__main__":
    main()
