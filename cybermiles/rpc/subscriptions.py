"""`eth_subscribe`: what happens on the chain, pushed to WebSocket connections.

    types/events ─► SubscriptionHub.publish ─► encode once ─► Connection.push for each subscriber

The hub never waits: a connection has a bounded queue, and one that cannot keep up is closed by itself. Logs
are matched against each query; heads and transactions are encoded once for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from cybermiles.rpc.jsonrpc import INVALID_PARAMS, LIMIT_EXCEEDED, RpcError, encode_notification
from cybermiles.rpc.pacing import give_way
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.serializers import progress_fields
from cybermiles.types.events import BlockCommitted, TransactionsAdmitted
from cybermiles.types.primitives import ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.filters import FilterRegistry, IdSource
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.logs import LogQuery
    from cybermiles.rpc.methods import Connection
    from cybermiles.rpc.ports import NodeInfo
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.events import Event
    from cybermiles.types.receipt import Log


WORK_PER_TURN, PUSH_WORK = 2_000, 30
"""Logs compared before other tasks get their turn, about two milliseconds; and how many a push counts for."""


class Kind(StrEnum):
    """What can be subscribed to."""

    NEW_HEADS = "newHeads"
    LOGS = "logs"
    PENDING_TRANSACTIONS = "newPendingTransactions"
    SYNCING = "syncing"


def parse_kind(value: Json) -> Kind:
    """Return the subscription's kind. Raises RpcError as geth words it."""
    try:
        return Kind(str(value))
    except ValueError:
        shown = str(value)[:64]
        raise RpcError(INVALID_PARAMS, f'no "{shown}" subscription in eth namespace') from None


@dataclass(slots=True)
class _Subscription:
    connection: Connection
    query: LogQuery | None
    full_transactions: bool
    is_active: bool = False


class SubscriptionHub:
    """All subscriptions of one server. Owned by the event loop."""

    def __init__(
        self,
        *,
        serializer: Serializer,
        limits: RpcLimits,
        ids: IdSource,
        filters: FilterRegistry,
        info: NodeInfo,
    ) -> None:
        self._serializer = serializer
        self._limits = limits
        self._ids = ids
        self._filters = filters
        self._info = info
        self._was_syncing = False
        self._by_kind: dict[Kind, dict[str, _Subscription]] = {kind: {} for kind in Kind}

    def __len__(self) -> int:
        return sum(map(len, self._by_kind.values()))

    def add(
        self,
        connection: Connection,
        kind: Kind,
        *,
        query: LogQuery | None = None,
        full_transactions: bool = False,
    ) -> str:
        """Return the id of a new subscription; nothing is sent before `activate`."""
        own = sum(
            entry.connection is connection
            for subscriptions in self._by_kind.values()
            for entry in subscriptions.values()
        )
        if len(self) >= self._limits.subscriptions_max:
            limit = self._limits.subscriptions_max
            raise RpcError(LIMIT_EXCEEDED, f"too many subscriptions: {limit} (rpc.subscriptions_max)")
        limit = self._limits.subscriptions_per_connection_max
        if own >= limit:
            raise RpcError(
                LIMIT_EXCEEDED,
                f"too many subscriptions: {limit} (rpc.subscriptions_per_connection_max)",
            )
        subscription_id = self._ids.next()
        self._by_kind[kind][subscription_id] = _Subscription(connection, query, full_transactions)
        return subscription_id

    def activate(self, subscription_id: str) -> None:
        """Start sending, now that the subscriber knows the id."""
        for subscriptions in self._by_kind.values():
            if subscription_id in subscriptions:
                subscriptions[subscription_id].is_active = True

    def remove(self, connection: Connection, subscription_id: str) -> bool:
        """End one of a connection's own subscriptions; False where it has none of this id."""
        for subscriptions in self._by_kind.values():
            entry = subscriptions.get(subscription_id)
            if entry is not None and entry.connection is connection:
                del subscriptions[subscription_id]
                return True
        return False

    def drop(self, connection: Connection) -> None:
        """Forget a closed connection."""
        for subscriptions in self._by_kind.values():
            own = [key for key, entry in subscriptions.items() if entry.connection is connection]
            for key in own:
                del subscriptions[key]

    async def publish(self, event: Event) -> None:
        """Tell every subscriber, and the polled filters, of one event; gives way between subscribers of logs."""
        if isinstance(event, BlockCommitted):
            self._filters.expire()
            self._publish_head(event)
            self._publish_progress()
            await self._publish_logs(event)
        elif isinstance(event, TransactionsAdmitted):
            self._filters.admitted([transaction.hash for transaction in event.transactions])
            self._publish_transactions(event)

    def _of(self, kind: Kind) -> list[tuple[str, _Subscription]]:
        return [(key, entry) for key, entry in self._by_kind[kind].items() if entry.is_active]

    def _publish_head(self, event: BlockCommitted) -> None:
        subscribers = self._of(Kind.NEW_HEADS)
        if subscribers:
            head = orjson.dumps(self._serializer.header(event.block.header))
            for key, entry in subscribers:
                entry.connection.push(encode_notification(key, head))

    def _publish_progress(self) -> None:
        """Tell who wants to know when the node falls behind, and when it has caught up."""
        progress = self._info.syncing
        if self._was_syncing == (progress is not None):
            return
        self._was_syncing = progress is not None
        state: Json = False if progress is None else {"syncing": True, "status": progress_fields(progress)}
        encoded = orjson.dumps(state)
        for key, entry in self._of(Kind.SYNCING):
            entry.connection.push(encode_notification(key, encoded))

    def _publish_transactions(self, event: TransactionsAdmitted) -> None:
        subscribers = self._of(Kind.PENDING_TRANSACTIONS)
        for transaction in event.transactions if subscribers else ():
            encoded: dict[bool, bytes] = {}
            for key, entry in subscribers:
                full = entry.full_transactions
                if full not in encoded:
                    encoded[full] = orjson.dumps(
                        self._serializer.pooled(transaction) if full else encode_data(transaction.hash)
                    )
                entry.connection.push(encode_notification(key, encoded[full]))

    async def _publish_logs(self, event: BlockCommitted) -> None:
        """Push logs one by one, so that whoever reads them has time to, and encode each once for everybody."""
        wanted: dict[LogQuery, list[tuple[str, Connection]]] = {}
        for key, entry in self._of(Kind.LOGS) if any(event.logs) else ():
            if entry.query is not None:
                wanted.setdefault(entry.query, []).append((key, entry.connection))
        encoded: dict[int, bytes] = {}
        active, work = self._by_kind[Kind.LOGS], 0
        for query, subscribers in wanted.items():
            for position, index, log in _placed(event):
                work += 1
                if query.matches(log):
                    if position not in encoded:
                        encoded[position] = self._encoded(event, position, index, log)
                    for key, connection in subscribers:
                        if key in active:
                            connection.push(encode_notification(key, encoded[position]))
                    work += PUSH_WORK * len(subscribers)
                if work >= WORK_PER_TURN:
                    work = 0
                    await give_way()

    def _encoded(self, event: BlockCommitted, position: int, index: int, log: Log) -> bytes:
        block = event.block
        tx_hash = block.transactions[index].hash if index < len(block.transactions) else ZERO_HASH
        (shown,) = self._serializer.logs(block.header, tx_hash, index, ((position, log),))
        return orjson.dumps(shown)


def _placed(event: BlockCommitted) -> Iterator[tuple[int, int, Log]]:
    """Yield a block's logs with their positions in it and the indices of their transactions."""
    position = 0
    for index, logs in enumerate(event.logs):
        for log in logs:
            yield position, index, log
            position += 1
