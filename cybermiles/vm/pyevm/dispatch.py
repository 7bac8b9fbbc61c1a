"""The loop that runs a frame's code.

Stack, flow, arithmetic, comparison and word-sized memory opcodes run in line on a list of integers; all else is a
function on the frame, most of them py-evm's own. Gas and compute units live in local variables and are put back into
the frame around every function call, so that those functions see exact values. Code that has run often is fused: many
opcodes are then one step (`fusion.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    OutOfGas,
)

from cybermiles.vm.compute_units import DYNAMIC_GAS_SHIFT
from cybermiles.vm.opcode_names import OPCODE_NAMES

if TYPE_CHECKING:
    from cybermiles.vm.pyevm.frame import Frame
    from cybermiles.vm.pyevm.program import Program

STACK_LIMIT = 1024


def expansion_gas(size: int, end: int) -> int:
    """Return what extending memory from `size` bytes, whole words, to `end` costs."""
    before, after = size // 32, (end + 31) // 32
    return 3 * (after - before) + after * after // 512 - before * before // 512


class ComputeBudgetExceeded(OutOfGas):  # type: ignore[misc]  # py-evm is untyped
    """The second meter is used up: the frame fails like one that is out of gas."""


def run(frame: Frame, program: Program) -> None:  # noqa: C901, PLR0912, PLR0915  (one arm per kind of step)
    """Run the program to its end. Raises py-evm's VMError subclasses where the frame fails."""
    state = frame.state
    steps = program.steps
    labels = program.labels
    stack = frame.stack_values
    pop = stack.pop
    push = stack.append
    memory = frame.memory_bytes
    gas = frame.gas_left
    units = begun = state.compute_units
    index = 0
    in_function = False
    try:
        while True:
            kind, cost, weight, argument = steps[index]
            index += 1
            if kind == 17:
                function, least_gas, least_units, depth, room = argument
                if gas < least_gas or units < least_units or not depth <= len(stack) <= room:
                    continue
                index, gas, units = function(stack, memory, frame, gas, units)
                if index < 0:
                    target = ~index
                    index = labels[target] if target in labels else program.enter(target)
                continue
            gas -= cost
            if gas < 0:
                raise OutOfGas("out of gas")
            units -= weight
            if kind == 0:
                if len(stack) >= STACK_LIMIT:
                    raise FullStack("stack limit reached")
                push(argument)
            elif kind == 1:
                if len(stack) >= STACK_LIMIT:
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
            elif kind == 6:
                target = pop()
                if pop():
                    if units < 0:
                        raise ComputeBudgetExceeded("compute budget exceeded")
                    index = labels[target] if target in labels else program.enter(target)
            elif kind == 7:
                target = pop()
                if units < 0:
                    raise ComputeBudgetExceeded("compute budget exceeded")
                index = labels[target] if target in labels else program.enter(target)
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
                begun += state.compute_units - units
                units = state.compute_units
                if units < 0:
                    raise ComputeBudgetExceeded("compute budget exceeded")
                gas = frame.gas_left
            elif kind == 13:
                if len(stack) >= STACK_LIMIT:
                    raise FullStack("stack limit reached")
                push(gas)
            elif kind == 14:
                frame.gas_left = gas
                break
            elif kind == 15:
                index = argument
            elif kind == 18:
                argument[0] -= 1
                if argument[0] <= 0:
                    index -= 1
                    program.credit += begun - units
                    begun = units
                    program.fuse(index, stack)
            elif kind == 19:
                index -= 1
                program.go_on(index)
            else:
                raise InvalidInstruction(f"invalid opcode: {OPCODE_NAMES[argument]}")
    except Halt:
        pass
    except IndexError:
        if in_function:
            raise
        raise InsufficientStack("stack underflow") from None
    finally:
        program.credit += begun - units
        state.compute_units = min(units, state.compute_units)
    if units < 0:
        raise ComputeBudgetExceeded("compute budget exceeded")
