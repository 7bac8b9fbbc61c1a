"""The loop of `dispatch`, one opcode at a time, for tracers that want steps.

It must do exactly what `dispatch.run` does, in its order, gas and compute units included; tests run both on the same
programs. It reads the code itself and not its translation, because a step has a program counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
    VMError,
    WriteProtection,
)

from cybermiles.vm.backend import Failure
from cybermiles.vm.compute_units import DYNAMIC_GAS_SHIFT
from cybermiles.vm.opcode_names import OPCODE_NAMES, OPERANDS
from cybermiles.vm.pyevm.dispatch import STACK_LIMIT, ComputeBudgetExceeded
from cybermiles.vm.pyevm.program import jump_destinations
from cybermiles.vm.tracing import Step

if TYPE_CHECKING:
    from cybermiles.vm.pyevm.program import Program
    from cybermiles.vm.pyevm.traced import TracedFrame

_SSTORE = 0x55
_TSTORE = 0x5D
_SSTORE_SENTRY = 2_300
_PUSH0 = 0x5F
_PC = 0x58


def run_steps(frame: TracedFrame, program: Program) -> None:  # noqa: ARG001, C901, PLR0912, PLR0915  (the loop)
    """Run the frame's code to its end. Raises py-evm's VMError subclasses where the frame fails."""
    state, table, code = frame.state, frame.step_table, frame.msg.code
    tracer, watched = state.tracer, state.watched
    stack, memory = frame.stack_values, frame.memory_bytes
    pop, push = stack.pop, stack.append
    step = Step(frame.address, frame.msg.depth, stack, memory)
    destinations: bytearray | None = None
    size, pc, opcode, height = len(code), 0, 0, 0
    gas, units = frame.gas_left, state.compute_units
    in_function = False
    try:
        while True:
            opcode = code[pc] if pc < size else 0
            kind, cost, weight, argument = table[opcode]
            height = len(stack)
            if watched[opcode]:
                step.pc, step.opcode, step.gas, step.return_data = pc, opcode, gas, frame.return_data
                state.pending = gas
                tracer.step(step)
            pc += 1
            gas -= cost
            if gas < 0:
                raise OutOfGas("out of gas")
            units -= weight
            if kind == 0:
                if height >= STACK_LIMIT:
                    raise FullStack("stack limit reached")
                if opcode == _PC:
                    push(pc - 1)
                else:
                    end = pc + opcode - _PUSH0
                    push(int.from_bytes(code[pc:end].ljust(opcode - _PUSH0, b"\x00")))
                    pc = end
            elif kind == 1:
                if height >= STACK_LIMIT:
                    raise FullStack("stack limit reached")
                push(stack[argument])
            elif kind == 2:
                top = stack[-1]
                stack[-1] = stack[argument]
                stack[argument] = top
            elif kind == 3:
                pop()
            elif kind == 4:
                a = pop()
                stack[-1] = argument(a, stack[-1])
            elif kind == 5:
                pass
            elif kind in (6, 7):
                target = pop()
                if kind == 7 or pop():
                    if units < 0:
                        raise ComputeBudgetExceeded("compute budget exceeded")
                    if destinations is None:
                        destinations = jump_destinations(code)
                    if target >= size or not destinations[target]:
                        raise InvalidJumpDestination("invalid jump destination")
                    pc = target
            elif kind == 8:
                start = pop()
                end = start + 32
                if end > len(memory):
                    gas = frame.grow_memory(end, gas)
                memory[start:end] = pop().to_bytes(32)
            elif kind == 9:
                start = stack[-1]
                end = start + 32
                if end > len(memory):
                    gas = frame.grow_memory(end, gas)
                stack[-1] = int.from_bytes(memory[start:end])
            elif kind == 10:
                stack[-1] = argument(stack[-1])
            elif kind == 11:
                frame.gas_left = gas
                in_function = True
                argument(frame)
                in_function = False
                units -= (gas - frame.gas_left) >> DYNAMIC_GAS_SHIFT
                gas = frame.gas_left
            elif kind == 12:
                frame.gas_left = gas
                state.compute_units = units
                if units < 0:
                    raise ComputeBudgetExceeded("compute budget exceeded")
                in_function = True
                argument(frame)
                in_function = False
                units = state.compute_units
                if units < 0:
                    raise ComputeBudgetExceeded("compute budget exceeded")
                gas = frame.gas_left
            elif kind == 13:
                if height >= STACK_LIMIT:
                    raise FullStack("stack limit reached")
                push(gas)
            elif kind == 14:
                frame.gas_left = gas
                state.price_step(frame, gas)
                break
            else:
                raise InvalidInstruction(f"invalid opcode: {OPCODE_NAMES[opcode]}")
            state.price_step(frame, gas)
    except Halt:
        state.price_step(frame, frame.gas_left)
    except IndexError:
        if in_function:
            raise
        error = InsufficientStack(_underflow(opcode, height))
        state.price_step(frame, gas, str(error))
        raise error from None
    except VMError as error:
        left = frame.gas_left if in_function else gas
        state.price_step(frame, _left(frame, left, error), _refusal(error, opcode, height, step.gas))
        raise
    finally:
        state.compute_units = min(units, state.compute_units)
    if units < 0:
        raise ComputeBudgetExceeded("compute budget exceeded")


def _underflow(opcode: int, height: int) -> str:
    return f"stack underflow ({height} <=> {OPERANDS[opcode]})"


def _left(frame: TracedFrame, left: int, error: VMError) -> int:
    """Return what would be left had the gas sufficed: below 0 by what was missing."""
    return -frame.shortfall if isinstance(error, OutOfGas) and frame.shortfall else left


def _refusal(error: VMError, opcode: int, height: int, gas: int) -> str | None:
    """Return why an opcode could not run, None where it ran and failed: geth has logged those by then."""
    if height < OPERANDS[opcode]:
        return _underflow(opcode, height)
    if isinstance(error, ComputeBudgetExceeded):
        return Failure.COMPUTE_BUDGET.value
    if isinstance(error, FullStack):
        return Failure.STACK_OVERFLOW.value
    if isinstance(error, WriteProtection) and opcode != _TSTORE:
        return Failure.WRITE_PROTECTION.value
    if not isinstance(error, OutOfGas):
        return None
    if opcode == _SSTORE and gas <= _SSTORE_SENTRY:
        return f"{Failure.OUT_OF_GAS.value}: not enough gas for reentrancy sentry"
    return Failure.OUT_OF_GAS.value
