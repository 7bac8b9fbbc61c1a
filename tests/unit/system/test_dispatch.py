"""Dispatch by itself, on a fake frame: tables that must be complete, refusals, and any calldata for any contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import PARAM_SPECS, ChainParams
from cybermiles.chain.predeploys import STAKING, SYSTEM_CONTRACTS, VESTING
from cybermiles.errors import ConfigError, InvariantViolation, Refusal
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import Call, SystemContract
from cybermiles.system.errors import INTERFACES
from cybermiles.system.events import EventCollector, event_log
from cybermiles.system.gas import COSTS, REFUSED_COMPUTE_UNITS, VIEW, scaled
from cybermiles.system.registry import CONTRACTS, native_contracts
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.types.receipt import Log
from cybermiles.vm.backend import BlockContext
from cybermiles.vm.native import NativeRevert
from tests.fakes.native_demo import ABI, HANDLERS, PUT, calldata, demo
from tests.fakes.native_demo import COSTS as DEMO_COSTS

USER = Address(b"\x11" * 20)
CONTEXT = BlockContext(
    height=1, timestamp=1, coinbase=USER, gas_limit=10**8, prev_randao=ZERO_HASH, base_fee=0, fee_recipient=USER,
    block_hash=lambda height: None,
)  # fmt: skip


GAS = 10_000_000


class OutOfGas(Exception):
    """As the EVM's frame ends a call that cannot pay."""


@dataclass
class FakeFrame:
    data: bytes
    value: int = 0
    is_static: bool = False
    sender: Address = USER
    address: Address = STAKING
    depth: int = 0
    context: BlockContext = CONTEXT
    chain_id: int = 1
    world: WorldState = field(default_factory=lambda: WorldState(NoState()))
    gas: int = 0
    compute_units: int = 0
    logs: list = field(default_factory=list)

    def consume(self, *, gas, compute_units):
        self.gas += gas
        self.compute_units += compute_units
        if self.gas > GAS:
            raise OutOfGas

    def emit(self, address, topics, data):
        self.logs.append(Log(address, topics, data))

    def transfer(self, source, to, amount):
        self.world.subtract_balance(source, amount)
        self.world.add_balance(to, amount)


def refused(contract, frame):
    with pytest.raises(NativeRevert) as caught:
        contract.call(frame)
    return caught.value.data


@pytest.mark.parametrize(
    ("handlers", "complaint"),
    [
        ({k: v for k, v in HANDLERS.items() if k != "put"}, r"no handler for \['put'\]"),
        (HANDLERS | {"extra": lambda call: None}, r"no function for \['extra'\]"),
        (HANDLERS | {"put": lambda call, key: 0}, "put has 2 arguments, but its handler takes 1"),
        (HANDLERS | {"deposit": lambda: 0}, "deposit has 0 arguments, but its handler takes -1"),
    ],
)
def test_the_table_of_handlers_is_complete_and_fits(handlers, complaint):
    with pytest.raises(ConfigError, match=complaint):
        demo(handlers)


def test_a_function_that_writes_has_a_price():
    with pytest.raises(ConfigError, match="put has no price"):
        SystemContract(STAKING, ABI, HANDLERS, {k: v for k, v in DEMO_COSTS.items() if k != "put"})


def test_every_price_is_of_a_function_and_every_writing_function_has_one():
    assert list(COSTS) == list(INTERFACES)
    for name, prices in COSTS.items():
        functions = load_abi(name).functions
        assert set(prices) <= set(functions)
        assert {f.name for f in functions.values() if f.mutability.writes} <= set(prices)


HOLDER = {
    "ICmtStaking": ("delegate", "undelegate", "redelegate"),
    "ICmtGovernance": ("vote", "supportHold"),
    "ICmtVesting": ("release", "delegateLocked"),
}


def test_what_holders_do_stays_in_the_free_lane_with_a_wallets_buffer_at_the_largest_factor():
    params = ChainParams(system_gas_factor=PARAM_SPECS["system_gas_factor"].maximum)
    calldata_gas = 16 * (4 + 3 * 32)
    for interface, names in HOLDER.items():
        for name in names:
            estimate = 21_000 + calldata_gas + scaled(COSTS[interface][name].gas, params)
            assert estimate * 3 // 2 <= params.free_gas_limit, name
            assert COSTS[interface][name].compute_units < params.free_compute_units_per_transaction // 10


@pytest.mark.parametrize(
    ("gas", "factor", "expected"), [(100, "1", 100), (100, "1/3", 34), (99, "1/3", 33), (1, "2", 2), (0, "2", 0)]
)
def test_prices_round_up(gas, factor, expected):
    assert scaled(gas, ChainParams(system_gas_factor=Fraction(factor))) == expected


def test_what_is_charged_before_anything_runs():
    frame = FakeFrame(calldata("put", 1, 2))
    demo().call(frame)
    assert (frame.gas, frame.compute_units) == (PUT.gas, PUT.compute_units)
    view = FakeFrame(calldata("get", 1))
    demo().call(view)
    assert (view.gas, view.compute_units) == (VIEW.gas, VIEW.compute_units)
    for frame in (
        FakeFrame(b""),
        FakeFrame(calldata("get", 1), value=1),
        FakeFrame(calldata("put", 1, 2), is_static=True),
    ):
        assert refused(demo(), frame) == b""
        assert (frame.gas, frame.compute_units) == (0, REFUSED_COMPUTE_UNITS)


