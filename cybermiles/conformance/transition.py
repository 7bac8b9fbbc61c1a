"""Ethereum's state transition of one block, and whether its header says what came out.

Before the transactions the system contracts learn the beacon root (EIP-4788) and the parent's hash (EIP-2935); after
them come withdrawals, the requests that contracts hold (EIP-6110, 7002, 7251), or before the merge the miners' rewards.
The seal of a mined block is not checked: test chains have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.fees import Lane
from cybermiles.conformance.errors import ForeignChainError
from cybermiles.conformance.gas_market import next_base_fee, next_excess_blob_gas
from cybermiles.conformance.receipts import RootReceipt
from cybermiles.conformance.requests import collect_requests, hash_of_requests
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvalidTransaction
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.state.trie import ordered_root, update_root
from cybermiles.state.world import WorldState
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32, Wei
from cybermiles.types.receipt import Receipt, logs_bloom
from cybermiles.types.transaction import check_chain_id
from cybermiles.vm.backend import BlockContext, CallMessage
from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.validity import GAS_PER_BLOB

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.conformance.blocks import ForeignBlock
    from cybermiles.conformance.forks import ForkSchedule
    from cybermiles.conformance.header import EthereumHeader
    from cybermiles.state.reader import NodeReader, RootUpdate, StateChanges, StateReader
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.backend import EvmBackend, ExecutionResult
    from cybermiles.vm.tracing import Tracer

SYSTEM_ADDRESS = Address(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
BEACON_ROOTS = Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
HISTORY = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
SYSTEM_CALL_GAS = 30_000_000
_ETHER = 10**18
_REWARDS = (
    (EthereumFork.CONSTANTINOPLE, 2 * _ETHER),
    (EthereumFork.BYZANTIUM, 3 * _ETHER),
    (EthereumFork.FRONTIER, 5 * _ETHER),
)
"""What a mined block pays, by fork."""


class Ancestry(NamedTuple):
    """What a block is executed on top of."""

    parent: EthereumHeader
    state: StateReader
    nodes: NodeReader
    hash_at: Callable[[int], Hash32 | None]
    """Hash of an ancestor by height."""

    @property
    def state_root(self) -> Hash32:
        """Root of `state`."""
        return self.parent.state_root


class Executed(NamedTuple):
    """A block that was executed and whose header agrees."""

    outcomes: tuple[TransactionOutcome, ...]
    changes: StateChanges
    update: RootUpdate


def block_context(header: EthereumHeader, hash_at: Callable[[int], Hash32 | None]) -> BlockContext:
    """Return what code finds around it in a block."""
    height = header.height

    def block_hash(ancestor: int) -> Hash32 | None:
        return hash_at(ancestor) if max(0, height - 256) <= ancestor < height else None

    randao = Hash32(header.difficulty.to_bytes(32)) if header.difficulty else header.prev_randao
    return BlockContext(
        height=height,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        gas_limit=header.gas_limit,
        prev_randao=randao,
        base_fee=header.base_fee,
        fee_recipient=header.coinbase,
        block_hash=block_hash,
        excess_blob_gas=header.excess_blob_gas or 0,
    )


def execute_block(backend: EvmBackend, schedule: ForkSchedule, block: ForeignBlock, ancestry: Ancestry) -> Executed:
    """Execute a block and compare every root. Raises ForeignChainError that names what differs."""
    fork = schedule.at(block.header.height, block.header.timestamp)
    _check_header(block.header, ancestry.parent, schedule, fork)
    return BlockTransition(backend, schedule, block, ancestry, fork).run()


def system_call(backend: EvmBackend, world: WorldState, context: BlockContext, address: Address, data: bytes) -> bytes:
    """Call a contract as nobody (EIP-4788); a missing one is no error. Return what it returns."""
    if not world.code(address):
        return b""
    message = CallMessage(sender=SYSTEM_ADDRESS, to=address, gas=SYSTEM_CALL_GAS, data=data)
    result = backend.call(world, context, message, compute_units=None)
    world.begin_transaction()
    world.set_nonce(SYSTEM_ADDRESS, 0)  # a call counts as a transaction of its sender; this one is none
    world.end_transaction()
    if result.failure is not None:
        raise ForeignChainError(f"block {context.height}: the system call to {address.hex()} failed")
    return result.output


class BlockTransition:
    """One block in execution: `run` is all of it, `begin` and `apply` are what a replay needs."""

    def __init__(
        self,
        backend: EvmBackend,
        schedule: ForkSchedule,
        block: ForeignBlock,
        ancestry: Ancestry,
        fork: EthereumFork,
    ) -> None:
        self._backend = backend
        self._schedule = schedule
        self._block = block
        self._ancestry = ancestry
        self._fork = fork
        self._world = WorldState(ancestry.state)
        self._context = block_context(block.header, ancestry.hash_at)
        self._outcomes: list[TransactionOutcome] = []
        self._gas_used = 0

    @property
    def world(self) -> WorldState:
        """The state between transactions."""
        return self._world

    def begin(self) -> None:
        """Tell the system contracts what they keep of the blocks before."""
        header = self._block.header
        if header.parent_beacon_block_root is not None:
            self._system_call(BEACON_ROOTS, header.parent_beacon_block_root)
        if self._fork >= EthereumFork.PRAGUE:
            self._system_call(HISTORY, header.parent_hash)

    def run(self) -> Executed:
        """Execute everything and compare with the header. Raises ForeignChainError for what differs."""
        header = self._block.header
        self.begin()
        for index, transaction in enumerate(self._block.transactions):
            try:
                self.apply(transaction)
            except InvalidTransaction as error:
                raise ForeignChainError(f"block {header.height}: transaction {index}: {error}") from error
        requests_hash = self._requests()
        self._pay()
        changes = self._world.changes()
        update = self._update(changes)
        self._compare(update.root, requests_hash)
        return Executed(tuple(self._outcomes), changes, update)

    def apply(self, transaction: Transaction, tracer: Tracer | None = None) -> TransactionOutcome:
        """Execute the next transaction. Raises InvalidTransaction."""
        header = self._block.header
        check_chain_id(transaction, self._schedule.chain_id, allow_unprotected=True)
        if self._gas_used + transaction.gas_limit > header.gas_limit:
            raise InvalidTransaction("gas limit reached")
        price = Wei(transaction.effective_gas_price(header.base_fee))
        result = self._backend.execute_transaction(
            self._world, self._context, transaction, gas_price=price, compute_units=None, tracer=tracer
        )
        self._gas_used += result.gas_used
        root = None
        if self._fork < EthereumFork.BYZANTIUM:
            root = self._update(self._world.changes()).root
        outcome = _outcome(transaction, result, price, self._gas_used, root)
        self._outcomes.append(outcome)
        return outcome

    def _system_call(self, address: Address, data: bytes) -> bytes:
        return system_call(self._backend, self._world, self._context, address, data)

    def _requests(self) -> Hash32 | None:
        if self._fork < EthereumFork.PRAGUE:
            return None
        logs = [log for outcome in self._outcomes for log in outcome.receipt.logs]
        return hash_of_requests(collect_requests(logs, self._schedule.deposit_contract, self._system_call))

    def _pay(self) -> None:
        """Credit withdrawals, or before the merge the miner and those of the ommers."""
        header, world = self._block.header, self._world
        world.begin_transaction()
        for withdrawal in self._block.withdrawals or ():
            world.add_balance(withdrawal.address, withdrawal.wei)
        if header.difficulty:
            reward = next(amount for fork, amount in _REWARDS if self._fork >= fork)
            for ommer in self._block.ommers:
                world.add_balance(ommer.coinbase, reward * (8 + ommer.height - header.height) // 8)
            world.add_balance(header.coinbase, reward + reward // 32 * len(self._block.ommers))
        world.end_transaction()

    def _update(self, changes: StateChanges) -> RootUpdate:
        ancestry = self._ancestry
        return update_root(ancestry.nodes, ancestry.state, ancestry.parent.state_root, changes)

    def _compare(self, root: Hash32, requests_hash: Hash32 | None) -> None:
        block, header = self._block, self._block.header
        receipts = [outcome.receipt for outcome in self._outcomes]
        withdrawals = block.withdrawals
        blobs = sum(len(tx.blob_versioned_hashes) for tx in block.transactions)
        found: dict[str, object] = {
            "gas_used": self._gas_used,
            "receipts_root": ordered_root([receipt.encode() for receipt in receipts]),
            "logs_bloom": logs_bloom([log for receipt in receipts for log in receipt.logs]),
            "state_root": root,
            "transactions_root": ordered_root([tx.raw for tx in block.transactions]),
            "ommers_hash": keccak256(rlp.encode_list([ommer.encode() for ommer in block.ommers])),
            "withdrawals_root": None if withdrawals is None else ordered_root([w.encode() for w in withdrawals]),
            "blob_gas_used": blobs * GAS_PER_BLOB if self._fork >= EthereumFork.CANCUN else None,
            "requests_hash": requests_hash,
        }
        _expect(header, found)


def _outcome(
    transaction: Transaction, result: ExecutionResult, price: Wei, gas_used: int, root: Hash32 | None
) -> TransactionOutcome:
    said = (transaction.type, result.failure is None, gas_used, result.logs, logs_bloom(result.logs))
    receipt = Receipt(*said) if root is None else RootReceipt(*said, root)
    return TransactionOutcome(
        receipt=receipt,
        gas_used=result.gas_used,
        effective_gas_price=price,
        lane=Lane.PAID,
        compute_units=0,
        contract_address=result.contract_address,
        failure=None if result.failure is None else result.failure.value,
        output=result.output if result.failure is not None else b"",
    )


def _check_header(header: EthereumHeader, parent: EthereumHeader, schedule: ForkSchedule, fork: EthereumFork) -> None:
    if header.timestamp <= parent.timestamp:
        raise ForeignChainError(f"block {header.height} is not later than its parent")
    cancun = fork >= EthereumFork.CANCUN
    expected: dict[str, object] = {
        "parent_hash": parent.hash,
        "height": parent.height + 1,
        "base_fee_per_gas": next_base_fee(parent, fork),
        "excess_blob_gas": next_excess_blob_gas(parent, schedule, header.timestamp, fork) if cancun else None,
    }
    _expect(header, expected)


def _expect(header: EthereumHeader, found: dict[str, object]) -> None:
    for name, value in found.items():
        said = getattr(header, name)
        if said != value:
            raise ForeignChainError(f"block {header.height}: {name} is {_text(said)}, but comes out as {_text(value)}")


def _text(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
