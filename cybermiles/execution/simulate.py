"""Calls and gas estimates on a state that is thrown away afterwards.

Everything runs in the context of a committed block: its height, time and coinbase, on the state after it,
as Ethereum clients do it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.errors import CybermilesError, InsufficientFunds, InvalidTransaction, NonceOverflow
from cybermiles.execution.block import ancestor_hashes
from cybermiles.governance.holds import frozen_accounts
from cybermiles.state.slots import ReadStorage
from cybermiles.state.world import WorldState
from cybermiles.vm.backend import BlockContext, CallMessage, Failure

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.parent import Chain
    from cybermiles.state.reader import StateReader
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.transaction import AccessList
    from cybermiles.vm.backend import ExecutionResult
    from cybermiles.vm.tracing import Tracer

TRANSFER_GAS = 21_000
ESTIMATE_TOLERANCE_PER_MILLE = 15
"""The search stops when upper and lower bound differ by at most this much, as geth's does."""
CALL_STIPEND = 2_300
LAST_NONCE = 2**64 - 1
MOST_BALANCE = 2**240
"""What any higher balance of an override counts as: no number of transfers between such accounts passes 256 bits."""
MAX_ACCESS_LIST_ROUNDS = 8
"""Runs after which an access list that still changes is returned as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOverride:
    """Replaces parts of one account for the duration of a call."""

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: dict[int, int] | None = None
    """The whole storage."""
    state_diff: dict[int, int] = field(default_factory=dict)
    """Single slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOverride:
    """Replaces what the block opcodes answer."""

    height: int | None = None
    timestamp: int | None = None
    coinbase: Address | None = None
    gas_limit: int | None = None
    prev_randao: Hash32 | None = None


