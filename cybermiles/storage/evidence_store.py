"""Evidence that blocks contain, and evidence that waits for one.

What blocks contain is part of their batch. What waits is written by the evidence pool, by itself and without
waiting for the disk: a killed process loses nothing that was handed to the operating system, and the next
block's synced batch goes through the same log, so a loss of power costs what came since then. Evidence that
is lost this way comes again, from peers or from the log of the height. A file of its own would need its own
format, fsync and recovery for a handful of records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.storage.schema import COMMITTED_EVIDENCE, PENDING_EVIDENCE, encode_height

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.state.kv import KeyValueStore
    from cybermiles.types.primitives import Hash32


class EvidenceStore:
    """Index of committed evidence; room for what waits."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    def committed_at(self, evidence_hash: Hash32) -> int | None:
        """Return the height of the block that contains the evidence, None where no block does."""
        value = self._store.get(COMMITTED_EVIDENCE + evidence_hash)
        return None if value is None else int.from_bytes(value)

    def pending(self) -> tuple[bytes, ...]:
        """Return the evidence that waits, in order of hashes."""
        return tuple(raw for _, raw in self._store.iterate(PENDING_EVIDENCE, PENDING_EVIDENCE + b"\xff" * 33))

    def save_pending(self, evidence_hash: Hash32, raw: bytes) -> None:
        """Keep evidence over a restart. Raises StorageError."""
        self._store.write({PENDING_EVIDENCE + evidence_hash: raw}, sync=False)

    def remove_pending(self, hashes: Iterable[Hash32]) -> None:
        """Forget evidence that waits for no block any more. Raises StorageError."""
        batch: dict[bytes, bytes | None] = {PENDING_EVIDENCE + evidence_hash: None for evidence_hash in hashes}
        if batch:
            self._store.write(batch, sync=False)


def evidence_records(height: int, evidence: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the entries that a block's evidence adds to its batch."""
    return {COMMITTED_EVIDENCE + keccak256(raw): encode_height(height) for raw in evidence}
