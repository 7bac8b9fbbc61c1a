"""Straight-line code as one Python function: what the dispatch loop runs in place of its steps.

A *stretch* is a sequence of opcodes, through jumps whose target is fixed, that cannot fail once some things are known
at its start: there are gas and compute units for all of it, the stack is deep enough and has room enough, and memory
reaches as far as its fixed offsets. A `Fuser` runs it on a stack of expressions, so that pushes, duplications and
swaps disappear and what is left is arithmetic on local variables. Where the conditions do not hold the loop runs the
single steps, so gas, compute units and errors are always those of the steps.

An access to memory at an offset that is known only at run time may find that memory must grow, which can fail: the
function then gives up (returns None) and the single steps run from its start. That is sound as long as nothing has
been written, so such an access behind a write begins a stretch of its own. Memory up to the fixed offsets is paid for
and extended at the start, which comes to the same: the stretch needs it in any case, in whatever order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cybermiles.crypto.hashing import keccak256
from cybermiles.vm.compute_units import KECCAK_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.vm.pyevm.program import Step

MASK = 2**256 - 1
SHORTEST = 3
"""Opcodes below which a stretch costs more than its steps."""
LONGEST = 256
"""Opcodes of one stretch: bounds what compiling one takes."""
MAX_FIXED_OFFSET = 1024
"""Memory that a stretch may take for granted, in bytes; it is there in frames that hash or log anything."""
NO_JUMP = -1
"""What a stretch returns that goes on behind itself."""

Operand = int | str
"""A constant, or the name of a local variable."""

_EXPRESSIONS = {
    0x01: "{a} + {b} & M",
    0x02: "{a} * {b} & M",
    0x03: "{a} - {b} & M",
    0x04: "{a} // {b} if {b} else 0",
    0x06: "{a} % {b} if {b} else 0",
    0x10: "1 if {a} < {b} else 0",
    0x11: "1 if {a} > {b} else 0",
    0x14: "1 if {a} == {b} else 0",
    0x16: "{a} & {b}",
    0x17: "{a} | {b}",
    0x18: "{a} ^ {b}",
    0x1B: "{b} << {a} & M if {a} < 256 else 0",
    0x1C: "{b} >> {a} if {a} < 256 else 0",
}
"""Operations written out; the others call the loop's own functions."""
_BINARY = (*range(0x01, 0x08), 0x0B, *range(0x10, 0x15), *range(0x16, 0x19), *range(0x1A, 0x1E))
_READS = {
    0x30: "from_bytes(frame.msg.storage_address)",
    0x33: "from_bytes(frame.msg.sender)",
    0x34: "frame.msg.value",
    0x36: "len(frame.msg.data)",
}
"""ADDRESS, CALLER, CALLVALUE, CALLDATASIZE."""
READ_GAS = 2
UNARY = (0x15, 0x19, 0x1E)
LAST_BINARY = 0x1D
FUSABLE = bytes(
    opcode in (*_BINARY, *UNARY, *_READS, 0x20, 0x35, *range(0x50, 0x53), *range(0x56, 0x59), 0x5B, *range(0x5F, 0xA0))
    for opcode in range(256)
)
"""1 for each opcode that may be part of a stretch."""


@dataclass(slots=True)
class Stretch:
    """Opcodes that are run together, and what they need."""

    length: int = 0
    """Opcodes."""
    gas: int = 0
    weight: int = 0
    depth: int = 0
    """Least depth of the stack."""
    growth: int = 0
    """How far the stack rises above where it began, at most."""
    memory: int = 0
    """Bytes of memory needed."""


