"""The pool: per-sender nonce queues, replacement, limits, eviction. Pure; `now` and account states are arguments.

A sender's transactions are kept by nonce. Those that continue the account's nonce without a gap are *pending*
(executable), the rest *queued*. One that offers less than the price floor is *free*: it waits for a slot of the free
lane or is paid for by a sponsor's deposit; free ones have their own cap and never push out a paying one.

    add ──► [replace same nonce] ──► [evict when full] ──► pending or queued
    committed(nonces, balances) ──► drop used and unaffordable, keep the rest
    expire(now) ──► drop the old
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.errors import (
    AlreadyKnown,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
    PoolFull,
    ReplacementUnderpriced,
)
from cybermiles.mempool.eviction import EvictionOrder, rank_of
from cybermiles.mempool.promises import Promises
from cybermiles.vm.validity import cannot_pay, max_cost_of_gas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cybermiles.chain.params import ChainParams
    from cybermiles.mempool.limits import PoolLimits
    from cybermiles.sponsorship.lane import Promised
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.transaction import Transaction


@dataclass(slots=True)
class Entry:
    """A pooled transaction."""

    transaction: Transaction
    is_free: bool
    added: int
    """Seconds."""
    order: int
    """Arrival."""
    replacements: int = 0
    """How many free transactions of this nonce came before it."""
    is_sponsored: bool = False
    """Whether a sponsor's deposit covers it; one over the free gas limit is in the pool for that reason alone."""


