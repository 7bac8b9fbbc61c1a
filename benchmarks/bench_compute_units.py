"""Micro-programs against the compute-unit table: how long a budget of units really lasts.

Each program repeats one operation for ever on an empty state in memory and ends when its budget is used up, so the CPU time it
takes is what that operation can take from a block. One microsecond a unit is what the table says of the machine it was made
on; on any machine, a program far above the others is an operation that is too cheap. Each is measured twice: where code that runs
often is compiled, and step by step, as code runs that an attacker keeps new.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import threading
import time

from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from py_ecc import bls12_381, bn128

from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.compute_units import TENTHS, precompile_weight
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.program import RUNS_BEFORE_FUSING
from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime
from cybermiles.vm.rules import Fork, ethereum_rules

BUDGET = 100_000
"""Units: a free transaction's. Precompiles that weigh more get what three calls of them take."""
GAS = 2**50
LARGE = 0x6000
SPRAWLING = 400
"""Contracts of 24 kB: more than the cache of translated code holds, and than `4 * BUDGET` can call."""
CONTRACT, CALLEE, SENDER = Address(b"\xc0" * 20), Address(b"\xca" * 20), Address(b"\xaa" * 20)
ONES = "7f" + "ff" * 32
"""PUSH32 of the largest word."""

OPCODES = {
    "JUMP": "",
    "PUSH, POP": "600150" * 50,
    "DUP, SWAP": "5f5f" + "809150" * 30 + "5050",
    "ADD": "5f" + "600301" * 50 + "50",
    "MUL": "6003" + "600302" * 50 + "50",
    "DIV": f"{ONES}6003900450" * 20,
    "SDIV": f"6003{ONES}0550" * 20,
    "SMOD": f"6003{ONES}0750" * 20,
    "ADDMOD": f"6003{ONES}{ONES}0850" * 20,
    "MULMOD": f"{ONES[:-2]}fd{ONES}{ONES}0950" * 20,
    "EXP": f"{ONES}{ONES}0a50" * 20,
    "CLZ": "60011e50" * 50,
    "KECCAK256, a word": "60205f2050" * 20,
    "KECCAK256, 16 kB": "6140005f2050",
    "MLOAD": "5f5150" * 50,
    "MSTORE": "5f5f52" * 50,
    "MSTORE8": "5f5f53" * 50,
    "MCOPY, 16 kB": "6140005f60205e",
    "CALLDATALOAD": "5f3550" * 50,
    "CALLDATACOPY, 16 kB": "6140005f5f37",
    "CODECOPY, 16 kB": "6140005f5f39",
    "EXTCODECOPY, 16 kB": "6140005f5f303c",
    "BALANCE, a new account": "5a3150" * 20,
    "EXTCODESIZE, a new account": "5a3b50" * 20,
    "EXTCODEHASH, a new account": "5a3f50" * 20,
    "SELFBALANCE": "4750" * 20,
    "BLOCKHASH": "600143034050" * 20,
    "SLOAD, a new slot": "5a5450" * 20,
    "SLOAD, the same slot": "5f5450" * 20,
    "SSTORE, a new slot": "5a5a55" * 20,
    "SSTORE, the same slot": "5a5f55" * 20,
    "TLOAD": "5f5c50" * 20,
    "TSTORE, a new slot": "5a5a5d" * 20,
    "LOG0, 16 kB": "6140005fa0",
    "LOG0": "5f5fa0" * 20,
    "LOG4": "5f5f5f5f5f5fa4" * 20,
    "CALL, a new account": "5f5f5f5f5f5a61fffff150" * 10,
    "CALL with value, a new account": "5f5f5f5f60015a61fffff150" * 10,
    "CALL of code": "5f5f5f5f5f73" + CALLEE.hex() + "61fffff150",
    "DELEGATECALL of code": "5f5f5f5f73" + CALLEE.hex() + "61fffff450",
    "STATICCALL of code": "5f5f5f5f73" + CALLEE.hex() + "61fffffa50",
    "CALL with 1 MB of input": "5f62100000525f5f621000005f5f73" + CALLEE.hex() + "61fffff150",
    "CREATE, nothing": "5f5f5ff050" * 5,
    "CREATE2, 24 kB of initcode": "5a6160005f5ff550",
    "RETURNDATACOPY": "5f5f5f3e" * 50,
}  # fmt: skip
"""What is repeated; it leaves the stack as it was. GAS (5a) serves as a number that is new each time."""


