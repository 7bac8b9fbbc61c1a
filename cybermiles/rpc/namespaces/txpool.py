"""`txpool_*`: what waits to be in a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.jsonrpc import response_too_large
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.pacing import ITEMS_PER_TURN, give_way
from cybermiles.rpc.quantities import encode_checksummed, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import PooledBySender, TransactionPool
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction


class TxPool:
    """The txpool namespace."""

    def __init__(self, pool: TransactionPool, serializer: Serializer, limits: RpcLimits) -> None:
        self._pool = pool
        self._serializer = serializer
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="txpool_status", handler=self.status),
            Method(name="txpool_content", handler=self.content, weight=10),
            Method(name="txpool_inspect", handler=self.inspect, weight=10),
            Method(
                name="txpool_contentFrom",
                handler=self.content_from,
                params=(Param(parse_address),),
            ),
        )

    def status(self) -> Json:
        """Count executable and waiting transactions."""
        content = self._pool.content()
        return {"pending": _count(content.pending), "queued": _count(content.queued)}

    async def content(self) -> Json:
        """Return every pooled transaction, by sender and nonce; too large a pool is not rendered."""
        pooled = self._pool.content()
        size = 2 * sum(
            len(transaction.raw)
            for senders in (pooled.pending, pooled.queued)
            for transactions in senders.values()
            for transaction in transactions
        )
        if size > self._limits.response_max_bytes:
            raise response_too_large(size, self._limits.response_max_bytes)
        return await self._rendered(self._serializer.pooled)

    async def inspect(self) -> Json:
        """Return one readable line for each pooled transaction, by sender and nonce."""
        return await self._rendered(_summary)

    def content_from(self, address: Address) -> Json:
        """Return one sender's pooled transactions, by nonce."""
        content = self._pool.content()
        render = self._serializer.pooled
        return {
            "pending": _by_nonce(content.pending.get(address, ()), render),
            "queued": _by_nonce(content.queued.get(address, ()), render),
        }

    async def _rendered(self, render: Callable[[Transaction], Json]) -> Json:
        content = self._pool.content()
        return {
            "pending": await _by_sender(content.pending, render),
            "queued": await _by_sender(content.queued, render),
        }


def _count(pooled: PooledBySender) -> str:
    return hex(sum(map(len, pooled.values())))


async def _by_sender(pooled: PooledBySender, render: Callable[[Transaction], Json]) -> Json:
    answer: dict[str, Json] = {}
    rendered = 0
    for sender, transactions in pooled.items():
        answer[encode_checksummed(sender)] = _by_nonce(transactions, render)
        rendered += len(transactions)
        if rendered >= ITEMS_PER_TURN:
            rendered = 0
            await give_way()
    return answer


def _by_nonce(transactions: Sequence[Transaction], render: Callable[[Transaction], Json]) -> Json:
    return {str(transaction.nonce): render(transaction) for transaction in transactions}


def _summary(transaction: Transaction) -> str:
    to = "contract creation" if transaction.to is None else encode_checksummed(transaction.to)
    return f"{to}: {transaction.value} wei + {transaction.gas_limit} gas x {transaction.max_fee_per_gas} wei"