class CallFailed(CybermilesError):
    """A gas estimate is impossible because the call fails with all the gas it may have."""

    def __init__(self, result: ExecutionResult, gas: int) -> None:
        phrase = result.failure.value if result.failure is not None else ""
        super().__init__(phrase if result.failure is Failure.REVERT else f"gas required exceeds allowance ({gas})")
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A committed block to run calls on. Cheap to make; holds no mutable state."""

    chain: Chain
    params: ChainParams
    header: Header
    state: StateReader
    """State after `header`."""
    overrides: dict[Address, AccountOverride] = field(default_factory=dict)
    block: BlockOverride = field(default_factory=BlockOverride)

    def call(
        self, message: CallMessage, *, compute_units: int, collect_access: bool = False, tracer: Tracer | None = None
    ) -> ExecutionResult:
        """Run one call. Raises InvalidTransaction where a transaction like it could not start.

        Code of a call that names no price finds base fee 0, as in other clients: nothing is charged.
        """
        world, context = self._world(), self._context()
        check_next_nonce(world.nonce(message.sender))
        if not message.gas_price:
            context = replace(context, base_fee=0)
        return self.chain.backend.call(
            world,
            context,
            message,
            compute_units=compute_units,
            collect_access=collect_access,
            tracer=tracer,
        )

    def estimate_gas(self, message: CallMessage) -> int:
        """Return a gas limit with which the call succeeds as a transaction, at most 1.5 % too high.

        Where it needs no more gas than the free lane allows but more compute units, the answer is just
        above the free lane's limit, so that the transaction takes the paid lane, whose budget it fits.
        Raises CallFailed where no allowed gas limit suffices, InvalidTransaction as `call` does.
        """
        high = message.gas
        if message.gas_price:
            high = min(high, self._affordable(message))
        result = self._try(message, high)
        if result.failure is not None:
            raise CallFailed(result, high)
        compute_units = result.compute_units
        if self._is_plain_transfer(message) and high >= TRANSFER_GAS:
            return TRANSFER_GAS
        low = result.gas_used - 1
        optimistic = (result.gas_used + result.gas_refund + CALL_STIPEND) * 64 // 63
        middle = optimistic if low < optimistic < high else (low + high) // 2
        while low + 1 < high and (high - low) * 1000 > high * ESTIMATE_TOLERANCE_PER_MILLE:
            if self._succeeds_with(message, middle):
                high = middle
            else:
                low = middle
            middle = min((low + high) // 2, low * 2)
        params = self.params
        if high <= params.free_gas_limit and compute_units > params.free_compute_units_per_transaction:
            return params.free_gas_limit + 1
        return high

    def create_access_list(self, message: CallMessage) -> tuple[AccessList, ExecutionResult]:
        """Return the addresses and slots a call touches, found by running it until the list is stable."""
        access, result = message.access_list, self._collect(message)
        for _ in range(MAX_ACCESS_LIST_ROUNDS):
            if result.accessed == access:
                break
            access = result.accessed
            result = self._collect(replace(message, access_list=access))
        return access, result

    def _collect(self, message: CallMessage) -> ExecutionResult:
        budget = self.params.compute_units_per_transaction
        return self.call(message, compute_units=budget, collect_access=True)

    def _try(self, message: CallMessage, gas: int) -> ExecutionResult:
        return self.call(replace(message, gas=gas), compute_units=self.params.compute_units_per_transaction)

    def _succeeds_with(self, message: CallMessage, gas: int) -> bool:
        try:
            return self._try(message, gas).failure is None
        except InvalidTransaction:
            return False

    def _is_plain_transfer(self, message: CallMessage) -> bool:
        if message.to is None or message.data or message.access_list:
            return False
        world = self._world()
        return not world.code(message.to)

    def _affordable(self, message: CallMessage) -> int:
        balance = self._world().balance(message.sender)
        if balance < message.value:
            raise InsufficientFunds("insufficient funds for transfer")
        return (balance - message.value) // message.gas_price

    def _context(self) -> BlockContext:
        block, contexts = self.block, self.chain.contexts
        context = self._own_context() if contexts is None else contexts.context(self.header, self.state, self.params)
        return replace(
            context,
            height=context.height if block.height is None else block.height,
            timestamp=context.timestamp if block.timestamp is None else block.timestamp,
            coinbase=context.coinbase if block.coinbase is None else block.coinbase,
            gas_limit=context.gas_limit if block.gas_limit is None else block.gas_limit,
            prev_randao=context.prev_randao if block.prev_randao is None else block.prev_randao,
        )

    def _own_context(self) -> BlockContext:
        header = self.header
        return BlockContext(
            height=header.height,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            prev_randao=header.prev_randao,
            base_fee=header.base_fee,
            fee_recipient=STAKING,
            block_hash=ancestor_hashes(self.state, header.height),
            params=self.params,
            genesis_hash=self.chain.genesis_hash,
            frozen=frozen_accounts(ReadStorage(self.state, GOVERNANCE), header.timestamp),
        )

    def _world(self) -> WorldState:
        world = WorldState(self.state)
        if self.overrides:
            world.begin_transaction()
            for address, override in self.overrides.items():
                apply_override(world, address, override)
            world.end_transaction()
        return world


def check_next_nonce(nonce: int) -> None:
    """Raise NonceOverflow where a sender has no next nonce (EIP-2681), by an override or a devnet's edit."""
    if nonce >= LAST_NONCE:
        raise NonceOverflow(f"nonce has max value: {nonce}")


def apply_override(world: WorldState, address: Address, override: AccountOverride) -> None:
    """Replace parts of an account. Within a transaction of the world."""
    if override.state is not None:
        balance, nonce, code = world.balance(address), world.nonce(address), world.code(address)
        world.delete_account(address)
        world.set_balance(address, balance)
        world.set_nonce(address, nonce)
        world.set_code(address, code)
        for slot, value in override.state.items():
            world.set_storage(address, slot, value)
    if override.balance is not None:
        world.set_balance(address, min(override.balance, MOST_BALANCE))
    if override.nonce is not None:
        world.set_nonce(address, override.nonce)
    if override.code is not None:
        world.set_code(address, override.code)
    for slot, value in override.state_diff.items():
        world.set_storage(address, slot, value)
