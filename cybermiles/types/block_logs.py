"""The logs of one block as one string of bytes that is searched without being decoded.

    block hash ‖ time u64 ‖ count u32 ‖ end of each log u32… ‖ logs
    log: transaction hash ‖ transaction index u32 ‖ address ‖ number of topics u8 ‖ topics ‖ data

A query looks at addresses and topics where they lie and builds only the logs it wants, so a rare log costs little in a
busy block. Events of the system contracts in no transaction come last, under a transaction hash of zeros.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.errors import DecodingError
from cybermiles.types.primitives import ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import Log

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cybermiles.types.header import Header

_HEAD = Struct(">32sQI")
_LOG = Struct(">32sI20sB")
_INDEX, _ADDRESS, _COUNT = 32, 36, 56
"""Where index, address and number of topics lie in a log."""
_WORD = 32


class PlacedLog(NamedTuple):
    """A log and where it is in its block."""

    position: int
    """Among the block's logs."""
    tx_index: int
    tx_hash: Hash32
    """Zeros for an event in no transaction."""
    log: Log


class BlockLogs:
    """The logs of a block, read from their encoding; `height`, `hash` and `timestamp` are the block's."""

    __slots__ = ("_data", "_ends", "hash", "height", "timestamp")

    height: int
    hash: Hash32
    timestamp: int

    def __init__(self, height: int, data: bytes) -> None:
        """Take the encoding of a block's logs. Raises DecodingError for bytes of another length than they say."""
        self.height = height
        if len(data) < _HEAD.size:
            raise DecodingError(f"the logs of a block have {len(data)} bytes")
        block_hash, self.timestamp, count = _HEAD.unpack_from(data)
        self.hash = Hash32(block_hash)
        first = _HEAD.size + 4 * count
        if len(data) < first:
            raise DecodingError(f"{count} logs of a block have {len(data)} bytes")
        ends = Struct(f">{count}I").unpack_from(data, _HEAD.size)
        self._ends = (first, *(first + end for end in ends))
        if self._ends[-1] != len(data):
            raise DecodingError(f"the logs of a block have {len(data)} bytes, not {self._ends[-1]}")
        self._data = data

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._data)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def select(self, addresses: Collection[bytes], topics: Sequence[Collection[bytes]]) -> Iterator[PlacedLog]:
        """Yield, in order, the logs whose address is wanted and each of whose topics is.

        An empty container wants everything; a log with fewer topics than are asked for does not match.
        """
        data, depth = self._data, len(topics)
        wanted = [(place * _WORD, choice) for place, choice in enumerate(topics) if choice]
        start = self._ends[0]
        for position, end in enumerate(self._ends[1:]):
            at = start + _ADDRESS
            if (not addresses or data[at : at + 20] in addresses) and data[start + _COUNT] >= depth:
                at = start + _LOG.size
                if all(data[at + offset : at + offset + _WORD] in choice for offset, choice in wanted):
                    yield self._log(position, start, end)
            start = end

    def logs(self, first: int, count: int) -> tuple[Log, ...]:
        """Return consecutive logs. Raises DecodingError where the block has fewer."""
        if first + count > len(self):
            raise DecodingError(f"a block has {len(self)} logs, not {first + count}")
        spans = zip(self._ends[first : first + count], self._ends[first + 1 : first + count + 1], strict=True)
        return tuple(self._log(0, start, end).log for start, end in spans)

    def outside_transactions(self) -> tuple[Log, ...]:
        """Return the events of the system contracts that belong to no transaction."""
        first = len(self)
        while first and self._data[self._ends[first - 1] : self._ends[first - 1] + _INDEX] == ZERO_HASH:
            first -= 1
        return self.logs(first, len(self) - first)

    def _log(self, position: int, start: int, end: int) -> PlacedLog:
        data = self._data
        tx_hash, tx_index, address, count = _LOG.unpack_from(data, start)
        start += _LOG.size
        payload = start + _WORD * count
        if payload > end:
            raise DecodingError(f"log {position} of a block has more topics than bytes")
        topics = tuple(Hash32(data[at : at + _WORD]) for at in range(start, payload, _WORD))
        return PlacedLog(position, tx_index, Hash32(tx_hash), Log(Address(address), topics, data[payload:end]))


def encode_block_logs(
    header: Header, transactions: Iterable[tuple[Hash32, Sequence[Log]]], system_logs: Sequence[Log] = ()
) -> bytes:
    """Return the encoding of a block's logs, b"" where it has none. `transactions`: hash and logs of each, in order."""
    logs: list[bytes] = []
    tx_index = -1
    for tx_index, (tx_hash, own) in enumerate(transactions):
        if own:
            logs += _encoded(tx_hash, tx_index, own)
    if system_logs:
        logs += _encoded(ZERO_HASH, tx_index + 1, system_logs)
    if not logs:
        return b""
    ends, end = [], 0
    for log in logs:
        end += len(log)
        ends.append(end)
    count = len(logs)
    head = _HEAD.pack(header.hash, header.timestamp, count)
    return b"".join((head, Struct(f">{count}I").pack(*ends), *logs))


def _encoded(tx_hash: Hash32, tx_index: int, logs: Sequence[Log]) -> list[bytes]:
    pack = _LOG.pack
    return [b"".join((pack(tx_hash, tx_index, log.address, len(log.topics)), *log.topics, log.data)) for log in logs]
