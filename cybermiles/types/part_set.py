"""A block cut into parts, so that it travels through many peers at once and each part is checked on arrival.

    value bytes ──split──► 64 KiB parts ──RFC 6962 tree──► PartsHeader(total, root), signed in the proposal
    part + proof ──verify against the header──► PartSet ──complete──► value bytes

A proposal commits to the header; a part that does not prove itself under it is the sender's fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import sha256
from cybermiles.crypto.merkle import HASH_BYTES, root_and_proofs, verify_proof
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item

PART_BYTES = 64 * 1024
"""Size of every part but the last, as in CometBFT."""
MAX_PARTS = 1024
"""Of one block: 64 MiB; the chain's own limit is lower."""
_MAX_PROOF = 10
"""Siblings of a leaf among MAX_PARTS."""


@dataclass(frozen=True, slots=True)
class PartsHeader:
    """What a proposal says about the parts of its block."""

    total: int
    """Number of parts, at least 1."""
    root: Hash32
    """Merkle root over the parts."""

    @property
    def id(self) -> Hash32:
        """Names the parts where the header itself would be too long: sha256 of both fields.

        The root alone would not do: a liar may sign it with different numbers of parts, and who was shown one of them
        would blame who passes on parts of the other.
        """
        return Hash32(sha256(self.total.to_bytes(4) + self.root))

    def to_item(self) -> list[Item]:
        """Return the RLP item [total, root]."""
        return [rlp.int_to_bytes(self.total), self.root]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece with the proof of its place."""

    index: int
    payload: bytes
    """PART_BYTES of the value, or its rest."""
    proof: tuple[bytes, ...]
    """Siblings from the leaf up."""

    def to_item(self) -> list[Item]:
        """Return the RLP item [index, payload, [sibling…]]."""
        return [rlp.int_to_bytes(self.index), self.payload, list(self.proof)]


class PartSet:
    """The parts of one value as far as they are here. Owned by the consensus task."""

    def __init__(self, header: PartsHeader) -> None:
        """Start without any part. Raises ProtocolViolation for an impossible number of parts."""
        if not 1 <= header.total <= MAX_PARTS:
            raise ProtocolViolation(f"a block of {header.total} parts, 1 to {MAX_PARTS} are allowed")
        self.header = header
        self._parts: dict[int, Part] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every part is here."""
        return len(self._parts) == self.header.total

    @property
    def bits(self) -> int:
        """Bit i is set where part i is here."""
        return sum(1 << index for index in self._parts)

    def part(self, index: int) -> Part | None:
        """Return a part, None where it is missing."""
        return self._parts.get(index)

    def add(self, part: Part) -> bool:
        """Take a part; False where it is here already.

        Raises ProtocolViolation where it does not prove itself under the header or has a wrong size.
        """
        if part.index in self._parts:
            return False
        is_last = part.index == self.header.total - 1
        size = len(part.payload)
        if not (1 <= size <= PART_BYTES if is_last else size == PART_BYTES):
            raise ProtocolViolation(f"block part {part.index} of {self.header.total} has {size} bytes")
        if not verify_proof(self.header.root, part.payload, part.index, self.header.total, part.proof):
            raise ProtocolViolation(f"block part {part.index} does not belong under the proposed root")
        self._parts[part.index] = part
        return True

    def value(self) -> bytes:
        """Return the assembled value. Raises ValueError while a part is missing."""
        if not self.is_complete:
            raise ValueError(f"{len(self._parts)} of {self.header.total} parts are here")
        return b"".join(self._parts[index].payload for index in range(self.header.total))


def split(value: bytes) -> PartSet:
    """Return the complete set of parts of a non-empty value."""
    payloads = [value[start : start + PART_BYTES] for start in range(0, len(value), PART_BYTES)]
    root, proofs = root_and_proofs(payloads)
    parts = PartSet(PartsHeader(len(payloads), Hash32(root)))
    for index, (payload, proof) in enumerate(zip(payloads, proofs, strict=True)):
        parts.add(Part(index, payload, proof))
    return parts


def decode_parts_header(item: Item) -> PartsHeader:
    """Return the header of a decoded RLP item. Raises DecodingError."""
    total, root = rlp.as_list(item, length=2)
    count = rlp.as_int(total, bits=32)
    if not 1 <= count <= MAX_PARTS:
        raise DecodingError(f"a block of {count} parts, 1 to {MAX_PARTS} are allowed")
    return PartsHeader(count, Hash32(rlp.as_bytes(root, size=32)))


def decode_part(item: Item) -> Part:
    """Return the part of a decoded RLP item. Raises DecodingError."""
    index, payload, proof = rlp.as_list(item, length=3)
    siblings = tuple(rlp.as_bytes(sibling, size=HASH_BYTES) for sibling in rlp.as_list(proof))
    data = rlp.as_bytes(payload)
    if len(siblings) > _MAX_PROOF or not 1 <= len(data) <= PART_BYTES:
        raise DecodingError("a block part or its proof is larger than any can be")
    return Part(rlp.as_int(index, bits=32), data, siblings)
