"""Evidence of double votes on the wire: a batch of encoded pairs of votes."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.p2p.wire.envelope import as_short_list, fields_of, kind_of, seal
from cybermiles.types import rlp
from cybermiles.types.evidence import MAX_EVIDENCE_ITEM_BYTES, decode_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.types.evidence import DuplicateVote

MAX_BATCH_EVIDENCE = 16
MAX_MESSAGE_BYTES = MAX_BATCH_EVIDENCE * (MAX_EVIDENCE_ITEM_BYTES + 3) + 8


class EvidenceKind(IntEnum):
    """Messages of the channel."""

    EVIDENCE = 1


def encode_evidence_batch(evidence: Sequence[DuplicateVote]) -> bytes:
    """Return the bytes of a message with 1 to `MAX_BATCH_EVIDENCE` pieces of evidence."""
    return seal(EvidenceKind.EVIDENCE, [piece.encode() for piece in evidence])


def decode_evidence_batch(message: bytes) -> tuple[DuplicateVote, ...]:
    """Return the evidence, unverified. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    kind_of(message, {EvidenceKind.EVIDENCE: MAX_MESSAGE_BYTES})
    pieces = as_short_list(fields_of(message), MAX_BATCH_EVIDENCE, "pieces of evidence")
    if not pieces:
        raise DecodingError("a batch of evidence holds at least one piece")
    return tuple(decode_evidence(rlp.as_bytes(piece)) for piece in pieces)
