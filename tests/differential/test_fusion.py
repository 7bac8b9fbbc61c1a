"""Fused code does what its single steps do: the same result, gas, compute units and state, whatever it is given.

One backend compiles every stretch the first time it is reached, the other never; everything an execution reports is compared,
under budgets of gas and compute units that end inside of stretches.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage
from cybermiles.vm.compute_units import TENTHS
from cybermiles.vm.pyevm import program as programs
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.fusion import FUSABLE, LONGEST
from cybermiles.vm.pyevm.program import FUSING_PRICE, MAX_FUSED, MAX_FUSED_OF_ONE
from cybermiles.vm.pyevm.steps import Kind
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.validity import floor_gas, intrinsic_gas
from tests.differential.programs import COINBASE, CONTRACTS, SENDER, SLOTS, Scenario, scenario

FORKS = (Fork.PRAGUE, Fork.OSAKA)
SINGLE = {fork: PyEvmBackend(ethereum_rules(fork, 1), fuse_after=0) for fork in FORKS}
CONTRACT = CONTRACTS[0]


def fused(fork, after=1):
    """`after`: with more runs than one it shows which way jumps mostly go, and paths lead through them."""
    return PyEvmBackend(ethereum_rules(fork, 1), fuse_after=after)


def execute(item, backend, compute_units):
    """Return all that an execution reports, with the accounts it may have changed."""
    world = WorldState(NoState())
    world.begin_transaction()
    world.set_balance(Address(SENDER), 10**20)
    for address, code in zip(CONTRACTS, item.codes, strict=False):
        world.set_nonce(Address(address), 1)
        world.set_balance(Address(address), 10**18)
        world.set_code(Address(address), code)
    for slot, value in item.storage.items():
        world.set_storage(Address(CONTRACT), slot, value)
    world.end_transaction()
    context = BlockContext(
        height=10, timestamp=100, coinbase=Address(COINBASE), gas_limit=30_000_000, prev_randao=ZERO_HASH,
        base_fee=0, fee_recipient=Address(COINBASE), block_hash=lambda _height: None,
    )  # fmt: skip
    message = CallMessage(sender=Address(SENDER), to=Address(CONTRACT), gas=item.gas, value=item.value, data=item.data)
    result = backend.call(world, context, message, compute_units=compute_units, collect_access=True)
    accounts = [
        (world.balance(Address(a)), world.nonce(Address(a)), [world.storage(Address(a), slot) for slot in SLOTS])
        for a in (*CONTRACTS, COINBASE)
    ]
    return result, accounts


def compare(item, fork, budgets):
    """Run an item often on fused backends, so that what was compiled is met again."""
    expected = {units: execute(item, SINGLE[fork], units) for units in budgets}
    for after in (1, 2, 4):
        backend = fused(fork, after)
        for _ in range(2 * after):
            for units in budgets:
                assert execute(item, backend, units) == expected[units], (item.seed, after, units)
    return backend


def stretches(backend):
    programs = backend._frame.programs._programs.values()
    return [step for program in programs for step in program.steps if step[0] == Kind.STRETCH]


@pytest.mark.parametrize("first", range(0, 500, 250))
def test_random_programs(first):
    compiled = 0
    for seed in range(first, first + 250):
        rng = random.Random(seed)
        backend = compare(scenario(seed), FORKS[seed % 2], (None, rng.randrange(1, 400), rng.randrange(1, 4_000)))
        compiled += len(stretches(backend))
    assert compiled > 500


_POOL = [op for op in range(256) if FUSABLE[op]]
_CODE = st.lists(
    st.one_of(
        st.sampled_from(_POOL).map(
            lambda op: bytes([op]) + bytes(range(1, op - 0x5E)) if 0x60 <= op <= 0x7F else bytes([op])
        ),
        st.integers(0, 300).map(lambda n: b"\x61" + n.to_bytes(2)),
        st.integers(0, 2**256 - 1).map(lambda n: b"\x7f" + n.to_bytes(32)),
        st.sampled_from(
            [b"\x5b", b"\x5a", b"\x54", b"\x55", b"\x20", b"\x80", b"\x60\x40\x52", b"\x60\x40\x51", b"\x59"]
        ),
    ),
    max_size=60,
).map(b"".join)
_ARRIVAL = b"".join(b"\x61" + (n * 37 % 256).to_bytes(2) for n in range(12))
_RETURN = bytes.fromhex("596000f3")


@settings(max_examples=200, deadline=None)
@given(code=_CODE, gas=st.integers(23_800, 33_000), units=st.integers(45, 200) | st.none(), fork=st.sampled_from(FORKS))
def test_code_made_of_what_can_be_fused(code, gas, units, fork):
    item = Scenario(0, (_ARRIVAL + code + _RETURN,), {}, bytes(range(7, 77)), 3, gas)
    compare(item, fork, (units, None))


COUNTDOWN = bytes.fromhex("6000355b6001900380600357600052596000f3")
SUM = "6001" + "600201" * 20
"""Enough opcodes to count in whole compute units."""
FIXED_GROWTH = bytes.fromhex(SUM + "6103e052" + SUM + "50596000f3")
JUMPS_AND_REVERTS = bytes.fromhex(SUM + "60015450" + "6001604857fe5b" + "5f5ffd")
"""A taken jump looks at the budget, behind a cold slot; a revert does not."""
GIVES_UP = bytes.fromhex("60003551" + "600201" * 20 + "6103e052" + SUM + "50596000f3")


ON_THE_WAY = {
    "cold and warm slots": "600154600154600254505050",
    "storing": "6001600155600360015560016002555f60015560015f55",
    "logs of what is fixed": "60015f5260026001600060205fa36007604060205fa25f5fa0",
    "logs of what is not": "5f35600760205fa1" + "5f35601fa0" + "5f355fa0",
    "hashing what is fixed": "60015f5260026020526040 5f2060205f20600b610140205f5f20".replace(" ", ""),
    "hashing what is not": "5f35602020" + "5f355f20" + "6020 5f3520".replace(" ", ""),
    "code": "303b73" + "ee" * 20 + "3b303b",
    "powers": "61 01005f350a5f5f350a60ff60020a".replace(" ", ""),
    "what a frame is": "30333436 3d4243465a585950".replace(" ", ""),
    "memory here and there": "5f355160015f355260015f35608001525f3551608051",
}


@pytest.mark.parametrize(
    ("code", "argument", "most"),
    [
        (COUNTDOWN, 40, 4_300),
        (FIXED_GROWTH, 0, 500),
        (GIVES_UP, 2_000, 900),
        (GIVES_UP, 0, 500),
        (JUMPS_AND_REVERTS, 0, 3_000),
        *((bytes.fromhex(SUM + code + SUM + "596000f3"), 200, None) for code in ON_THE_WAY.values()),
    ],
    ids=["loop", "growth", "large", "small", "cold", *ON_THE_WAY],
)
def test_gas_and_compute_units_that_end_anywhere(code, argument, most):
    """The path gives way to its steps exactly where it must."""
    backend = fused(Fork.OSAKA)
    item = Scenario(0, (code,), {2: 5}, argument.to_bytes(32), 0, 150_000)
    result = execute(item, SINGLE[Fork.OSAKA], None)[0]
    needed = max(intrinsic_gas(item.data, creates=False), floor_gas(item.data, Fork.OSAKA))
    if most is None:
        assert result.failure is None
        most = result.gas_used + result.gas_refund + 50 - needed
    for gas in range(needed, needed + most, 1 + most // 5_000):
        limited = replace(item, gas=gas)
        assert execute(limited, backend, None) == execute(limited, SINGLE[Fork.OSAKA], None), gas
    for units in range(40, min(result.compute_units + 80, 400)):
        assert execute(item, backend, units) == execute(item, SINGLE[Fork.OSAKA], units), units
    assert stretches(backend)


@pytest.mark.parametrize("size", [0, 1, 32])
def test_hashing_nothing_extends_no_memory(size):
    code = bytes([0x60, size]) + bytes.fromhex("6101002050") + _RETURN
    compare(Scenario(size, (code,), {}, b"", 0, 50_000), Fork.OSAKA, (None,))


def test_a_full_stack_runs_the_single_steps():
    """Filling the stack to its limit inside of a stretch fails where the single steps fail."""
    for spare in range(6):
        code = b"\x5f" * (1024 - spare) + bytes.fromhex("80808050805080") + _RETURN
        compare(Scenario(spare, (code,), {}, b"", 0, 100_000), Fork.OSAKA, (None,))


def test_compiling_is_paid_for():
    """Nobody gets more opcodes compiled than the compute units pay for that running the code has taken."""
    backend = PyEvmBackend(ethereum_rules(Fork.OSAKA, 1))
    item = Scenario(0, (COUNTDOWN,), {}, (200).to_bytes(32), 0, 50_000)
    spent = runs = 0
    while not stretches(backend):
        spent += execute(item, backend, None)[0].compute_units * TENTHS
        runs += 1
        assert runs < 300
    (program,) = backend._frame.programs._programs.values()
    assert runs > 1, "the loop has run often enough in the first"
    assert 0 < program.fused * FUSING_PRICE <= spent
    assert program.credit + program.fused * FUSING_PRICE <= spent


def test_a_callee_does_not_pay_for_its_callers_code():
    """What a frame takes in frames that it calls is theirs: it would be counted once for each frame above."""
    backend = PyEvmBackend(ethereum_rules(Fork.OSAKA, 1))
    call = bytes.fromhex("36600060003760006000366000600073") + CONTRACTS[1] + bytes.fromhex("5af100")
    item = Scenario(0, (call, COUNTDOWN), {}, (100).to_bytes(32), 0, 100_000)
    used = execute(item, backend, None)[0].compute_units * TENTHS
    caller, callee = (backend._frame.programs.get(code) for code in item.codes)
    assert 0 < caller.credit < 500
    assert callee.credit > 1_000
    assert caller.credit + callee.credit < used


def test_one_program_is_bounded(monkeypatch):
    monkeypatch.setattr(programs, "MAX_FUSED_OF_ONE", 100)
    program = fused(Fork.OSAKA)._frame.programs.get(bytes.fromhex("5b8001800150") * 60 + b"\x00")
    for index, step in enumerate(program.steps):
        if step[0] == Kind.COUNT:
            program.fuse(index, [])
    assert 100 < program.fused < 100 + LONGEST


def test_what_is_not_compiled_runs_on_by_single_steps(monkeypatch):
    monkeypatch.setattr(programs, "MAX_FUSED_OF_ONE", -1)
    backend = fused(Fork.OSAKA)
    item = Scenario(0, (COUNTDOWN,), {}, (9).to_bytes(32), 0, 50_000)
    assert execute(item, backend, None) == execute(item, SINGLE[Fork.OSAKA], None)
    assert not stretches(backend)


def test_a_copy_of_the_code_finds_its_program():
    cache = fused(Fork.OSAKA)._frame.programs
    code, copy, other = COUNTDOWN, bytes(bytearray(COUNTDOWN)), COUNTDOWN + b"\x00"
    program, _ = cache.get(code), cache.get(other)
    assert cache.get(copy) is program
    assert list(cache._programs) == [other, copy], "now the newest"
    assert list(cache._programs)[1] is copy


def test_what_is_compiled_is_bounded():
    """Contracts without end do not fill memory: the least recently used programs go."""
    cache = fused(Fork.OSAKA)._frame.programs
    for number in range(MAX_FUSED // 2_000):
        code = (
            number.to_bytes(4).join(bytes.fromhex("63") + b"" for _ in range(2))
            + bytes.fromhex("5b8001800150") * 60
            + b"\x00"
        )
        program = cache.get(code)
        index = 0
        while index < len(program.steps):
            if program.steps[index][0] == Kind.COUNT:
                program.fuse(index, [])
            index += 1
    assert cache._shared.fused == sum(program.fused for program in cache._programs.values())
    assert cache._shared.fused < MAX_FUSED + MAX_FUSED_OF_ONE