def ecrecover_input():
    digest = bytes(range(32))
    signature = PrivateKey(b"\x07" * 32).sign_recoverable(digest, hasher=None)
    return digest + (27 + signature[64]).to_bytes(32) + signature[:64]


def p256_input():
    digest = hashlib.sha256(b"").digest()
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = (
        *decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))),
        key.public_key().public_numbers().x,
        key.public_key().public_numbers().y,
    )
    return digest + b"".join(number.to_bytes(32) for number in numbers)


def modexp_input(base, exponent, modulus):
    return b"".join(size.to_bytes(32) for size in (base, exponent, modulus)) + b"\xff" * (base + exponent + modulus)


def words(size, *numbers):
    return b"".join(int(number).to_bytes(size) for number in numbers)


def point_evaluation_input():
    """The zero polynomial: commitment and proof at infinity prove 0 everywhere."""
    infinity = b"\xc0" + bytes(47)
    return b"\x01" + hashlib.sha256(infinity).digest()[1:] + (5).to_bytes(32) + bytes(32) + infinity + infinity


BN_G1 = words(32, *bn128.G1)
BN_G2 = words(32, *reversed(bn128.G2[0].coeffs), *reversed(bn128.G2[1].coeffs))
BLS_G1 = words(64, *bls12_381.G1)
BLS_G2 = words(64, *bls12_381.G2[0].coeffs, *bls12_381.G2[1].coeffs)
SCALAR = b"\x7f" * 32

PRECOMPILES = {
    "ECRECOVER": (1, ecrecover_input()),
    "SHA256, a word": (2, bytes(32)),
    "SHA256, 16 kB": (2, bytes(2**14)),
    "RIPEMD160, a word": (3, bytes(32)),
    "RIPEMD160, 16 kB": (3, bytes(2**14)),
    "identity, 16 kB": (4, bytes(2**14)),
    "MODEXP, 32 bytes": (5, modexp_input(32, 32, 32)),
    "MODEXP, 256 bytes": (5, modexp_input(256, 256, 256)),
    "MODEXP, 1024 bytes": (5, modexp_input(1024, 32, 1024)),
    "BN254 addition": (6, BN_G1 + BN_G1),
    "BN254 multiplication": (7, BN_G1 + SCALAR),
    "BN254 pairing, one pair": (8, BN_G1 + BN_G2),
    "BLAKE2F, 1000 rounds": (9, (1000).to_bytes(4) + bytes(208) + b"\x01"),
    "point evaluation": (10, point_evaluation_input()),
    "BLS12-381 G1 addition": (11, BLS_G1 + BLS_G1),
    "BLS12-381 G1 multiplication": (12, BLS_G1 + SCALAR),
    "BLS12-381 G2 addition": (13, BLS_G2 + BLS_G2),
    "BLS12-381 G2 multiplication": (14, BLS_G2 + SCALAR),
    "BLS12-381 pairing, one pair": (15, BLS_G1 + BLS_G2),
    "BLS12-381 map to G1": (16, words(64, 5)),
    "BLS12-381 map to G2": (17, words(64, 5, 7)),
    "P256VERIFY": (0x100, p256_input()),
}  # fmt: skip


