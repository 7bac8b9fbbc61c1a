"""Which way a compiled path goes: along the jumps as they have mostly gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.vm.pyevm.fusion import FUSABLE, Fuser
from cybermiles.vm.pyevm.steps import Kind, Step

if TYPE_CHECKING:
    from cybermiles.vm.pyevm.program import Program
    from cybermiles.vm.pyevm.symbolic import Jump

_ROUNDS = 4
"""Of a loop in one path: then entering it is the smaller part of the work."""
_FALLS_THROUGH = -1
"""In place of a jump's target."""


def walk(program: Program, fuser: Fuser, at: int, cursor: int) -> tuple[int, int]:
    """Give the fuser one opcode after another, from the program counter `at`, whose step is at `cursor`.

    Return where the path ends: in front of an opcode that cannot be part of it, or at a jump that it does not follow.
    A loop ends it after some rounds. A function that is called again is none: it returns elsewhere.
    """
    rounds = {(at, fuser.shape()): 1}
    while _take(program, fuser, at, cursor) and not fuser.ends:
        if fuser.jump is None:
            at += width(program.opcode(at))
            cursor = program.step_at(cursor + 1)
            continue
        target = _way(program, fuser, fuser.jump, cursor)
        if target == _FALLS_THROUGH:
            fuser.go_on()
            at, cursor = at + 1, program.step_at(cursor + 1)
            continue
        if target is None:
            break
        place = (target, fuser.shape())
        if rounds.get(place, 0) >= _ROUNDS:
            break
        rounds[place] = rounds.get(place, 0) + 1
        fuser.go_to(target, cursor + 1)
        at, cursor = (
            target,
            program.step_at(program.labels[target] if target in program.labels else program.enter(target)),
        )
    return at, cursor


def _take(program: Program, fuser: Fuser, at: int, cursor: int) -> bool:
    opcode, step = program.opcode(at), program.steps[cursor]
    return is_fusable(opcode, step) and fuser.take(opcode, step, cursor)


def _way(program: Program, fuser: Fuser, jump: Jump, cursor: int) -> int | None:
    """Return where a jump whose step is at `cursor` mostly leads, None where that is not known.

    What has run as often as what it runs into was not jumped over: so the way straight on is taken then.
    """
    target, condition = fuser.expected(jump.target), jump.condition
    if condition == 0:
        return _FALLS_THROUGH
    if target is None or not program.is_destination(target):
        return None
    if condition is None or isinstance(condition, int):
        return target
    jumps, falls = _runs(program, program.labels.get(target, -1)), _runs(program, cursor + 1)
    if not jumps and not falls:
        return None
    return target if jumps > falls else _FALLS_THROUGH


def _runs(program: Program, index: int) -> int:
    """Return about how often the steps from `index` on have run."""
    while index >= 0:
        kind, _, _, argument = program.steps[index]
        if kind == Kind.REST:
            return 0
        if kind == Kind.COUNT:
            return max(0, program.fuse_after - int(argument[0]))
        if kind == Kind.STRETCH:
            return program.fuse_after
        if kind != Kind.GO_ON:
            return 1
        index = argument
    return 0


def width(opcode: int) -> int:
    """Return the bytes of an opcode with its data."""
    return opcode - 0x5E if 0x60 <= opcode <= 0x7F else 1


def is_fusable(opcode: int, step: Step) -> bool:
    """Whether an opcode, which the fork must have, may be part of a path."""
    return FUSABLE[opcode] == 1 and step[0] != Kind.INVALID
