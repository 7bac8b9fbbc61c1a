"""`eth_getLogs`, polled filters and subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from cybermiles.rpc.logs import LogQuery, find_logs, log_search, resolve_range
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import parse_bool
from cybermiles.rpc.schemas import filter_parser
from cybermiles.rpc.subscriptions import Kind, parse_kind

if TYPE_CHECKING:
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.filters import FilterRegistry
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.methods import Connection, Context
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.rpc.subscriptions import SubscriptionHub


class EthFilters:
    """The part of the eth namespace that finds and follows logs, blocks and transactions."""

    def __init__(
        self,
        chain: ChainReader,
        executor: Executor,
        filters: FilterRegistry,
        hub: SubscriptionHub,
        serializer: Serializer,
        limits: RpcLimits,
    ) -> None:
        self._chain = chain
        self._executor = executor
        self._filters = filters
        self._hub = hub
        self._serializer = serializer
        self._limits = limits
        self._parse_query = filter_parser(limits)

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        query, own = (Param(self._parse_query),), (Param(parse_id),)
        return (
            Method(name="eth_getLogs", handler=self.get_logs, params=query, weight=10),
            Method(name="eth_newFilter", handler=self.new_filter, params=query, with_context=True),
            Method(name="eth_newBlockFilter", handler=self.new_block_filter, with_context=True),
            Method(
                name="eth_newPendingTransactionFilter",
                handler=self.new_pending_filter,
                params=(Param(parse_bool, default=False),),
                with_context=True,
            ),
            Method(name="eth_getFilterChanges", handler=self._filters.changes, params=own),
            Method(name="eth_getFilterLogs", handler=self._filters.logs, params=own, weight=10),
            Method(name="eth_uninstallFilter", handler=self._filters.remove, params=own),
            Method(
                name="eth_subscribe",
                handler=self.subscribe,
                params=(Param(parse_kind), Param(parse_anything, default=None)),
                with_context=True,
            ),
            Method(name="eth_unsubscribe", handler=self.unsubscribe, params=own, with_context=True),
        )

    async def get_logs(self, query: LogQuery) -> Json:
        """Return the logs of committed blocks that match."""
        heights = resolve_range(self._chain, query, self._limits)
        return await find_logs(self._executor, log_search(query, heights, self._serializer, self._limits))

    def new_filter(self, context: Context, query: LogQuery) -> str:
        """Install a log filter."""
        return self._filters.add_logs(context.remote, query)

    def new_block_filter(self, context: Context) -> str:
        """Install a filter for new blocks."""
        return self._filters.add_blocks(context.remote)

    def new_pending_filter(self, context: Context, full: bool) -> str:  # noqa: FBT001  (RPC's)
        """Install a filter for the hashes of new pooled transactions."""
        if full:
            raise RpcError(INVALID_PARAMS, "filters answer hashes; subscribe for full transactions instead")
        return self._filters.add_pending(context.remote)

    def subscribe(self, context: Context, kind: Kind, argument: Json) -> str:
        """Begin to push events to the caller's connection; return the subscription's id."""
        connection = _connection(context)
        try:
            query = self._parse_query(argument or {}) if kind is Kind.LOGS else None
            full = kind is Kind.PENDING_TRANSACTIONS and parse_bool(argument or False)
        except ValueError as error:
            raise RpcError(INVALID_PARAMS, f"invalid argument 1: {error}") from None
        own = self._hub.add(connection, kind, query=query, full_transactions=full)
        context.after_answer.append(lambda: self._hub.activate(own))
        return own

    def unsubscribe(self, context: Context, subscription: str) -> bool:
        """End one of the caller's subscriptions."""
        return self._hub.remove(_connection(context), subscription)


def _connection(context: Context) -> Connection:
    if context.connection is None:
        raise RpcError(METHOD_NOT_FOUND, "notifications not supported: connect by WebSocket")
    return context.connection


def parse_id(value: Json) -> str:
    """Return the id of a filter or a subscription."""
    if not isinstance(value, str):
        raise ValueError("an id is a hex string")  # noqa: TRY004
    return value.lower()


def parse_anything(value: Json) -> Json:
    """Return it as it is: what it may be depends on another argument."""
    return value
