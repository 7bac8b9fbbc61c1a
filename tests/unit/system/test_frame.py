"""A native contract inside the EVM, called from real Solidity: tests/contracts/NativeCaller.sol."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction

import pytest
from eth_abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import FEES, STAKING, SYSTEM_STUB
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.state.reader import NoState
from cybermiles.state.slots import mapping_slot
from cybermiles.state.world import WorldState
from cybermiles.system.gas import ITEM_COMPUTE_UNITS, ITEM_GAS, MAX_CALLDATA_BYTES, VIEW
from cybermiles.types.primitives import ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import Log
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.compute_units import FRAME, TENTHS
from cybermiles.vm.pyevm.backend import PyEvmBackend, contract_address
from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.native_demo import ABI, DEPOSIT, HANDLERS, PUT, REFUSE, VALUES, artifact, calldata, demo

RULES = ChainRules(fork=Fork.OSAKA, chain_id=181818)
BACKEND = PyEvmBackend(RULES, {STAKING: demo()})
USER = ADDRESSES[0]
CALLER = contract_address(USER, 0)
CALLER_ABI = {entry["name"]: entry for entry in artifact("NativeCaller")["abi"] if entry["type"] == "function"}
CALL, STATICCALL, DELEGATECALL, CALLCODE = range(4)
COLD, WARM = 2_600, 100
FULL = 100_000_000


def context(**changes):
    values = {
        "height": 5, "timestamp": 1_000, "coinbase": Address(b"\xbb" * 20), "gas_limit": 200_000_000,
        "prev_randao": ZERO_HASH, "base_fee": 0, "fee_recipient": FEES, "block_hash": lambda height: None,
    }  # fmt: skip
    return BlockContext(**values | changes)


def fresh_world():
    state = WorldState(NoState())
    state.begin_transaction()
    for address in ADDRESSES[:3]:
        state.set_balance(address, 10**21)
    for address in (STAKING, FEES):
        state.set_nonce(address, 1)
        state.set_code(address, SYSTEM_STUB)
    state.end_transaction()
    return state


def signature(name):
    def kind(parameter):
        inner = ",".join(map(kind, parameter.get("components", [])))
        return f"({inner}){parameter['type'][5:]}" if inner else parameter["type"]

    entry = CALLER_ABI[name]
    return [kind(p) for p in entry["inputs"]], [kind(p) for p in entry["outputs"]]


def call_data(name, *arguments):
    types, _ = signature(name)
    return keccak256(f"{name}({','.join(types)})".encode())[:4] + encode(types, arguments)


class Ledger:
    """A world with the caller deployed, and every following message executed on it for good."""

    def __init__(self, backend=BACKEND, ctx=None):
        self.world, self.backend, self.context = fresh_world(), backend, ctx or context()
        code = bytes.fromhex(artifact("NativeCaller")["bytecode"][2:]) + STAKING.rjust(32, b"\x00")
        deployed = self.send(None, code)
        assert deployed.failure is None
        assert deployed.contract_address == CALLER
        self.deployed = deployed

    def send(self, to, data, *, value=0, gas=FULL, compute_units=None, collect=False):
        message = CallMessage(sender=USER, to=to, gas=gas, value=value, data=data)
        return self.backend.call(self.world, self.context, message, compute_units=compute_units, collect_access=collect)

    def ask(self, name, *arguments, **more):
        result = self.send(CALLER, call_data(name, *arguments), **more)
        assert result.failure is None, result
        return decode(signature(name)[1], result.output), result

    def raw(self, kind, data, *, limit=FULL // 2, value=0, target=STAKING, name="raw"):
        return self.ask(name, kind, target, limit, value, data)[0]

    def word(self, key):
        return self.world.storage(STAKING, mapping_slot(VALUES, key))


@pytest.fixture
def ledger():
    return Ledger()


def put_log(key, value, by=CALLER):
    return Log(
        STAKING, (ABI.events["Put"].topic, Hash32(by.rjust(32, b"\x00")), Hash32(key.to_bytes(32))), value.to_bytes(32)
    )


def numbers(logs):
    """What happened, in order: marks of the caller as integers, puts as (key, value)."""
    return [
        int.from_bytes(log.data) if log.address == CALLER else (int.from_bytes(log.topics[2]), int.from_bytes(log.data))
        for log in logs
    ]


def test_a_constructor_calls_it_and_its_event_is_a_log_of_its_address(ledger):
    assert ledger.deployed.logs == (put_log(1000, 1),)
    assert ledger.word(1000) == 1


def test_solidity_writes_by_call_and_reads_by_staticcall(ledger):
    assert ledger.ask("write", 3, 44)[0] == (0,)
    (before,), result = ledger.ask("write", 3, 45)
    assert before == 44
    assert result.logs == (put_log(3, 45),)
    assert ledger.ask("read", 3)[0] == (45,)
    assert ledger.ask("who")[0] == ("0x" + CALLER.hex(), 5, 1_000)


def test_structs_arrays_and_enums_survive_solidity_and_back(ledger):
    entries = [(2**64 - 1, "0x" + "12" * 20, "grün"), (0, "0x" + "00" * 20, "")]
    given = (2, True, -7, b"\x01\x02\x03\x04", b"\xff" * 33, "größer", [1, 255], entries)
    answer, _ = ledger.ask("echo", given, 9)
    assert answer == ((*given[:6], (1, 255), tuple(entries)), 9)


@pytest.mark.parametrize("name", ["put", "deposit", "pay", "refuse"])
def test_a_write_in_a_static_context_reverts_and_leaves_the_gas(ledger, name):
    arguments = {"put": (1, 2), "deposit": (), "pay": (USER, 0), "refuse": (USER, 0, "")}[name]
    ok, output, spent = ledger.raw(STATICCALL, calldata(name, *arguments))
    assert (ok, output) == (False, b"")
    assert spent < COLD + 150


@pytest.mark.parametrize("kind", [DELEGATECALL, CALLCODE])
@pytest.mark.parametrize("name", ["put", "get"])
def test_delegatecall_and_callcode_revert(ledger, kind, name):
    data = calldata("put", 1, 2) if name == "put" else calldata("get", 1)
    ok, output, spent = ledger.raw(kind, data)
    assert (ok, output) == (False, b"")
    assert spent < COLD + 150
    assert ledger.word(1) == ledger.world.storage(CALLER, mapping_slot(VALUES, 1)) == 0


@pytest.mark.parametrize("nested", [False, True])
def test_an_account_delegated_to_it_reverts(ledger, nested):
    authority = ADDRESSES[2]
    ledger.world.begin_transaction()
    ledger.world.set_code(authority, bytes.fromhex("ef0100") + STAKING)
    ledger.world.end_transaction()
    data = calldata("put", 1, 2)
    if nested:
        assert ledger.raw(CALL, data, target=authority)[:2] == (False, b"")
    else:
        assert ledger.send(authority, data).failure is Failure.REVERT
    assert ledger.word(1) == ledger.world.storage(authority, mapping_slot(VALUES, 1)) == 0


@pytest.mark.parametrize("data", [calldata("put", 1, 2), calldata("get", 1), calldata("pay", USER, 0), b"", b"\x00"])
def test_value_is_refused_where_the_abi_does_not_say_payable(ledger, data):
    result = ledger.send(STAKING, data, value=5)
    assert (result.failure, result.output) == (Failure.REVERT, b"")
    assert (ledger.world.balance(STAKING), ledger.word(1)) == (0, 0)


def test_value_arrives_before_a_payable_method_runs(ledger):
    result = ledger.send(STAKING, calldata("deposit"), value=5)
    assert result.output == (5).to_bytes(32)
    assert ledger.world.balance(STAKING) == 5


@pytest.mark.parametrize("kind", [CALL, STATICCALL])
def test_unknown_selectors_and_empty_calldata_revert_at_no_gas_of_their_own(ledger, kind):
    *_, base = ledger.raw(kind, b"", name="rawWarm", limit=0)
    assert WARM <= base < WARM + 100
    for data in (b"", b"\x12\x34\x56\x78", calldata("get", 1)[:3], calldata("get", 1)[:3] + b"\x00" * 40):
        assert ledger.raw(kind, data, name="rawWarm") == (False, b"", base)


def test_out_of_gas_burns_exactly_the_gas_given(ledger):
    data = calldata("put", 1, 2)
    *_, base = ledger.raw(CALL, b"", name="rawWarm")
    for limit in (0, 1, PUT.gas - 1):
        ok, output, spent = ledger.raw(CALL, data, limit=limit, name="rawWarm")
        assert (ok, output, spent - base) == (False, b"", limit)
    assert ledger.word(1) == 0
    for limit in (PUT.gas, PUT.gas + 12_345):
        ok, output, spent = ledger.raw(CALL, data, limit=limit, name="rawWarm")
        assert ok
        assert spent - base == PUT.gas
    assert ledger.word(1) == 2


def test_malformed_arguments_cost_the_methods_price_and_no_more(ledger):
    *_, base = ledger.raw(CALL, b"", name="rawWarm")
    ok, output, spent = ledger.raw(CALL, calldata("put", 1, 2)[:-1], name="rawWarm")
    assert (ok, output, spent - base) == (False, b"", PUT.gas)


def test_calldata_over_the_limit_reverts_before_it_is_read(ledger):
    data = calldata("get", 1)
    *_, base = ledger.raw(CALL, b"", name="rawWarm")
    ok, _, spent = ledger.raw(CALL, data.ljust(MAX_CALLDATA_BYTES, b"\x01"), name="rawWarm")
    assert (ok, spent - base) == (True, VIEW.gas)
    ok, _, spent = ledger.raw(CALL, data.ljust(MAX_CALLDATA_BYTES + 1, b"\x01"), name="rawWarm")
    assert (ok, spent - base) == (False, 0)


def test_a_refusal_in_try_catch_is_a_typed_error_and_gives_everything_back(ledger):
    ledger.ask("write", 7, 1)
    other = Address(b"\x77" * 20)
    (refusal, balance, word), result = ledger.ask("tryRefuse", other, 42, "no, thanks", value=1_000)
    assert refusal == ABI.errors["Refused"].selector + encode(
        ["address", "uint256", "string"], [other, 42, "no, thanks"]
    )
    assert (balance, word) == (1_000, 1)
    assert (ledger.world.balance(other), ledger.world.balance(STAKING)) == (0, 0)
    assert numbers(result.logs) == [1, 2]


def test_a_refusal_of_the_transaction_itself_is_its_output(ledger):
    result = ledger.send(STAKING, calldata("refuse", USER, 1, "why"), value=9, gas=200_000)
    assert result.failure is Failure.REVERT
    assert result.output[:4] == ABI.errors["Refused"].selector
    data = calldata("refuse", USER, 1, "why")
    zeros = data.count(0)
    assert result.gas_used == 21_000 + 4 * zeros + 16 * (len(data) - zeros) + REFUSE.gas
    assert result.logs == ()
    assert ledger.world.balance(USER) == 10**21


def test_a_revert_around_it_undoes_storage_and_logs_and_order_is_kept(ledger):
    _, result = ledger.ask("ordered", 50)
    assert numbers(result.logs) == [1, (50, 1), 2, (50, 2), 3, (51, 3)]
    assert (ledger.word(50), ledger.word(51)) == (2, 3)
    failed = ledger.send(CALLER, call_data("undone", 50, 77))
    assert failed.failure is Failure.REVERT
    assert (failed.logs, ledger.word(50)) == ((), 2)


def test_a_payment_runs_no_code_so_nothing_re_enters(ledger):
    ledger.send(STAKING, calldata("deposit"), value=100)
    (left,), _ = ledger.ask("takePayment", 30, 60)
    assert left == 70
    assert ledger.world.balance(CALLER) == 30
    assert ledger.ask("received")[0] == (0,)
    assert ledger.word(60) == 0
    ok, output, _ = ledger.raw(CALL, calldata("pay", CALLER, 71))
    assert (ok, output[:4]) == (False, ABI.errors["Refused"].selector)


def test_a_payments_stipend_suffices_for_no_method_and_the_value_comes_back(ledger):
    (sent, called), _ = ledger.ask("stipend", value=200)
    assert (sent, called) == (False, False)
    assert ledger.world.balance(CALLER) == 200
    ok, _, _ = ledger.raw(CALL, calldata("deposit"), limit=DEPOSIT.gas - 2_300, value=1)
    assert ok
    ok, _, _ = ledger.raw(CALL, calldata("deposit"), limit=DEPOSIT.gas - 2_301, value=1)
    assert not ok


def test_it_answers_at_depth_1024_and_no_deeper():
    answers = []

    def probe():
        for frames in (1022, 1023, 1024):
            ledger = Ledger()
            result = ledger.send(CALLER, call_data("dive", frames, frames), gas=10**15)
            answers.append((result.failure, int.from_bytes(result.output), ledger.word(frames)))

    previous = threading.stack_size(EXECUTION_STACK_BYTES)
    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()
    threading.stack_size(previous)
    assert answers == [(None, 1, 1), (None, 1, 1), (None, 0, 0)]


def test_storage_is_neither_cold_nor_warm_but_the_account_is(ledger):
    data = calldata("get", 1)
    spent = [ledger.raw(STATICCALL, data, name=name)[2] for name in ("raw", "rawWarm")]
    assert spent[0] - spent[1] == COLD - WARM
    slot = mapping_slot(VALUES, 1)
    message = CallMessage(sender=USER, to=STAKING, gas=200_000, data=data)
    listed = replace(message, access_list=((STAKING, (slot,)),))
    plain, with_list = (BACKEND.call(ledger.world, context(), m, compute_units=None) for m in (message, listed))
    assert with_list.gas_used - plain.gas_used == 2_400 + 1_900
    collected = ledger.send(CALLER, call_data("read", 1), collect=True).accessed
    assert collected == ((STAKING, ()),)


def test_clearing_storage_refunds_nothing(ledger):
    set_, cleared = (ledger.send(STAKING, calldata("put", 1, value)) for value in (2**256 - 1, 0))
    assert (set_.gas_refund, cleared.gas_refund) == (0, 0)
    assert ledger.word(1) == 0


def test_gas_is_flat_whatever_the_state(ledger):
    used = [ledger.send(STAKING, calldata("put", 1, value)).gas_used for value in (5, 5, 6)]
    assert used[0] == used[1] == used[2]


@pytest.mark.parametrize("factor", ["1/4", "1/3", "2/1"])
def test_the_parameter_scales_gas_and_rounds_up(factor):
    params = ChainParams(system_gas_factor=Fraction(factor))
    ledger = Ledger(ctx=context(params=params))
    for name, data, gas in (
        ("put", calldata("put", 1, 2), PUT.gas),
        ("list", calldata("list", 3), VIEW.gas),
    ):
        *_, base = ledger.raw(CALL, b"", name="rawWarm")
        ok, _, spent = ledger.raw(CALL, data, name="rawWarm")
        expected = -(-gas * Fraction(factor) // 1)
        if name == "list":
            expected += -(-3 * ITEM_GAS * Fraction(factor) // 1)
        assert ok
        assert spent - base == pytest.approx(expected, abs=12 if name == "list" else 0)


def test_items_of_a_list_are_charged_before_they_are_read(ledger):
    message = CallMessage(sender=USER, to=STAKING, gas=200_000, data=calldata("list", 10))
    ten = BACKEND.call(ledger.world, context(), message, compute_units=None)
    none = BACKEND.call(ledger.world, context(), replace(message, data=calldata("list", 0)), compute_units=None)
    assert ten.gas_used - none.gas_used == 10 * ITEM_GAS + 12
    assert ten.compute_units - none.compute_units == 10 * ITEM_COMPUTE_UNITS
    endless = BACKEND.call(
        ledger.world, context(), replace(message, data=calldata("list", 2**256 - 1)), compute_units=None
    )
    assert (endless.failure, endless.gas_used) == (Failure.OUT_OF_GAS, 200_000)


def test_compute_units_are_charged_and_a_budget_ends_the_transaction(ledger):
    spent = [ledger.send(STAKING, data).compute_units for data in (calldata("put", 1, 2), calldata("deposit"))]
    assert abs(spent[0] - spent[1] - (PUT.compute_units - DEPOSIT.compute_units)) <= 1  # calldata, rounding
    tight = ledger.send(STAKING, calldata("put", 9, 2), compute_units=spent[0] - 1)
    assert (tight.failure, tight.gas_used) == (Failure.COMPUTE_BUDGET, FULL)
    assert ledger.word(9) == 0
    enough = ledger.send(STAKING, calldata("put", 9, 2), compute_units=spent[0])
    assert enough.failure is None
    assert FRAME // TENTHS < PUT.compute_units


def test_refused_calls_are_metered_too(ledger):
    (_, _, _), one = ledger.ask("raw", CALL, STAKING, 50_000, 0, b"\x01")
    (_, _, _), plain = ledger.ask("raw", CALL, Address(b"\x01" * 20), 50_000, 0, b"\x01")
    assert one.compute_units > plain.compute_units


def test_a_transaction_pays_for_it_like_for_any_call(ledger):
    tx = sign(KEYS[0], ledger.world.nonce(USER), to=STAKING, gas=200_000, price=PAID, data=calldata("put", 4, 5))
    before = ledger.world.balance(USER)
    result = BACKEND.execute_transaction(ledger.world, context(), tx, gas_price=PAID, compute_units=100_000)
    assert result.failure is None
    assert result.logs == (put_log(4, 5, USER),)
    assert before - ledger.world.balance(USER) == result.gas_used * PAID
    ledger.world.undo_transaction()
    assert ledger.word(4) == 0


@pytest.mark.parametrize("code", [b"", bytes.fromhex("5f5ffd"), bytes.fromhex("602a5f5260205ff3")])
def test_it_answers_only_where_the_account_has_the_stub(ledger, code):
    ledger.world.begin_transaction()
    ledger.world.set_code(STAKING, code)
    ledger.world.end_transaction()
    result = ledger.send(STAKING, calldata("whoAmI"))
    assert result.output == ((42).to_bytes(32) if len(code) > 5 else b"")


def test_the_stub_of_a_contract_that_this_version_lacks_reverts(ledger):
    assert ledger.send(FEES, calldata("get", 1)).failure is Failure.REVERT


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", *(function.selector for function in ABI.functions.values())]),
    st.lists(st.sampled_from([bytes(32), *((1 << n).to_bytes(32) for n in (0, 1, 5, 6, 7, 64, 255))]), max_size=10),
    st.binary(max_size=33),
    st.sampled_from([CALL, STATICCALL, DELEGATECALL, CALLCODE]),
    st.sampled_from([0, 1, 2_300, 40_000, 10**6]),
    st.sampled_from([0, 1]),
)
def test_any_calldata_from_solidity_succeeds_or_changes_nothing(selector, words, rest, kind, limit, value):
    ledger = Ledger()
    ledger.world.begin_transaction()
    ledger.world.set_balance(CALLER, 1)
    ledger.world.end_transaction()
    data = selector + b"".join(words) + rest
    before = ledger.world.changes()
    result = ledger.send(CALLER, call_data("raw", kind, STAKING, limit, value, data))
    assert result.failure is None
    ok, output, _ = decode(signature("raw")[1], result.output)
    if not ok:
        assert result.logs == ()
        assert ledger.world.changes().storage == before.storage
        assert (ledger.world.balance(STAKING), ledger.world.balance(CALLER)) == (0, 1)
        assert output == b"" or output[:4] == ABI.errors["Refused"].selector


@pytest.mark.parametrize(
    ("name", "handler", "complaint"),
    [
        ("get", lambda call, key: call.storage.store(1, 1) or 1, "is a view but changed state"),
        ("get", lambda call, key: "text", "returned 'text'"),
        ("get", lambda call, key: None, "returned None"),
        ("put", lambda call, key, value: call.emit("Missing") or 0, "declares no event Missing"),
        ("put", lambda call, key, value: call.emit("Put", b"", key, value) or 0, "no address of 20 bytes"),
        ("put", lambda call, key, value: call.transfer(USER, 1) or 0, "debit of 1 wei"),
        ("put", lambda call, key, value: call.storage.store(1, -1) or 0, "does not fit the word"),
    ],
)
def test_a_handler_that_breaks_its_word_stops_the_node(name, handler, complaint):
    backend = PyEvmBackend(RULES, {STAKING: demo(HANDLERS | {name: handler})})
    arguments = {"get": (1,), "put": (1, 2)}[name]
    message = CallMessage(sender=USER, to=STAKING, gas=10**6, data=calldata(name, *arguments))
    with pytest.raises(InvariantViolation, match=complaint):
        backend.call(fresh_world(), context(), message, compute_units=None)
