"""Contract code translated, as execution comes to it, into the steps of the dispatch loop.

A step is (kind, static gas, weight in tenths of a compute unit, argument). Push data becomes an integer, jump
destinations become step indices, and opcodes that the loop does not run in line carry the function to call. Code is
immutable and its translation only grows, so programs are cached by code.
"""

from __future__ import annotations

from collections import OrderedDict

from eth.exceptions import InvalidJumpDestination

from cybermiles.vm.pyevm.dispatch import STACK_LIMIT
from cybermiles.vm.pyevm.fusion import FUSABLE, LONGEST, SHORTEST, Fuser
from cybermiles.vm.pyevm.path import is_fusable, walk, width
from cybermiles.vm.pyevm.steps import Kind, Step

RUNS_BEFORE_FUSING = 32
"""By then it shows which way a conditional jump mostly goes."""
FUSING_PRICE = 400
"""Tenths of compute units that running the code has taken, for each opcode to be compiled.

40 units are up to 22 µs of running it; compiling takes 6 to 12 µs. So a block adds half of its own time at most.
"""
CHUNK = 64
"""Opcodes translated at a time: what a frame that ends at once can have had translated for nothing."""
MAX_CODE_BYTES = 16 * 1024 * 1024
"""Of which a cache keeps the jump destinations. Over what a block's compute units can load: that is paid for once."""
MAX_STEPS = 1_000_000
"""In all programs of a cache: about 100 MB."""
OWN_STEPS, OWN_BYTES = 8, 256
"""What a program and its jump destinations take beside steps and code, so that many small ones are bounded too."""
MAX_FUSED = 300_000
"""Opcodes compiled at a time in all programs of a cache: about 25 MB."""
MAX_FUSED_OF_ONE = MAX_FUSED // 10
"""Of these in one program: paths overlap."""

_JUMPS = (0x56, 0x57)
_LAST = frozenset((0x00, 0x56, 0xF3, 0xFD, 0xFF))
"""STOP, JUMP, RETURN, REVERT, SELFDESTRUCT: what stands behind them is reached by jumps only."""


