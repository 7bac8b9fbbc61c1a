"""py-evm's state interface answered by `WorldState`: no database, no tries, no copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth.vm.forks.prague.state import PragueState

from cybermiles.vm.validity import blob_base_fee

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.vm.backend import BlockContext
    from cybermiles.vm.rules import ChainRules

UNLIMITED = 1 << 62
"""Compute-unit budget of an unmetered execution, in tenths."""


class State(PragueState):  # type: ignore[misc]  # py-evm is untyped
    """The state of one transaction or call as py-evm's opcodes see it."""

    def __init__(
        self,
        world: WorldState,
        context: BlockContext,
        rules: ChainRules,
        precompiles: Mapping[Address, Any],
        compute_units: int,
    ) -> None:
        self.world = world
        self.context = context
        self.rules = rules
        self.compute_units = compute_units
        """Tenths left of the second meter; negative once it is used up."""
        self.loaded_code: dict[bytes, None] = {}
        """What has been charged for in this transaction."""
        self._precompiles = precompiles

    # Block

    @property
    def coinbase(self) -> Address:
        return self.context.coinbase

    @property
    def timestamp(self) -> int:
        return self.context.timestamp

    @property
    def block_number(self) -> int:
        return self.context.height

    @property
    def difficulty(self) -> int:
        return int.from_bytes(self.context.prev_randao)

    @property
    def mix_hash(self) -> Hash32:
        return self.context.prev_randao

    @property
    def gas_limit(self) -> int:
        return self.context.gas_limit

    @property
    def base_fee(self) -> int:
        return self.context.base_fee

    @property
    def blob_base_fee(self) -> int:
        return blob_base_fee(self.context.excess_blob_gas, self.rules.fork, self.rules.blob_fee_fraction)

    @property
    def execution_context(self) -> State:
        """py-evm's opcodes ask it for the chain id only."""
        return self

    @property
    def chain_id(self) -> int:
        return self.rules.chain_id

    def get_ancestor_hash(self, block_number: int) -> bytes:
        return self.context.block_hash(block_number) or b""

    # Accounts

    def get_balance(self, address: Address) -> int:
        return self.world.balance(address)

    def set_balance(self, address: Address, balance: int) -> None:
        self.world.set_balance(address, balance)

    def get_nonce(self, address: Address) -> int:
        return self.world.nonce(address)

    def set_nonce(self, address: Address, nonce: int) -> None:
        self.world.set_nonce(address, nonce)

    def increment_nonce(self, address: Address) -> None:
        self.world.increment_nonce(address)

    def get_code(self, address: Address) -> bytes:
        return self.world.code(address)

    def set_code(self, address: Address, code: bytes) -> None:
        self.world.set_code(address, code)

    def get_code_hash(self, address: Address) -> Hash32:
        return self.world.code_hash(address)

    def has_code_or_nonce(self, address: Address) -> bool:
        """Whether a contract cannot be created there (EIP-684 and, for storage, EIP-7610)."""
        world = self.world
        return bool(world.nonce(address) or world.code(address) or world.has_storage(address))

    def account_exists(self, address: Address) -> bool:
        """Existence in the sense of EIP-161: an empty account does not exist."""
        return not self.world.is_empty(address)

    def account_is_empty(self, address: Address) -> bool:
        return self.world.is_empty(address)

    def touch_account(self, address: Address) -> None:
        self.world.touch(address)

    # Storage

    def get_storage(self, address: Address, slot: int, from_journal: bool = True) -> int:  # noqa: FBT001, FBT002
        if from_journal:
            return self.world.storage(address, slot)
        return self.world.original_storage(address, slot)

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        self.world.set_storage(address, slot, value)

    def delete_storage(self, address: Address) -> None:
        """py-evm clears storage before CREATE2; an account with storage never gets there (EIP-7610)."""

    def get_transient_storage(self, address: Address, slot: int) -> bytes:
        return self.world.transient(address, slot).to_bytes(32)

    def set_transient_storage(self, address: Address, slot: int, value: bytes) -> None:
        self.world.set_transient(address, slot, int.from_bytes(value))

    # Access lists

    def is_address_warm(self, address: Address) -> bool:
        return address in self._precompiles or self.world.is_warm(address)

    def mark_address_warm(self, address: Address) -> None:
        self.world.warm(address)

    def is_storage_warm(self, address: Address, slot: int) -> bool:
        return self.world.is_warm_slot(address, slot)

    def mark_storage_warm(self, address: Address, slot: int) -> None:
        self.world.warm_slot(address, slot)

    # Snapshots

    def snapshot(self) -> int:
        return self.world.snapshot()

    def revert(self, snapshot: int) -> None:
        self.world.revert(snapshot)

    def commit(self, snapshot: int) -> None:
        """Nothing to do: the undo list simply grows."""
