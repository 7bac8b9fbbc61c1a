"""The accounts among which `tests.fuzz.transfers` sends: one of every kind that a transfer may come from or go to.

A genesis state is edited directly, so that there are also accounts no transaction could make today: one that exists and
is empty, one whose nonce is used up, a sponsor's deposit for an account without code.
"""

from __future__ import annotations

from dataclasses import replace

from cybermiles.chain.predeploys import (
    CREATE2_DEPLOYER,
    FEES,
    GOVERNANCE,
    HISTORY_CONTRACT,
    MULTICALL3,
    SYSTEM_CONTRACTS,
)
from cybermiles.governance.layout import HELD, HOLD_WORD, HOLDS, Hold
from cybermiles.sponsorship.layout import Deposit, Rules, store_deposit, store_rules
from cybermiles.state.slots import Array, Storage, mapping_slot
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_CODE_HASH, Address
from cybermiles.vm.validity import DELEGATION_PREFIX
from tests.factories import ADDRESSES, KEYS, MemoryChain

CMT = 10**18
PEOPLE = 36
"""Accounts whose keys the cases use."""
RICH = range(12)
POOR = range(12, 20)
DELEGATED = range(20, 27)
FROZEN, WITH_CODE, LAST_NONCE, NO_NONCE, WHALE = range(27, 32)
SPONSORED = range(32, PEOPLE)
"""Without code; whoever sends to them at no price may have the gas paid."""
KEY_OF = dict(zip(ADDRESSES[:PEOPLE], KEYS[:PEOPLE], strict=True))

EMPTY = Address(b"\xe0" * 20)
"""Exists with nothing in it, as accounts before Spurious Dragon could: whoever touches it removes it."""
ABSENT = Address(b"\xe1" * 20)
CODES = {
    Address(b"\xc0" * 19 + bytes([number])): bytes.fromhex(code)
    for number, code in enumerate(
        (
            "00",  # stops
            "5f5ffd",  # reverts
            "fe",  # burns all gas
            "5f5fa000",  # logs
            "5f546001015f5500",  # counts its calls
            "475f5500",  # stores its balance
            "5f5f5f5f34335af100",  # sends the value back
            "33ff",  # destroys itself
            "3d3d3d3d303d5af100",  # calls itself with nothing
        )
    )
}
CONTRACTS = tuple(CODES)
PRECOMPILES = tuple(Address(number.to_bytes(20)) for number in (*range(0x14), 0xFF, 0x100, 0x101))
"""Those of every fork, their neighbours, and the zero address."""
SYSTEM = (*SYSTEM_CONTRACTS, HISTORY_CONTRACT, MULTICALL3, CREATE2_DEPLOYER)


class Stage(MemoryChain):
    """The edited chain before its first block."""

    def __init__(self) -> None:
        super().__init__(accounts=ADDRESSES[: RICH.stop], powers=(1,))
        world = WorldState(self.state)
        world.begin_transaction()
        _furnish(world)
        world.end_transaction()
        changes = world.changes()
        changes.accounts[EMPTY] = (0, 0, EMPTY_CODE_HASH)
        update = update_root(self, self.state, self.head.state_root, changes)
        self.nodes |= update.nodes
        self.codes |= changes.codes
        self.headers = [replace(self.head, state_root=update.root)]


def _furnish(world: WorldState) -> None:
    for number in range(RICH.stop, PEOPLE):
        world.set_balance(ADDRESSES[number], 1_000 * CMT)
    for number, balance in zip(POOR, (0, 1, 20_999, 21_000, 21_000 * 2 * 10**9, 10**15, 10**16, 3), strict=True):
        world.set_balance(ADDRESSES[number], balance)
    world.set_balance(ADDRESSES[WHALE], 2**254)
    world.set_nonce(ADDRESSES[LAST_NONCE], 2**64 - 2)
    world.set_nonce(ADDRESSES[NO_NONCE], 2**64 - 1)
    world.set_code(ADDRESSES[WITH_CODE], b"\x00")
    for address, code in CODES.items():
        world.set_code(address, code)
        world.set_nonce(address, 1)
        world.set_balance(address, 5)
    first, *_, last = DELEGATED
    targets = (CONTRACTS[0], CONTRACTS[3], CONTRACTS[4], PRECOMPILES[4], ABSENT, ADDRESSES[first], ADDRESSES[last])
    for number, target in zip(DELEGATED, targets, strict=True):
        world.set_code(ADDRESSES[number], DELEGATION_PREFIX + target)
        world.set_nonce(ADDRESSES[number], 1)
    held = Storage(world, GOVERNANCE)
    Array(held, HELD).append(int.from_bytes(ADDRESSES[FROZEN]))
    hold = Hold(holders=1, since=1, until=2**40, used=0)
    HOLD_WORD.store(held, mapping_slot(HOLDS, ADDRESSES[FROZEN]), hold)
    _sponsor(world)


def _sponsor(world: WorldState) -> None:
    """Deposits for accounts and contracts: ample, for listed users only, for one use, almost empty."""
    storage = Storage(world, FEES)
    offers = (
        (CMT, Rules(max_fee_per_day=CMT, max_gas=2**24, per_user=1_000, only_listed=0)),
        (CMT, Rules(max_fee_per_day=CMT, max_gas=2**24, per_user=1_000, only_listed=1)),
        (CMT, Rules(max_fee_per_day=CMT, max_gas=600_000, per_user=1, only_listed=0)),
        (10**15, Rules(max_fee_per_day=10**15, max_gas=2**24, per_user=1_000, only_listed=0)),
    )
    targets = [ADDRESSES[number] for number in SPONSORED]
    for target, (amount, rules) in zip([*targets, *CONTRACTS], offers * 3, strict=False):
        store_deposit(storage, target, Deposit(int.from_bytes(ADDRESSES[0]), amount))
        store_rules(storage, target, rules)
        world.add_balance(FEES, amount)
