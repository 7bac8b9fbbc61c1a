"""The table of 256 steps for each fork: in-line operations, our own opcode functions, py-evm's for the rest.

Our functions are the ones contracts use most (storage, hashing, call data, logs) and the ones py-evm lacks (CLZ) or
keeps its own books for (SELFDESTRUCT). Gas constants: EIP-150, 2200, 2929, 3529, 6780, 7939.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth.exceptions import Halt, InsufficientFunds, OutOfGas, Revert, WriteProtection
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES

from cybermiles.crypto.hashing import keccak256
from cybermiles.types.primitives import Hash32
from cybermiles.types.receipt import Log
from cybermiles.vm.compute_units import KECCAK_SHIFT, opcode_weights
from cybermiles.vm.pyevm.calls import CALL, CALLCODE, DELEGATECALL, STATICCALL, call
from cybermiles.vm.pyevm.host import (
    COLD_ACCOUNT_GAS,
    COLD_SLOT_GAS,
    MASK,
    NEW_ACCOUNT_GAS,
    SSTORE_SENTRY,
    TOPIC_GAS,
    WARM_GAS,
    load,
    storing,
)
from cybermiles.vm.pyevm.steps import Kind
from cybermiles.vm.rules import Fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.vm.pyevm.frame import Frame
    from cybermiles.vm.pyevm.steps import Step

SIGN = 2**255
WORD = 2**256

METERING_OPCODES = (0x20, 0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA)
"""KECCAK256, creations and calls charge compute units themselves."""


def _signed(value: int) -> int:
    return value - WORD if value & SIGN else value


def _sdiv(a: int, b: int) -> int:
    if b == 0:
        return 0
    x, y = _signed(a), _signed(b)
    quotient = abs(x) // abs(y)
    return (quotient if (x < 0) == (y < 0) else -quotient) & MASK


def _smod(a: int, b: int) -> int:
    if b == 0:
        return 0
    x, y = _signed(a), _signed(b)
    rest = abs(x) % abs(y)
    return (-rest if x < 0 else rest) & MASK


def _signextend(size: int, value: int) -> int:
    if size > 30:
        return value
    bit = size * 8 + 7
    if value >> bit & 1:
        return value | (MASK - (1 << bit) + 1)
    return value & ((1 << bit) - 1)


def _sar(shift: int, value: int) -> int:
    signed = _signed(value)
    if shift >= 256:
        return MASK if signed < 0 else 0
    return signed >> shift & MASK


BINARY: dict[int, Callable[[int, int], int]] = {
    0x01: lambda a, b: a + b & MASK,
    0x02: lambda a, b: a * b & MASK,
    0x03: lambda a, b: a - b & MASK,
    0x04: lambda a, b: a // b if b else 0,
    0x05: _sdiv,
    0x06: lambda a, b: a % b if b else 0,
    0x07: _smod,
    0x0B: _signextend,
    0x10: lambda a, b: 1 if a < b else 0,
    0x11: lambda a, b: 1 if a > b else 0,
    0x12: lambda a, b: 1 if _signed(a) < _signed(b) else 0,
    0x13: lambda a, b: 1 if _signed(a) > _signed(b) else 0,
    0x14: lambda a, b: 1 if a == b else 0,
    0x16: lambda a, b: a & b,
    0x17: lambda a, b: a | b,
    0x18: lambda a, b: a ^ b,
    0x1A: lambda a, b: b >> 248 - 8 * a & 255 if a < 32 else 0,
    0x1B: lambda a, b: b << a & MASK if a < 256 else 0,
    0x1C: lambda a, b: b >> a if a < 256 else 0,
    0x1D: _sar,
}
"""(top, second) to result."""

UNARY: dict[int, Callable[[int], int]] = {
    0x15: lambda a: 0 if a else 1,
    0x19: lambda a: a ^ MASK,
    0x1E: lambda a: 256 - a.bit_length(),
}


def calldataload(frame: Frame) -> None:
    frame.stack_values.append(load(frame.msg.data, frame.stack_pop1_int()))


def keccak(frame: Frame) -> None:
    start, size = frame.stack_pop_ints(2)
    frame.consume_gas(6 * ((size + 31) // 32), "KECCAK256")
    frame.extend_memory(start, size)
    frame.state.compute_units -= size >> KECCAK_SHIFT
    frame.stack_values.append(int.from_bytes(keccak256(bytes(frame.memory_bytes[start : start + size]))))


def sload(frame: Frame) -> None:
    slot = frame.stack_pop1_int()
    world, address = frame.state.world, frame.address
    if world.is_warm_slot(address, slot):
        frame.consume_gas(WARM_GAS, "SLOAD")
    else:
        world.warm_slot(address, slot)
        frame.consume_gas(COLD_SLOT_GAS, "SLOAD")
    frame.stack_values.append(world.storage(address, slot))


def sstore(frame: Frame) -> None:
    if frame.msg.is_static:
        raise WriteProtection("write protection")
    if frame.gas_left <= SSTORE_SENTRY:
        raise OutOfGas("out of gas: not enough gas for reentrancy sentry")
    slot, value = frame.stack_pop_ints(2)
    world, address = frame.state.world, frame.address
    gas, refund = storing(world.original_storage(address, slot), world.storage(address, slot), value)
    if not world.is_warm_slot(address, slot):
        world.warm_slot(address, slot)
        gas += COLD_SLOT_GAS
    frame.consume_gas(gas, "SSTORE")
    frame.refund += refund
    world.set_storage(address, slot, value)


def log(topic_count: int) -> Callable[[Frame], None]:
    """Return LOG0 to LOG4."""

    def logn(frame: Frame) -> None:
        if frame.msg.is_static:
            raise WriteProtection("write protection")
        start, size, *topics = frame.stack_pop_ints(2 + topic_count)
        frame.consume_gas(8 * size + TOPIC_GAS * topic_count, "LOG")
        frame.extend_memory(start, size)
        frame.logs.append(
            Log(
                frame.address,
                tuple(Hash32(topic.to_bytes(32)) for topic in topics),
                bytes(frame.memory_bytes[start : start + size]),
            )
        )

    return logn


def return_(frame: Frame) -> None:
    start, size = frame.stack_pop_ints(2)
    frame.extend_memory(start, size)
    frame.output = bytes(frame.memory_bytes[start : start + size])
    raise Halt("RETURN")


def revert(frame: Frame) -> None:
    start, size = frame.stack_pop_ints(2)
    frame.extend_memory(start, size)
    frame.output = bytes(frame.memory_bytes[start : start + size])
    raise Revert("execution reverted")


def codesize(frame: Frame) -> None:
    frame.stack_push_int(len(frame.msg.code))


def codecopy(frame: Frame) -> None:
    target, source, size = frame.stack_pop_ints(3)
    frame.consume_gas(3 * ((size + 31) // 32), "CODECOPY")
    frame.extend_memory(target, size)
    code = frame.msg.code[source : source + size] if source < len(frame.msg.code) else b""
    frame.memory_bytes[target : target + size] = code.ljust(size, b"\x00")


def selfdestruct(frame: Frame) -> None:
    if frame.msg.is_static:
        raise WriteProtection("write protection")
    beneficiary = frame.pop_address()
    state, address = frame.state, frame.address
    world = state.world
    gas = 0
    if not state.is_address_warm(beneficiary):
        world.warm(beneficiary)
        gas = COLD_ACCOUNT_GAS
    balance = world.balance(address)
    if balance and address in state.context.frozen:
        raise InsufficientFunds("account frozen")
    if balance and world.is_empty(beneficiary):
        gas += NEW_ACCOUNT_GAS
    frame.consume_gas(gas, "SELFDESTRUCT")
    created = world.was_created(address)
    if beneficiary != address:
        world.subtract_balance(address, balance)
        world.add_balance(beneficiary, balance)
    elif created:
        world.burn(address, balance)
    if created:
        frame.deletions.append(address)
    raise Halt("SELFDESTRUCT")


_OWN: dict[int, tuple[Callable[[Any], None], int]] = {
    0x20: (keccak, 30),
    0x35: (calldataload, 3),
    0x38: (codesize, 2),
    0x39: (codecopy, 3),
    0x54: (sload, 0),
    0x55: (sstore, 0),
    **{0xA0 + n: (log(n), 375) for n in range(5)},
    0xF3: (return_, 0),
    0xFD: (revert, 0),
    0xFF: (selfdestruct, 5_000),
}
"""Opcode to (function, static gas)."""
_HIGH = {0x02: 5, 0x04: 5, 0x05: 5, 0x06: 5, 0x07: 5, 0x0B: 5, 0x1E: 5}
"""In-line operations that do not cost 3."""


def opcode_table(fork: Fork) -> list[Step]:
    """Return the fork's steps, indexed by opcode."""
    weights = opcode_weights()
    stock = CANCUN_OPCODES if fork is Fork.CANCUN else PRAGUE_OPCODES
    return [_step(opcode, weights[opcode], stock, fork) for opcode in range(256)]


