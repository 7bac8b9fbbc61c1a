"""Watching an execution changes nothing, and tells everything in order."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime
from cybermiles.vm.rules import ChainRules, Fork
from cybermiles.vm.tracing import ByteBudget, CallKind, CallRecorder, Tracer, Tracers, TraceTooLarge
from tests.differential.programs import COINBASE, CONTRACTS, PLAIN_ACCOUNT, SENDER, scenario
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.vectors import state_tests

BACKEND = PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=181818))
POOL = Address(b"\xaa" * 19 + b"\x01")
DEEP = bytes.fromhex("5f5f5f5f5f305af100")
"""call(self, all gas); stop."""


class Checked(Tracer):
    """Checks the order of what it is told."""

    opcodes = frozenset(range(256))

    def __init__(self):
        self.told = Counter()
        self.is_open = False
        self.depths = []
        self.lowest_gas = []

    def start(self, world, context, begin):
        assert not self.told
        self.told["start"] += 1

    def enter(self, call):
        assert not self.is_open
        assert call.depth == len(self.depths)
        self.depths.append(call)
        self.told[call.kind] += 1

    def exit(self, end):
        assert not self.is_open
        call = self.depths.pop()
        assert end.depth == call.depth
        assert 0 <= end.gas_used <= call.gas or call.kind is CallKind.SELFDESTRUCT

    def step(self, step):
        assert not self.is_open
        assert step.depth == len(self.depths) - 1
        self.is_open = True
        self.told["step"] += 1

    def stepped(self, cost, refund, error):
        assert self.is_open
        assert cost >= 0
        assert refund >= 0
        self.is_open = False

    def end(self, world, result):
        assert not self.depths
        assert not self.is_open
        self.told["end"] += 1


def context():
    return BlockContext(
        height=10,
        timestamp=100,
        coinbase=Address(COINBASE),
        gas_limit=2**40,
        prev_randao=ZERO_HASH,
        base_fee=0,
        fee_recipient=POOL,
        block_hash=lambda _height: None,
    )


def world_of(item):
    world = WorldState(NoState())
    world.begin_transaction()
    for address in (*ADDRESSES[:2], Address(SENDER)):
        world.set_balance(address, 10**20)
    world.set_balance(Address(PLAIN_ACCOUNT), 7)
    for address, code in zip(CONTRACTS, item.codes, strict=True):
        world.set_nonce(Address(address), 1)
        world.set_balance(Address(address), 10**18)
        world.set_code(Address(address), code)
    for slot, word in item.storage.items():
        world.set_storage(Address(CONTRACTS[0]), slot, word)
    world.end_transaction()
    return world


def world_with(code):
    world = WorldState(NoState())
    world.begin_transaction()
    world.set_balance(ADDRESSES[0], 10**20)
    world.set_code(Address(CONTRACTS[0]), code)
    world.end_transaction()
    return world


def calls_of(code, *, gas=1_000_000, data=b"", value=0, **options):
    recorder = CallRecorder(ByteBudget(10**6), **options)
    message = CallMessage(sender=ADDRESSES[0], to=Address(CONTRACTS[0]), gas=gas, data=data, value=value)
    BACKEND.call(world_with(bytes.fromhex(code)), context(), message, compute_units=None, tracer=recorder)
    return recorder.root


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 100, 300, 1_000, 5_000]), st.booleans())
def test_a_watched_transaction_does_what_it_does_unwatched(seed, compute_units, free):
    item = scenario(seed)
    tx = sign(KEYS[0], 0, to=Address(CONTRACTS[0]), data=item.data, value=item.value, gas=item.gas, price=PAID)
    results, changes = [], []
    checked = Checked()
    for tracer in (None, CallRecorder(ByteBudget(10**9)), checked):
        world = world_of(item)
        results.append(
            BACKEND.execute_transaction(
                world,
                context(),
                tx,
                gas_price=0 if free else PAID,
                compute_units=compute_units,
                free=free,
                tracer=tracer,
            )
        )
        changes.append(world.changes())
    assert results[0] == results[1] == results[2]
    assert changes[0] == changes[1] == changes[2]
    assert checked.told["start"] == checked.told["end"] == 1


def test_a_plain_transfer_is_one_call():
    recorder = CallRecorder(ByteBudget(10**6))
    tx = sign(KEYS[0], 0, to=ADDRESSES[1], value=5)
    worlds = world_with(b""), world_with(b"")
    results = [
        BACKEND.execute_transaction(world, context(), tx, gas_price=0, compute_units=1_000, tracer=tracer)
        for world, tracer in zip(worlds, (None, recorder), strict=True)
    ]
    assert results[0] == results[1]
    assert worlds[0].changes() == worlds[1].changes()
    root = recorder.root
    assert (root.kind, root.sender, root.to, root.value) == (CallKind.CALL, ADDRESSES[0], ADDRESSES[1], 5)
    assert (root.gas, root.gas_used, root.error, root.calls) == (21_000, 21_000, None, [])


def test_logs_of_failed_calls_are_dropped_and_the_others_numbered():
    log = "60006000a0"
    reverting = "60006000a060006000fd"
    store = bytes.fromhex(reverting).rjust(32, b"\0").hex()
    create = f"7f{store}600052" + f"600a6016{'6000'}f050"
    root = calls_of(log + create + log + "00", with_logs=True, first_log=3)
    assert [(entry.position, entry.number) for entry in root.logs] == [(0, 3), (1, 4)]
    (failed,) = root.calls
    assert (failed.kind, failed.error, failed.logs, failed.created) == (CallKind.CREATE, "execution reverted", [], None)


def test_only_the_top_call_is_kept_where_nothing_else_is_wanted():
    root = calls_of("5f5f5f5f5f600461fffff1" + "00", only_top=True)
    assert root.calls == []
    assert calls_of("5f5f5f5f5f600461fffff1" + "00").calls[0].to == Address(bytes(19) + b"\x04")


def test_a_trace_over_its_budget_ends_the_execution():
    loop = "5b5f5f5f5f5f600461fffff1505f56"
    with pytest.raises(TraceTooLarge, match="more than 1000000 bytes"):
        calls_of(loop, gas=2**24)


def test_what_calls_return_counts_too():
    """The identity contract gives back 32 kB that it got: the data of one call, and its output."""
    call = "5f5f6180005f5f600462fffffff1"
    recorder = CallRecorder(ByteBudget(2 * 32_768 + 10_000))
    message = CallMessage(sender=ADDRESSES[0], to=Address(CONTRACTS[0]), gas=10**6)
    with pytest.raises(TraceTooLarge):
        BACKEND.call(world_with(bytes.fromhex(call + "00")), context(), message, compute_units=None, tracer=recorder)


def test_creations_that_make_no_frame_are_told_with_the_gas_they_would_have_had():
    root = calls_of("5f5f6005f000")
    (refused,) = root.calls
    assert (refused.error, refused.gas_used, refused.value) == (Failure.INSUFFICIENT_BALANCE.value, 0, 5)
    assert refused.gas > 900_000


def test_tracers_together_see_what_each_sees_alone():
    class Some(Checked):
        opcodes = frozenset({0x5F})

    alone, some, steps = CallRecorder(ByteBudget(10**6)), Some(), Checked()
    message = CallMessage(sender=ADDRESSES[0], to=Address(CONTRACTS[0]), gas=10**6)
    code = bytes.fromhex("5f5f5f5f5f600461fffff100")
    BACKEND.call(world_with(code), context(), message, compute_units=None, tracer=Tracers([alone, some, steps]))
    assert alone.root == calls_of(code.hex())
    assert some.told["step"] == 5
    assert steps.told["step"] == 9


def in_a_deep_thread(work):
    failures = []

    def run():
        prepare_runtime()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (handed to the test)
            failures.append(error)

    previous = threading.stack_size(EXECUTION_STACK_BYTES)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(previous)
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("steps", [False, True])
def test_calls_can_be_watched_at_every_depth(steps):
    def work():
        recorder = CallRecorder(ByteBudget(10**7))
        tracer = Tracers([recorder, Checked()]) if steps else recorder
        message = CallMessage(sender=ADDRESSES[0], to=Address(CONTRACTS[0]), gas=2**50)
        BACKEND.call(world_with(DEEP), context(), message, compute_units=None, tracer=tracer)
        node, depth = recorder.root, 0
        while node.calls:
            (node,) = node.calls
            depth += 1
        assert (depth, node.error) == (1_025, Failure.CALL_DEPTH.value)

    in_a_deep_thread(work)


@pytest.mark.slow
def test_state_tests_give_the_same_roots_watched(monkeypatch):
    if not state_tests.ARCHIVE.is_file():
        pytest.skip(f"no official state tests at {state_tests.ARCHIVE}; set CMT_VECTORS")

    class Small(CallRecorder):
        """Keeps no data: some tests call with megabytes a million times."""

        def enter(self, call):
            super().enter(call._replace(data=b""))

        def exit(self, end):
            super().exit(end._replace(output=b""))

    execute = PyEvmBackend.execute_transaction

    def watched(self, *args, **kwargs):
        return execute(self, *args, **kwargs, tracer=Tracers([Small(ByteBudget(10**12)), Checked()]))

    monkeypatch.setattr(PyEvmBackend, "execute_transaction", watched)

    def work():
        failures = {case.name: verdict for case in state_tests.sample(120) if (verdict := state_tests.run(case))}
        assert failures == {}

    in_a_deep_thread(work)
