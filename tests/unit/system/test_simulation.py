"""`eth_call` and `eth_estimateGas` against blocks: what they say of a system contract is what happens."""

from __future__ import annotations

import dataclasses

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.chain.predeploys import STAKING
from cybermiles.execution.simulate import AccountOverride, CallFailed, Simulation
from cybermiles.staking.layout import LEDGER
from cybermiles.state.slots import mapping_slot
from cybermiles.vm.backend import CallMessage, Failure
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, sign
from tests.fakes.native_demo import ABI, VALUES, calldata, demo

USER, OTHER = ADDRESSES[:2]
CALLS = {
    "put": (calldata("put", 1, 2), 0),
    "overwrite": (calldata("put", 9, 2), 0),
    "clear": (calldata("put", 9, 0), 0),
    "get": (calldata("get", 9), 0),
    "who": (calldata("whoAmI"), 0),
    "deposit": (calldata("deposit"), 10**18),
    "pay": (calldata("pay", OTHER, 7), 0),
    "list": (calldata("list", 20), 0),
    "refuse": (calldata("refuse", OTHER, 5, "because"), 3),
    "pay too much": (calldata("pay", OTHER, 2**255), 0),
    "unknown": (b"\x01\x02\x03\x04", 0),
    "malformed": (calldata("put", 1, 2)[:-1], 0),
    "value": (calldata("put", 1, 2), 1),
    "plain payment": (b"", 1),
}


@pytest.fixture(scope="module")
def chain():
    """A chain with the demonstrator, a deposit in it and a word at key 9."""
    found = MemoryChain()
    rules = ChainRules(fork=Fork.OSAKA, chain_id=found.document.chain_id)
    found.chain = dataclasses.replace(found.chain, backend=PyEvmBackend(rules, {STAKING: demo()}))
    setup = [
        sign(KEYS[2], 0, to=STAKING, gas=200_000, price=PAID, data=calldata("deposit"), value=10**18),
        sign(KEYS[2], 1, to=STAKING, gas=200_000, price=PAID, data=calldata("put", 9, 1)),
    ]
    _, outcome = found.advance(setup)
    assert [o.receipt.succeeded for o in outcome.transactions] == [True, True]
    return found


@pytest.fixture
def simulation(chain):
    return Simulation(chain=chain.chain, params=chain.document.params, header=chain.head, state=chain.state)


def message(name, gas=1_000_000):
    data, value = CALLS[name]
    return CallMessage(sender=USER, to=STAKING, gas=gas, data=data, value=value)


def execute(chain, name, gas):
    """Return the outcome of the call as a transaction of the next block, which is thrown away."""
    data, value = CALLS[name]
    tx = sign(KEYS[0], chain.nonce(USER), to=STAKING, gas=gas, price=PAID, data=data, value=value)
    return chain.build([tx])[1].transactions[0]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_says_what_the_transaction_will_do(chain, simulation, name):
    said = simulation.call(message(name, 400_000), compute_units=100_000)
    did = execute(chain, name, 400_000)
    assert (said.failure is None) == did.receipt.succeeded
    assert (said.failure.value if said.failure else None) == did.failure
    assert (said.gas_used, said.compute_units) == (did.gas_used, did.compute_units)
    assert said.logs == did.receipt.logs
    if said.failure is not None:
        assert said.output == did.output


@pytest.mark.parametrize("name", CALLS)
def test_an_estimate_suffices_and_no_less_than_the_price_does(chain, simulation, name):
    if simulation.call(message(name), compute_units=100_000).failure is not None:
        with pytest.raises(CallFailed, match="execution reverted"):
            simulation.estimate_gas(message(name))
        return
    estimate = simulation.estimate_gas(message(name))
    did = execute(chain, name, estimate)
    assert did.receipt.succeeded
    assert did.lane is Lane.FREE
    assert did.gas_used <= estimate <= did.gas_used * 1.015 + 1
    tight = execute(chain, name, did.gas_used)
    assert (tight.receipt.succeeded, tight.gas_used) == (True, did.gas_used)
    short = execute(chain, name, did.gas_used - 1)
    assert (short.receipt.succeeded, short.failure) == (False, Failure.OUT_OF_GAS.value)


def test_a_refusal_reaches_the_estimates_error_with_its_data(simulation):
    with pytest.raises(CallFailed) as caught:
        simulation.estimate_gas(message("refuse"))
    assert caught.value.result.output[:4] == ABI.errors["Refused"].selector


def test_an_access_list_names_no_slots(simulation):
    access, result = simulation.create_access_list(message("put"))
    assert access == ()
    assert result.failure is None


def test_overrides_of_storage_and_code_hold(simulation):
    slot = mapping_slot(VALUES, 9)
    changed = dataclasses.replace(simulation, overrides={STAKING: AccountOverride(state_diff={slot: 77})})
    assert changed.call(message("get"), compute_units=100_000).output == (77).to_bytes(32)
    mock = dataclasses.replace(simulation, overrides={STAKING: AccountOverride(code=bytes.fromhex("602a5f5260205ff3"))})
    assert mock.call(message("get"), compute_units=100_000).output == (42).to_bytes(32)


def test_a_failing_transaction_leaves_nothing_but_its_nonce(chain):
    before = chain.state.account(STAKING)
    data, value = CALLS["refuse"]
    tx = sign(KEYS[0], chain.nonce(USER), to=STAKING, gas=400_000, price=0, data=data, value=value)
    _, outcome = chain.build([tx])
    assert not outcome.transactions[0].receipt.succeeded
    changed = outcome.changes.accounts
    assert list(outcome.changes.storage[STAKING]) == [LEDGER], "what the block minted"
    assert changed[STAKING][1] == before.balance + outcome.minted
    assert OTHER not in changed
