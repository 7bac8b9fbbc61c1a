"""Contract code translated, as execution comes to it, into the steps of the dispatch loop.

A step is (kind, static gas, weight in tenths of a compute unit, argument). Push data becomes an integer, jump
destinations become step indices, and opcodes that the loop does not run in line carry the function to call. Code is
immutable and its translation only grows, so programs are cached by code.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import Any

from eth.exceptions import InvalidJumpDestination

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
    METERING = 12
    """An opcode function that charges compute units itself, as by running another frame."""
    GAS = 13
    STOP = 14
    GO_ON = 15
    """Runs into a JUMPDEST that is translated already: goes on there. No opcode: costs nothing."""
    INVALID = 16


_LAST = frozenset((0x00, 0x56, 0xF3, 0xFD, 0xFF))
"""STOP, JUMP, RETURN, REVERT, SELFDESTRUCT: what stands behind them is reached by jumps only."""


class Program:
    """One code's steps, translated as far as execution has come.

    Code that nobody runs costs nothing: not the contract inside initcode, and not the rest of a contract of which one
    function is called. What is translated stays; `labels` maps the program counters of its JUMPDESTs to their steps.
    """

    __slots__ = ("_code", "_destinations", "_opcodes", "labels", "steps")

    def __init__(self, code: bytes, opcodes: list[Step]) -> None:
        self.steps: list[Step] = []
        self.labels: dict[int, int] = {}
        self._code = code
        self._opcodes = opcodes
        self._destinations: bytearray | None = None
        self._translate(0)

    def enter(self, target: int) -> int:
        """Return the step of a destination without a label. Raises InvalidJumpDestination where there is none."""
        if self._destinations is None:
            self._destinations = jump_destinations(self._code)
        if target >= len(self._code) or not self._destinations[target]:
            raise InvalidJumpDestination("invalid jump destination")
        index = len(self.steps)
        self._translate(target)
        return index

    def _translate(self, pc: int) -> None:
        """Append steps from `pc` to where the code ends, jumps for good, or runs into what has been translated."""
        code, opcodes, labels, steps = self._code, self._opcodes, self.labels, self.steps
        size = len(code)
        while pc < size:
            opcode = code[pc]
            step = opcodes[opcode]
            if 0x60 <= opcode <= 0x7F:
                end = pc + opcode - 0x5E
                data = code[pc + 1 : end].ljust(opcode - 0x5F, b"\x00")
                steps.append((Kind.PUSH.value, step[1], step[2], int.from_bytes(data)))
                pc = end
                continue
            if opcode == 0x5B:
                if pc in labels:
                    steps.append((Kind.GO_ON.value, 0, 0, labels[pc]))
                    return
                labels[pc] = len(steps)
            elif opcode == 0x58:
                step = (Kind.PUSH.value, step[1], step[2], pc)
            steps.append(step)
            if opcode in _LAST or step[0] == Kind.INVALID:
                return
            pc += 1
        steps.append(opcodes[0])


def jump_destinations(code: bytes) -> bytearray:
    """Return 1 for each JUMPDEST that is not data of a PUSH, 0 elsewhere."""
    marks = bytearray(len(code))
    pc, size = 0, len(code)
    while pc < size:
        opcode = code[pc]
        if opcode == 0x5B:
            marks[pc] = 1
        pc += opcode - 0x5E if 0x60 <= opcode <= 0x7F else 1
    return marks


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
        program = Program(code, self._opcodes)
        if keep:
            self._programs[code] = program
            self._code_bytes += len(code)
            while self._code_bytes > self._max_code_bytes:
                oldest, _ = self._programs.popitem(last=False)
                self._code_bytes -= len(oldest)
        return program