class UnknownValidator(Refusal):
    def __init__(self, validator):
        super().__init__(validator)


class NeverDeclared(Refusal):
    pass


class BelowMinimum(Refusal):
    pass


def raising(error):
    def handler(call, key):
        raise error

    return demo(HANDLERS | {"get": handler})


def test_a_refusal_of_another_contracts_rule_keeps_that_contracts_error():
    data = refused(raising(UnknownValidator(USER)), FakeFrame(calldata("get", 1)))
    assert data == load_abi("ICmtStaking").errors["UnknownValidator"].selector + encode(["address"], [USER])


@pytest.mark.parametrize("error", [NeverDeclared(), BelowMinimum(), BelowMinimum("1"), BelowMinimum(-1)])
def test_an_error_that_no_abi_has_is_a_bug(error):
    with pytest.raises(InvariantViolation):
        raising(error).call(FakeFrame(calldata("get", 1)))


def test_a_refusal_carries_its_arguments_and_says_them():
    error = UnknownValidator(USER)
    assert error.arguments == (USER,)
    assert "UnknownValidator" in str(error)


def test_one_contract_acts_in_anothers_name():
    frame = FakeFrame(b"", address=VESTING)
    frame.world.set_balance(STAKING, 10)
    vesting = Call(frame, load_abi("ICmtVesting"), VESTING)
    staking = vesting.acting_as(STAKING, load_abi("ICmtStaking"))
    staking.emit("CandidacyWithdrawn", USER)
    staking.storage.store(1, 5)
    staking.transfer(USER, 4)
    vesting.emit("Released", USER, 1, 2)
    assert [log.address for log in frame.logs] == [STAKING, VESTING]
    assert (frame.world.storage(STAKING, 1), frame.world.storage(VESTING, 1)) == (5, 0)
    assert (frame.world.balance(STAKING), frame.world.balance(USER)) == (6, 4)
    assert (staking.sender, staking.value, staking.chain_id) == (USER, 0, 1)
    with pytest.raises(InvariantViolation, match="ICmtStaking declares no event Released"):
        staking.emit("Released", USER, 1, 2)


def test_events_outside_transactions_are_collected_in_order():
    logs = []
    staking = EventCollector(STAKING, load_abi("ICmtStaking"), logs)
    slashing = EventCollector(SYSTEM_CONTRACTS[1], load_abi("ICmtSlashing"), logs)
    staking.emit("ActiveChanged", USER, True)
    slashing.emit("Jailed", USER, 9)
    assert logs == [
        event_log(STAKING, load_abi("ICmtStaking"), "ActiveChanged", (USER, True)),
        event_log(SYSTEM_CONTRACTS[1], load_abi("ICmtSlashing"), "Jailed", (USER, 9)),
    ]


def test_the_registry_has_each_contract_at_its_own_address():
    table = native_contracts()
    assert len(table) == len(CONTRACTS)
    assert all(address in SYSTEM_CONTRACTS for address in table)
    for address, contract in table.items():
        assert contract.abi.name == INTERFACES[SYSTEM_CONTRACTS.index(address)]


def echoing(name):
    """A contract of a shipped ABI whose handlers check that what they get encodes again as it came."""
    abi = load_abi(name)

    def handler(function):
        def check(*arguments):
            assert function.decode_arguments(bytes(4) + function.inputs.encode(arguments)) == arguments
            raise UnknownValidator(USER)

        taken = "".join(f", a{i}" for i in range(len(function.parameters)))
        return eval(f"lambda call{taken}: check({taken[2:]})", {"check": check})

    return SystemContract(
        STAKING, abi, {f.name: handler(f) for f in abi.functions.values()}, dict.fromkeys(abi.functions, VIEW)
    )


ALL = [demo(), *map(echoing, INTERFACES)]
ANY_WORD = st.one_of(
    st.sampled_from([0, 1, 2, 32, 64, 96, 128, 160, 192, 2**64, 2**255, 2**256 - 1]), st.integers(0, 2**256 - 1)
).map(lambda n: n.to_bytes(32))


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(ALL).flatmap(
        lambda c: st.tuples(st.just(c), st.sampled_from([*c._methods, b"", b"\x00\x00\x00\x00"]))
    ),
    st.lists(ANY_WORD, max_size=14),
    st.binary(max_size=40),
    st.booleans(),
    st.sampled_from([0, 0, 1]),
)
def test_any_calldata_ends_in_an_output_or_a_revert(chosen, words, rest, static, value):
    contract, selector = chosen
    frame = FakeFrame(selector + b"".join(words) + rest, is_static=static, value=value)
    frame.world.set_balance(STAKING, 2**100)
    try:
        output = contract.call(frame)
    except NativeRevert as revert:
        assert len(revert.data) % 32 in (0, 4)
    except OutOfGas:
        assert contract is ALL[0]
    else:
        assert contract is ALL[0]
        assert isinstance(output, bytes)
