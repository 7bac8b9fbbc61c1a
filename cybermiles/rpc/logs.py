"""Log queries: what matches, and the scan over committed blocks.

The chain's bloom index names candidate heights; a candidate's receipts decide. A scan gives way to other
tasks every few blocks, and stops at the first limit it meets with an error that names the limit and a
range that would have been answered, so that a caller can go on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.rpc.block_references import Tag, find_height
from cybermiles.rpc.jsonrpc import INVALID_PARAMS, LIMIT_EXCEEDED, SERVER_ERROR, RpcError
from cybermiles.rpc.pacing import give_way
from cybermiles.types.primitives import ZERO_HASH

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockNumber
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.receipt import Log

HEIGHTS_PER_STEP = 128
"""Heights asked of the index before other tasks get their turn: about a millisecond of headers."""
BLOCKS_PER_STEP = 8
"""Candidate blocks decoded before other tasks get their turn."""
_LOG_BYTES = 512
"""About what a log takes in JSON beside its data."""


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


class Scan(NamedTuple):
    """How far a scan came."""

    logs: list[Json]
    next_height: int
    """The first height not scanned."""
    obstacle: str | None
    """The limit that stopped it, None where it came to the end."""


async def find_logs(
    chain: ChainReader,
    query: LogQuery,
    heights: tuple[int, int],
    *,
    serializer: Serializer,
    limits: RpcLimits,
) -> list[Json]:
    """Return the matching logs of an inclusive range of heights. Raises RpcError at a limit."""
    scan = await scan_logs(chain, query, heights, serializer=serializer, limits=limits)
    if scan.obstacle is not None:
        raise too_many_logs(scan.obstacle, heights[0], scan.next_height)
    return scan.logs


async def scan_logs(
    chain: ChainReader,
    query: LogQuery,
    heights: tuple[int, int],
    *,
    serializer: Serializer,
    limits: RpcLimits,
) -> Scan:
    """Return the matching logs of an inclusive range of heights, as far as the limits allow."""
    found: list[Json] = []
    size = blocks = 0
    first, last = heights
    for start in range(first, last + 1, HEIGHTS_PER_STEP):
        stop = min(start + HEIGHTS_PER_STEP - 1, last)
        for height in chain.heights_with(query.addresses, query.topics, start, stop):
            logs, data_bytes = logs_of_block(chain, query, height, serializer)
            size += len(logs) * _LOG_BYTES + 2 * data_bytes
            if len(found) + len(logs) > limits.logs_max_results:
                reason = f"{limits.logs_max_results} results (rpc.logs_max_results)"
                return Scan(found, height, reason)
            if size > limits.response_max_bytes:
                reason = f"{limits.response_max_bytes} bytes (rpc.response_max_bytes)"
                return Scan(found, height, reason)
            found += logs
            blocks += 1
            if blocks % BLOCKS_PER_STEP == 0:
                await give_way()
        await give_way()
    return Scan(found, last + 1, None)


def logs_of_block(chain: ChainReader, query: LogQuery, height: int, serializer: Serializer) -> tuple[list[Json], int]:
    """Return the matching logs of one committed block, and the bytes of data they carry.

    Events of the system contracts in no transaction come last, under a transaction hash of zeros.
    """
    position = data_bytes = 0
    matching: list[tuple[int, list[tuple[int, Log]]]] = []
    groups = [outcome.receipt.logs for outcome in chain.outcomes(height)]
    for index, logs in enumerate((*groups, chain.system_logs(height))):
        wanted = [(position + at, log) for at, log in enumerate(logs) if query.matches(log)]
        if wanted:
            matching.append((index, wanted))
            data_bytes += sum(len(log.data) for _, log in wanted)
        position += len(logs)
    block = chain.block(height) if matching else None
    rendered: list[Json] = []
    if block is not None:
        for index, wanted in matching:
            tx_hash = block.transactions[index].hash if index < len(block.transactions) else ZERO_HASH
            rendered += serializer.logs(block.header, tx_hash, index, wanted)
    return rendered, data_bytes


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
