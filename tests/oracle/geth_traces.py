"""Traces of go-ethereum and ours of the same transactions on the same state, compared field by field.

    python -m tests.oracle.geth_traces GETH --random 500     random programs, all tracers; prints what differs
    python -m tests.oracle.geth_traces GETH --write          the named cases, into the golden file that tests read

GETH is the program of tests/oracle/geth, built as it says: go-ethereum's own EVM and tracers. Nothing of it is needed to test
against the golden file.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import subprocess
from pathlib import Path

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import sign as sign_digest
from cybermiles.rpc.traces.flat_calls import TracePlace
from cybermiles.rpc.traces.options import make_tracer, parse_trace_options
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.transaction import Authorization
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.backend import BlockContext
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.tracing import ByteBudget
from tests.differential.programs import COINBASE, CONTRACTS, PLAIN_ACCOUNT, scenario
from tests.factories import ADDRESSES, KEYS

GOLDEN = Path(__file__).parent / "geth_traces.json.xz"
GETH = "v1.17.10"
MUX = {"callTracer": {"withLog": True}, "prestateTracer": {}, "4byteTracer": {}, "noopTracer": {}}
TRACES = {
    "steps": {"enableMemory": True, "enableReturnData": True},
    "lean": {"disableStack": True, "disableStorage": True},
    "mux": {"tracer": "muxTracer", "tracerConfig": MUX},
    "calls": {"tracer": "callTracer"},
    "top": {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True, "withLog": True}},
    "flat": {"tracer": "flatCallTracer"},
    "parity": {
        "tracer": "flatCallTracer",
        "tracerConfig": {"convertParityErrors": True, "includePrecompiles": True},
    },
    "diff": {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}},
    "bare": {"tracer": "prestateTracer", "tracerConfig": {"disableCode": True, "disableStorage": True}},
    "empty": {"tracer": "prestateTracer", "tracerConfig": {"includeEmpty": True}},
}
"""Name to trace configuration."""
GAS_LIMIT = 100_000_000
BLOCK_HASH = b"\x09" * 32
BATCH = 50


def hexed(value):
    return "0x" + value.hex()


def sign(item):
    """Return the signed transaction that a case describes."""
    signers = item.get("authorizations", ())
    return UnsignedTransaction(
        type=4 if signers else 0,
        authorizations=tuple(_authorization(*entry) for entry in signers),
        chain_id=1,
        nonce=item["nonce"],
        max_fee_per_gas=item["price"],
        max_priority_fee_per_gas=item["price"],
        gas_limit=item["gas"],
        to=None if item["to"] is None else Address(bytes.fromhex(item["to"])),
        value=item["value"],
        data=bytes.fromhex(item["data"]),
    ).sign(KEYS[item["key"]])


def _authorization(key, nonce, address):
    """Return what lets the account of a key run the code of an address (EIP-7702)."""
    target = Address(bytes.fromhex(address))
    message = b"\x05" + rlp.encode_list((rlp.encode_int(1), rlp.encode_bytes(target), rlp.encode_int(nonce)))
    return Authorization(1, target, nonce, *sign_digest(keccak256(message), KEYS[key]))


def transaction(to=None, data=b"", *, nonce=0, value=0, gas=1_000_000, price=7, key=0, authorizations=()):
    """Return a case's transaction. `authorizations`: (key, nonce, hex of the address) each."""
    return {
        "authorizations": list(authorizations),
        "to": None if to is None else bytes(to).hex(), "data": bytes(data).hex(), "nonce": nonce, "value": value, "gas": gas,
        "price": price, "key": key,
    }  # fmt: skip


def account(code=b"", *, balance=0, nonce=1, storage=None):
    """Return a case's account."""
    return {
        "code": bytes(code).hex(), "balance": balance, "nonce": nonce,
        "storage": {str(slot): word for slot, word in (storage or {}).items()},
    }  # fmt: skip


def random_case(seed):
    """Return the case of a seed of the differential tests' generator."""
    item = scenario(seed)
    alloc = {hexed(ADDRESSES[0]): account(balance=10**20, nonce=0), hexed(PLAIN_ACCOUNT): account(balance=7, nonce=0)}
    for index, (address, code) in enumerate(zip(CONTRACTS, item.codes, strict=True)):
        alloc[hexed(address)] = account(code, balance=10**18, storage=item.storage if index == 0 else None)
    return {"alloc": alloc, "transactions": [transaction(CONTRACTS[0], item.data, value=item.value, gas=item.gas)]}


# go-ethereum


def run_geth(program, cases):
    """Return, for each case and each of its transactions, name to trace."""
    lines = []
    for case in cases:
        alloc = {
            address: {
                "balance": hex(entry["balance"]), "nonce": hex(entry["nonce"]), "code": "0x" + entry["code"],
                "storage": {f"0x{int(slot):064x}": f"0x{word:064x}" for slot, word in entry["storage"].items()},
            }
            for address, entry in case["alloc"].items()
        }  # fmt: skip
        raws = [hexed(sign(item).raw) for item in case["transactions"]]
        lines.append(json.dumps({"alloc": alloc, "transactions": raws, "traces": TRACES}))
    answer = subprocess.run([program], input="\n".join(lines).encode(), check=True, capture_output=True).stdout
    return [json.loads(line) for line in answer.splitlines()]


# ours


