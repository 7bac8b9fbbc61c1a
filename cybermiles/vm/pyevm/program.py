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

from cybermiles.vm.pyevm.dispatch import STACK_LIMIT
from cybermiles.vm.pyevm.fusion import FUSABLE, SHORTEST, Fuser

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
    STRETCH = 17
    """Several opcodes as one function, in front of them; they run where it cannot. No opcode."""
    COUNT = 18
    """In front of opcodes that become a stretch once they have run often. No opcode."""


RUNS_BEFORE_FUSING = 32
"""What a stretch has cost in compute units by then, 6 an opcode, pays for compiling it, which takes 2 to 5 µs each."""
MAX_CODE_BYTES = 4 * 1024 * 1024
"""Of the programs of a cache."""
MAX_STRETCHES = 20_000
"""Compiled at a time in all programs of a cache: about 50 MB."""

_LAST = frozenset((0x00, 0x56, 0xF3, 0xFD, 0xFF))
"""STOP, JUMP, RETURN, REVERT, SELFDESTRUCT: what stands behind them is reached by jumps only."""


class Program:
    """One code's steps, translated as far as execution has come.

    Code that nobody runs costs nothing: not the contract inside initcode, and not the rest of a contract of which one
    function is called. What is translated stays; `labels` maps the program counters of its JUMPDESTs to their steps.
    """

    __slots__ = ("_code", "_counted", "_destinations", "_fusing", "_opcodes", "labels", "steps", "stretches")

    def __init__(self, code: bytes, opcodes: list[Step], fusing: Fusing | None = None) -> None:
        """Translate the beginning of `code`; without a `fusing` nothing is ever compiled."""
        self.steps: list[Step] = []
        self.labels: dict[int, int] = {}
        self.stretches = 0
        """How many have been compiled."""
        self._code = code
        self._opcodes = opcodes
        self._fusing = fusing
        self._counted: dict[int, int] = {}
        self._destinations: bytearray | None = None
        self._translate(0)

    def _is_destination(self, target: int) -> bool:
        if self._destinations is None:
            self._destinations = jump_destinations(self._code)
        return target < len(self._code) and self._destinations[target] == 1

    def enter(self, target: int) -> int:
        """Return the step of a destination without a label. Raises InvalidJumpDestination where there is none."""
        if not self._is_destination(target):
            raise InvalidJumpDestination("invalid jump destination")
        index = len(self.steps)
        self._translate(target)
        return index

    def fuse(self, index: int) -> None:
        """Compile what follows the COUNT step at `index`, through jumps whose target is fixed, into a stretch."""
        pc = self.steps[index][3][1]
        first = self._step_at(index + 1)
        fuser = Fuser()
        at, cursor = pc, first
        while _is_fusable(self._opcode(at), self.steps[cursor]) and fuser.take(self._opcode(at), self.steps[cursor]):
            if fuser.leaves:
                target = fuser.target
                if target is None or not self._is_destination(target):
                    break
                at, cursor = target, self._step_at(self.labels[target] if target in self.labels else self.enter(target))
                fuser.follow()
            else:
                at += _width(self._opcode(at))
                cursor = self._step_at(cursor + 1)
        stretch = fuser.stretch
        if stretch.length < SHORTEST:
            self.steps[index] = (Kind.GO_ON.value, 0, 0, self._skip(pc, first, max(stretch.length, 1)))
            return
        behind = cursor if fuser.leaves else self._count_from(at, cursor)
        room = STACK_LIMIT - stretch.growth
        needs = (stretch.gas, stretch.weight, stretch.depth, room, stretch.memory)
        self.steps[index] = (Kind.STRETCH.value, 0, 0, (fuser.compile(), *needs, behind))
        self.stretches += 1
        if self._fusing is not None:
            self._fusing.stretches += 1

    def _skip(self, pc: int, first: int, length: int) -> int:
        """Return where the `length` opcodes at `pc`, at which no stretch could begin, are run one by one."""
        copied: list[Step] = []
        ends = False
        while len(copied) < length and not ends:
            copied.append(self.steps[first])
            ends = self._opcode(pc) in _LAST
            if not ends:
                pc += _width(self._opcode(pc))
                first = self._step_at(first + 1)
        if not ends:
            copied.append((Kind.GO_ON.value, 0, 0, self._count_from(pc, first)))
        self.steps += copied
        return len(self.steps) - len(copied)

    def _count_from(self, pc: int, cursor: int) -> int:
        """Return a step that leads to `cursor`, with a COUNT step before it where a stretch may begin."""
        opcode = self._opcode(pc)
        if self._fusing is None or not FUSABLE[opcode] or opcode in _LAST:
            return cursor
        if pc not in self._counted:
            self._counted[pc] = len(self.steps)
            self.steps.append((Kind.COUNT.value, 0, 0, [self._fusing.after, pc]))
            self.steps.append((Kind.GO_ON.value, 0, 0, cursor))
        return self._counted[pc]

    def _step_at(self, index: int) -> int:
        """Return the first step from `index` on that is an opcode's own."""
        while True:
            kind, _, _, argument = self.steps[index]
            if kind == Kind.GO_ON:
                index = argument
            elif kind in (Kind.COUNT, Kind.STRETCH):
                index += 1
            else:
                return index

    def _opcode(self, pc: int) -> int:
        return self._code[pc] if pc < len(self._code) else 0

    def _translate(self, pc: int) -> None:
        """Append steps from `pc` to where the code ends, jumps for good, or runs into what has been translated."""
        code, opcodes, labels, steps = self._code, self._opcodes, self.labels, self.steps
        size = len(code)
        stretch = _Marker(steps, self._fusing)
        while pc < size:
            opcode = code[pc]
            step = opcodes[opcode]
            if opcode == 0x5B:
                stretch.end()
                if pc in labels:
                    steps.append((Kind.GO_ON.value, 0, 0, labels[pc]))
                    return
                labels[pc] = len(steps)
            stretch.add(opcode, pc, step)
            if 0x60 <= opcode <= 0x7F:
                end = pc + opcode - 0x5E
                data = code[pc + 1 : end].ljust(opcode - 0x5F, b"\x00")
                steps.append((Kind.PUSH.value, step[1], step[2], int.from_bytes(data)))
                pc = end
                continue
            if opcode == 0x58:
                step = (Kind.PUSH.value, step[1], step[2], pc)
            steps.append(step)
            if opcode in _LAST or step[0] == Kind.INVALID:
                stretch.end()
                return
            pc += 1
        stretch.end()
        steps.append(opcodes[0])


