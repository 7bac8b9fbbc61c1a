"""The logs of blocks, and which blocks may contain logs that match a filter.

Beside its logs each block leaves a record of 4-byte fingerprints: one for each address, and one for each topic at its
position. The records lie next to each other in the store and blocks without logs have none, so a search reads a few
bytes a log. Fingerprints may coincide, never disagree: what is found is a superset, and the logs themselves decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from cybermiles.storage.schema import BLOCK_LOGS, LOG_INDEX, at_height, height_in, height_range
from cybermiles.types.block_logs import BlockLogs, encode_block_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.receipt import Log


class LogIndex:
    """Read access to logs and fingerprints."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store

    def block_logs(self, height: int) -> BlockLogs | None:
        """Return the logs of a block, None where it has none. Raises DecodingError on damaged bytes."""
        record = self._store.get(at_height(BLOCK_LOGS, height))
        return None if record is None else BlockLogs(height, record)

    def candidates(
        self,
        first: int,
        last: int,
        *,
        addresses: Sequence[Address] = (),
        topics: Sequence[Sequence[Hash32] | None] = (),
    ) -> Iterator[int]:
        """Yield heights in [first, last], ascending, whose block may contain a matching log.

        A log matches when its address is one of `addresses` (any, if there are none) and each of
        its topics is one of the alternatives at that position (None or no alternatives: any).
        """
        groups = [(place, group) for place, group in enumerate((addresses, *topics)) if group]
        single = [_fingerprint(place, group[0]) for place, group in groups if len(group) == 1]
        several = [_numbers(place, group) for place, group in groups if len(group) > 1]
        for key, record in self._store.iterate(*height_range(LOG_INDEX, first, last)):
            for fingerprint in single:
                if fingerprint not in record:
                    break
            else:
                if not several or _has_one_of_each(record, several):
                    yield height_in(key)


def _numbers(place: int, group: Sequence[bytes]) -> frozenset[int]:
    """Return the fingerprints of alternatives as machine integers."""
    return frozenset(memoryview(b"".join(_fingerprint(place, element) for element in group)).cast("I"))


def _has_one_of_each(record: bytes, groups: Sequence[frozenset[int]]) -> bool:
    """Tell whether a record has a fingerprint of every group, however many alternatives there are."""
    numbers = memoryview(record).cast("I")
    return all(not group.isdisjoint(numbers) for group in groups)


def log_records(
    header: Header,
    tx_hashes: Sequence[Hash32],
    outcomes: Sequence[TransactionOutcome],
    system_logs: Sequence[Log],
) -> dict[bytes, bytes]:
    """Return the entries that a block's logs add to its batch; none where it has no logs."""
    transactions = [(tx_hash, outcome.receipt.logs) for tx_hash, outcome in zip(tx_hashes, outcomes, strict=True)]
    record = encode_block_logs(header, transactions, system_logs)
    if not record:
        return {}
    logs = [log for _, own in transactions for log in own]
    logs += system_logs
    return {
        at_height(BLOCK_LOGS, header.height): record,
        at_height(LOG_INDEX, header.height): fingerprints(logs),
    }


def fingerprints(logs: Sequence[Log]) -> bytes:
    """Return the distinct fingerprints of logs."""
    elements: dict[tuple[int, bytes], None] = {}
    for log in logs:
        elements[0, log.address] = None
        for place, topic in enumerate(log.topics, 1):
            elements[place, topic] = None
    return b"".join([crc32(element, place).to_bytes(4) for place, element in elements])


def _fingerprint(place: int, element: bytes) -> bytes:
    """Return the fingerprint of an address (place 0) or of the topic at a position (from 1)."""
    return crc32(element, place).to_bytes(4)
