"""Contract code translated once into the steps of the dispatch loop.

A step is (kind, static gas, weight in tenths of a compute unit, argument). Push data becomes an integer, jump
destinations become step indices, and opcodes that the loop does not run in line carry the function to call. Code
and its translation are immutable, so programs are cached by code.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Step = tuple[int, int, int, Any]
"""(kind, gas, weight, argument). Any: an integer, a function, or None, as the kind says."""


class Kind(IntEnum):
    """How the loop runs a step, most frequent first."""

    PUSH = 0
    DUP = 1
    SWAP = 2
    POP = 3
    BINARY = 4
    """Two operands, one result, nothing else."""
    JUMPDEST = 5
    JUMPI = 6
    JUMP = 7
    MSTORE = 8
    MLOAD = 9
    UNARY = 10
    CALLED = 11
    """An opcode function on the frame."""
    CHILD = 12
    """An opcode function that may run another frame."""
    GAS = 13
    STOP = 14
    INVALID = 15


class Program:
    """One code's steps. `labels` maps the program counter of each JUMPDEST to its step."""

    __slots__ = ("labels", "size", "steps")

    def __init__(self, steps: list[Step], labels: dict[int, int], size: int) -> None:
        self.steps = steps
        self.labels = labels
        self.size = size


class ProgramCache:
    """The most recently used programs, bounded by the bytes of code behind them."""

    def __init__(self, opcodes: list[Step], max_code_bytes: int = 4 * 1024 * 1024) -> None:
        self._opcodes = opcodes
        self._max_code_bytes = max_code_bytes
        self._code_bytes = 0
        self._programs: OrderedDict[bytes, Program] = OrderedDict()

    def get(self, code: bytes, *, keep: bool = True) -> Program:
        """Return the program of `code`; initcode, which runs once, is not kept."""
        program = self._programs.get(code)
        if program is not None:
            self._programs.move_to_end(code)
            return program
        program = translate(code, self._opcodes)
        if keep:
            self._programs[code] = program
            self._code_bytes += len(code)
            while self._code_bytes > self._max_code_bytes:
                oldest, _ = self._programs.popitem(last=False)
                self._code_bytes -= len(oldest)
        return program


def translate(code: bytes, opcodes: list[Step]) -> Program:
    """Return the steps of `code` under a table of 256 steps; code runs into a STOP at its end."""
    steps: list[Step] = []
    labels: dict[int, int] = {}
    append = steps.append
    size = len(code)
    pc = 0
    while pc < size:
        opcode = code[pc]
        step = opcodes[opcode]
        if 0x60 <= opcode <= 0x7F:
            end = pc + opcode - 0x5E
            data = code[pc + 1 : end]
            if end > size:
                data = data.ljust(opcode - 0x5F, b"\x00")
            append((Kind.PUSH.value, step[1], step[2], int.from_bytes(data)))
            pc = end
            continue
        if opcode == 0x5B:
            labels[pc] = len(steps)
        elif opcode == 0x58:
            step = (Kind.PUSH.value, step[1], step[2], pc)
        append(step)
        pc += 1
    append(opcodes[0])
    return Program(steps, labels, size)


def function_step(function: Callable[[Any], None], gas: int, weight: int, kind: Kind) -> Step:
    """Return a step that calls a function on the frame."""
    return (kind.value, gas, weight, function)