def _width(opcode: int) -> int:
    """Return the bytes of an opcode with its data."""
    return opcode - 0x5E if 0x60 <= opcode <= 0x7F else 1


def _is_fusable(opcode: int, step: Step) -> bool:
    """Whether an opcode, which the fork must have, may be part of a stretch."""
    return FUSABLE[opcode] == 1 and step[0] != Kind.INVALID


class _Marker:
    """Puts a COUNT step in front of opcodes that may become a stretch, as they are appended."""

    __slots__ = ("_fusing", "_length", "_start", "_steps")

    def __init__(self, steps: list[Step], fusing: Fusing | None) -> None:
        self._fusing = fusing
        self._steps = steps
        self._start = -1
        self._length = 0

    def add(self, opcode: int, pc: int, step: Step) -> None:
        """Note the opcode that is appended next."""
        if self._fusing is None:
            return
        if not _is_fusable(opcode, step):
            self.end()
            return
        if self._start < 0:
            self._start = len(self._steps)
            self._length = 0
            self._steps.append((Kind.COUNT.value, 0, 0, [self._fusing.after, pc]))
        self._length += 1

    def end(self) -> None:
        """Close the stretch; one that is too short goes without."""
        if self._start >= 0 and self._length < SHORTEST:
            del self._steps[self._start]
        self._start = -1


def jump_destinations(code: bytes) -> bytearray:
    """Return 1 for each JUMPDEST that is not data of a PUSH, 0 elsewhere."""
    marks = bytearray(len(code))
    pc, size = 0, len(code)
    while pc < size:
        opcode = code[pc]
        if opcode == 0x5B:
            marks[pc] = 1
        pc += _width(opcode)
    return marks


class Fusing:
    """When the programs of a cache are fused, and how much of them has been."""

    __slots__ = ("after", "stretches")

    def __init__(self, after: int) -> None:
        self.after = after
        """Runs of the single steps before a stretch is compiled."""
        self.stretches = 0


class ProgramCache:
    """The most recently used programs, bounded by the bytes of code behind them and by what is compiled of them."""

    def __init__(self, opcodes: list[Step], *, fuse_after: int = RUNS_BEFORE_FUSING) -> None:
        """`fuse_after` 0: never, for whoever must see each opcode."""
        self._opcodes = opcodes
        self._fusing = Fusing(fuse_after) if fuse_after else None
        self._code_bytes = 0
        self._programs: OrderedDict[bytes, Program] = OrderedDict()

    def get(self, code: bytes, *, keep: bool = True) -> Program:
        """Return the program of `code`; initcode, which runs once, is not kept."""
        program = self._programs.get(code)
        if program is not None:
            self._programs.move_to_end(code)
            return program
        if not keep:
            return Program(code, self._opcodes)
        program = Program(code, self._opcodes, self._fusing)
        self._programs[code] = program
        self._code_bytes += len(code)
        while self._code_bytes > MAX_CODE_BYTES or self._is_full():
            oldest, removed = self._programs.popitem(last=False)
            self._code_bytes -= len(oldest)
            if self._fusing is not None:
                self._fusing.stretches -= removed.stretches
        return program

    def _is_full(self) -> bool:
        return self._fusing is not None and self._fusing.stretches > MAX_STRETCHES