class Program:
    """One code's steps, translated as far as execution has come.

    Code that nobody runs costs nothing: not the contract inside initcode, and not the rest of a contract of which one
    function is called. So translating costs no more than running, which is paid for. What is translated stays; `labels`
    maps the program counters of its JUMPDESTs to their steps.
    """

    __slots__ = ("_counted", "_destinations", "_shared", "code", "credit", "fuse_after", "fused", "labels", "steps")

    def __init__(self, code: bytes, shared: Shared, *, fuse_after: int = 0) -> None:
        """Translate the beginning of `code`; with 0 nothing is ever compiled."""
        self.steps: list[Step] = []
        self.labels: dict[int, int] = {}
        self.credit = 0
        """Compute units, in tenths, that running this code has taken and compiling it has not used up."""
        self.fused = 0
        """Opcodes that have been compiled."""
        self.code = code
        self._shared = shared
        self.fuse_after = fuse_after
        self._counted: dict[int, int] = {}
        self._destinations: bytearray | None = None
        shared.steps += OWN_STEPS
        self._translate(0)

    def is_destination(self, target: int) -> bool:
        """Tell whether there is a JUMPDEST."""
        if self._destinations is None:
            self._destinations = self._shared.destinations(self.code)
        return target < len(self.code) and self._destinations[target] == 1

    def enter(self, target: int) -> int:
        """Return the step of a destination without a label. Raises InvalidJumpDestination where there is none."""
        if not self.is_destination(target):
            raise InvalidJumpDestination("invalid jump destination")
        index = len(self.steps)
        self._translate(target)
        return index

    def go_on(self, index: int) -> None:
        """Translate what follows the REST step at `index`, and let that lead there."""
        pc = self.steps[index][3]
        if index == len(self.steps) - 1:
            self.steps.pop()
            self._shared.steps -= 1
        else:
            self.steps[index] = (Kind.GO_ON.value, 0, 0, len(self.steps))
        self._translate(pc)

    def fuse(self, index: int, stack: list[int]) -> None:
        """Compile what mostly follows the COUNT step at `index` into one function, if running the code has paid for it.

        `stack`, as it is there now, tells where functions return to.
        """
        count = self.steps[index][3]
        if self.credit < LONGEST * self._shared.price or self.fused > MAX_FUSED_OF_ONE:
            count[0] = self.fuse_after + 1  # the loop counts this run again and goes on
            return
        pc = count[1]
        first = self.step_at(index + 1)
        fuser = Fuser(stack)
        at, cursor = walk(self, fuser, pc, first)
        stretch = fuser.stretch
        self.credit -= fuser.size * self._shared.price
        if stretch.length < SHORTEST:
            self.steps[index] = (Kind.GO_ON.value, 0, 0, self._skip(pc, first, max(stretch.length, 1)))
            return
        if fuser.ends:
            behind = self._append([self._shared.opcodes[0]])
        else:
            behind = cursor + 1 if fuser.jump is not None else self._count_from(at, cursor)
        room = STACK_LIMIT - stretch.growth
        needs = (stretch.gas, stretch.weight + stretch.reserve, stretch.depth, room)
        self.steps[index] = (Kind.STRETCH.value, 0, 0, (fuser.compile(behind), *needs))
        self.fused += fuser.size
        self._shared.fused += fuser.size

    def _skip(self, pc: int, first: int, length: int) -> int:
        """Return where the `length` opcodes at `pc`, at which no path could begin, are run one by one."""
        copied: list[Step] = []
        ends = False
        while len(copied) < length and not ends:
            copied.append(self.steps[first])
            ends = self.opcode(pc) in _LAST
            if not ends:
                pc += width(self.opcode(pc))
                first = self.step_at(first + 1)
        if not ends:
            copied.append((Kind.GO_ON.value, 0, 0, self._count_from(pc, first)))
        return self._append(copied)

    def _count_from(self, pc: int, cursor: int) -> int:
        """Return a step that leads to `cursor`, with a COUNT step before it where a path may begin."""
        opcode = self.opcode(pc)
        if not self.fuse_after or not FUSABLE[opcode] or opcode in _LAST:
            return cursor
        if pc not in self._counted:
            count = (Kind.COUNT.value, 0, 0, [self.fuse_after, pc])
            self._counted[pc] = self._append([count, (Kind.GO_ON.value, 0, 0, cursor)])
        return self._counted[pc]

    def _append(self, steps: list[Step]) -> int:
        """Add steps; return where they begin."""
        self.steps += steps
        self._shared.steps += len(steps)
        return len(self.steps) - len(steps)

    def step_at(self, index: int) -> int:
        """Return the first step from `index` on that is an opcode's own."""
        while True:
            kind, _, _, argument = self.steps[index]
            if kind == Kind.GO_ON:
                index = argument
            elif kind in (Kind.COUNT, Kind.STRETCH):
                index += 1
            elif kind == Kind.REST:
                self.go_on(index)
            else:
                return index

    def opcode(self, pc: int) -> int:
        """Return the opcode there, STOP behind the code."""
        return self.code[pc] if pc < len(self.code) else 0

    def leave(self) -> None:
        """Belong to no cache any more. Frames that run it go on, and what they add counts nowhere."""
        self._shared.fused -= self.fused
        self._shared.steps -= len(self.steps) + OWN_STEPS
        self._shared = Shared(self._shared.opcodes)

    def _translate(self, pc: int) -> None:
        """Append steps from `pc` to where the code ends, may jump, or runs into what has been translated."""
        before = len(self.steps)
        self._append_from(pc)
        self._shared.steps += len(self.steps) - before

    def _append_from(self, pc: int) -> None:
        code, opcodes, labels, steps = self.code, self._shared.opcodes, self.labels, self.steps
        size = len(code)
        stretch = _Marker(steps, self.fuse_after)
        limit = len(steps) + CHUNK
        while pc < size:
            if len(steps) >= limit:
                steps.append((Kind.REST.value, 0, 0, pc))
                return
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
            if opcode == 0x57:
                limit = 0
        stretch.end()
        steps.append(opcodes[0])


