"""What the transactions of each block did: receipts and everything clients ask about beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.storage.cache import AgingCache
from cybermiles.storage.outcome_codec import (
    StoredOutcome,
    count_outcomes,
    decode_outcome,
    encode_outcomes,
)
from cybermiles.storage.schema import OUTCOMES, SYSTEM_LOGS, at_height
from cybermiles.types import rlp
from cybermiles.types.receipt import decode_logs, encode_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.receipt import Log


CACHE_BYTES = 32 << 20
"""Encoded tables kept: clients ask for the receipts of one block one by one."""


class ReceiptStore:
    """Read access to transaction outcomes by height and index."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store
        self._tables: AgingCache[int, bytes] = AgingCache(CACHE_BYTES // 2)

    def outcomes(self, height: int) -> tuple[StoredOutcome, ...] | None:
        """Return the outcomes of a block in transaction order, None for a block that is not stored.

        Raises DecodingError or StorageError on damaged bytes.
        """
        table = self._table(height)
        if table is None:
            return None
        return tuple(decode_outcome(table, index) for index in range(count_outcomes(table)))

    def outcome(self, height: int, index: int) -> StoredOutcome | None:
        """Return the outcome of one transaction, None for a block that is not stored.

        Raises StorageError when the block has no such transaction.
        """
        table = self._table(height)
        return None if table is None else decode_outcome(table, index)

    def system_logs(self, height: int) -> tuple[Log, ...]:
        """Return the events of a block that belong to no transaction. Raises DecodingError on damaged bytes."""
        record = self._store.get(at_height(SYSTEM_LOGS, height))
        return () if record is None else decode_logs(rlp.decode(record))

    def _table(self, height: int) -> bytes | None:
        table = self._tables.get(height, None)
        if table is None:
            table = self._store.get(at_height(OUTCOMES, height))
            if table is not None:
                self._tables.put(height, table, len(table))
        return table


def outcome_records(height: int, outcomes: Sequence[TransactionOutcome]) -> dict[bytes, bytes]:
    """Return the entry that outcomes add to their block's batch."""
    return {at_height(OUTCOMES, height): encode_outcomes(outcomes)}


def system_log_records(height: int, logs: Sequence[Log]) -> dict[bytes, bytes]:
    """Return the entry that events outside transactions add to their block's batch."""
    return {at_height(SYSTEM_LOGS, height): encode_logs(logs)} if logs else {}