class Fuser:
    """Runs opcodes on a stack of expressions and writes the function down. Used once."""

    def __init__(self) -> None:
        self._functions: dict[str, Any] = {}
        self._lines: list[str] = []
        self._stack: list[Operand] = []
        self._taken = 0
        self._names = 0
        self._wrote = False
        self._jump: str | None = None
        self.leaves = False
        """Whether the last opcode was a JUMP, which ends the stretch unless it is followed."""
        self.target: int | None = None
        """Where that leads, None where only running it tells."""
        self.stretch = Stretch()

    def take(self, opcode: int, step: Step) -> bool:
        """Append one `FUSABLE` opcode; False where it cannot be part of this stretch."""
        stretch = self.stretch
        if self._jump is not None or stretch.length >= LONGEST:
            return False
        extra = self._apply(opcode, step[3])
        if extra is None:
            return False
        stretch.length += 1
        stretch.gas += step[1] + extra[0]
        stretch.weight += step[2] + extra[1]
        return True

    def compile(self) -> Callable[..., int | None]:
        """Return the function (stack, memory, frame) to the program counter it jumps to, NO_JUMP, or None."""
        scope = {"M": MASK, "from_bytes": int.from_bytes, "keccak256": keccak256, "load": load, **self._functions}
        source = "def fused(stack, memory, frame):\n" + "".join(f"    {line}\n" for line in self._body())
        exec(source, scope)  # noqa: S102  (numbers and the templates of this module, nothing else)
        function: Callable[..., int | None] = scope["fused"]
        return function

    def _body(self) -> Sequence[str]:
        lines = [*self._lines, *self._write_back(), f"return {self._jump or NO_JUMP}"]
        used = set(re.findall(r"\bi(\d+)\b", " ".join(lines)))
        return [*(f"i{depth} = stack[-{depth}]" for depth in range(1, self._taken + 1) if str(depth) in used), *lines]

    def _changed(self) -> list[Operand]:
        """Return the part of the stack that is written back: without what stands where it stood."""
        left = self._untouched()
        return self._stack[left:]

    def _untouched(self) -> int:
        below = [f"i{depth}" for depth in range(self._taken, 0, -1)]
        left = 0
        while left < min(len(below), len(self._stack)) and self._stack[left] == below[left]:
            left += 1
        return left

    def _write_back(self) -> list[str]:
        replaced, values = self._taken - self._untouched(), self._changed()
        listed = ", ".join(map(str, values))
        if not replaced:
            if not values:
                return []
            return [f"stack.append({listed})"] if len(values) == 1 else [f"stack += ({listed})"]
        if not values:
            return [f"del stack[-{replaced}:]"]
        if replaced == len(values) == 1:
            return [f"stack[-1] = {listed}"]
        return [f"stack[-{replaced}:] = ({listed},)"]

    # One opcode each: the gas and weight beside the table's, or None

    def _apply(self, opcode: int, argument: Any) -> tuple[int, int] | None:  # noqa: ANN401  (as the step has it)
        if 0x5F <= opcode <= 0x7F or opcode == 0x58:
            return self._push(argument)
        if 0x80 <= opcode <= 0x8F:
            return self._push(self._peek(opcode - 0x7F))
        if 0x90 <= opcode <= 0x9F:
            return self._swap(opcode - 0x8F)
        if opcode in _READS:
            self._push(self._assign(_READS[opcode]))
            return READ_GAS, 0
        if opcode in UNARY:
            return self._operate(opcode, argument, self._pop())
        if opcode <= LAST_BINARY:
            return self._operate(opcode, argument, self._pop(), self._pop())
        return self._apply_other(opcode)

    def _apply_other(self, opcode: int) -> tuple[int, int] | None:
        if opcode == 0x5B:
            return 0, 0
        if opcode == 0x50:
            self._pop()
            return 0, 0
        if opcode == 0x35:
            return self._push(self._assign(f"load(frame.msg.data, {self._pop()})"))
        if opcode in (0x51, 0x52):
            return self._memory_word(writes=opcode == 0x52)
        if opcode == 0x20:
            return self._keccak()
        if opcode in (0x56, 0x57):
            return self._jump_to(conditional=opcode == 0x57)
        return None

    def _operate(self, opcode: int, function: Callable[..., int], *operands: Operand) -> tuple[int, int]:
        constants = [operand for operand in operands if isinstance(operand, int)]
        if len(constants) == len(operands):
            return self._push(function(*constants))
        if opcode == 0x15:
            return self._push(self._assign(f"0 if {operands[0]} else 1"))
        if opcode == 0x19:
            return self._push(self._assign(f"{operands[0]} ^ M"))
        if opcode in (0x1B, 0x1C) and isinstance(operands[0], int):
            return self._shift(opcode, operands[0], operands[1])
        template = _EXPRESSIONS.get(opcode)
        if template is None:
            name = f"op{opcode:02x}"
            self._functions[name] = function
            return self._push(self._assign(f"{name}({', '.join(map(str, operands))})"))
        return self._push(self._assign(template.format(a=operands[0], b=operands[1])))

    def _shift(self, opcode: int, bits: int, operand: Operand) -> tuple[int, int]:
        if bits > 255:
            return self._push(0)
        return self._push(self._assign(f"{operand} << {bits} & M" if opcode == 0x1B else f"{operand} >> {bits}"))

    def _memory_word(self, *, writes: bool) -> tuple[int, int] | None:
        offset = self._peek(1)
        if not self._reach(offset, 32):
            return None
        self._pop()
        end = offset + 32 if isinstance(offset, int) else f"{offset} + 32"
        if writes:
            self._lines.append(f"memory[{offset}:{end}] = ({self._pop()}).to_bytes(32)")
            self._wrote = True
            return 0, 0
        return self._push(self._assign(f"from_bytes(memory[{offset}:{end}])"))

    def _keccak(self) -> tuple[int, int] | None:
        offset, size = self._peek(1), self._peek(2)
        if not isinstance(offset, int) or not isinstance(size, int):
            return None
        if size and not self._reach(offset, size):
            return None
        self._pop()
        self._pop()
        self._push(self._assign(f"from_bytes(keccak256(bytes(memory[{offset}:{offset + size}])))"))
        return 6 * ((size + 31) // 32), size >> KECCAK_SHIFT

    def _reach(self, offset: Operand, size: int) -> bool:
        """Make sure of memory up to there; False where this stretch cannot."""
        if isinstance(offset, int):
            if offset + size > MAX_FIXED_OFFSET:
                return False
            self.stretch.memory = max(self.stretch.memory, offset + size)
            return True
        if self._wrote:
            return False
        self._lines.append(f"if {offset} + {size} > len(memory): return None")
        return True

    def _jump_to(self, *, conditional: bool) -> tuple[int, int]:
        target = self._pop()
        if conditional:
            self._jump = f"{target} if {self._pop()} else {NO_JUMP}"
        else:
            self._jump = str(target)
            self.leaves = True
            self.target = target if isinstance(target, int) else None
        return 0, 0

    def follow(self) -> None:
        """Go on at the target of the JUMP that was just taken."""
        self._jump = None
        self.leaves = False
        self.target = None

    # The stack of expressions

    def _push(self, operand: Operand) -> tuple[int, int]:
        self._stack.append(operand)
        self._note_height()
        return 0, 0

    def _note_height(self) -> None:
        self.stretch.growth = max(self.stretch.growth, len(self._stack) - self._taken)

    def _pop(self) -> Operand:
        self._need(1)
        return self._stack.pop()

    def _peek(self, depth: int) -> Operand:
        self._need(depth)
        return self._stack[-depth]

    def _swap(self, depth: int) -> tuple[int, int]:
        self._need(depth + 1)
        stack = self._stack
        stack[-1], stack[-depth - 1] = stack[-depth - 1], stack[-1]
        return 0, 0

    def _need(self, depth: int) -> None:
        """Take operands from the real stack until there are `depth`."""
        while len(self._stack) < depth:
            self._taken += 1
            self._stack.insert(0, f"i{self._taken}")
        self.stretch.depth = max(self.stretch.depth, self._taken)

    def _assign(self, expression: str) -> str:
        self._names += 1
        name = f"t{self._names}"
        self._lines.append(f"{name} = {expression}")
        return name


def load(data: bytes, start: int) -> int:
    """CALLDATALOAD: the word of `data` at `start`, with zeros behind its end."""
    word = data[start : start + 32] if start < len(data) else b""
    return int.from_bytes(word) << 8 * (32 - len(word))