def run_ours(case):
    """Return, for each transaction, name to trace."""
    backend = PyEvmBackend(ethereum_rules(Fork.OSAKA, 1))
    answers = [{} for _ in case["transactions"]]
    for name, options in TRACES.items():
        world, logs = world_of(case["alloc"]), 0
        for index, (item, answer) in enumerate(zip(case["transactions"], answers, strict=True)):
            signed = sign(item)
            place = TracePlace(None, 10, signed.hash, index, logs)
            tracer, rendered = make_tracer(parse_trace_options(options), ByteBudget(1 << 30), place)
            price = signed.effective_gas_price(0)
            result = backend.execute_transaction(
                world, context(), signed, gas_price=price, compute_units=None, tracer=tracer
            )
            logs += len(result.logs)
            answer[name] = json.loads(rendered.render())
    return answers


def world_of(alloc):
    world = WorldState(NoState())
    world.begin_transaction()
    for text, entry in alloc.items():
        address = Address(bytes.fromhex(text[2:]))
        world.set_balance(address, entry["balance"])
        world.set_nonce(address, entry["nonce"])
        world.set_code(address, bytes.fromhex(entry["code"]))
        for slot, word in entry["storage"].items():
            world.set_storage(address, int(slot), word)
    world.end_transaction()
    return world


def context():
    return BlockContext(
        height=10, timestamp=100, coinbase=Address(COINBASE), gas_limit=GAS_LIMIT, prev_randao=Hash32(bytes(32)), base_fee=0,
        fee_recipient=Address(COINBASE), block_hash=lambda height: Hash32(BLOCK_HASH) if height == 9 else None,
    )  # fmt: skip


def differences(geth, ours):
    """Return what differs in one transaction: (where, geth's, ours)."""
    found = []
    for name in TRACES:
        _compare(name, geth[name], ours[name], found)
    return found


REASONS = (
    (
        "geth lists absent accounts that were touched as changed: it compares with the hash of no code",
        lambda theirs, ours: theirs == {"codeHash": hexed(bytes(32))} and ours is None,
    ),
    (
        "geth puts what happens while it computes a price as if gas had run out",
        lambda theirs, ours: theirs == f"out of gas: {ours}" or str(theirs).startswith("out of gas: max initcode size"),
    ),
    (
        "heights are known where steps are traced, and an opcode may fail for two reasons",
        lambda theirs, ours: (
            str(theirs).startswith("stack underflow (")
            and ours in ("stack underflow", "out of gas", "write protection")
        ),
    ),
    (
        "sizes that no gas could pay are out of gas here",
        lambda theirs, ours: str(theirs).endswith("gas uint64 overflow") and str(ours) != "None",
    ),
    ("geth says how; here the call failed", lambda theirs, ours: ours in ("precompile failed", "Built-in failed")),
    ("geth names opcodes of forks that may come", lambda theirs, ours: str(ours).endswith(" not defined")),
    (
        "an opcode that fails for two reasons has one of them",
        lambda theirs, ours: (
            str(theirs).lower() == "out of gas"
            and ours in ("write protection", "return data out of bounds", "Out of bounds")
        ),
    ),
)
"""Differences that are none of ours, and how they look."""


def known(where, theirs, ours, steps):
    """Return why a difference is none of ours, None for any other.

    `steps` are the transaction's, as geth logged them.
    """
    for reason, looks_like in REASONS:
        if looks_like(theirs, ours):
            return reason
    step = _step_of(where, steps)
    if step is not None and where.endswith((".gasCost", ".error", ".refund")):
        fails = "error" in step or _is_last_of_its_frame(where, steps)
        return "what an opcode that fails would have cost is known as far as it was computed" if fails else None
    return None


def _step_of(where, steps):
    found = re.search(r"structLogs\[(\d+)\]", where)
    return None if found is None else steps[int(found[1])]


def _is_last_of_its_frame(where, steps):
    """Whether the code ends with this step without meaning to: the next one is the caller's."""
    index = int(re.search(r"structLogs\[(\d+)\]", where)[1])
    return index + 1 == len(steps) or steps[index + 1]["depth"] < steps[index]["depth"]


def _compare(where, theirs, ours, found):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in {**theirs, **ours}:
            _compare(f"{where}.{key}", theirs.get(key), ours.get(key), found)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (left, right) in enumerate(zip(theirs, ours, strict=True)):
            _compare(f"{where}[{index}]", left, right, found)
    elif theirs != ours:
        found.append((where, theirs, ours))


def main():
    """Compare, or write the golden file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        from tests.oracle.trace_cases import named_cases

        cases = named_cases()
        answers = run_geth(arguments.program, cases.values())
        golden = {name: {**case, "traces": traces} for (name, case), traces in zip(cases.items(), answers, strict=True)}
        GOLDEN.write_bytes(lzma.compress(json.dumps({"geth": GETH, "cases": golden}).encode(), preset=9))
    last = arguments.first + arguments.random
    for first in range(arguments.first, last, BATCH):
        seeds = range(first, min(first + BATCH, last))
        cases = [random_case(seed) for seed in seeds]
        for seed, case, answers in zip(seeds, cases, run_geth(arguments.program, cases), strict=True):
            for geth, ours in zip(answers, run_ours(case), strict=True):
                unknown = [
                    found for found in differences(geth, ours) if known(*found, geth["steps"]["structLogs"]) is None
                ]
                for where, theirs, mine in unknown[:4]:
                    print(seed, where, "geth:", str(theirs)[:150], "ours:", str(mine)[:150])  # noqa: T201  (a command)


if __name__ == "__main__":
    main()
