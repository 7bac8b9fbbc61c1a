"""A system contract's entry code: `delegate(address)` from calldata to output with a handler that does nothing, and around it."""

from __future__ import annotations

import json
import time

import eth_abi

from cybermiles.chain.predeploys import STAKING, SYSTEM_STUB
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

USER, VALIDATOR = Address(b"\x11" * 20), Address(b"\x22" * 20)
ROUNDS = 20_000
CONTEXT = BlockContext(
    height=1, timestamp=1, coinbase=USER, gas_limit=10**9, prev_randao=ZERO_HASH, base_fee=0, fee_recipient=STAKING,
    block_hash=lambda height: None,
)  # fmt: skip


class Frame:
    """The least that a contract needs of its frame."""

    address, sender, value, is_static, depth, context, chain_id = STAKING, USER, 10**21, False, 0, CONTEXT, 1

    def __init__(self, data, world):
        self.data, self.world = data, world

    def consume(self, *, gas, compute_units):
        pass

    def emit(self, address, topics, data):
        pass


def contract(**handlers):
    """Return the staking contract with handlers that do nothing but those given."""
    abi = load_abi("ICmtStaking")
    nothing = {
        name: eval(f"lambda call{''.join(f', a{i}' for i in range(len(f.parameters)))}: 0")
        for name, f in abi.functions.items()
    }
    return SystemContract(STAKING, abi, nothing | handlers)


def microseconds(function):
    """Return the best of five runs."""
    best = None
    for _ in range(5):
        start = time.process_time()
        for _ in range(ROUNDS):
            function()
        spent = time.process_time() - start
        best = spent if best is None else min(best, spent)
    return round(best / ROUNDS * 1e6, 2)


def main():
    """Print one line per figure."""
    world = WorldState(NoState())
    world.begin_transaction()
    world.set_balance(USER, 10**30)
    world.set_code(STAKING, SYSTEM_STUB)
    world.end_transaction()
    abi = load_abi("ICmtStaking")
    delegate, declare = abi.functions["delegate"], abi.functions["declareCandidacy"]
    data = delegate.encode_call(VALIDATOR)
    candidacy = declare.encode_call(
        bytes(32),
        bytes(64),
        10**24,
        200_000,
        ("a validator", "https://example.org", "Singapore", "a@b.org", "about " * 20),
    )

    def full(call, validator):
        stake = call.storage.add(1, 1)
        call.emit("Delegated", call.sender, validator, call.value, stake)
        return stake

    empty, storing = contract(), contract(delegate=full)
    backend = PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=1), {STAKING: storing})
    message = CallMessage(sender=USER, to=STAKING, gas=500_000, value=10**21, data=data)
    types = ["bytes", "bytes", "uint256", "uint32", "(string,string,string,string,string)"]
    figures = {
        "decode delegate": lambda: delegate.decode_arguments(data),
        "decode delegate, eth-abi": lambda: eth_abi.decode(["address"], data[4:]),
        "decode declareCandidacy": lambda: declare.decode_arguments(candidacy),
        "decode declareCandidacy, eth-abi": lambda: eth_abi.decode(types, candidacy[4:]),
        "dispatch delegate, empty handler": lambda: empty.call(Frame(data, world)),
        "dispatch delegate, one word and one event": lambda: storing.call(Frame(data, world)),
        "whole call of delegate in the EVM": lambda: backend.call(world, CONTEXT, message, compute_units=None),
    }
    for name, function in figures.items():
        print(json.dumps({"benchmark": "system", "figure": name, "us": microseconds(function)}))


if __name__ == "__main__":
    main()
