"""The `evm_*`, `anvil_*` and `hardhat_*` methods of a chain for development; on every other chain there are none.

What changes the state is a transaction in a block: an edit of an account by the development contract, or an unsigned
transaction of an account that the caller impersonates. An edit is answered when its block is committed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from cybermiles.chain.predeploys import DEV, SYSTEM_CONTRACTS
from cybermiles.errors import ConfigError
from cybermiles.rpc.errors import revert_reason
from cybermiles.rpc.jsonrpc import INVALID_PARAMS, SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import (
    encode_data,
    parse_address,
    parse_bool,
    parse_count,
    parse_data,
    parse_quantity,
    parse_slot,
)
from cybermiles.rpc.schemas import parse_call
from cybermiles.system.dev import SET_BALANCE, SET_CODE, SET_NONCE, SET_STORAGE, edit_calldata
from cybermiles.types.primitives import Address
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.rules import Fork
from cybermiles.vm.validity import floor_gas, intrinsic_gas

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.filters import FilterRegistry
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.namespaces.eth_transactions import EthTransactions
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.rpc.schemas import CallObject
    from cybermiles.types.primitives import Hash32

T = TypeVar("T")

NAMESPACES = ("evm", "anvil", "hardhat")
LIKENESS = "anvil-compatible "
"""Before the client's name: tools use these methods of clients only whose name begins with one they know."""
OTHERS_WITH = "evm"
"""The namespace that turns on methods of other names."""
EDIT_GAS = 100_000
"""Beside what its data costs."""
WORD_BYTES = 32
PURSE = 10**20
"""Wei the development contract gives itself when an edit is too large for the free lane."""


class Development(Protocol):
    """The node's clock and its maker of blocks."""

    async def mine(self, count: int, *, apart: int | None = None, at: int | None = None) -> None:
        """Make blocks, `apart` seconds from one to the next, the first with the time `at`. Raises ConfigError."""
        ...

    async def advance(self, seconds: int) -> int:
        """Move the clock on; return how many seconds it is ahead. Raises ConfigError."""
        ...

    async def set_next_time(self, timestamp: int) -> None:
        """Give the next block this time. Raises ConfigError where it is not after the head's."""
        ...

    async def snapshot(self) -> int:
        """Remember blocks, pool and time; return the number of the snapshot. Raises ConfigError as `revert` does."""
        ...

    async def revert(self, number: int) -> int | None:
        """Go back to a snapshot and forget it and those after it; return its height, None where there is none.

        Raises ConfigError where blocks cannot be taken back.
        """
        ...

    async def reset(self) -> int:
        """Go back to the genesis block, forget every snapshot and return 0. Raises ConfigError as `revert` does."""
        ...


@dataclass(frozen=True, slots=True)
class Impersonation:
    """As whom `eth_sendTransaction` sends."""

    accounts: tuple[Address, ...] = ()
    is_of_all: bool = False

    def covers(self, address: Address) -> bool:
        """Whether it sends as this account."""
        return address in self.accounts or (self.is_of_all and bool(address))


