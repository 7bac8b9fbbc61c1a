"""Log queries: what matches, and the search over committed blocks.

The chain's index names candidate heights; a candidate's logs decide. A search is a job and runs off the event loop. It
stops at the first limit it meets with an error that names the limit and a range that would have been answered, so
that a caller can go on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import orjson

from cybermiles.rpc.block_references import Tag, find_height
from cybermiles.rpc.jsonrpc import INVALID_PARAMS, LIMIT_EXCEEDED, SERVER_ERROR, RawJson, RpcError

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockNumber
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.receipt import Log


_ENVELOPE_BYTES = 256
"""What an answer has around its array: the answer as a whole has a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which logs are wanted."""

    first: BlockNumber = Tag.LATEST
    last: BlockNumber = Tag.LATEST
    block_hash: Hash32 | None = None
    """One block instead of the range."""
    addresses: tuple[Address, ...] = ()
    """Any of them; none means every address."""
    topics: tuple[tuple[Hash32, ...], ...] = ()
    """At each position any of the alternatives; none means every topic, but there must be one."""

    def matches(self, log: Log) -> bool:
        """Whether a log is wanted, wherever it is."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


def resolve_range(chain: ChainReader, query: LogQuery, limits: RpcLimits) -> tuple[int, int]:
    """Return the committed heights a query covers, (1, 0) for none. Raises RpcError."""
    if query.block_hash is not None:
        height = chain.height_of(query.block_hash)
        if height is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return height, height
    head = chain.head_height()
    first, last = _height(chain, query.first), _height(chain, query.last)
    if first > last:
        raise RpcError(INVALID_PARAMS, f"invalid block range params: {first} is after {last}")
    if first > head:
        return 1, 0
    last = min(last, head)
    if last and chain.header(max(first, 1)) is None:
        raise RpcError(
            SERVER_ERROR,
            f"pruned history unavailable: this node has no block {max(first, 1)}; it began with a snapshot, and "
            "eth_capabilities says from where on it has logs",
        )
    limit = limits.logs_max_blocks
    if last - first >= limit:
        raise RpcError(
            LIMIT_EXCEEDED,
            f"block range of {last - first + 1} blocks is over the limit of {limit} "
            f"(rpc.logs_max_blocks): {_try(first, first + limit - 1)}",
        )
    return first, last


def _height(chain: ChainReader, number: BlockNumber) -> int:
    if isinstance(number, Tag):
        return find_height(chain, number) or 0
    return number


class FoundLogs(NamedTuple):
    """What a search found, as far as it came."""

    json: bytes
    """A JSON array."""
    next_height: int
    """The first height not searched."""
    obstacle: str | None
    """The limit that stopped it, None where it came to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSearch:
    """A `rpc.jobs.Job`: the logs of an inclusive range of committed heights, as far as the limits allow.

    Logs are rendered one by one as they are found, and what is kept is bytes, so the memory it takes is the answer's.
    """

    query: LogQuery
    first: int
    last: int
    serializer: Serializer
    max_results: int
    max_bytes: int

    def run(self, source: ChainReader) -> FoundLogs:
        """Search. Stops before the first block whose logs would exceed a limit."""
        query, render = self.query, self.serializer.logs
        addresses = frozenset(query.addresses)
        topics = [frozenset(alternatives) for alternatives in query.topics]
        found: list[bytes] = []
        size = _ENVELOPE_BYTES
        for height in source.heights_with(query.addresses, query.topics, self.first, self.last):
            logs = source.block_logs(height)
            if logs is None:
                continue
            before = len(found)
            for position, tx_index, tx_hash, log in logs.select(addresses, topics):
                rendered = orjson.dumps(render(logs, tx_hash, tx_index, ((position, log),))[0])
                size += len(rendered) + 1
                if len(found) >= self.max_results or size > self.max_bytes:
                    exceeded = self._exceeded(size)
                    return FoundLogs(_array(found[:before]), height, exceeded)
                found.append(rendered)
        return FoundLogs(_array(found), self.last + 1, None)

    def _exceeded(self, size: int) -> str:
        if size > self.max_bytes:
            return f"{self.max_bytes} bytes (rpc.response_max_bytes)"
        return f"{self.max_results} results (rpc.logs_max_results)"


def log_search(query: LogQuery, heights: tuple[int, int], serializer: Serializer, limits: RpcLimits) -> LogSearch:
    """Return the search of a range that `resolve_range` gave."""
    return LogSearch(
        query=query,
        first=heights[0],
        last=heights[1],
        serializer=serializer,
        max_results=limits.logs_max_results,
        max_bytes=limits.response_max_bytes,
    )


async def find_logs(executor: Executor, search: LogSearch) -> RawJson:
    """Return every log a search wants. Raises RpcError at a limit."""
    found = await executor.run(search)
    if found.obstacle is not None:
        raise too_many_logs(found.obstacle, search.first, found.next_height)
    return RawJson(found.json)


def _array(entries: list[bytes]) -> bytes:
    return b"[" + b",".join(entries) + b"]"


def too_many_logs(what: str, first: int, height: int) -> RpcError:
    """Return the error for a scan that a limit stopped at `height`."""
    advice = (
        _try(first, height - 1)
        if height > first
        else f"block {height:#x} alone has more: ask for fewer addresses or topics"
    )
    return RpcError(LIMIT_EXCEEDED, f"query returned more than {what}: {advice}")


def _try(first: int, last: int) -> str:
    return f"try this block range: [{first:#x}, {last:#x}]"
