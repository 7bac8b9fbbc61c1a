"""`rpc.ports.TransactionPool` over the mempool and the transaction index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.mempool.reasons import State
from cybermiles.rpc.ports import PoolContent, TransactionState, TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.errors import InvalidTransaction
    from cybermiles.mempool.service import MempoolService
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.transaction import Transaction

_STATES = {
    State.PENDING: TransactionState.PENDING,
    State.QUEUED: TransactionState.QUEUED,
    State.INCLUDED: TransactionState.INCLUDED,
    State.DROPPED: TransactionState.DROPPED,
    State.REJECTED: TransactionState.DROPPED,
}


class PoolView:
    """What RPC sees of the pool."""

    def __init__(self, mempool: MempoolService) -> None:
        self._mempool = mempool

    def look_at(self, mempool: MempoolService) -> None:
        """See another pool from now on."""
        self._mempool = mempool

    async def submit(self, raw: bytes) -> Hash32:
        return await self._mempool.submit(raw)

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Hash32 | InvalidTransaction]:
        return await self._mempool.submit_batch(raws)

    def pending_nonce(self, address: Address) -> int | None:
        return self._mempool.pool.pending_nonce(address)

    def transaction(self, tx_hash: Hash32) -> Transaction | None:
        return self._mempool.pool.get(tx_hash)

    def pending(self) -> tuple[Transaction, ...]:
        senders = self._mempool.pool.senders.values()
        return tuple(entry.transaction for sender in senders for entry in sender.pending())

    def content(self) -> PoolContent:
        senders = self._mempool.pool.senders
        pending = {a: [e.transaction for e in s.pending()] for a, s in senders.items()}
        queued = {a: [e.transaction for e in s.queued()] for a, s in senders.items()}
        return PoolContent(
            {a: entries for a, entries in pending.items() if entries},
            {a: entries for a, entries in queued.items() if entries},
        )

    def status(self, tx_hash: Hash32) -> TransactionStatus | None:
        status = self._mempool.status(tx_hash)
        if status is None:
            return None
        return TransactionStatus(_STATES[status.state], status.reason or None)