class Dev:
    """The methods. Whom callers impersonate is kept here, for all of them."""

    def __init__(
        self,
        chain: ChainReader,
        pool: TransactionPool,
        transactions: EthTransactions,
        development: Development,
        filters: FilterRegistry,
        limits: RpcLimits,
    ) -> None:
        self._chain = chain
        self._pool = pool
        self._transactions = transactions
        self._development = development
        self._filters = filters
        self._limits = limits
        self._editing = asyncio.Lock()
        self._impersonation = Impersonation()
        self._impersonations: dict[int, Impersonation] = {}
        """By snapshot."""

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        address = Param(parse_address)
        count, seconds = Param(parse_count, 1), Param(parse_count, None)
        origin = Param(parse_origin, None, {"type": "object"})
        table = [
            Method(name="evm_mine", handler=self.mine, params=(Param(parse_mining, (1, None)),), weight=10),
            Method(name="evm_increaseTime", handler=self.increase_time, params=(Param(parse_count),), weight=10),
            Method(name="evm_setNextBlockTimestamp", handler=self.set_time, params=(Param(parse_count),), weight=10),
            Method(name="anvil_autoImpersonateAccount", handler=self.impersonate_all, params=(Param(parse_bool),)),
            Method(name="evm_snapshot", handler=self.snapshot, weight=10),
            Method(name="anvil_snapshot", handler=self.snapshot, weight=10),
            Method(name="evm_revert", handler=self.revert, params=(Param(parse_count),), weight=10),
            Method(name="anvil_revert", handler=self.revert, params=(Param(parse_count),), weight=10),
            Method(name="eth_accounts", handler=self.accounts, served_with=OTHERS_WITH),
            Method(
                name="eth_sendTransaction",
                handler=self.send,
                params=(Param(parse_call),),
                weight=10,
                served_with=OTHERS_WITH,
            ),
        ]
        edits = (
            ("setBalance", self.set_balance, (Param(parse_quantity),)),
            ("setNonce", self.set_nonce, (Param(parse_count),)),
            ("setCode", self.set_code, (Param(parse_data),)),
            ("setStorageAt", self.set_storage, (Param(parse_slot), Param(parse_data))),
        )
        for prefix in ("anvil", "hardhat"):
            table += [
                Method(name=f"{prefix}_{name}", handler=handler, params=(address, *values), weight=10)
                for name, handler, values in edits
            ]
            table += [
                Method(name=f"{prefix}_reset", handler=self.reset, params=(origin,), weight=10),
                Method(name=f"{prefix}_mine", handler=self.mine_many, params=(count, seconds), weight=10),
                Method(name=f"{prefix}_impersonateAccount", handler=self.impersonate, params=(address,)),
                Method(name=f"{prefix}_stopImpersonatingAccount", handler=self.stop_impersonating, params=(address,)),
            ]
        return tuple(table)

    async def mine(self, mining: tuple[int, int | None]) -> str:
        """`evm_mine`: nothing, a time, or {blocks, timestamp}."""
        count, at = mining
        await self._mine(count, at=at)
        return "0x0"

    async def mine_many(self, count: int, seconds: int | None) -> None:
        """`anvil_mine` and `hardhat_mine`: how many, and how far apart."""
        await self._mine(count, apart=seconds)

    async def increase_time(self, seconds: int) -> int:
        """Return how many seconds the clock is ahead."""
        return await _refusable(self._development.advance(seconds))

    async def set_time(self, timestamp: int) -> str:
        """Give the next block a time."""
        try:
            await self._development.set_next_time(timestamp)
        except ConfigError as error:
            raise RpcError(INVALID_PARAMS, str(error)) from error
        return str(timestamp)

    def impersonate(self, address: Address) -> bool:
        """Let `eth_sendTransaction` send as this account."""
        _check_impersonable(address)
        accounts = dict.fromkeys((*self._impersonation.accounts, address))
        self._impersonation = replace(self._impersonation, accounts=tuple(accounts))
        return True

    def stop_impersonating(self, address: Address) -> bool:
        """Return whether it was impersonated."""
        before = self._impersonation.accounts
        self._impersonation = replace(self._impersonation, accounts=tuple(a for a in before if a != address))
        return address in before

    def impersonate_all(self, on: bool) -> None:  # noqa: FBT001  (the argument of the method)
        """Let `eth_sendTransaction` send as any account."""
        self._impersonation = replace(self._impersonation, is_of_all=on)

    def accounts(self) -> Json:
        """Return the accounts that are impersonated; the node has no keys."""
        return [encode_data(address) for address in self._impersonation.accounts]

    async def snapshot(self) -> str:
        """Remember where the chain, its pool, its time and the impersonated accounts are; return the snapshot's id."""
        async with self._editing:
            number = await _refusable(self._development.snapshot())
            self._impersonations[number] = self._impersonation
        return hex(number)

    async def revert(self, number: int) -> bool:
        """Go back to a snapshot; it and those after it are forgotten. False where there is none with this id."""
        async with self._editing:
            height = await _refusable(self._development.revert(number))
            if height is None:
                return False
            self._went_back(height, number, self._impersonations[number])
        return True

    async def reset(self, origin: None) -> bool:  # noqa: ARG002  (parsed to refuse what is not nothing)
        """Go back to the genesis block."""
        async with self._editing:
            self._went_back(await _refusable(self._development.reset()), 0, Impersonation())
        return True

    def _went_back(self, height: int, number: int, impersonation: Impersonation) -> None:
        self._impersonation = impersonation
        self._impersonations = {other: kept for other, kept in self._impersonations.items() if other < number}
        self._filters.taken_back(height)

    async def send(self, call: CallObject) -> str:
        """Put an unsigned transaction of an impersonated account into the pool; return its hash."""
        sender = Address(call.sender or b"")
        if not self._impersonation.covers(sender):
            raise RpcError(
                SERVER_ERROR,
                f"account {encode_data(sender)} is not impersonated and the node holds no keys: sign it yourself, or "
                "call anvil_impersonateAccount first",
            )
        _check_impersonable(sender)
        draft = await self._transactions.draft(call)
        unsigned = UnsignedTransaction(
            chain_id=self._chain.chain_id,
            nonce=draft.nonce,
            max_fee_per_gas=draft.max_fee_per_gas,
            max_priority_fee_per_gas=draft.max_priority_fee_per_gas,
            gas_limit=draft.gas_limit,
            to=draft.to,
            value=draft.value,
            data=draft.data,
            access_list=draft.access_list,
        )
        return encode_data(await self._pool.submit(unsigned.claim(sender).raw))

    async def set_balance(self, address: Address, balance: int) -> bool:
        """Give an account so many wei."""
        return await self._make(edit_calldata(SET_BALANCE, address, balance))

    async def set_nonce(self, address: Address, nonce: int) -> bool:
        """Raise an account's nonce."""
        return await self._make(edit_calldata(SET_NONCE, address, nonce))

    async def set_code(self, address: Address, code: bytes) -> bool:
        """Replace an account's code."""
        return await self._make(edit_calldata(SET_CODE, address, tail=code))

    async def set_storage(self, address: Address, slot: tuple[int, int], value: bytes) -> bool:
        """Store a word of an account."""
        if len(value) > WORD_BYTES:
            raise RpcError(INVALID_PARAMS, "invalid argument 2: a storage value has 32 bytes at most")
        return await self._make(edit_calldata(SET_STORAGE, address, slot[0], int.from_bytes(value)))

    async def _make(self, data: bytes) -> bool:
        """Commit an edit."""
        async with self._editing:
            gas = EDIT_GAS + max(intrinsic_gas(data, creates=False), floor_gas(data, Fork.OSAKA))
            params = self._chain.params
            price = 0
            if gas > params.free_gas_limit:
                price = params.min_gas_price
                await self._commit(edit_calldata(SET_BALANCE, DEV, PURSE), 2 * EDIT_GAS, 0)
            await self._commit(data, gas, price)
        return True

    async def _commit(self, data: bytes, gas: int, price: int) -> None:
        account = self._chain.state(self._chain.head_height()).account(DEV)
        transaction = UnsignedTransaction(
            chain_id=self._chain.chain_id,
            nonce=max(self._pool.pending_nonce(DEV) or 0, 0 if account is None else account.nonce),
            max_fee_per_gas=price,
            max_priority_fee_per_gas=price,
            gas_limit=gas,
            to=DEV,
            data=data,
        ).claim(DEV)
        tx_hash = await self._pool.submit(transaction.raw)
        await self._until_included(tx_hash)

    async def _until_included(self, tx_hash: Hash32) -> None:
        """Make blocks until one has the transaction: one that is being built already has not. Raises RpcError."""
        while (place := self._chain.locate_transaction(tx_hash)) is None:
            await self._development.mine(1)
        placed = self._chain.outcome(*place)
        if placed is not None and placed.outcome.failure is not None:
            raise RpcError(SERVER_ERROR, revert_reason(placed.outcome.output) or placed.outcome.failure)

    async def _mine(self, count: int, *, apart: int | None = None, at: int | None = None) -> None:
        limit = self._limits.dev_mine_max_blocks
        if count > limit:
            raise RpcError(
                INVALID_PARAMS, f"{count} blocks in one call, the limit is {limit} (rpc.dev_mine_max_blocks)"
            )
        await _refusable(self._development.mine(count, apart=apart, at=at))


async def _refusable(doing: Awaitable[T]) -> T:
    """Return what the chain does. Raises RpcError with its words where it refuses."""
    try:
        return await doing
    except ConfigError as error:
        raise RpcError(SERVER_ERROR, str(error)) from error


def _check_impersonable(address: Address) -> None:
    if address in SYSTEM_CONTRACTS or address == DEV:
        raise RpcError(INVALID_PARAMS, "a system contract cannot be impersonated: its books would be wrong")


def parse_origin(value: Json) -> None:
    """Refuse to reset to another chain's state."""
    if isinstance(value, dict) and not value.get("forking"):
        return
    if value is not None:
        raise ValueError("the chain of a node is its own: it forks no other")


def parse_mining(value: Json) -> tuple[int, int | None]:
    """Return (blocks, time) of evm_mine's argument."""
    if not isinstance(value, dict):
        return 1, parse_count(value)
    unknown = value.keys() - {"blocks", "timestamp"}
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r}; there are blocks and timestamp")
    at = value.get("timestamp")
    return parse_count(value.get("blocks", 1)), None if at is None else parse_count(at)
