"""`KeyValueReader` of a call worker: asks the node, and keeps what can never change.

A height's records, code and trie nodes are written once; what was found of them is kept. That a record is missing is
never kept, for it may come. The few records that do change (head, supply, oldest state) are the ones that came with the
job, so that one job sees one chain; the flat state belongs to whatever head there is and cannot be read from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation, ProtocolViolation
from cybermiles.node.calls.wire import Kind, decode_items, encode_scan
from cybermiles.storage import schema
from cybermiles.storage.cache import AgingCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cybermiles.node.calls.wire import Channel

MOVING = (schema.HEAD, schema.SUPPLY, schema.OLDEST_STATE)
"""Keys whose values come with each job."""
KEPT = (
    schema.HEADER + schema.BLOCK + schema.COMMIT + schema.HEIGHT
    + schema.BLOCK_LOGS + schema.TRANSACTION + schema.COMMITTED_EVIDENCE
)  # fmt: skip
"""Prefixes of what is kept here; trie nodes, code and outcomes have caches of their own above."""
UNREADABLE = schema.ACCOUNT + schema.SLOT
READ_AHEAD = schema.HEADER + schema.BLOCK_LOGS
"""Prefixes of what is read height by height, often many in a row."""
AHEAD_HEIGHTS = 64
WIDEST_STEP = 5
"""Heights between two reads that still make reading ahead cheaper than asking for each."""
FIRST_BYTES, MOST_BYTES = 4096, 1 << 18
"""Of a range asked for at once, the first time and in the end: many ranges are read for their first item."""
_OVERHEAD = 150


class RemoteStore:
    """Belongs to one thread."""

    def __init__(self, channel: Channel, cache_bytes: int) -> None:
        self._channel = channel
        self._kept: AgingCache[bytes, bytes] = AgingCache(cache_bytes // 2)
        self._moving: Mapping[bytes, bytes] = {}
        self._last: dict[int, int] = {}
        """Height asked for last, by prefix."""
        self._ahead: dict[int, dict[bytes, bytes]] = {}
        """What was read ahead, by prefix."""

    def begin(self, moving: Mapping[bytes, bytes]) -> None:
        """Take the records of `MOVING` as they are for the next job."""
        self._moving = moving
        self._ahead = {}
        self._last = {}

    def get(self, key: bytes) -> bytes | None:
        if key[:1] in UNREADABLE:
            raise InvariantViolation("a call worker reads states by their roots")
        if key in MOVING:
            return self._moving.get(key)
        value = self._kept.get(key, None)
        if value is not None:
            return value
        value = self._ahead_of(key) if key[:1] in READ_AHEAD else self._ask(key)
        if value is not None and key[:1] in KEPT:
            self._kept.put(key, value, len(key) + len(value) + _OVERHEAD)
        return value

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        size = FIRST_BYTES
        while start < stop:
            items, is_all = self._scan(start, stop, reverse=reverse, max_bytes=size)
            yield from items
            if is_all:
                return
            if reverse:
                stop = items[-1][0]
            else:
                start = items[-1][0] + b"\x00"
            size = min(size * 4, MOST_BYTES)

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        raise InvariantViolation(f"a call worker writes nothing, but {len(batch)} records were to be (sync: {sync})")

    def _ask(self, key: bytes) -> bytes | None:
        self._channel.send(Kind.GET, key)
        kind, payload = self._channel.receive()
        if kind == Kind.ABSENT:
            return None
        if kind != Kind.VALUE:
            raise ProtocolViolation(f"the node answered a read with frame {kind}")
        return payload

    def _scan(
        self, start: bytes, stop: bytes, *, reverse: bool, max_bytes: int
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        self._channel.send(Kind.SCAN, encode_scan(start, stop, reverse=reverse, max_bytes=max_bytes))
        kind, payload = self._channel.receive()
        if kind != Kind.ITEMS:
            raise ProtocolViolation(f"the node answered a scan with frame {kind}")
        return decode_items(payload)

    def _ahead_of(self, key: bytes) -> bytes | None:
        """Return a height's record; whoever reads upwards gets the next ones along."""
        height, prefix = schema.height_in(key), key[:1]
        known = self._ahead.get(prefix[0], {}).pop(key, None)
        step = height - self._last.get(prefix[0], -AHEAD_HEIGHTS)
        self._last[prefix[0]] = height
        if known is not None:
            return known
        if not 0 < step <= WIDEST_STEP:
            return self._ask(key)
        start, stop = schema.height_range(prefix, height, height + AHEAD_HEIGHTS)
        items, _ = self._scan(start, stop, reverse=False, max_bytes=MOST_BYTES)
        found = self._ahead[prefix[0]] = dict(items)
        return found.pop(key, None)
