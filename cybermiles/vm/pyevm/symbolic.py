"""The function that a path through code becomes, as it is written: a stack of expressions, lines, exits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cybermiles.vm.pyevm import host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Operand = int | str
"""A constant, or the name of a local variable."""

ITEMS_AS_OPCODE = 4
"""Items on the stack that take as long as compiling an opcode: each exit lists them, and takes one for itself."""
FEW = 3
"""Items that are written back one by one, so that those between them need not be read."""

_NAME = re.compile(r"\b[it]\d+\b")


@dataclass(slots=True)
class Stretch:
    """Opcodes that are run together, and what must be there when they begin."""

    length: int = 0
    """Opcodes."""
    gas: int = 0
    """All static gas."""
    weight: int = 0
    """The same of compute units."""
    reserve: int = 0
    """Compute units that may come on top of it."""
    depth: int = 0
    """Least depth of the stack."""
    growth: int = 0
    """How far the stack rises above where it began, at most."""


class Jump(NamedTuple):
    """A JUMP or JUMPI at the end of a path."""

    target: Operand
    condition: Operand | None
    """None: always."""


class Path:
    """A stack of expressions and the lines that compute them."""

    def __init__(self, seen: list[int]) -> None:
        """`seen`: the real stack where the path begins, as it was once."""
        self.stretch = Stretch()
        self._seen = seen
        self.jump: Jump | None = None
        """The last opcode where it was a jump; `go_on`, `go_to` or `compile` follows."""
        self._functions: dict[str, Any] = {}
        self._bound: set[str] = set()
        self._lines: list[tuple[str, str]] = []
        """(name, expression) of what only sets a variable, ("", lines) of all else."""
        self._stack: list[Operand] = []
        self._taken = 0
        """Operands that came from the real stack."""
        self._names = 0
        self._values: dict[str, str] = {}
        """Variables by expression, of those whose value does not change."""
        self._tests: dict[Operand, str] = {}
        """Variables that are 1 or 0, and the condition for that."""
        self.size = 0
        """What compiling takes, in opcodes."""
        self.ends = False
        """Whether the last opcode ended the frame."""
        self._here = 0
        """The single step of the opcode that is being taken."""
        self._prefix = (0, 0)
        """Static gas and weight before it."""

    # Jumps

    def go_on(self) -> None:
        """Go on behind the JUMPI; where it jumps, the path is left."""
        target, condition = self._end_of_jump()
        if not isinstance(condition, int):
            self._block(f"if {self._truth(condition)}:", *self._leave(_destination(target)))

    def go_to(self, destination: int, behind: int) -> None:
        """Go on there, at the jump's target.

        Where a JUMPI does not jump, the path is left for the step at `behind`; where the target is another, for that.
        """
        target, condition = self._end_of_jump()
        if condition is not None and not isinstance(condition, int):
            self._block(f"if not ({self._truth(condition)}):", *self._leave(behind))
        if not isinstance(target, int):
            self._block(f"if {target} != {destination}:", *self._leave(_destination(target)))

    def expected(self, operand: Operand) -> int | None:
        """Return a constant, or what an operand from the real stack was once: mostly the address to return to."""
        if isinstance(operand, int):
            return operand
        depth = int(operand[1:])
        return self._seen[-depth] if operand[0] == "i" and depth <= len(self._seen) else None

    def _end_of_jump(self) -> Jump:
        jump, self.jump = self.jump, None
        self._prefix = (self.stretch.gas, self.stretch.weight)
        return jump or Jump(0, 0)

    def shape(self) -> tuple[int, tuple[int, ...]]:
        """Return the stack's height above where it began, and the constants on it, return addresses among them."""
        return len(self._stack) - self._taken, tuple(item for item in self._stack if isinstance(item, int))

    # The function

    def compile(self, behind: int) -> Callable[..., tuple[int, int, int]]:
        """Return the function (stack, memory, frame, gas, units) to (where to go on, gas, units).

        It goes on at a step's index or, where negative, at the inverted program counter of a JUMPDEST. `behind` is
        where the path goes on when its last opcode does not jump.
        """
        end: int | str = behind
        if self.jump is not None:
            target, condition = self._end_of_jump()
            end = _destination(target)
            if condition is not None:
                end = f"{end} if {self._truth(condition)} else {behind}"
        self._prefix = (self.stretch.gas, self.stretch.weight)
        source = "def path(stack, memory, frame, gas, units):\n" + "\n".join(self._body(self._leave(end)))
        scope = {**host.SCOPE, "S": self.stretch.gas, **self._functions}
        exec(source, scope)  # noqa: S102  (numbers and the templates of this package, nothing else)
        function: Callable[..., tuple[int, int, int]] = scope["path"]
        return function

    def _body(self, last: list[str]) -> Iterator[str]:
        """Yield the indented lines, without variables that nothing uses."""
        used = set(_NAME.findall("\n".join(last)))
        needed: list[str] = []
        for name, text in reversed(self._lines):
            if not name or name in used:
                used.update(_NAME.findall(text))
                needed.append(f"    {name} = {text}" if name else text)
        yield from reversed(needed)
        yield from (f"    {line}" for line in last)

    def _leave(self, where: int | str) -> list[str]:
        """Return what leaves the path for there, with the stack and the costs of the moment."""
        gas, weight = self._prefix
        return [*self._write_back(), f"return {where}, gas - {gas}, units - {weight}"]

    def _exit(self, condition: str) -> list[str]:
        """Return what leaves the opcode that is being taken to its single step, where it may fail."""
        return [f"if {condition}:", *(f"    {line}" for line in self._leave(self._here))]

    def _write_back(self) -> list[str]:
        """Return what brings the real stack up to date; items that stand where they stood are left alone."""
        stack, taken = self._stack, self._taken
        self.size += 1 + len(stack) // ITEMS_AS_OPCODE
        common = min(taken, len(stack))
        changed = [at for at in range(common) if stack[at] != f"i{taken - at}"]
        if len(changed) > FEW:
            return [f"stack[-{taken - changed[0]}:] = ({_listed(stack[changed[0] :])})"]
        lines = [f"stack[-{taken - at}] = {stack[at]}" for at in changed]
        if len(stack) > common:
            lines.append(f"stack += ({_listed(stack[common:])})")
        elif taken > common:
            lines.append(f"del stack[-{taken - common}:]")
        return lines

    # Lines

    def _line(self, *lines: str) -> None:
        self._lines.append(("", "\n".join(f"    {line}" for line in lines)))

    def _bind(self, name: str, expression: str) -> None:
        """Set a variable that is needed from here on, unless that is done."""
        if name not in self._bound:
            self._bound.add(name)
            self._line(f"{name} = {expression}")

    def _block(self, head: str, *lines: str) -> None:
        self._line(head, *(f"    {line}" for line in lines))

    def _value(self, expression: str) -> str:
        """Return the variable of an expression whose value does not depend on when it is computed."""
        name = self._values.get(expression)
        if name is None:
            name = self._values[expression] = self._assign(expression)
        return name

    def _assign(self, expression: str) -> str:
        """Return a new variable of an expression that has no effect."""
        self._names += 1
        name = f"t{self._names}"
        self._lines.append((name, expression))
        return name

    def _test(self, condition: str) -> str:
        """Return the variable that is 1 where the condition holds, else 0."""
        name = self._value(f"1 if {condition} else 0")
        self._tests[name] = condition
        return name

    def _truth(self, operand: Operand | None) -> str:
        return self._tests.get(operand, str(operand)) if operand is not None else "True"

    # The stack of expressions

    def _push(self, operand: Operand) -> tuple[int, int]:
        self._stack.append(operand)
        self.stretch.growth = max(self.stretch.growth, len(self._stack) - self._taken)
        return 0, 0

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
            name = f"i{self._taken}"
            self._stack.insert(0, name)
            self._lines.append((name, f"stack[-{self._taken}]"))
        self.stretch.depth = max(self.stretch.depth, self._taken)


def _listed(values: list[Operand]) -> str:
    return "".join(f"{value}, " for value in values)


def _destination(target: Operand) -> int | str:
    return ~target if isinstance(target, int) else f"~{target}"
