"""The pool of a chain that grows no more: takes what geth's pool would take, keeps it, and never gives it a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.conformance.transactions import decode_submitted_transaction
from cybermiles.errors import (
    AlreadyKnown,
    InsufficientFunds,
    InvalidTransaction,
    NonceTooLow,
    OversizedTransaction,
    PoolFull,
    SenderHasCode,
    UnsupportedTransactionType,
)
from cybermiles.rpc.ports import PoolContent, TransactionState, TransactionStatus
from cybermiles.types.transaction import BLOB, check_chain_id
from cybermiles.vm.ethereum import OWN_FORKS, EthereumFork
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.validity import DELEGATION_PREFIX, check_static, hex_address, max_cost_of_gas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.transaction import Transaction

MAX_TRANSACTIONS = 5_000
MAX_BYTES = 1024 * 1024
"""Of one submission, blobs included."""


class ForeignPool:
    """`rpc.ports.TransactionPool` on the head's state."""

    def __init__(self, chain: ForeignChain) -> None:
        self._chain = chain
        head = chain.head
        fork = chain.schedule.at(head.height, head.timestamp)
        self._has_blobs = fork >= EthereumFork.CANCUN
        self._rules = ethereum_rules(OWN_FORKS.get(fork, Fork.CANCUN), chain.schedule.chain_id)
        self._by_hash: dict[Hash32, Transaction] = {}

    async def submit(self, raw: bytes) -> Hash32:
        return self._take(raw)

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Hash32 | InvalidTransaction]:
        answers: list[Hash32 | InvalidTransaction] = []
        for raw in raws:
            try:
                answers.append(self._take(raw))
            except InvalidTransaction as error:
                answers.append(error)
        return answers

    def pending_nonce(self, address: Address) -> int | None:
        executable = self._split(address)[0]
        return executable[-1].nonce + 1 if executable else None

    def transaction(self, tx_hash: Hash32) -> Transaction | None:
        return self._by_hash.get(tx_hash)

    def pending(self) -> tuple[Transaction, ...]:
        return tuple(tx for entries in self.content().pending.values() for tx in entries)

    def content(self) -> PoolContent:
        senders = sorted({tx.sender for tx in self._by_hash.values()})
        split = {sender: self._split(sender) for sender in senders}
        return PoolContent(
            {sender: executable for sender, (executable, _) in split.items() if executable},
            {sender: waiting for sender, (_, waiting) in split.items() if waiting},
        )

    def status(self, tx_hash: Hash32) -> TransactionStatus | None:
        transaction = self._by_hash.get(tx_hash)
        if transaction is None:
            return None
        executable = transaction in self._split(transaction.sender)[0]
        return TransactionStatus(TransactionState.PENDING if executable else TransactionState.QUEUED)

    def _take(self, raw: bytes) -> Hash32:
        if len(raw) > MAX_BYTES:
            raise OversizedTransaction(f"oversized data: transaction size {len(raw)}, limit {MAX_BYTES}")
        transaction = decode_submitted_transaction(raw)
        if transaction.hash in self._by_hash:
            raise AlreadyKnown("already known")
        if len(self._by_hash) >= MAX_TRANSACTIONS:
            raise PoolFull("txpool is full")
        self._check(transaction)
        self._by_hash[transaction.hash] = transaction
        return transaction.hash

    def _check(self, transaction: Transaction) -> None:
        if transaction.type == BLOB and not self._has_blobs:
            raise UnsupportedTransactionType("transaction type not supported: 3")
        check_chain_id(transaction, self._chain.chain_id, allow_unprotected=False)
        check_static(transaction, self._rules, self._chain.head.gas_limit)
        sender = transaction.sender
        state = self._chain.state(self._chain.head_height())
        account = state.account(sender)
        nonce, balance = (0, 0) if account is None else (account.nonce, account.balance)
        if transaction.nonce < nonce:
            raise NonceTooLow(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        code = b"" if account is None else state.code(account.code_hash)
        if code and not code.startswith(DELEGATION_PREFIX):
            raise SenderHasCode(f"sender not an eoa: address {hex_address(sender)}")
        need = max_cost_of_gas(transaction) + transaction.value
        if balance < need:
            raise InsufficientFunds(
                f"insufficient funds for gas * price + value: balance {balance}, tx cost {need}, "
                f"overshot {need - balance}"
            )
        if transaction.max_priority_fee_per_gas < 1:
            raise InvalidTransaction("transaction underpriced: gas tip cap 0, minimum needed 1")

    def _split(self, sender: Address) -> tuple[list[Transaction], list[Transaction]]:
        """Return a sender's transactions that could follow the head now, and those that wait for a nonce."""
        own = sorted((tx for tx in self._by_hash.values() if tx.sender == sender), key=lambda tx: tx.nonce)
        account = self._chain.state(self._chain.head_height()).account(sender)
        following = 0 if account is None else account.nonce
        executable: list[Transaction] = []
        for position, transaction in enumerate(own):
            if transaction.nonce != following:
                return executable, own[position:]
            executable.append(transaction)
            following += 1
        return executable, []
