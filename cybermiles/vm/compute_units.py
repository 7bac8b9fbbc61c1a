"""The second meter: what work costs in time, as a table of integers.

Gas does not bound time in Python: 500 000 gas are 20 ms of transfers or 6 s of pairings. So every opcode and
precompile has a weight, and a transaction and a block have budgets that are part of validity. Nothing here reads a
clock: a compute unit (CU) took 0.55 µs of the reference machine at most when the table was made, whether code was run
step by step, as what an attacker keeps new, or compiled, as what everybody uses.

Weights are in tenths of a unit, because a plain opcode takes 0.1 µs; a transaction's sum is rounded up to whole units.
An opcode's linear part is taken from its dynamic gas: `gas >> shift` tenths, where the shift says how much gas one
tenth buys. `benchmarks/bench_compute_units.py` measures micro-programs against the table (ADR 0014).

The sum is compared with the budget at every jump, call, creation and return, so a loop or a recursion cannot pass it
and straight-line code is bounded by the code size.
"""

from __future__ import annotations

TENTHS = 10
"""Tenths in one compute unit."""

TRANSACTION = 400
"""Signature, nonce, balance, receipt, roots of a transaction that runs no code. Tenths."""
CREATION = 300
"""A new contract, beside its code."""
AUTHORIZATION = 2_000
"""One authorization of a set-code transaction: a signature to recover, an account to write."""
DATA_BYTES_SHIFT = 4
"""Calldata: one tenth for 16 bytes (decoding, hashing, block and database writes)."""
FRAME = 250
"""One call frame."""
PLAIN = 2
"""Stack, flow and environment opcodes that the loop runs in line."""
ARITHMETIC = 3
"""Arithmetic, comparison and bits."""
CALLED = 12
"""Opcodes that go through py-evm."""

_HEAVY: dict[int, int] = {
    0x05: 6,  # SDIV
    0x07: 6,  # SMOD
    0x08: 16,  # ADDMOD
    0x09: 20,  # MULMOD
    0x0A: 250,  # EXP
    0x20: 31,  # KECCAK256
    0x31: 40,  # BALANCE
    0x37: 12,  # CALLDATACOPY
    0x39: 12,  # CODECOPY
    0x3B: 40,  # EXTCODESIZE
    0x3C: 60,  # EXTCODECOPY
    0x3E: 19,  # RETURNDATACOPY
    0x3F: 50,  # EXTCODEHASH
    0x40: 60,  # BLOCKHASH
    0x47: 20,  # SELFBALANCE
    0x51: 5,  # MLOAD
    0x52: 5,  # MSTORE
    0x53: 26,  # MSTORE8
    0x54: 100,  # SLOAD
    0x55: 350,  # SSTORE: journal, trie leaf, flat state
    0x5C: 15,  # TLOAD
    0x5D: 34,  # TSTORE
    0x5E: 20,  # MCOPY
    0xA0: 120,  # LOG0: bloom, receipt, index and store, as for the others
    0xA1: 150,  # LOG1
    0xA2: 180,  # LOG2
    0xA3: 210,  # LOG3
    0xA4: 240,  # LOG4
    0xF0: 400 + FRAME,  # CREATE
    0xF1: 100 + FRAME,  # CALL
    0xF2: 100 + FRAME,  # CALLCODE
    0xF4: 100 + FRAME,  # DELEGATECALL
    0xF5: 400 + FRAME,  # CREATE2
    0xFA: 100 + FRAME,  # STATICCALL
    0xFF: 400,  # SELFDESTRUCT
}

DYNAMIC_GAS_SHIFT = 5
"""Dynamic gas of an opcode that is neither KECCAK256 nor a call: one tenth for 32 gas."""

KECCAK_SHIFT = 4
"""One tenth for 16 bytes hashed."""

MESSAGE_SHIFT = 9
"""One tenth for 512 bytes of a call's input: two copies."""

CODE_SHIFT = 0
"""One tenth for a byte of initcode, and of code when a block first runs it: loading, jump destinations."""

CODE_DEPOSIT_SHIFT = 5
"""One tenth for 32 bytes of deployed code."""


def opcode_weights() -> list[int]:
    """Return the weight of each of the 256 opcodes, in tenths."""
    weights = [CALLED] * 256
    for opcode in range(0x01, 0x1F):
        weights[opcode] = ARITHMETIC
    for opcode in range(0x50, 0xA0):
        weights[opcode] = PLAIN
    for opcode, weight in _HEAVY.items():
        weights[opcode] = weight
    weights[0x00] = 0
    return weights


def _words(size: int) -> int:
    return (size + 31) // 32


def precompile_weight(number: int, data: bytes) -> int:
    """Return the weight of calling precompile `number` with `data`, in tenths."""
    size = len(data)
    if number in _FIXED:
        return _FIXED[number] + _PER_WORD.get(number, 0) * _words(size) // 16
    if number == 5:
        return _modexp_weight(data)
    if number == 8:
        return 1_750_000 + 1_400_000 * (size // 192)
    if number == 9:
        return 300 + (int.from_bytes(data[:4]) * 95 if size == 213 else 0)
    return _BLS_BASE[number] + _BLS_PER_ITEM[number] * (size // _BLS_ITEM_BYTES[number])


_FIXED = {1: 1_200, 2: 60, 3: 100, 4: 40, 6: 1_000, 7: 130_000, 10: 15_000, 0x100: 1_500}
"""ECRECOVER, SHA256, RIPEMD160, identity, bn add, bn mul, point evaluation, P256VERIFY."""
_PER_WORD = {2: 16, 3: 40, 4: 2}
"""Sixteenths of a tenth for each word."""
_BLS_BASE = {11: 4_000, 12: 0, 13: 14_000, 14: 0, 15: 1_500_000, 16: 40_000, 17: 1_200_000}
_BLS_PER_ITEM = {11: 0, 12: 250_000, 13: 0, 14: 1_000_000, 15: 3_000_000, 16: 0, 17: 0}
_BLS_ITEM_BYTES = {11: 256, 12: 160, 13: 512, 14: 288, 15: 384, 16: 64, 17: 128}
"""G1ADD, G1MSM, G2ADD, G2MSM, PAIRING, MAP_FP_TO_G1, MAP_FP2_TO_G2: pure Python."""


def _modexp_weight(data: bytes) -> int:
    base, exponent, modulus = (int.from_bytes(data[at : at + 32].ljust(32, b"\x00")) for at in (0, 32, 64))
    if max(base, exponent, modulus) > 1_024:
        # Never computed: refused by EIP-7823, or priced by EIP-2565 beyond any gas limit.
        return 200
    words = _words(max(base, modulus)) + 1
    return 200 + words * words * (exponent * 8 + 8) // 40
