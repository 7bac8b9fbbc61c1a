"""The EVM backend: the direct path against the general one, compute units, osaka's opcodes, depth."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc import bls12_381, bn128

from cybermiles.chain.params import ChainParams
from cybermiles.crypto import kzg
from cybermiles.errors import InvalidTransaction
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.types.transaction import Authorization
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.precompiles import BLS_MODULUS, modexp_gas_berlin, modexp_gas_osaka
from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime, probe_execution
from cybermiles.vm.rules import ChainRules, Fork, ethereum_rules
from tests.factories import ADDRESSES, KEYS, PAID, sign

RULES = ChainRules(fork=Fork.OSAKA, chain_id=181818)
CONTRACT = Address(b"\xcc" * 20)
BN254_PAIR = b"".join(int(n).to_bytes(32) for n in (*bn128.G1, *bn128.G2[0].coeffs[::-1], *bn128.G2[1].coeffs[::-1]))
BLS_PAIR = b"".join(int(n).to_bytes(64) for n in (*bls12_381.G1, *bls12_381.G2[0].coeffs, *bls12_381.G2[1].coeffs))
POOL = Address(b"\xaa" * 20)


def context(**changes):
    values = {
        "height": 5,
        "timestamp": 100,
        "coinbase": Address(b"\xbb" * 20),
        "gas_limit": 200_000_000,
        "prev_randao": ZERO_HASH,
        "base_fee": 0,
        "fee_recipient": POOL,
        "block_hash": lambda height: None,
    }
    return BlockContext(**values | changes)


def world(code=b"", **balances):
    state = WorldState(NoState())
    state.begin_transaction()
    for address in ADDRESSES[:5]:
        state.set_balance(address, 10**21)
    if code:
        state.set_code(CONTRACT, code)
    state.end_transaction()
    return state


def run(code, data=b"", *, gas=1_000_000, fork=Fork.OSAKA, compute_units=None, value=0):
    message = CallMessage(sender=ADDRESSES[0], to=CONTRACT, gas=gas, data=data, value=value)
    backend = PyEvmBackend(ChainRules(fork=fork, chain_id=181818))
    return backend.call(world(bytes.fromhex(code)), context(), message, compute_units=compute_units)


RETURN_TOP = "5f5260205ff3"  # PUSH0 MSTORE, return the word


class GeneralOnly(PyEvmBackend):
    """The backend without its direct path for transfers."""

    def _is_transfer(self, world, transaction):
        return False


DIRECT, GENERAL = PyEvmBackend(RULES), GeneralOnly(RULES)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(
                [*ADDRESSES[:6], Address(b"\xbb" * 20), POOL, Address(bytes(19) + b"\x04"), Address(bytes(20))]
            ),
            st.sampled_from([0, 1, 10**20, 10**21, 2 * 10**21]),
            st.sampled_from([21_000, 21_001, 500_000]),
            st.sampled_from([0, PAID, 3 * PAID]),
            st.sampled_from([0, 2]),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_the_direct_path_for_transfers_has_the_general_paths_effects(transfers):
    worlds, results = [world(), world()], [[], []]
    for backend, state, log in zip((DIRECT, GENERAL), worlds, results, strict=True):
        for sender, to, value, gas, price, kind, free in transfers:
            tx = sign(KEYS[sender], state.nonce(ADDRESSES[sender]), to=to, value=value, gas=gas, price=price, type=kind)
            charged = 0 if free else price
            try:
                log.append(
                    backend.execute_transaction(
                        state, context(), tx, gas_price=charged, compute_units=100_000, free=free
                    )
                )
            except InvalidTransaction as error:
                log.append(type(error).__name__)
    assert results[0] == results[1]
    assert worlds[0].changes() == worlds[1].changes()


def test_a_refused_transaction_leaves_no_trace():
    state = world()
    before = state.changes()
    with pytest.raises(InvalidTransaction):
        DIRECT.execute_transaction(state, context(), sign(KEYS[0], 7), gas_price=0, compute_units=None)
    assert state.changes() == before


def test_undoing_a_transaction_restores_everything():
    state = world(bytes.fromhex("600160005560ff5f5500"))
    before = state.changes()
    DIRECT.execute_transaction(
        state,
        context(),
        sign(KEYS[0], 0, to=CONTRACT, gas=200_000, price=PAID, value=9),
        gas_price=PAID,
        compute_units=None,
    )
    assert state.changes() != before
    state.undo_transaction()
    assert state.changes() == before


def test_a_transaction_over_its_compute_budget_burns_all_gas_and_changes_nothing():
    spin = bytes.fromhex("60015f555b600456")  # SSTORE, then loop
    state = world(spin)
    tx = sign(KEYS[0], 0, to=CONTRACT, gas=5_000_000, price=PAID)
    result = DIRECT.execute_transaction(state, context(), tx, gas_price=PAID, compute_units=1_000)
    assert result.failure is Failure.COMPUTE_BUDGET
    assert (result.gas_used, result.compute_units, result.logs) == (5_000_000, 1_000, ())
    assert state.storage(CONTRACT, 0) == 0
    assert state.nonce(ADDRESSES[0]) == 1
    assert state.balance(POOL) == 5_000_000 * PAID


def test_the_budget_covers_all_frames_and_cannot_be_escaped_by_calls():
    # loop: call(self) with all gas; every frame fails once the budget is gone
    recursion = "5b5f5f5f5f5f305af1505f56"
    result = run(recursion, gas=16_000_000, compute_units=2_000)
    assert result.failure is Failure.COMPUTE_BUDGET
    assert result.compute_units == 2_000


@pytest.mark.parametrize("precompile", [8, 15])
def test_a_precompile_over_the_budget_is_not_run(precompile):
    code = f"5f5f6103005f5f60{precompile:02x}5af1" + RETURN_TOP
    result = run(code, gas=16_000_000, compute_units=5_000)
    assert result.failure is Failure.COMPUTE_BUDGET


def test_compute_units_do_not_depend_on_the_gas_limit():
    code = "60ff5b6001900380600257" + "00"
    assert run(code, gas=100_000).compute_units == run(code, gas=900_000).compute_units > 40


def test_code_is_charged_for_once_and_initcode_each_time():
    call = "5f5f5f5f5f305af150"  # of itself, without data: then it stops at once
    short = "36600557005b" + call * 2 + "00"
    long = short + "fe" * 2_000
    assert run(long, b"x").compute_units - run(short, b"x").compute_units == 200
    create = "5f5ff0"
    short, long = (f"61{size:04x}" + create + f"61{size:04x}" + create for size in (0, 2_000))
    assert run(long).compute_units - run(short).compute_units == 2 * 200


def test_code_that_the_block_has_loaded_is_paid_for():
    """By whoever ran it first, at whatever address: it is the code that is kept."""
    code = bytes.fromhex("00" + "fe" * 1_999)
    message = CallMessage(sender=ADDRESSES[0], to=CONTRACT, gas=100_000)
    backend = PyEvmBackend(RULES)
    first, again, other = (
        backend.call(world(code), context(loaded_code=loaded), message, compute_units=1_000)
        for loaded in ((), (code,), (code[:-1],))
    )
    assert first.loaded_code == other.loaded_code == (code,)
    assert again.loaded_code == ()
    assert first.compute_units == other.compute_units == again.compute_units + 200


@pytest.mark.parametrize(("pairs", "number", "point"), [(4, 8, BN254_PAIR), (2, 15, BLS_PAIR)])
def test_a_paid_transaction_may_check_a_proof(pairs, number, point):
    """Groth16 takes four pairs of BN254, a BLS signature two of BLS12-381."""
    code = "365f5f37" + f"60205f365f60{number:02x}5afa505f5160205260205ff3"
    budget = ChainParams().compute_units_per_transaction
    result = run(code, point * pairs, compute_units=budget)
    assert result.failure is None
    assert budget * 9 // 10 < result.compute_units < budget
    assert run(code, point * pairs, compute_units=budget // 2).failure is Failure.COMPUTE_BUDGET


def test_an_authorization_is_charged_for():
    def spent(count):
        authorizations = tuple(Authorization(1, CONTRACT, 0, 0, 5, 6) for _ in range(count))
        tx = sign(KEYS[0], 0, type=4, to=CONTRACT, gas=200_000, authorizations=authorizations)
        result = DIRECT.execute_transaction(world(b"\x00"), context(), tx, gas_price=0, compute_units=10_000)
        return result.compute_units

    assert spent(3) - spent(1) == 400


@pytest.mark.parametrize(("y", "works"), [(0, True), (1, False), (2**256 - 1, False)])
def test_a_point_evaluation_is_proven_or_fails(y, works):
    """The zero polynomial is 0 everywhere: commitment and proof are the point at infinity."""
    infinity = b"\xc0" + bytes(47)
    data = kzg.versioned_hash(infinity) + (5).to_bytes(32) + y.to_bytes(32) + infinity + infinity
    message = CallMessage(sender=ADDRESSES[0], to=Address((10).to_bytes(20)), gas=200_000, data=data)
    result = PyEvmBackend(RULES).call(world(), context(), message, compute_units=None)
    assert (result.failure is None) == works
    assert result.output == (((4_096).to_bytes(32) + BLS_MODULUS.to_bytes(32)) if works else b"")
    for wrong in (b"\x02" + data[1:], data[:-1], data + b"\x00"):
        message = CallMessage(sender=ADDRESSES[0], to=Address((10).to_bytes(20)), gas=200_000, data=wrong)
        assert PyEvmBackend(RULES).call(world(), context(), message, compute_units=None).failure is not None


@pytest.mark.parametrize(("value", "zeros"), [(0, 256), (1, 255), (2**255, 0), (2**256 - 1, 0), (2**128, 127)])
def test_clz_counts_leading_zeros_from_osaka(value, zeros):
    code = "7f" + value.to_bytes(32).hex() + "1e" + RETURN_TOP
    assert int.from_bytes(run(code).output) == zeros
    assert run(code, fork=Fork.PRAGUE).failure is Failure.INVALID_OPCODE


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("01", Failure.STACK_UNDERFLOW),
        ("35", Failure.STACK_UNDERFLOW),
        ("5f" * 1025, Failure.STACK_OVERFLOW),
        ("5f80" * 513, Failure.STACK_OVERFLOW),
        ("600456", Failure.INVALID_JUMP),
        ("6003565b", None),
        ("60045660" + "5b", Failure.INVALID_JUMP),
        ("fe", Failure.INVALID_OPCODE),
        ("5f5ffd", Failure.REVERT),
        ("60ff5f20", None),
        ("60ff7f" + "ff" * 32 + "20", Failure.OUT_OF_GAS),
        ("60015f5f3e", Failure.RETURN_DATA_BOUNDS),
        ("5b5f56", Failure.OUT_OF_GAS),
    ],
)
def test_failures_are_named(code, failure):
    assert run(code).failure is failure


def test_a_static_call_cannot_write():
    # callee (slot write) is this contract with data; caller is another frame
    code = "3615600a57" + "60015f5500" + "5b" + "5f5f60015f305afa" + RETURN_TOP
    result = run(code)
    assert result.failure is None
    assert int.from_bytes(result.output) == 0


def test_modexp_of_nothing_is_one():
    data = bytes(64) + (1).to_bytes(32) + b"\x02"
    message = CallMessage(sender=ADDRESSES[0], to=Address((5).to_bytes(20)), gas=100_000, data=data)
    for fork in Fork:
        backend = PyEvmBackend(ethereum_rules(fork, 1))
        assert backend.call(world(), context(), message, compute_units=None).output == b"\x01"


def test_modexp_prices_at_known_points():
    assert modexp_gas_berlin(32, 32, 32, 2**256 - 1) == 16 * 255 // 3
    assert modexp_gas_osaka(32, 32, 32, 2**256 - 1) == 16 * 255
    assert modexp_gas_osaka(0, 0, 0, 0) == 500
    assert modexp_gas_berlin(0, 0, 0, 0) == 200
    assert modexp_gas_osaka(64, 33, 64, 1) == 2 * 64 * 16


def test_the_runtime_reaches_call_depth_1024():
    failures = []

    def probe():
        try:
            prepare_runtime()
            probe_execution()
        except Exception as error:
            failures.append(error)

    previous = threading.stack_size(EXECUTION_STACK_BYTES)
    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()
    threading.stack_size(previous)
    assert failures == []


def test_access_lists_are_collected_without_what_is_warm_anyway():
    code = "60055450" + "73" + "dd" * 20 + "3150" + "00"  # SLOAD 5, BALANCE dd..
    backend = PyEvmBackend(RULES)
    message = CallMessage(sender=ADDRESSES[0], to=CONTRACT, gas=100_000)
    result = backend.call(world(bytes.fromhex(code)), context(), message, compute_units=None, collect_access=True)
    assert result.accessed == ((CONTRACT, (5,)), (Address(b"\xdd" * 20), ()))