def _step(opcode: int, weight: int, stock: dict[int, Any], fork: Fork) -> Step:
    inline = _inline_step(opcode, weight, fork)
    if inline is not None:
        return inline
    kind = Kind.METERING if opcode in METERING_OPCODES else Kind.CALLED
    if opcode in (CALL, CALLCODE, DELEGATECALL, STATICCALL):
        return (kind.value, 0, weight, call(opcode, fork))
    if opcode in _OWN:
        function, gas = _OWN[opcode]
        return (kind.value, gas, weight, function)
    if opcode in stock:
        return (kind.value, 0, weight, stock[opcode])
    return (Kind.INVALID.value, 0, weight, opcode)


def _inline_step(opcode: int, weight: int, fork: Fork) -> Step | None:  # noqa: PLR0911  (one return per kind)
    if opcode == 0x00:
        return (Kind.STOP.value, 0, weight, None)
    if opcode == 0x1E and fork < Fork.OSAKA:
        return None
    if opcode in BINARY:
        return (Kind.BINARY.value, _HIGH.get(opcode, 3), weight, BINARY[opcode])
    if opcode in UNARY:
        return (Kind.UNARY.value, _HIGH.get(opcode, 3), weight, UNARY[opcode])
    if opcode in {95, 88}:
        return (Kind.PUSH.value, 2, weight, 0)
    if 0x60 <= opcode <= 0x7F:
        return (Kind.PUSH.value, 3, weight, None)
    if 0x80 <= opcode <= 0x8F:
        return (Kind.DUP.value, 3, weight, 0x7F - opcode)
    if 0x90 <= opcode <= 0x9F:
        return (Kind.SWAP.value, 3, weight, 0x8E - opcode)
    plain = {
        0x50: (Kind.POP, 2),
        0x51: (Kind.MLOAD, 3),
        0x52: (Kind.MSTORE, 3),
        0x56: (Kind.JUMP, 8),
        0x57: (Kind.JUMPI, 10),
        0x5A: (Kind.GAS, 2),
        0x5B: (Kind.JUMPDEST, 1),
    }.get(opcode)
    return None if plain is None else (plain[0].value, plain[1], weight, None)
