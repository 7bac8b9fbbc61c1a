"""The envelope all protocols share: a kind byte, a limit for each kind, one RLP list of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.types import rlp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import IntEnum

    from cybermiles.types.rlp import Encodable, Item

MAX_NUMBER_BITS = 64
"""Heights and request numbers."""
_MAX_DEPTH = 4
"""Nested lists; a block part has three."""


def seal(kind: IntEnum, fields: Encodable) -> bytes:
    """Return the message of a kind."""
    return bytes((kind,)) + rlp.encode(fields)


def kind_of(message: bytes, limits: Mapping[int, int]) -> int:
    """Return the kind of a message no longer than its kind's limit.

    Raises PeerViolation for a kind that `limits` does not know, DecodingError for the rest.
    """
    if not message:
        raise DecodingError("a message has at least its kind")
    limit = limits.get(message[0])
    if limit is None:
        raise PeerViolation(Offence.MALFORMED_MESSAGE, f"unknown kind {message[0]}")
    if len(message) > limit:
        raise DecodingError(f"a message of kind {message[0]} has {len(message)} bytes, {limit} are allowed")
    return message[0]


def fields_of(message: bytes) -> Item:
    """Return the decoded fields of a small message. Raises DecodingError."""
    return rlp.decode(message[1:], max_depth=_MAX_DEPTH)


def read_items(message: bytes, position: int, *, limit: int, max_item_bytes: int) -> tuple[list[Item], int]:
    """Decode a list of small items one by one, and return it with the position behind it.

    So that a megabyte of empty lists is refused at the first item too many and never becomes a megabyte of objects.
    Raises DecodingError.
    """
    position, end = rlp.read_list(message, position)
    items: list[Item] = []
    while position < end:
        _, stop = rlp.read_list(message, position)
        if len(items) == limit or stop - position > max_item_bytes:
            raise DecodingError(f"over {limit} items, or one over {max_item_bytes} bytes")
        items.append(rlp.decode(message[position:stop], max_depth=2))
        position = stop
    if position != end:
        raise DecodingError("rlp: an item ends after its list")
    return items, end


def as_number(item: Item) -> int:
    """Return a height or request number. Raises DecodingError."""
    return rlp.as_int(item, bits=MAX_NUMBER_BITS)


def as_flag(item: Item) -> bool:
    """Return a truth value: 0 or 1. Raises DecodingError."""
    number = rlp.as_int(item, bits=8)
    if number > 1:
        raise DecodingError(f"a flag is 0 or 1, not {number}")
    return number == 1


def as_short_list(item: Item, limit: int, what: str) -> list[Item]:
    """Return a list of at most `limit` items. Raises DecodingError."""
    items = rlp.as_list(item)
    if len(items) > limit:
        raise DecodingError(f"{len(items)} {what}, {limit} are allowed")
    return items