class _Marker:
    """Puts a COUNT step in front of opcodes that may become a stretch, as they are appended."""

    __slots__ = ("_fuse_after", "_length", "_start", "_steps")

    def __init__(self, steps: list[Step], fuse_after: int) -> None:
        self._fuse_after = fuse_after
        self._steps = steps
        self._start = -1
        self._length = 0

    def add(self, opcode: int, pc: int, step: Step) -> None:
        """Note the opcode that is appended next."""
        if not self._fuse_after:
            return
        if not is_fusable(opcode, step):
            self.end()
            return
        if self._start < 0:
            self._start = len(self._steps)
            self._length = 0
            self._steps.append((Kind.COUNT.value, 0, 0, [self._fuse_after, pc]))
        self._length += SHORTEST if opcode in _JUMPS else 1

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
        pc += 1
        if opcode == 0x5B:
            marks[pc - 1] = 1
        elif 0x60 <= opcode <= 0x7F:
            pc += opcode - 0x5F
    return marks


class Shared:
    """What the programs of a cache have in common, and how much all of them hold."""

    __slots__ = ("_bytes", "_destinations", "fused", "opcodes", "price", "steps")

    def __init__(self, opcodes: list[Step], price: int = 0) -> None:
        self.opcodes = opcodes
        self.price = price
        """Compute units, in tenths, that running code must have taken for each opcode compiled."""
        self.steps = 0
        self.fused = 0
        self._bytes = 0
        self._destinations: OrderedDict[bytes, bytearray] = OrderedDict()

    def destinations(self, code: bytes) -> bytearray:
        """Return the jump destinations of `code`, kept for as long as a block may ask for them again."""
        marks = self._destinations.get(code)
        if marks is None:
            marks = self._destinations[code] = jump_destinations(code)
            self._bytes += len(code) + OWN_BYTES
            while self._bytes > MAX_CODE_BYTES:
                self._bytes -= len(self._destinations.popitem(last=False)[0]) + OWN_BYTES
        else:
            self._destinations.move_to_end(code)
        return marks


class ProgramCache:
    """The most recently used programs, bounded by their steps and by what is compiled of them."""

    def __init__(self, opcodes: list[Step], *, fuse_after: int = RUNS_BEFORE_FUSING) -> None:
        """`fuse_after` runs of single steps a path is compiled; 0: never, for whoever must see each opcode.

        What is to be compiled sooner than by default, as in tests, costs nothing.
        """
        self._shared = Shared(opcodes, FUSING_PRICE if fuse_after >= RUNS_BEFORE_FUSING else 0)
        self._fuse_after = fuse_after
        self._programs: OrderedDict[bytes, Program] = OrderedDict()

    def get(self, code: bytes, *, keep: bool = True) -> Program:
        """Return the program of `code`; initcode, which runs once, is not kept."""
        program = self._programs.get(code)
        if program is None and not keep:
            return Program(code, Shared(self._shared.opcodes))
        while self._programs and self._is_full():
            self._programs.popitem(last=False)[1].leave()
        if program is not None and code in self._programs:
            if program.code is not code:
                # Each block loads its own copy: as the key it is found without comparing it.
                del self._programs[code]
                program.code = code
                self._programs[code] = program
            else:
                self._programs.move_to_end(code)
            return program
        program = self._programs[code] = Program(code, self._shared, fuse_after=self._fuse_after)
        return program

    def _is_full(self) -> bool:
        return self._shared.fused > MAX_FUSED or self._shared.steps > MAX_STEPS
