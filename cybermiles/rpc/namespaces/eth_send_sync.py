"""`eth_sendRawTransactionSync` (EIP-7966): submit and wait for the receipt, which on this chain is final."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cybermiles.errors import InvalidTransaction
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_count, parse_data
from cybermiles.types.events import BlockCommitted, TransactionDropped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import Events, TransactionPool
    from cybermiles.types.primitives import Hash32

NOT_INCLUDED_IN_TIME = 4
"""The EIP's code; the transaction stays in the pool, and `data` has its hash."""


class EthSendSync:
    """The part of the eth namespace that waits for blocks."""

    def __init__(
        self, pool: TransactionPool, events: Events, receipt: Callable[[Hash32], Awaitable[Json]], limits: RpcLimits
    ) -> None:
        """`receipt` returns a committed transaction's receipt, None for any other."""
        self._pool = pool
        self._events = events
        self._receipt = receipt
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        params = (Param(parse_data), Param(parse_count, default=self._limits.send_sync_max_ms))
        return (Method(name="eth_sendRawTransactionSync", handler=self.send, params=params, weight=5),)

    async def send(self, raw: bytes, wait_ms: int) -> Json:
        """Submit a transaction and return its receipt. Raises RpcError where no block takes it in time."""
        wait_ms = min(wait_ms, self._limits.send_sync_max_ms)
        tx_hash = await self._pool.submit(raw)
        try:
            async with asyncio.timeout(wait_ms / 1000):
                return await self._included(tx_hash)
        except TimeoutError:
            raise RpcError(
                NOT_INCLUDED_IN_TIME,
                f"The transaction was added to the mempool but wasn't processed within {wait_ms} ms",
                encode_data(tx_hash),
            ) from None

    async def _included(self, tx_hash: Hash32) -> Json:
        """Return the receipt once there is one. What is committed after this looks is published after it listens."""
        receipt = await self._receipt(tx_hash)
        if receipt is not None:
            return receipt
        async for event in self._events.subscribe():
            if isinstance(event, TransactionDropped) and event.hash == tx_hash:
                raise InvalidTransaction(f"transaction dropped: {event.reason}")
            if isinstance(event, BlockCommitted):
                receipt = await self._receipt(tx_hash)
                if receipt is not None:
                    return receipt
        raise TimeoutError
