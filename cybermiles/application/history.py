"""`execution.parent.History` over the database: what evidence and commits of committed heights are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.storage.database import Database
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.validator import ValidatorSet


class CommittedHistory:
    """Facts of the heights up to the head. Any thread may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def validators(self, height: int) -> ValidatorSet | None:
        return self._database.validators.validators(height)

    def timestamp(self, height: int) -> int | None:
        header = self._database.blocks.header(height)
        return None if header is None else header.timestamp

    def has_evidence(self, evidence_hash: Hash32) -> bool:
        return self._database.evidence.committed_at(evidence_hash) is not None
