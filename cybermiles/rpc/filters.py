"""Filters that are polled: `eth_newFilter` and its relatives.

A block or log filter is a cursor: what changed is read from the chain between the cursor and the head, so
nothing is queued and nothing can be missed. Transactions that enter the pool go into one ring shared by all
pending-transaction filters. A filter nobody asks for is removed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.access import is_loopback
from cybermiles.rpc.block_references import Tag
from cybermiles.rpc.jsonrpc import LIMIT_EXCEEDED, SERVER_ERROR, RawJson, RpcError
from cybermiles.rpc.logs import find_logs, log_search, resolve_range, too_many_logs
from cybermiles.rpc.pacing import collect
from cybermiles.rpc.quantities import encode_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.logs import LogQuery
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.primitives import Hash32

PENDING_HASHES_KEPT = 20_000
"""Pool admissions remembered for pending-transaction filters; the oldest go first."""

BLOCK_HASHES_PER_ANSWER = 2_000
"""Hashes a block filter gives at once; the next request goes on from there."""


class IdSource:
    """Ids that nobody else can guess, as QUANTITY: whoever knows a filter's id may read and remove it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._count = 0

    def next(self) -> str:
        """Return a new 128-bit id."""
        self._count += 1
        return hex(int.from_bytes(keccak256(self._secret + self._count.to_bytes(8))[:16]))


@dataclass(slots=True)
class _Filter:
    remote: str
    """Who made it."""
    used: float
    """When it was last asked for."""
    cursor: int
    """The last height, or pool admission, it has answered."""
    query: LogQuery | None = None
    is_pending: bool = False


class FilterRegistry:
    """All filters of one server. Owned by the event loop."""

    def __init__(
        self,
        chain: ChainReader,
        executor: Executor,
        *,
        serializer: Serializer,
        limits: RpcLimits,
        ids: IdSource,
        clock: Clock,
    ) -> None:
        self._chain = chain
        self._executor = executor
        self._serializer = serializer
        self._limits = limits
        self._ids = ids
        self._clock = clock
        self._filters: dict[str, _Filter] = {}
        self._admitted: deque[Hash32] = deque(maxlen=PENDING_HASHES_KEPT)
        self._admissions = 0

    def __len__(self) -> int:
        return len(self._filters)

    def add_blocks(self, remote: str) -> str:
        """Install a filter for new block hashes; return its id."""
        return self._add(_Filter(remote, self._clock.monotonic(), self._chain.head_height()))

    def add_logs(self, remote: str, query: LogQuery) -> str:
        """Install a filter for logs of new blocks; return its id."""
        now = self._clock.monotonic()
        return self._add(_Filter(remote, now, self._chain.head_height(), query))

    def add_pending(self, remote: str) -> str:
        """Install a filter for hashes of transactions entering the pool; return its id."""
        now = self._clock.monotonic()
        return self._add(_Filter(remote, now, self._admissions, is_pending=True))

    def remove(self, filter_id: str) -> bool:
        """Remove a filter; False where there is none."""
        return self._filters.pop(filter_id, None) is not None

    def admitted(self, hashes: Sequence[Hash32]) -> None:
        """Note transactions that entered the pool."""
        self._admitted.extend(hashes)
        self._admissions += len(hashes)

    def taken_back(self, height: int) -> None:
        """Let block and log filters go on from `height`: what they answered above is of no block any more."""
        for entry in self._filters.values():
            if not entry.is_pending:
                entry.cursor = min(entry.cursor, height)

    async def changes(self, filter_id: str) -> Json:
        """Return what is new since the last time."""
        entry = self._get(filter_id)
        if entry.is_pending:
            return self._new_hashes(entry)
        head = self._chain.head_height()
        first = entry.cursor + 1
        if entry.query is None:
            last = min(head, entry.cursor + min(self._limits.logs_max_blocks, BLOCK_HASHES_PER_ANSWER))
            entry.cursor = last
            return await self._block_hashes(first, last)
        return await self._new_logs(entry, entry.query, first, head)

    async def logs(self, filter_id: str) -> Json:
        """Return every log a log filter's query covers, as `eth_getLogs` would."""
        query = self._get(filter_id).query
        if query is None:
            raise _not_found()
        heights = resolve_range(self._chain, query, self._limits)
        return await find_logs(self._executor, log_search(query, heights, self._serializer, self._limits))

    def expire(self) -> None:
        """Remove the filters that were idle for too long."""
        oldest = self._clock.monotonic() - self._limits.filter_idle_seconds
        for filter_id in [key for key, entry in self._filters.items() if entry.used < oldest]:
            del self._filters[filter_id]

    def _add(self, entry: _Filter) -> str:
        self.expire()
        limits = self._limits
        if len(self._filters) >= limits.filters_max:
            raise RpcError(LIMIT_EXCEEDED, f"too many filters: {limits.filters_max} (rpc.filters_max)")
        if not is_loopback(entry.remote):
            own = sum(other.remote == entry.remote for other in self._filters.values())
            if own >= limits.filters_per_ip_max:
                raise RpcError(
                    LIMIT_EXCEEDED,
                    f"too many filters: {limits.filters_per_ip_max} (rpc.filters_per_ip_max)",
                )
        filter_id = self._ids.next()
        self._filters[filter_id] = entry
        return filter_id

    def _get(self, filter_id: str) -> _Filter:
        self.expire()
        entry = self._filters.get(filter_id)
        if entry is None:
            raise _not_found()
        entry.used = self._clock.monotonic()
        return entry

    def _new_hashes(self, entry: _Filter) -> list[Json]:
        oldest = self._admissions - len(self._admitted)
        start = max(entry.cursor, oldest) - oldest
        entry.cursor = self._admissions
        return [encode_data(tx_hash) for tx_hash in islice(self._admitted, start, None)]

    async def _block_hashes(self, first: int, last: int) -> list[Json]:
        headers = (self._chain.header(height) for height in range(first, last + 1))
        return await collect(encode_data(header.hash) for header in headers if header is not None)

    async def _new_logs(self, entry: _Filter, query: LogQuery, first: int, head: int) -> Json:
        if not isinstance(query.first, Tag):
            first = max(first, query.first)
        last = head if isinstance(query.last, Tag) else min(head, query.last)
        last = min(last, first + self._limits.logs_max_blocks - 1)
        if first > last:
            return []
        found = await self._executor.run(log_search(query, (first, last), self._serializer, self._limits))
        if found.obstacle is not None and found.next_height == first:
            entry.cursor = max(entry.cursor, first)
            raise too_many_logs(found.obstacle, first, first)
        entry.cursor = max(entry.cursor, found.next_height - 1)
        return RawJson(found.json)


def _not_found() -> RpcError:
    return RpcError(SERVER_ERROR, "filter not found")