@dataclass(slots=True)
class Sender:
    """One account's transactions and what the chain says of it."""

    nonce: int
    balance: int
    entries: dict[int, Entry] = field(default_factory=dict)
    """By nonce."""
    next_nonce: int = 0
    """First nonce that is not pending."""

    def pending(self) -> Iterator[Entry]:
        """Yield executable entries in nonce order."""
        for nonce in range(self.nonce, self.next_nonce):
            yield self.entries[nonce]

    def queued(self) -> Iterator[Entry]:
        """Yield entries behind a gap in nonce order."""
        for nonce in sorted(self.entries):
            if nonce >= self.next_nonce:
                yield self.entries[nonce]

    def settle(self) -> None:
        """Recompute where the executable run ends."""
        nonce = max(self.next_nonce, self.nonce)
        while nonce in self.entries:
            nonce += 1
        self.next_nonce = nonce


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction that left the pool without a block."""

    hash: Hash32
    reason: str


class Pool:
    """All pending and queued transactions. One task owns it."""

    def __init__(self, limits: PoolLimits, params: ChainParams) -> None:
        self.limits = limits
        self.params = params
        self.senders: dict[Address, Sender] = {}
        self.promises = Promises()
        self._by_hash: dict[Hash32, Entry] = {}
        self._by_bytes: dict[bytes, Transaction] = {}
        self._arrivals = 0
        self._order_of_eviction = EvictionOrder()
        self.size_bytes = 0
        self.free_count = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, tx_hash: Hash32) -> Transaction | None:
        """Return a pooled transaction by its hash."""
        entry = self._by_hash.get(tx_hash)
        return None if entry is None else entry.transaction

    def find(self, raw: bytes) -> Transaction | None:
        """Return a pooled transaction by its wire bytes: ten times faster than by a hash that is still to be made."""
        return self._by_bytes.get(raw)

    def is_free(self, transaction: Transaction) -> bool:
        """Whether it can only be included free of charge, or at a sponsor's."""
        return transaction.effective_gas_price(0) < self.params.min_gas_price

    def promised_before(self, transaction: Transaction) -> Promised:
        """Return what the pool counts on of the deposit for a newcomer's target, without what it would replace."""
        sender = self.senders.get(transaction.sender)
        return self.promises.before(transaction, None if sender is None else sender.entries.get(transaction.nonce))

    def is_pending(self, transaction: Transaction) -> bool:
        """Whether a pooled transaction can execute now."""
        return transaction.nonce < self.senders[transaction.sender].next_nonce

    def holds(self, entry: Entry) -> bool:
        """Whether this very entry is in the pool."""
        return self._by_hash.get(entry.transaction.hash) is entry

    def pending_nonce(self, address: Address) -> int | None:
        """Return the next nonce after the pending ones, None where the pool holds none of the account."""
        sender = self.senders.get(address)
        return None if sender is None else sender.next_nonce

    def add(
        self, transaction: Transaction, nonce: int, balance: int, now: int, *, is_sponsored: bool = False
    ) -> list[Dropped]:
        """Take a checked transaction of an account with this nonce and balance.

        Returns what it pushed out. Raises AlreadyKnown, NonceTooLow, NonceTooHigh, InsufficientFunds,
        ReplacementUnderpriced or PoolFull; the pool is then unchanged.
        """
        if transaction.hash in self._by_hash:
            raise AlreadyKnown("already known")
        if transaction.nonce < nonce:
            raise NonceTooLow(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        is_free = self.is_free(transaction)
        self._check_funds(transaction, balance)
        sender = self.senders.get(transaction.sender)
        if sender is None:
            sender = Sender(nonce, balance, next_nonce=nonce)
        old = sender.entries.get(transaction.nonce)
        if old is None:
            self._check_sender_room(sender, transaction)
        else:
            self._check_replacement(old, transaction, is_free=is_free)
        replacements = old.replacements + 1 if old is not None and old.is_free and is_free else 0
        entry = Entry(transaction, is_free, now, self._arrivals, replacements, is_sponsored)
        dropped = self._make_room(entry, sender, old)
        if old is not None and old.transaction.hash in self._by_hash:
            dropped.append(Dropped(old.transaction.hash, "replaced by " + _hex(transaction)))
            self._forget(old)
        self._arrivals += 1
        self._order_of_eviction.arrived()
        self.senders[transaction.sender] = sender
        sender.entries[transaction.nonce] = entry
        self._remember(entry)
        sender.settle()
        return dropped

    def committed(self, included: Iterable[Transaction], accounts: dict[Address, tuple[int, int]]) -> list[Dropped]:
        """Apply a block: drop what it included and what its senders' new (nonce, balance) rule out."""
        hashes = {transaction.hash: None for transaction in included}
        dropped: list[Dropped] = []
        for address, (nonce, balance) in accounts.items():
            sender = self.senders.get(address)
            if sender is None:
                continue
            sender.nonce, sender.balance = nonce, balance
            for used in [n for n in sender.entries if n < nonce]:
                entry = sender.entries[used]
                if entry.transaction.hash not in hashes:
                    dropped.append(Dropped(entry.transaction.hash, f"nonce {used} was used by another transaction"))
                self._remove(address, sender, entry)
            sender.next_nonce = max(sender.next_nonce, nonce)
            dropped += self._drop_unaffordable(address, sender)
            self._tidy(address, sender)
        return dropped

    def adopt(self, params: ChainParams) -> list[Dropped]:
        """Go by these parameters from now on; drop what they admit no more."""
        if params == self.params:
            return []
        self.params = params
        dropped: list[Dropped] = []
        self.free_count = 0
        for entry in self._by_hash.values():
            entry.is_free = self.is_free(entry.transaction)
            self.free_count += entry.is_free
        for entry in tuple(self._by_hash.values()):
            transaction = entry.transaction
            is_large = transaction.gas_limit > params.free_gas_limit
            if transaction.gas_limit > params.block_gas_limit or (
                entry.is_free and is_large and not entry.is_sponsored
            ):
                dropped.append(Dropped(transaction.hash, "the chain's parameters changed and do not admit it any more"))
                self._drop(entry)
        return dropped

    def drop_senders(self, addresses: Iterable[Address], reason: str) -> list[Dropped]:
        """Drop all transactions of these accounts."""
        dropped: list[Dropped] = []
        for address in addresses:
            sender = self.senders.get(address)
            for entry in () if sender is None else tuple(sender.entries.values()):
                dropped.append(Dropped(entry.transaction.hash, reason))
                self._drop(entry)
        return dropped

    def recheck_promises(self, target: Address, *, largest: int, gas: int) -> list[Dropped]:
        """Count no more on a deposit than it covers now: gas limits up to `largest`, and `gas` altogether."""
        dropped: list[Dropped] = []
        for entry in tuple(self.promises.broken(target, largest=largest, gas=gas)):
            if entry.transaction.gas_limit > self.params.free_gas_limit:
                dropped.append(Dropped(entry.transaction.hash, "the recipient's sponsor does not pay for it any more"))
                self._drop(entry)
            else:
                self.promises.remove(entry)
                entry.is_sponsored = False
        return dropped

    def expire(self, now: int) -> list[Dropped]:
        """Drop transactions that waited longer than their lifetime."""
        limits = self.limits
        dropped: list[Dropped] = []
        for entry in tuple(self._by_hash.values()):
            age = now - entry.added
            if age < min(limits.free_lifetime_seconds, limits.lifetime_seconds):
                continue
            short = entry.is_free or not self.is_pending(entry.transaction)
            lifetime = limits.free_lifetime_seconds if short else limits.lifetime_seconds
            if age >= lifetime:
                dropped.append(Dropped(entry.transaction.hash, f"not included within {lifetime} seconds"))
                self._drop(entry)
        return dropped

    def discard(self, tx_hash: Hash32) -> None:
        """Drop a transaction that the builder found it cannot execute."""
        entry = self._by_hash.get(tx_hash)
        if entry is not None:
            self._drop(entry)

    def _check_funds(self, transaction: Transaction, balance: int) -> None:
        need = transaction.value
        if transaction.gas_limit > self.params.free_gas_limit and not self.is_free(transaction):
            need += max_cost_of_gas(transaction)
        if balance < need:
            raise cannot_pay(transaction.sender, balance, need)

    def _check_sender_room(self, sender: Sender, transaction: Transaction) -> None:
        if transaction.nonce == sender.next_nonce:
            if sender.next_nonce - sender.nonce >= self.limits.max_pending_per_sender:
                raise PoolFull(
                    f"account limit exceeded: {self.limits.max_pending_per_sender} pending transactions of "
                    "one account (mempool.max_pending_per_sender)"
                )
            return
        queued = len(sender.entries) - (sender.next_nonce - sender.nonce)
        if queued >= self.limits.max_queued_per_sender:
            raise PoolFull(
                f"account limit exceeded: {self.limits.max_queued_per_sender} transactions of one account "
                "behind a nonce gap (mempool.max_queued_per_sender)"
            )
        if transaction.nonce > sender.next_nonce + self.limits.max_pending_per_sender:
            raise NonceTooHigh(f"nonce too high: next nonce {sender.next_nonce}, tx nonce {transaction.nonce}")

    def _check_replacement(self, old: Entry, transaction: Transaction, *, is_free: bool) -> None:
        if old.is_free and is_free:
            if old.replacements >= self.limits.free_replacements:
                raise ReplacementUnderpriced(
                    "replacement transaction underpriced: a free transaction may be replaced "
                    f"{self.limits.free_replacements} times (mempool.free_replacements); offer the price floor"
                )
            return
        bump = 100 + self.limits.price_bump_percent
        before = old.transaction
        if (
            transaction.max_fee_per_gas * 100 < before.max_fee_per_gas * bump
            or transaction.max_priority_fee_per_gas * 100 < before.max_priority_fee_per_gas * bump
        ):
            raise ReplacementUnderpriced(
                f"replacement transaction underpriced: both fees must rise by {self.limits.price_bump_percent} %"
            )

    def _make_room(self, newcomer: Entry, sender: Sender, old: Entry | None) -> list[Dropped]:
        """Push out what the newcomer is worth more than, until it fits. Raises PoolFull where it never does."""
        limits = self.limits
        count = len(self._by_hash) - (old is not None)
        size = self.size_bytes - (0 if old is None else old.transaction.size) + newcomer.transaction.size
        free = self.free_count - (old is not None and old.is_free) + newcomer.is_free

        def fits() -> bool:
            return count < limits.max_transactions and size <= limits.max_bytes and free <= limits.max_free

        dropped: list[Dropped] = []
        if fits():
            return dropped
        rank = rank_of(newcomer, sender)
        for victim in self._order_of_eviction.worse_than(rank, self, only_free=free > limits.max_free):
            if victim.transaction.sender == newcomer.transaction.sender:
                continue
            count, size, free = count - 1, size - victim.transaction.size, free - victim.is_free
            dropped.append(Dropped(victim.transaction.hash, "the pool is full and others pay more"))
            if fits():
                for drop in dropped:
                    self._drop(self._by_hash[drop.hash])
                return dropped
        raise PoolFull("txpool is full: offer a higher price or try again later")

    def _drop_unaffordable(self, address: Address, sender: Sender) -> list[Dropped]:
        dropped = []
        for entry in tuple(sender.entries.values()):
            try:
                self._check_funds(entry.transaction, sender.balance)
            except InsufficientFunds as error:
                dropped.append(Dropped(entry.transaction.hash, str(error)))
                self._remove(address, sender, entry)
        return dropped

    def _drop(self, entry: Entry) -> None:
        address = entry.transaction.sender
        sender = self.senders[address]
        self._remove(address, sender, entry)
        self._tidy(address, sender)

    def _remove(self, address: Address, sender: Sender, entry: Entry) -> None:  # noqa: ARG002
        nonce = entry.transaction.nonce
        del sender.entries[nonce]
        if sender.nonce <= nonce < sender.next_nonce:
            sender.next_nonce = nonce
        self._forget(entry)

    def _tidy(self, address: Address, sender: Sender) -> None:
        if sender.entries:
            sender.settle()
        else:
            del self.senders[address]

    def _remember(self, entry: Entry) -> None:
        transaction = entry.transaction
        self._by_hash[transaction.hash] = entry
        self._by_bytes[transaction.raw] = transaction
        self.size_bytes += len(transaction.raw)
        self.free_count += entry.is_free
        if entry.is_sponsored:
            self.promises.add(entry)

    def _forget(self, entry: Entry) -> None:
        transaction = entry.transaction
        del self._by_hash[transaction.hash]
        del self._by_bytes[transaction.raw]
        self.size_bytes -= len(transaction.raw)
        self.free_count -= entry.is_free
        if entry.is_sponsored:
            self.promises.remove(entry)


def _hex(transaction: Transaction) -> str:
    return "0x" + transaction.hash.hex()
