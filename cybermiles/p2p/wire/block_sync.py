"""Block sync on the wire.

Status          which heights the sender can serve; sent when it changes
BlockRequest    asks for one height
BlockResponse   the block's bytes and a commit of that height
NoBlock         the sender does not have the height that was asked for
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from cybermiles.errors import DecodingError
from cybermiles.p2p.wire.envelope import MAX_NUMBER_BITS, as_number, fields_of, kind_of, seal
from cybermiles.types import rlp
from cybermiles.types.block import MAX_CONSENSUS_BYTES
from cybermiles.types.commit import Commit, decode_commit

MAX_BLOCK_BYTES = 17 * 1024 * 1024
"""The largest `max_block_bytes` that governance may set, and the rest of a block."""
MAX_MESSAGE_BYTES = MAX_BLOCK_BYTES + MAX_CONSENSUS_BYTES + 1024


class BlockSyncKind(IntEnum):
    """Messages of the channel."""

    STATUS = 1
    BLOCK_REQUEST = 2
    BLOCK_RESPONSE = 3
    NO_BLOCK = 4


_LIMITS: dict[int, int] = {
    BlockSyncKind.STATUS: 32,
    BlockSyncKind.BLOCK_REQUEST: 16,
    BlockSyncKind.BLOCK_RESPONSE: MAX_MESSAGE_BYTES,
    BlockSyncKind.NO_BLOCK: 16,
}


@dataclass(frozen=True, slots=True)
class Status:
    """The sender serves the heights from `base` to `height`; none where height is 0."""

    base: int
    height: int


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Asks for a block."""

    height: int


@dataclass(frozen=True, slots=True)
class BlockResponse:
    """A block as it was asked for, unverified."""

    height: int
    value: bytes
    commit: Commit


@dataclass(frozen=True, slots=True)
class NoBlock:
    """The sender does not have it."""

    height: int


BlockSyncMessage: TypeAlias = Status | BlockRequest | BlockResponse | NoBlock


def encode_block_sync(message: BlockSyncMessage) -> bytes:
    """Return the bytes of a message."""
    number = rlp.int_to_bytes
    match message:
        case Status(base, height):
            return seal(BlockSyncKind.STATUS, [number(base), number(height)])
        case BlockRequest(height):
            return seal(BlockSyncKind.BLOCK_REQUEST, [number(height)])
        case NoBlock(height):
            return seal(BlockSyncKind.NO_BLOCK, [number(height)])
        case BlockResponse(height, value, commit):
            return seal(BlockSyncKind.BLOCK_RESPONSE, [number(height), value, commit.to_item()])


def decode_block_sync(message: bytes) -> BlockSyncMessage:
    """Return the message. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    kind = kind_of(message, _LIMITS)
    if kind == BlockSyncKind.BLOCK_RESPONSE:
        return _block_response(message)
    fields = fields_of(message)
    if kind == BlockSyncKind.STATUS:
        base, height = rlp.as_list(fields, length=2)
        status = Status(as_number(base), as_number(height))
        if status.base > status.height + 1:
            raise DecodingError(f"heights {status.base} to {status.height} are no range")
        return status
    (height,) = rlp.as_list(fields, length=1)
    return BlockRequest(as_number(height)) if kind == BlockSyncKind.BLOCK_REQUEST else NoBlock(as_number(height))


def _block_response(message: bytes) -> BlockResponse:
    """Read from left to right: only the commit, of bounded size, becomes a list of objects."""
    start, end = rlp.read_list(message, 1)
    (height,), start = rlp.read_ints(message, start, 1)
    value, start = rlp.read_bytes(message, start)
    _, stop = rlp.read_list(message, start)
    if height.bit_length() > MAX_NUMBER_BITS or stop - start > MAX_CONSENSUS_BYTES or not stop == end == len(message):
        raise DecodingError("a block response holds a height, a block and a commit of bounded sizes, and nothing else")
    commit = decode_commit(rlp.decode(message[start:stop], max_depth=2))
    if commit.height != height or not value:
        raise DecodingError(f"a response for height {height} with {len(value)} bytes and a commit of {commit.height}")
    return BlockResponse(height, value, commit)
