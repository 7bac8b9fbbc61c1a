"""A frozen account sends nothing and loses nothing, by whatever path; it receives, and its code still answers."""

from __future__ import annotations

import eth_account
import pytest

from cybermiles.errors import AccountFrozen
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address, Wei
from cybermiles.types.transaction import SET_CODE, Authorization
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, DEVNET_ID, KEYS, sign

RULES = ChainRules(fork=Fork.OSAKA, chain_id=DEVNET_ID)
BACKEND = PyEvmBackend(RULES)
THIEF, SAFE, USER = ADDRESSES[0], ADDRESSES[1], ADDRESSES[2]
HOARD = Address(b"\x77" * 20)
FACTORY = Address(b"\x78" * 20)
STOLEN = 1_000


def push(address):
    return b"\x73" + address


# CALL(gas, SAFE, 5) and the flag into slot 0; then slot 1 = 1, to see that the frame went on
CALLS_OUT = bytes.fromhex("5f5f5f5f6005") + push(SAFE) + bytes.fromhex("5af15f556001600155")
CALLCODES = bytes.fromhex("5f5f5f5f6005") + push(SAFE) + bytes.fromhex("5af25f556001600155")
CREATES = bytes.fromhex("5f5f6005f05f556001600155")
CREATES2 = bytes.fromhex("5f5f5f6005f55f556001600155")
DESTROYS = push(SAFE) + bytes.fromhex("ff")
PAYS_NOTHING = bytes.fromhex("5f5f5f5f5f") + push(SAFE) + bytes.fromhex("5af15f556001600155")


def context(*frozen):
    return BlockContext(
        height=5, timestamp=1_000, coinbase=Address(b"\xbb" * 20), gas_limit=200_000_000, prev_randao=ZERO_HASH,
        base_fee=0, fee_recipient=Address(b"\xbc" * 20), block_hash=lambda height: None, frozen=frozen,
    )  # fmt: skip


def world(code=b""):
    state = WorldState(NoState())
    state.begin_transaction()
    for address in (THIEF, SAFE, USER):
        state.set_balance(address, 10**18)
    state.set_balance(HOARD, STOLEN)
    state.set_nonce(HOARD, 1)
    state.set_code(HOARD, code)
    state.end_transaction()
    return state


def run(state, transaction, *frozen):
    return BACKEND.execute_transaction(
        state, context(*frozen), transaction, gas_price=Wei(0), compute_units=None, free=True
    )


@pytest.mark.parametrize("value", [0, 5])
def test_a_transaction_of_a_frozen_account_is_invalid_and_leaves_no_trace(value):
    state = world()
    with pytest.raises(AccountFrozen, match=f"account frozen: address 0x{THIEF.hex()}"):
        run(state, sign(KEYS[0], 0, to=SAFE, value=value), THIEF)
    assert (state.nonce(THIEF), state.balance(THIEF)) == (0, 10**18)
    assert run(state, sign(KEYS[0], 0, to=SAFE, value=value)).failure is None


def test_a_frozen_account_receives():
    state = world()
    assert run(state, sign(KEYS[2], 0, to=HOARD, value=5), HOARD).failure is None
    assert state.balance(HOARD) == STOLEN + 5


@pytest.mark.parametrize(
    "code", [CALLS_OUT, CALLCODES, CREATES, CREATES2], ids=["CALL", "CALLCODE", "CREATE", "CREATE2"]
)
def test_value_leaves_a_frozen_contract_by_no_call_or_creation(code):
    for frozen in ((HOARD,), ()):
        state = world(code)
        result = run(state, sign(KEYS[2], 0, to=HOARD, gas=500_000), *frozen)
        assert result.failure is None
        assert bool(state.storage(HOARD, 0)) is not bool(frozen)
        assert state.storage(HOARD, 1) == 1
        if frozen:
            assert state.balance(HOARD) == STOLEN
            assert state.balance(SAFE) == 10**18


def test_a_call_without_value_goes_on():
    state = world(PAYS_NOTHING)
    assert run(state, sign(KEYS[2], 0, to=HOARD, gas=500_000), HOARD).failure is None
    assert state.storage(HOARD, 0) == 1


def test_a_refused_payment_gives_its_gas_back():
    state = world(CALLS_OUT)
    assert run(state, sign(KEYS[2], 0, to=HOARD, gas=500_000), HOARD).gas_used < 100_000


def test_self_destruction_of_a_frozen_contract_fails_unless_it_is_empty():
    state = world(DESTROYS)
    result = run(state, sign(KEYS[2], 0, to=HOARD, gas=100_000), HOARD)
    assert result.failure is Failure.INSUFFICIENT_BALANCE
    assert (state.balance(HOARD), state.balance(SAFE)) == (STOLEN, 10**18)
    state.set_balance(HOARD, 0)
    assert run(state, sign(KEYS[2], 1, to=HOARD, gas=100_000), HOARD).failure is None


def delegate_of_thief():
    state = world()
    state.begin_transaction()
    state.set_code(FACTORY, CALLS_OUT)
    state.set_code(THIEF, b"\xef\x01\x00" + FACTORY)
    state.end_transaction()
    return state


def test_code_delegated_to_moves_nothing_out_of_a_frozen_account():
    state = delegate_of_thief()
    assert run(state, sign(KEYS[2], 0, to=THIEF, gas=500_000), THIEF).failure is None
    assert state.storage(THIEF, 0) == 0
    assert state.balance(THIEF) == 10**18
    assert run(state, sign(KEYS[2], 1, to=THIEF, gas=500_000)).failure is None
    assert state.balance(THIEF) == 10**18 - 5


def test_a_frozen_account_authorizes_nothing():
    for frozen in ((THIEF,), ()):
        state = world()
        account = eth_account.Account.from_key(KEYS[0])
        signed = account.sign_authorization({"chainId": DEVNET_ID, "address": FACTORY, "nonce": 0})
        item = Authorization(DEVNET_ID, FACTORY, 0, signed.y_parity, signed.r, signed.s)
        transaction = sign(KEYS[2], 0, to=USER, gas=200_000, type=SET_CODE, authorizations=(item,))
        assert run(state, transaction, *frozen).failure is None
        assert state.nonce(THIEF) == (0 if frozen else 1)
        assert bool(state.code(THIEF)) is not bool(frozen)


def test_a_simulated_payment_of_a_frozen_account_is_refused_and_a_read_is_not():
    message = {"sender": THIEF, "to": HOARD, "gas": 100_000}
    with pytest.raises(AccountFrozen):
        BACKEND.call(world(), context(THIEF), CallMessage(**message, value=1), compute_units=None)
    assert BACKEND.call(world(), context(THIEF), CallMessage(**message), compute_units=None).failure is None
