"""Code is translated as execution comes to it, and gives the steps that a translation of all of it would."""

from __future__ import annotations

import pytest
from eth.exceptions import InvalidJumpDestination
from eth.vm.code_stream import CodeStream
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.vm.pyevm.opcodes import opcode_table
from cybermiles.vm.pyevm.program import Kind, Program
from cybermiles.vm.rules import Fork

TABLE = opcode_table(Fork.OSAKA)
INTERESTING = st.sampled_from([0x00, 0x01, 0x56, 0x57, 0x58, 0x5B, 0x5B, 0x5B, 0x60, 0x61, 0x7F, 0xF3, 0xFE])
CODES = st.lists(INTERESTING | st.integers(0, 255), max_size=60).map(bytes)


def is_destination(code, pc):
    return pc < len(code) and code[pc] == 0x5B and CodeStream(code).is_valid_opcode(pc)


def expected(code, pc):
    """The steps from `pc` to the first after which nothing follows, one by one."""
    found = []
    while pc < len(code):
        opcode = code[pc]
        kind, gas, weight, argument = TABLE[opcode]
        if 0x60 <= opcode <= 0x7F:
            size = opcode - 0x5F
            argument = int.from_bytes(code[pc + 1 : pc + 1 + size].ljust(size, b"\x00"))
            pc += size
        elif opcode == 0x58:
            argument = pc
        found.append((kind, gas, weight, argument))
        if opcode in (0x00, 0x56, 0xF3, 0xFD, 0xFF) or kind == Kind.INVALID:
            return found
        pc += 1
    return [*found, TABLE[0]]


def walk(program, index, count):
    found = []
    while len(found) < count:
        step = program.steps[index]
        if step[0] == Kind.GO_ON:
            index = step[3]
            continue
        found.append(step)
        index += 1
    return found


@given(CODES, st.lists(st.integers(0, 62), max_size=20))
def test_every_way_into_the_code_gives_its_steps(code, targets):
    program = Program(code, TABLE)
    for target in [0, *targets]:
        if target and not is_destination(code, target):
            assert target not in program.labels
            with pytest.raises(InvalidJumpDestination):
                program.enter(target)
            continue
        known = program.labels.get(target) if target else 0
        index = program.enter(target) if known is None else known
        steps = expected(code, target)
        assert walk(program, index, len(steps)) == steps


@given(CODES)
def test_nothing_is_translated_twice(code):
    program = Program(code, TABLE)
    for target in range(len(code)):
        if is_destination(code, target) and target not in program.labels:
            program.enter(target)
    entries = 1 + sum(is_destination(code, pc) for pc in range(len(code)))
    assert len(program.steps) <= len(code) + entries


def test_what_is_not_run_is_not_translated():
    assert len(Program(b"\x00" + b"\x5b" * 24_000, TABLE).steps) == 1
