"""CALL, CALLCODE, DELEGATECALL, STATICCALL in one function: py-evm's own do the same through four layers of classes.

Prices: EIP-150, 161, 2929, 7702.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.exceptions import OutOfGas, WriteProtection

from cybermiles.types.primitives import Address
from cybermiles.vm.pyevm.host import COLD_ACCOUNT_GAS, LOW_20_BYTES, NEW_ACCOUNT_GAS, WARM_GAS
from cybermiles.vm.pyevm.message import Message
from cybermiles.vm.rules import Fork
from cybermiles.vm.validity import DELEGATION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.vm.pyevm.frame import Frame

VALUE_GAS = 9_000
STIPEND = 2_300
DEPTH_LIMIT = 1024
_DELEGATION_BYTES = len(DELEGATION_PREFIX) + 20

CALL, CALLCODE, DELEGATECALL, STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA


def call(opcode: int, fork: Fork) -> Callable[[Frame], None]:
    """Return the opcode's function."""
    takes_value = opcode in (CALL, CALLCODE)
    operands = 7 if takes_value else 6
    follows_delegations = fork >= Fork.PRAGUE

    def run(frame: Frame) -> None:
        values = frame.pop_operands(operands)
        gas, word = values[0], values[1]
        message = frame.msg
        value = values[2] if takes_value else 0
        if opcode == CALL and value and message.is_static:
            raise WriteProtection("write protection")
        in_start, in_size, out_start, out_size = values[-4:]
        frame.extend_memory(in_start, in_size)
        frame.extend_memory(out_start, out_size)
        data = bytes(frame.memory_bytes[in_start : in_start + in_size]) if in_size else b""
        target = Address((word & LOW_20_BYTES).to_bytes(20))
        _load_account(frame, target)
        code = frame.state.world.code(target)
        delegate = None
        if follows_delegations and len(code) == _DELEGATION_BYTES and code.startswith(DELEGATION_PREFIX):
            delegate = Address(code[len(DELEGATION_PREFIX) :])
            _load_account(frame, delegate)
            code = frame.state.world.code(delegate)
        given = _given_gas(frame, gas, value, target if opcode == CALL else None)
        if message.depth >= DEPTH_LIMIT or (value and frame.state.world.balance(frame.address) < value):
            frame.return_data = b""
            frame.return_gas(given)
            frame.stack_values.append(0)
            return
        keeps_address = opcode in (CALLCODE, DELEGATECALL)
        child = Message(
            gas=given,
            to=frame.address if keeps_address else target,
            sender=message.sender if opcode == DELEGATECALL else frame.address,
            value=message.value if opcode == DELEGATECALL else value,
            data=data,
            code=code,
            depth=message.depth + 1,
            code_address=delegate or target,
            should_transfer_value=takes_value,
            is_static=message.is_static or opcode == STATICCALL,
            is_delegation=delegate is not None,
        )
        _finish(frame, frame.apply_child_computation(child), out_start, out_size)

    return run


def _load_account(frame: Frame, address: Address) -> None:
    """Charge for reading an account (EIP-2929)."""
    state = frame.state
    if state.is_address_warm(address):
        frame.consume_gas(WARM_GAS, "CALL")
    else:
        state.world.warm(address)
        frame.consume_gas(COLD_ACCOUNT_GAS, "CALL")


def _given_gas(frame: Frame, gas: int, value: int, creates: Address | None) -> int:
    """Charge for the call and return what the child gets: `gas` at most, and all but a 64th of what is left."""
    extra = 0
    if value:
        extra = VALUE_GAS
        if creates is not None and frame.state.world.is_empty(creates):
            extra += NEW_ACCOUNT_GAS
    left = frame.gas_left - extra
    if left < 0:
        raise OutOfGas("out of gas")
    gas = min(gas, left - left // 64)
    frame.consume_gas(gas + extra, "CALL")
    return gas + STIPEND if value else gas


def _finish(frame: Frame, child: Frame, start: int, size: int) -> None:
    """Take over a finished child's verdict, output and unused gas."""
    error = child.failure
    frame.stack_values.append(0 if error is not None else 1)
    if error is None or not error.erases_return_data:
        output = child.output[:size]
        frame.memory_bytes[start : start + len(output)] = output
    if error is None or not error.burns_gas:
        frame.return_gas(child.gas_left)
