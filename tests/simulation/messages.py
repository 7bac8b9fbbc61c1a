"""What nodes of the bare-core simulation send besides the core's own messages."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit


@dataclass(frozen=True, slots=True)
class Value:
    """A block as far as consensus can tell."""

    height: int
    parent: bytes
    """Hash of the block before, zeros at the first height."""
    proposer: int
    timestamp: int
    salt: int
    is_valid: bool = True
    """False: every application refuses it."""

    @property
    def hash(self) -> Hash32:
        """Id of the block."""
        return Hash32(
            sha256(
                repr((self.height, self.parent, self.proposer, self.timestamp, self.salt, self.is_valid)).encode()
            ).digest()
        )

    @property
    def parts(self) -> PartsHeader:
        """What a proposal says about its parts."""
        return PartsHeader(1, Hash32(sha256(b"parts" + self.hash).digest()))


@dataclass(frozen=True, slots=True)
class Body:
    """All parts of a value."""

    value: Value
    hash: Hash32
    """As announced; cached."""
    parts: PartsHeader
    """Under which the bytes came. Not the value's own: rubbish that was announced with a good block's hash."""


@dataclass(frozen=True, slots=True)
class Synced:
    """A decided block for somebody behind."""

    value: Value
    commit: Commit


def height_of(message) -> int:
    """Return the height a message is about."""
    if isinstance(message, Body | Synced):
        return message.value.height
    return message.height


SIZES = {"Vote": 150, "SignedProposal": 200, "Body": 4_000, "Synced": 5_000}
"""Bytes on the wire, roughly; certificates count by their votes."""


def size_of(message) -> int:
    """Return about how many bytes a message takes."""
    votes = getattr(message, "votes", None)
    return 150 * len(votes) if votes is not None else SIZES[type(message).__name__]
