"""Where a transaction is: from its hash to block height and place in the block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.storage.schema import TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class TransactionLocation:
    """Place of a committed transaction."""

    height: int
    index: int
    """Position in the block, from 0."""


class TransactionIndex:
    """Read access by transaction hash."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store

    def find(self, transaction_hash: Hash32) -> TransactionLocation | None:
        """Return where the transaction was committed, or None."""
        value = self._store.get(TRANSACTION + transaction_hash)
        if value is None:
            return None
        return TransactionLocation(int.from_bytes(value[:8]), int.from_bytes(value[8:]))


def transaction_records(height: int, hashes: Iterable[Hash32]) -> dict[bytes, bytes]:
    """Return the entries that a block's transactions add to its batch."""
    at = height.to_bytes(8)
    return {TRANSACTION + key: at + index.to_bytes(4) for index, key in enumerate(hashes)}
