"""What a node that syncs a state asks for, and what it is offered. Pure values."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_OFFERS = 16
_MAX_BYTES = 1024


class Wanted(IntEnum):
    """Things to ask for."""

    OFFERS = 0
    MANIFEST = 1
    CHUNK = 2
    LIGHT_BLOCK = 3


class Offer(NamedTuple):
    """A snapshot somebody has."""

    height: int
    id: Hash32


def encode_offers(offers: Iterable[Offer]) -> bytes:
    """Return the bytes of an answer."""
    return rlp.encode([[rlp.int_to_bytes(offer.height), offer.id] for offer in offers])


def decode_offers(raw: bytes) -> tuple[Offer, ...]:
    """Return the offers of an answer. Raises DecodingError."""
    if len(raw) > _MAX_BYTES:
        raise DecodingError(f"offers of {len(raw)} bytes, {_MAX_BYTES} are allowed")
    items = rlp.as_list(rlp.decode(raw, max_depth=2))
    if len(items) > MAX_OFFERS:
        raise DecodingError(f"{len(items)} snapshots, {MAX_OFFERS} are allowed")
    offers = []
    for item in items:
        height, snapshot_id = rlp.as_list(item, length=2)
        offers.append(Offer(rlp.as_int(height, bits=64), Hash32(rlp.as_bytes(snapshot_id, size=32))))
    return tuple(offers)
