"""What the transactions of each block did: receipts and everything clients ask about beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.storage.cache import AgingCache
from cybermiles.storage.log_index import LogIndex
from cybermiles.storage.outcome_codec import (
    StoredOutcome,
    count_logs,
    count_outcomes,
    decode_outcome,
    encode_outcomes,
)
from cybermiles.storage.schema import OUTCOMES, at_height

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.block_logs import BlockLogs
    from cybermiles.types.receipt import Log


CACHE_BYTES = 32 << 20
"""Encoded tables kept, and as much of logs: clients ask for the receipts of one block one by one."""


class ReceiptStore:
    """Read access to transaction outcomes by height and index."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store
        self._tables: AgingCache[int, bytes] = AgingCache(CACHE_BYTES // 2)
        self._log_index = LogIndex(store)
        self._logs: AgingCache[int, BlockLogs] = AgingCache(CACHE_BYTES // 2)

    def outcomes(self, height: int) -> tuple[StoredOutcome, ...] | None:
        """Return the outcomes of a block in transaction order, None for a block that is not stored.

        Raises DecodingError or StorageError on damaged bytes.
        """
        table = self._table(height)
        if table is None:
            return None
        logs = self._block_logs(height)
        return tuple(decode_outcome(table, index, logs) for index in range(count_outcomes(table)))

    def count(self, height: int) -> int:
        """Return how many transactions a block has, 0 for a block that is not stored."""
        table = self._table(height)
        return 0 if table is None else count_outcomes(table)

    def log_count(self, height: int, index: int) -> int:
        """Return how many logs a transaction has, 0 in a block that is not stored.

        Raises StorageError when the block has no such transaction.
        """
        table = self._table(height)
        return 0 if table is None else count_logs(table, index)

    def outcome(self, height: int, index: int) -> StoredOutcome | None:
        """Return the outcome of one transaction, None for a block that is not stored.

        Raises StorageError when the block has no such transaction.
        """
        table = self._table(height)
        return None if table is None else decode_outcome(table, index, self._block_logs(height))

    def system_logs(self, height: int) -> tuple[Log, ...]:
        """Return the events of a block that belong to no transaction. Raises DecodingError on damaged bytes."""
        logs = self._block_logs(height)
        return () if logs is None else logs.outside_transactions()

    def _table(self, height: int) -> bytes | None:
        table = self._tables.get(height, None)
        if table is None:
            table = self._store.get(at_height(OUTCOMES, height))
            if table is not None:
                self._tables.put(height, table, len(table))
        return table

    def _block_logs(self, height: int) -> BlockLogs | None:
        logs = self._logs.get(height, None)
        if logs is None:
            logs = self._log_index.block_logs(height)
            if logs is not None:
                self._logs.put(height, logs, logs.size)
        return logs


def outcome_records(height: int, outcomes: Sequence[TransactionOutcome]) -> dict[bytes, bytes]:
    """Return the entry that outcomes add to their block's batch."""
    return {at_height(OUTCOMES, height): encode_outcomes(outcomes)}
