"""Tracing against plain execution: an ERC-20 transfer, last of its block, and the same one in the middle of a full block.

Plain is the transaction executed on its state as a block executes it. A trace replays its block up to the transaction on the parent's
state and renders what it saw, so its price has three parts: the block's beginning, the transactions before, and the traced one.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from eth_abi import encode

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.traces.jobs import TraceBlock, TraceTransaction
from cybermiles.rpc.traces.options import parse_trace_options
from cybermiles.vm.pyevm.backend import contract_address
from cybermiles.vm.pyevm.startup import prepare_runtime
from cybermiles.vm.tracing import ByteBudget, CallRecorder
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.sources import MemorySource

TOKEN = Path(__file__).parent / "erc20_shanghai.json"
TRANSFERS = 50
RUNS = 60
OPTIONS = {
    "callTracer": {"tracer": "callTracer"},
    "callTracer, logs": {"tracer": "callTracer", "tracerConfig": {"withLog": True}},
    "4byteTracer": {"tracer": "4byteTracer"},
    "prestateTracer": {"tracer": "prestateTracer"},
    "prestateTracer, diff": {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}},
    "struct logs": {},
    "struct logs, memory": {"enableMemory": True},
}


def transfer(key, nonce, token, to, amount):
    data = keccak256(b"transfer(address,uint256)")[:4] + encode(["address", "uint256"], [to, amount])
    return sign(KEYS[key], nonce, to=token, data=data, gas=100_000)


def chain():
    """Return a source with a block of one transfer, and the height of one with many."""
    source = MemorySource()
    token = contract_address(ADDRESSES[0], 0)
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:])
    code += encode(["string", "string", "uint256"], ["T", "T", 10**27])
    source.advance([sign(KEYS[0], 0, to=None, data=code, gas=2_000_000, price=PAID)])
    for number in range(1, TRANSFERS + 1):
        source.advance([transfer(0, number, token, ADDRESSES[number], 10**20)])
    source.advance([transfer(0, TRANSFERS + 1, token, ADDRESSES[1], 5)])
    source.advance([transfer(number, 0, token, ADDRESSES[100 + number], 5) for number in range(1, TRANSFERS + 1)])
    return source


def median_us(function, runs=RUNS):
    """Return the median of µs of processor time."""
    took = []
    for _ in range(runs):
        began = time.process_time()
        function()
        took.append((time.process_time() - began) * 1e6)
    return statistics.median(took)


def execution_us(source, height, tracer=None, runs=RUNS):
    """Return the median of µs that the one transaction of a block takes, without the block's beginning."""
    took = []
    transaction = source.block(height).transactions[0]
    for _ in range(runs):
        execution = source.replay(height)._execution
        watching = tracer() if tracer else None
        began = time.process_time()
        execution.apply(transaction, watching)
        took.append((time.process_time() - began) * 1e6)
    return statistics.median(took)


def main():
    """Print each case: µs and its ratio to plain execution in the same run."""
    prepare_runtime()
    source = chain()
    one, many = source.head_height() - 1, source.head_height()
    for transaction in (*source.block(one).transactions, *source.block(many).transactions):
        transaction.sender  # noqa: B018  (recovered once: it is kept with the transaction)
    execution_us(source, one)
    plain = execution_us(source, one)
    watched = execution_us(source, one, lambda: CallRecorder(ByteBudget(10**7)))
    show("plain execution", plain, plain)
    show("the same, calls recorded", watched, plain)
    show("the block's beginning", median_us(lambda: source.replay(one)), plain)
    for name, given in OPTIONS.items():
        job = TraceTransaction(height=one, index=0, options=parse_trace_options(given), max_bytes=10**7)
        job.run(source)
        show(f"trace: {name}", median_us(lambda job=job: job.run(source)), plain)
    last = TraceTransaction(
        height=many, index=TRANSFERS - 1, options=parse_trace_options(OPTIONS["callTracer"]), max_bytes=10**7
    )
    show(f"trace: callTracer, behind {TRANSFERS - 1} others", median_us(lambda: last.run(source), 10), plain)
    block = TraceBlock(height=many, options=parse_trace_options(OPTIONS["callTracer"]), max_bytes=10**7)
    show(f"trace of the block, for each of {TRANSFERS}", median_us(lambda: block.run(source), 10) / TRANSFERS, plain)


def show(case, microseconds, plain):
    print(json.dumps({"case": case, "us": round(microseconds), "ratio_to_plain": round(microseconds / plain, 1)}))


if __name__ == "__main__":
    main()