def sprawling_code(number, body=b"\x5b"):
    """Return 24 kB of code that all has to be read to find that its last byte is a jump destination.

    What is jumped over follows a JUMPI, so that translating all that might be run next would be work for nothing.
    """
    begin = bytes.fromhex("6001615fff5763") + number.to_bytes(4)
    return (
        begin
        + body * ((LARGE - 1 - len(begin)) // len(body))
        + b"\x00" * ((LARGE - 1 - len(begin)) % len(body))
        + b"\x5b"
    )


CALL_OF_ANOTHER = "5f5f5f5f5f5f51600101805f52620100000161fffff150"
SPRAWLS = {"of JUMPDEST": b"\x5b", "of PUSH0, POP": b"\x5f\x50", "of PUSH1, POP": b"\x60\x60\x50"}
"""What the 24 kB are made of."""


def loop(body):
    """Return code that copies the calldata to memory, touches 32 kB of it and repeats the body."""
    start = bytes.fromhex("365f5f37" + "5f61600052")
    return start + b"\x5b" + bytes.fromhex(body) + b"\x60" + bytes([len(start)]) + b"\x56"


def fresh_world(body, sprawl, first):
    """Return a state with the program, what it calls, and nothing else."""
    world = WorldState(NoState())
    world.begin_transaction()
    world.set_code(CONTRACT, loop(body))
    world.set_balance(CONTRACT, 10**30)
    world.set_code(CALLEE, b"\x00")
    for number in range(0x10001, 0x10001 + SPRAWLING):
        world.set_code(Address(number.to_bytes(20)), sprawling_code(first + number, sprawl))
    world.end_transaction()
    return world


def microseconds_per_unit(backend, body, data=b"", budget=BUDGET, sprawl=b"\x5b"):
    """Return the median over three runs. Raises RuntimeError where a program ends otherwise than by its budget."""
    context = BlockContext(
        height=10, timestamp=100, coinbase=Address(b"\xbb" * 20), gas_limit=GAS, prev_randao=ZERO_HASH, base_fee=0,
        fee_recipient=Address(b"\xbb" * 20), block_hash=lambda _height: ZERO_HASH,
    )  # fmt: skip
    message = CallMessage(sender=SENDER, to=CONTRACT, gas=GAS, data=data)
    runs = []
    for run in range(3):
        world = fresh_world(body, sprawl, run * SPRAWLING)
        began = time.thread_time()
        result = backend.call(world, context, message, compute_units=budget)
        runs.append((time.thread_time() - began) * 1e6 / budget)
        if result.failure is not Failure.COMPUTE_BUDGET:
            raise RuntimeError(f"{body}: {result.failure}")
    return statistics.median(runs)


def measure():
    """Print µs per unit of each program, and the median of all."""
    prepare_runtime()
    backends = [PyEvmBackend(ethereum_rules(Fork.OSAKA, 1), fuse_after=after) for after in (RUNS_BEFORE_FUSING, 0)]
    programs = {name: (body, b"", BUDGET) for name, body in OPCODES.items()}
    programs["CREATE2, 24 kB of initcode"] = (OPCODES["CREATE2, 24 kB of initcode"], sprawling_code(0), 4 * BUDGET)
    for name, sprawl in SPRAWLS.items():
        programs[f"CALL of another 24 kB of code {name}"] = (CALL_OF_ANOTHER, b"", 4 * BUDGET, sprawl)
    for name, (number, data) in PRECOMPILES.items():
        budget = max(BUDGET, 3 * precompile_weight(number, data) // TENTHS)
        programs[name] = (f"5f5f365f61{number:04x}5afa50", data, budget)
    figures = {}
    for name, program in programs.items():
        compiled, stepped = (microseconds_per_unit(backend, *program) for backend in backends)
        figures[name] = max(compiled, stepped)
        print(
            json.dumps({"case": name, "us_per_unit": round(compiled, 2), "single_steps": round(stepped, 2)}), flush=True
        )
    worst = max(figures, key=figures.__getitem__)
    print(json.dumps({"case": "median", "us_per_unit": round(statistics.median(figures.values()), 2)}))
    print(json.dumps({"case": f"largest: {worst}", "us_per_unit": round(figures[worst], 2)}))


def main():
    """Measure in a thread with the stack that block execution has."""
    threading.stack_size(EXECUTION_STACK_BYTES)
    thread = threading.Thread(target=measure)
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
