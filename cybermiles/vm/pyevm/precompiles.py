"""The precompile table of each fork: py-evm's, with MODEXP and point evaluation replaced and P256VERIFY added.

py-evm's MODEXP answers 0 for 0^0 (base of no bytes) where EIP-198 says 1, and its price goes through a float
division; ours is integers only and knows Osaka's bounds and price. Its point evaluation reads the ceremony's file for
every call (1.5 s) and checks by `assert`, which `python -O` removes. Sources: EIP-198, 2565, 4844, 7823, 7883, 7951.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth.exceptions import VMError
from eth.precompiles.point_evaluation import TRUSTED_SETUP_PATH
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES

from cybermiles.crypto import kzg, p256
from cybermiles.types.primitives import Address
from cybermiles.vm.rules import Fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.vm.pyevm.frame import Frame

MODEXP = 5
POINT_EVALUATION = 10
POINT_EVALUATION_GAS = 50_000
FIELD_ELEMENTS_PER_BLOB = 4_096
BLS_MODULUS = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
TRUSTED_SETUP = Path(TRUSTED_SETUP_PATH)
P256VERIFY = 0x100
P256VERIFY_GAS = 6_900
MODEXP_MAX_BYTES = 1_024
"""EIP-7823, from Osaka."""


def precompile_table(fork: Fork) -> dict[Address, tuple[int, Any]]:
    """Return address to (number, function on a frame) for a fork."""
    stock = CANCUN_PRECOMPILES if fork is Fork.CANCUN else PRAGUE_PRECOMPILES
    table = {Address(address): (int.from_bytes(address), function) for address, function in stock.items()}
    table[_address(MODEXP)] = (MODEXP, modexp_osaka if fork >= Fork.OSAKA else modexp_berlin)
    table[_address(POINT_EVALUATION)] = (POINT_EVALUATION, point_evaluation)
    if fork >= Fork.OSAKA:
        table[_address(P256VERIFY)] = (P256VERIFY, p256verify)
    return table


def _address(number: int) -> Address:
    return Address(number.to_bytes(20))


def p256verify(frame: Frame) -> None:
    """EIP-7951: input hash ‖ r ‖ s ‖ x ‖ y; output the word 1 for a valid signature, else nothing."""
    frame.consume_gas(P256VERIFY_GAS, "P256VERIFY")
    data = bytes(frame.msg.data)
    if len(data) == 160:
        r, s, x, y = (int.from_bytes(data[at : at + 32]) for at in (32, 64, 96, 128))
        if p256.verify(data[:32], r, s, x, y):
            frame.output = (1).to_bytes(32)


def point_evaluation(frame: Frame) -> None:
    """EIP-4844: input versioned hash ‖ z ‖ y ‖ commitment ‖ proof; output the blob size and the modulus, or failure."""
    frame.consume_gas(POINT_EVALUATION_GAS, "point evaluation")
    data = bytes(frame.msg.data)
    commitment, proof = data[96:144], data[144:]
    if len(data) != 192 or data[:32] != kzg.versioned_hash(commitment):
        raise VMError("point evaluation: bad input")
    if not kzg.verify(TRUSTED_SETUP, commitment, data[32:64], data[64:96], proof):
        raise VMError("point evaluation: bad proof")
    frame.output = FIELD_ELEMENTS_PER_BLOB.to_bytes(32) + BLS_MODULUS.to_bytes(32)


def modexp_byzantium(frame: Frame) -> None:
    """MODEXP at EIP-198's price, for foreign chains."""
    _modexp(frame, modexp_gas_byzantium)


def modexp_berlin(frame: Frame) -> None:
    """MODEXP at EIP-2565's price."""
    _modexp(frame, modexp_gas_berlin)


def modexp_osaka(frame: Frame) -> None:
    """MODEXP at EIP-7883's price, in EIP-7823's bounds."""
    _modexp(frame, modexp_gas_osaka, MODEXP_MAX_BYTES)


def _modexp(frame: Frame, price: Callable[[int, int, int, int], int], max_bytes: int | None = None) -> None:
    data = bytes(frame.msg.data)
    lengths = tuple(_word(data, at) for at in (0, 32, 64))
    base_length, exponent_length, modulus_length = lengths
    if max_bytes is not None and max(lengths) > max_bytes:
        raise VMError("modexp operand over 1024 bytes")
    exponent_at = 96 + base_length
    head = _slice(data, exponent_at, min(exponent_length, 32))
    frame.consume_gas(price(base_length, exponent_length, modulus_length, head), "MODEXP")
    if modulus_length == 0:
        frame.output = b""
        return
    modulus = _slice(data, exponent_at + exponent_length, modulus_length)
    result = 0
    if modulus > 1:
        base = _slice(data, 96, base_length)
        result = pow(base, _slice(data, exponent_at, exponent_length), modulus)
    frame.output = result.to_bytes(modulus_length)


def modexp_gas_byzantium(base: int, exponent: int, modulus: int, exponent_head: int) -> int:
    """Return EIP-198's price for operand lengths in bytes and the exponent's first 32 bytes."""
    longest = max(base, modulus)
    if longest <= 64:
        complexity = longest * longest
    elif longest <= 1_024:
        complexity = longest * longest // 4 + 96 * longest - 3_072
    else:
        complexity = longest * longest // 16 + 480 * longest - 199_680
    iterations = 8 * max(exponent - 32, 0) + max(exponent_head.bit_length() - 1, 0)
    return complexity * max(iterations, 1) // 20


def modexp_gas_berlin(base: int, exponent: int, modulus: int, exponent_head: int) -> int:
    """Return EIP-2565's price for operand lengths in bytes and the exponent's first 32 bytes."""
    words = (max(base, modulus) + 7) // 8
    if exponent <= 32:
        iterations = max(exponent_head.bit_length() - 1, 0)
    else:
        iterations = 8 * (exponent - 32) + max(exponent_head.bit_length() - 1, 0)
    return max(200, words * words * max(iterations, 1) // 3)


def modexp_gas_osaka(base: int, exponent: int, modulus: int, exponent_head: int) -> int:
    """Return EIP-7883's price."""
    longest = max(base, modulus)
    words = (longest + 7) // 8
    complexity = 16 if longest <= 32 else 2 * words * words
    if exponent <= 32:
        iterations = max(exponent_head.bit_length() - 1, 0)
    else:
        iterations = 16 * (exponent - 32) + max(exponent_head.bit_length() - 1, 0)
    return max(500, complexity * max(iterations, 1))


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32].ljust(32, b"\x00"))


def _slice(data: bytes, at: int, length: int) -> int:
    """Return `length` bytes from `at` as an integer, zeros where the data ends."""
    if at >= len(data):
        return 0
    part = data[at : at + length]
    return int.from_bytes(part) << 8 * (length - len(part))
