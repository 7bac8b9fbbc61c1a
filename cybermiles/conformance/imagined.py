"""Blocks of unsigned transactions on top of a foreign block, as geth's `eth_simulateV1` executes them.

Without validation base fee is 0, nonces are the sender's own business, and nobody who names no price pays. What comes
out is a whole block: its header has every root, so its hash is the one that other clients give.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.fees import Lane
from cybermiles.conformance.blocks import foreign_block
from cybermiles.conformance.gas_market import next_base_fee, next_excess_blob_gas
from cybermiles.conformance.header import EthereumHeader
from cybermiles.conformance.requests import collect_requests, hash_of_requests
from cybermiles.conformance.transition import BEACON_ROOTS, HISTORY, block_context, system_call
from cybermiles.errors import (
    FeeCapTooLow,
    GasLimitExceeded,
    NonceTooHigh,
    NonceTooLow,
    TipAboveFeeCap,
)
from cybermiles.execution.imagined import unsigned_transaction
from cybermiles.execution.log_recorder import LogRecorder
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.execution.simulate import apply_override
from cybermiles.state.trie import ordered_root, update_root
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_HASH, Hash32, Wei
from cybermiles.types.receipt import EMPTY_BLOOM, Log, Receipt, logs_bloom
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.validity import cannot_pay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.conformance.blocks import ForeignBlock, Withdrawal
    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.execution.imagined import ImaginedCall
    from cybermiles.execution.simulate import AccountOverride
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.backend import BlockContext, ExecutionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaginedPlan:
    """One block to execute; what it does not say is its parent's or the rules'."""

    height: int | None = None
    timestamp: int | None = None
    gas_limit: int | None = None
    coinbase: Address | None = None
    prev_randao: Hash32 | None = None
    base_fee: int | None = None
    beacon_root: Hash32 = ZERO_HASH
    withdrawals: tuple[Withdrawal, ...] = ()
    accounts: dict[Address, AccountOverride] = field(default_factory=dict)
    calls: tuple[ImaginedCall, ...] = ()


class ImaginedResult(NamedTuple):
    """What one call did."""

    result: ExecutionResult
    logs: tuple[Log, ...]
    """With transfers, where they were asked for."""


class ImaginedBlock(NamedTuple):
    """An executed block."""

    block: ForeignBlock
    outcomes: tuple[TransactionOutcome, ...]
    calls: tuple[ImaginedResult, ...]


class Imagination:
    """A base block and what was imagined on top of it. Used once, by one thread."""

    def __init__(self, chain: ForeignChain, base: EthereumHeader, *, gas: int, validate: bool, transfers: bool) -> None:
        self._chain = chain
        self._base = base
        self._parent = base
        self._gas = gas
        self._validate = validate
        self._transfers = transfers
        self._world = WorldState(chain.state(base.height))
        self._hashes: dict[int, Hash32] = {}

    def add(self, plan: ImaginedPlan, height: int, timestamp: int) -> ImaginedBlock:
        """Execute the next block, at a height and time after the last one's.

        Raises InvalidTransaction where a call cannot be in it.
        """
        schedule = self._chain.schedule
        fork = schedule.at(height, timestamp)
        header = self._header(plan, height, timestamp, fork)
        context = block_context(header, self._hash_at)
        self._begin(plan, header, context, fork)
        transactions: list[Transaction] = []
        outcomes: list[TransactionOutcome] = []
        calls: list[ImaginedResult] = []
        used = 0
        for call in plan.calls:
            transaction, done = self._call(call, context, used)
            used += done.result.gas_used
            transactions.append(transaction)
            outcomes.append(_outcome(transaction, done.result, used, header.base_fee))
            calls.append(done)
        requests_hash = None
        if fork >= EthereumFork.PRAGUE:
            logs = [log for done in calls if done.result.failure is None for log in done.logs]
            ask = self._asker(context)
            requests_hash = hash_of_requests(collect_requests(logs, schedule.deposit_contract, ask))
        self._credit(plan.withdrawals)
        header = replace(header, gas_used=used, requests_hash=requests_hash)
        block = self._seal(header, plan, fork, transactions, outcomes)
        self._parent = block.header
        self._hashes[block.header.height] = block.header.hash
        return ImaginedBlock(block, tuple(outcomes), tuple(calls))

    def _header(self, plan: ImaginedPlan, height: int, timestamp: int, fork: EthereumFork) -> EthereumHeader:
        parent, schedule = self._parent, self._chain.schedule
        base_fee = plan.base_fee
        if base_fee is None and fork >= EthereumFork.LONDON:
            base_fee = next_base_fee(parent, fork) if self._validate else 0
        cancun = fork >= EthereumFork.CANCUN
        return EthereumHeader(
            parent_hash=parent.hash,
            coinbase=parent.coinbase if plan.coinbase is None else plan.coinbase,
            state_root=ZERO_HASH,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=EMPTY_BLOOM,
            height=height,
            gas_limit=parent.gas_limit if plan.gas_limit is None else plan.gas_limit,
            gas_used=0,
            timestamp=timestamp,
            extra_data=b"",
            prev_randao=ZERO_HASH if plan.prev_randao is None else plan.prev_randao,
            difficulty=0 if fork >= EthereumFork.PARIS else parent.difficulty,
            base_fee_per_gas=base_fee,
            withdrawals_root=EMPTY_TRIE_ROOT if fork >= EthereumFork.SHANGHAI else None,
            blob_gas_used=0 if cancun else None,
            excess_blob_gas=next_excess_blob_gas(parent, schedule, timestamp, fork) if cancun else None,
            parent_beacon_block_root=plan.beacon_root if cancun else None,
        )

    def _begin(self, plan: ImaginedPlan, header: EthereumHeader, context: BlockContext, fork: EthereumFork) -> None:
        world = self._world
        world.begin_transaction()
        for address, override in plan.accounts.items():
            apply_override(world, address, override)
        world.end_transaction()
        ask = self._asker(context)
        if fork >= EthereumFork.PRAGUE:
            ask(HISTORY, header.parent_hash)
        if header.parent_beacon_block_root is not None:
            ask(BEACON_ROOTS, header.parent_beacon_block_root)

    def _call(self, call: ImaginedCall, context: BlockContext, used: int) -> tuple[Transaction, ImaginedResult]:
        world = self._world
        nonce = world.nonce(call.sender)
        left = context.gas_limit - used
        gas = left if call.gas is None else call.gas
        if gas > left:
            raise GasLimitExceeded(f"block gas limit reached: {used} >= {context.gas_limit}")
        gas = min(gas, self._gas)
        signed_nonce = nonce if call.nonce is None else call.nonce
        chain_id = self._chain.schedule.chain_id
        transaction = unsigned_transaction(call, gas=gas, nonce=signed_nonce, chain_id=chain_id)
        if self._validate:
            _check_nonce(transaction, nonce)
        price = self._price(transaction, context)
        balance, need = world.balance(call.sender), gas * price + call.value
        if balance < need:
            raise cannot_pay(call.sender, balance, need)
        message = CallMessage(
            sender=call.sender,
            to=call.to,
            gas=gas,
            gas_price=price,
            value=call.value,
            data=call.data,
            access_list=call.access_list,
        )
        tracer = LogRecorder(with_transfers=True) if self._transfers else None
        result = self._chain.constants.backend.call(world, context, message, compute_units=None, tracer=tracer)
        self._settle(call, context, price, gas, result.gas_used)
        self._gas -= result.gas_used
        logs = result.logs if tracer is None else tracer.logs
        return transaction, ImaginedResult(result, logs)

    def _price(self, transaction: Transaction, context: BlockContext) -> int:
        """Return what a unit of gas costs the sender; nothing where nothing is offered and nothing validated."""
        cap, tip = transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
        if not self._validate and not cap and not tip:
            return 0
        if cap < tip:
            raise TipAboveFeeCap(f"max priority fee per gas higher than max fee per gas: tip {tip}, cap {cap}")
        if cap < context.base_fee:
            raise FeeCapTooLow(f"max fee per gas less than block base fee: cap {cap}, base fee {context.base_fee}")
        return transaction.effective_gas_price(context.base_fee)

    def _settle(self, call: ImaginedCall, context: BlockContext, price: int, gas: int, used: int) -> None:
        """Give back what is left of the gas, and pay the coinbase; the call itself has bought the gas."""
        if not price and not self._validate:
            return
        world = self._world
        world.begin_transaction()
        world.add_balance(call.sender, (gas - used) * price)
        world.add_balance(context.coinbase, used * max(price - context.base_fee, 0))
        world.end_transaction()

    def _credit(self, withdrawals: Sequence[Withdrawal]) -> None:
        self._world.begin_transaction()
        for withdrawal in withdrawals:
            self._world.add_balance(withdrawal.address, withdrawal.wei)
        self._world.end_transaction()

    def _seal(
        self,
        header: EthereumHeader,
        plan: ImaginedPlan,
        fork: EthereumFork,
        transactions: list[Transaction],
        outcomes: list[TransactionOutcome],
    ) -> ForeignBlock:
        chain, base = self._chain, self._base
        nodes = chain.trie_nodes(base.height)
        root = update_root(nodes, chain.state(base.height), base.state_root, self._world.changes()).root
        receipts = [outcome.receipt for outcome in outcomes]
        shanghai = fork >= EthereumFork.SHANGHAI
        sealed = replace(
            header,
            state_root=root,
            transactions_root=ordered_root([tx.raw for tx in transactions]),
            receipts_root=ordered_root([receipt.encode() for receipt in receipts]),
            logs_bloom=logs_bloom([log for receipt in receipts for log in receipt.logs]),
            withdrawals_root=ordered_root([entry.encode() for entry in plan.withdrawals]) if shanghai else None,
        )
        return foreign_block(sealed, tuple(transactions), (), plan.withdrawals if shanghai else None)

    def _asker(self, context: BlockContext) -> Callable[[Address, bytes], bytes]:
        def ask(address: Address, data: bytes) -> bytes:
            return system_call(self._chain.constants.backend, self._world, context, address, data)

        return ask

    def _hash_at(self, height: int) -> Hash32 | None:
        if height > self._base.height:
            return self._hashes.get(height)
        header = self._chain.header(height)
        return None if header is None else header.hash


def _check_nonce(transaction: Transaction, nonce: int) -> None:
    if transaction.nonce != nonce:
        error, word = (NonceTooLow, "low") if transaction.nonce < nonce else (NonceTooHigh, "high")
        raise error(f"nonce too {word}: address 0x{transaction.sender.hex()}, tx: {transaction.nonce} state: {nonce}")


def _outcome(transaction: Transaction, result: ExecutionResult, used: int, base_fee: int) -> TransactionOutcome:
    return TransactionOutcome(
        receipt=Receipt(transaction.type, result.failure is None, used, result.logs, logs_bloom(result.logs)),
        gas_used=result.gas_used,
        effective_gas_price=Wei(transaction.effective_gas_price(base_fee)),
        lane=Lane.PAID,
        compute_units=0,
        contract_address=result.contract_address,
        failure=None if result.failure is None else result.failure.value,
        output=result.output if result.failure is not None else b"",
    )
