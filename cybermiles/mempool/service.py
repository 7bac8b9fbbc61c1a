"""The pool as the node uses it: senders are recovered in threads by the batch, blocks update it, events leave it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import FEES
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import AlreadyKnown, InvalidSignature, InvalidTransaction
from cybermiles.mempool.admission import check_account, check_frozen
from cybermiles.mempool.ordering import ServedSenders, select
from cybermiles.mempool.reasons import Reasons, State, TransactionStatus
from cybermiles.mempool.recovery import SenderRecovery
from cybermiles.sponsorship.lane import NOTHING_PROMISED, covered_gas
from cybermiles.sponsorship.layout import changes_of
from cybermiles.types.account import EMPTY_ACCOUNT
from cybermiles.types.events import TransactionDropped, TransactionsAdmitted
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.mempool.admission import Admission
    from cybermiles.mempool.pool import Dropped, Pool
    from cybermiles.mempool.recovery import Threads
    from cybermiles.runtime.clock import Clock
    from cybermiles.state.reader import StateReader
    from cybermiles.types.block import Block
    from cybermiles.types.events import Event
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction

CANDIDATE_GAS_FACTOR = 4
"""Candidates ask for this many times a block's gas, because blocks count gas used and not gas limits."""


class MempoolService:
    """Owns the pool on the event loop."""

    def __init__(  # noqa: PLR0913  (each collaborator by name)
        self,
        *,
        pool: Pool,
        admission: Admission,
        head: Callable[[], StateReader],
        clock: Clock,
        threads: Threads,
        publish: Callable[[Event], None],
        frozen: tuple[Address, ...] = (),
    ) -> None:
        """Serve the pool above a head; `frozen` are the accounts that are frozen there."""
        self._pool = pool
        self._admission = admission
        self._head = head
        self._clock = clock
        self._recovery = SenderRecovery(threads)
        self._publish = publish
        self._frozen = frozen
        self._served = ServedSenders()
        self._reasons = Reasons(pool.limits.reasons_seconds, pool.limits.max_reasons)
        self._arrival = asyncio.Event()
        self._listeners: list[Callable[[Sequence[Transaction]], None]] = []
        self._admitted: list[Transaction] = []
        """Not told of yet."""
        self.refused_count = 0
        """Transactions refused at the door since the start."""

    @property
    def pool(self) -> Pool:
        """The pool, for reading."""
        return self._pool

    def listen(self, listener: Callable[[Sequence[Transaction]], None]) -> None:
        """Have the listener called, in the pool's task, with the transactions that are admitted from now on."""
        self._listeners.append(listener)

    def lookup(self, tx_hash: Hash32) -> Transaction | None:
        """Return a pooled transaction by its hash."""
        return self._pool.get(tx_hash)

    def find(self, raw: bytes) -> Transaction | None:
        """Return a pooled transaction by its wire bytes, with its sender. Any thread may ask."""
        return self._pool.find(raw)

    def pending(self) -> Iterator[Transaction]:
        """Yield the transactions that can execute, each sender's in nonce order."""
        for sender in self._pool.senders.values():
            for entry in sender.pending():
                yield entry.transaction

    async def submit(self, raw: bytes) -> Hash32:
        """Admit one transaction and return its hash. Raises the fitting InvalidTransaction."""
        result = (await self.submit_batch((raw,)))[0]
        if isinstance(result, InvalidTransaction):
            raise result
        return result

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Hash32 | InvalidTransaction]:
        """Admit many; each result is the hash or why it was refused, in order."""
        state, now = self._head(), self._now()
        decoded = [self._decode(raw, state, now) for raw in raws]
        fresh = [d for d in decoded if not isinstance(d, InvalidTransaction) and not d.has_sender]
        if fresh:
            await self._recovery.recover(fresh)
        state, now = self._head(), self._now()
        results = [
            result if isinstance(result, InvalidTransaction) else self._admit(result, state, now) for result in decoded
        ]
        self._tell()
        return results

    def candidates(self) -> Sequence[Transaction]:
        """Return what a block built now should try, in order."""
        params = self._pool.params
        return select(
            self._pool,
            self._served,
            max_gas=CANDIDATE_GAS_FACTOR * params.block_gas_limit,
            max_bytes=params.max_block_bytes,
        )

    async def wait_for_transactions(self) -> None:
        """Return as soon as a transaction can execute."""
        while not any(s.nonce < s.next_nonce for s in self._pool.senders.values()):
            self._arrival.clear()
            await self._arrival.wait()

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Forget what the block included and what it made impossible."""
        now = self._now()
        accounts = {
            address: (0, 0) if account is None else (account.nonce, account.balance)
            for address, account in outcome.root_update.accounts.items()
        }
        for transaction, result in zip(block.transactions, outcome.transactions, strict=True):
            if result.lane == 0:
                self._served.record(transaction.sender, block.height)
        self._drop(self._pool.committed(block.transactions, accounts), now)
        self._govern(outcome, now)
        self._recheck_sponsors(outcome, now)
        self._drop(self._pool.expire(now), now)
        self._reasons.expire(now)

    def status(self, tx_hash: Hash32) -> TransactionStatus | None:
        """Return where a transaction is in the pool, or why it is not there."""
        transaction = self._pool.get(tx_hash)
        if transaction is None:
            return self._reasons.get(tx_hash)
        return TransactionStatus(State.PENDING if self._pool.is_pending(transaction) else State.QUEUED)

    def _govern(self, outcome: BlockOutcome, now: int) -> None:
        """Follow what members decided: parameters and frozen accounts of the next block."""
        self._admission.adopt(outcome.next_params)
        self._drop(self._pool.adopt(outcome.next_params), now)
        self._frozen = outcome.frozen
        self._drop(self._pool.drop_senders(outcome.frozen, "account frozen by vote of the members"), now)

    def _recheck_sponsors(self, outcome: BlockOutcome, now: int) -> None:
        """Count no more on deposits that the block changed than they cover after it."""
        slots = outcome.changes.storage.get(FEES, {})
        price, state = self._pool.params.min_gas_price, self._head()
        for target in self._pool.promises.targets if slots else ():
            if changes_of(target, slots):
                largest, gas = covered_gas(state, target, price=price, time=now)
                self._drop(self._pool.recheck_promises(target, largest=largest, gas=gas), now)

    def _decode(self, raw: bytes, state: StateReader, now: int) -> Transaction | InvalidTransaction:
        try:
            transaction = self._admission.decode(raw)
            self._admission.check_lane(transaction, state, NOTHING_PROMISED, now)
            return transaction
        except InvalidTransaction as error:
            self._reject(Hash32(keccak256(raw)), error)
            return error

    def _admit(self, transaction: Transaction, state: StateReader, now: int) -> Hash32 | InvalidTransaction:
        try:
            if not transaction.has_sender:
                raise InvalidSignature("invalid sender: no key recovers from the signature")
            sender: Address = transaction.sender
            check_frozen(self._frozen, sender)
            account = state.account(sender) or EMPTY_ACCOUNT
            check_account(account, state, transaction)
            is_sponsored = self._pool.is_free(transaction) and self._is_sponsored(transaction, state, now)
            dropped = self._pool.add(transaction, account.nonce, account.balance, now, is_sponsored=is_sponsored)
        except AlreadyKnown as error:
            return error
        except InvalidTransaction as error:
            self._reject(transaction.hash, error)
            return error
        if dropped:
            self._tell()
            self._drop(dropped, now)
        self._admitted.append(transaction)
        return transaction.hash

    def _tell(self) -> None:
        """Tell of the transactions that were admitted since the last time."""
        if self._admitted:
            admitted, self._admitted = tuple(self._admitted), []
            self._arrival.set()
            self._publish(TransactionsAdmitted(admitted))
            for listener in self._listeners:
                listener(admitted)

    def _is_sponsored(self, transaction: Transaction, state: StateReader, now: int) -> bool:
        promised = self._pool.promised_before(transaction)
        return self._admission.is_sponsored(transaction, state, promised, now)

    def _drop(self, dropped: list[Dropped], now: int) -> None:
        for drop in dropped:
            self._reasons.record(drop.hash, TransactionStatus(State.DROPPED, drop.reason), now)
            self._publish(TransactionDropped(drop.hash, drop.reason))

    def _reject(self, tx_hash: Hash32, error: InvalidTransaction) -> None:
        self.refused_count += 1
        status = TransactionStatus(State.REJECTED, str(error))
        self._reasons.record(tx_hash, status, self._now())

    def _now(self) -> int:
        return self._clock.now_ms() // 1000
