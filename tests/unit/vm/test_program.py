"""Code is translated as execution comes to it, and gives the steps that a translation of all of it would."""

from __future__ import annotations

import pytest
from eth.exceptions import InvalidJumpDestination
from eth.vm.code_stream import CodeStream
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.vm.pyevm import program as programs
from cybermiles.vm.pyevm.opcodes import opcode_table
from cybermiles.vm.pyevm.program import CHUNK, Program, ProgramCache, Shared
from cybermiles.vm.pyevm.steps import Kind
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
        if step[0] == Kind.REST:
            program.go_on(index)
            continue
        found.append(step)
        index += 1
    return found


@given(CODES, st.lists(st.integers(0, 62), max_size=20))
def test_every_way_into_the_code_gives_its_steps(code, targets):
    program = Program(code, Shared(TABLE))
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
    program = Program(code, Shared(TABLE))
    for target in range(len(code)):
        if is_destination(code, target) and target not in program.labels:
            program.enter(target)
    while rests := [index for index, step in enumerate(program.steps) if step[0] == Kind.REST]:
        program.go_on(rests[0])
    entries = 1 + sum(is_destination(code, pc) or code[pc] == 0x57 for pc in range(len(code)))
    assert len(program.steps) <= len(code) + entries


def test_what_is_not_run_is_not_translated():
    assert len(Program(b"\x00" + b"\x5b" * 24_000, Shared(TABLE)).steps) == 1
    behind_a_jump = Program(bytes.fromhex("60015f57") + b"\x5f" * 24_000, Shared(TABLE))
    assert [step[0] for step in behind_a_jump.steps[2:]] == [Kind.JUMPI, Kind.REST]
    straight = Program(b"\x5f" * 24_000, Shared(TABLE))
    assert len(straight.steps) == CHUNK + 1
    assert walk(straight, 0, 24_001) == expected(b"\x5f" * 24_000, 0)


def test_code_that_goes_straight_on_grows_in_place():
    program = Program(b"\x5f" * 200, Shared(TABLE))
    walk(program, 0, 201)
    assert [step[0] for step in program.steps] == [Kind.PUSH] * 200 + [Kind.STOP]


def held(cache):
    kept = cache._programs.values()
    return sum(len(program.steps) + programs.OWN_STEPS for program in kept)


def test_a_cache_counts_its_steps_and_drops_the_oldest_programs(monkeypatch):
    monkeypatch.setattr(programs, "MAX_STEPS", 2_000)
    cache = ProgramCache(TABLE, fuse_after=3)
    running = cache.get(b"\x5f" * 500)
    for number in range(60):
        program = cache.get(number.to_bytes(1) + b"\x5b\x5f\x5f\x01\x50\x5f\x57" * 20)
        assert program is cache.get(number.to_bytes(1) + b"\x5b\x5f\x5f\x01\x50\x5f\x57" * 20)
        walk(program, program.enter(1), 100)
        assert cache._shared.steps == held(cache) < 2_000 + 200
    assert 5 < len(cache._programs) < 40
    walk(running, 0, 501)
    assert cache._shared.steps == held(cache), "a frame that still runs a dropped program"


def test_jump_destinations_outlive_the_programs(monkeypatch):
    """They are paid for once in a block, and the steps as they run."""
    monkeypatch.setattr(programs, "MAX_STEPS", 10)
    searched = []
    found = programs.jump_destinations
    monkeypatch.setattr(programs, "jump_destinations", lambda code: searched.append(code) or found(code))
    cache = ProgramCache(TABLE)
    codes = [bytes([0x5F, 0x00, 0x5B, number]) for number in range(20)]
    for code in codes * 3:
        cache.get(code).enter(2)
    assert searched == codes
    monkeypatch.setattr(programs, "MAX_CODE_BYTES", 3 * (5 + programs.OWN_BYTES))
    for code in codes:
        cache.get(code + b"\x00").enter(2)
    assert len(cache._shared._destinations) == 3
