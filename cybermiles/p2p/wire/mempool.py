"""Transactions on the wire: pushed whole, or announced by hash and asked for, as in eth/65 (EIP-2464, EIP-5793).

Push           transactions in full
Announce       (hash, type, size) of transactions that may be asked for
Want           asks for announced ones; its number comes back in the answer
Answer         those asked for that the sender still has
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.errors import DecodingError
from cybermiles.p2p.wire.envelope import as_number, as_short_list, fields_of, kind_of, seal
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32
from cybermiles.types.transaction_codec import MAX_TRANSACTION_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.types.rlp import Item

MAX_HASHES = 256
"""Of one Announce or Want."""
TARGET_BYTES = 64 * 1024
"""A message is closed when it holds this much; one larger transaction travels alone."""
MAX_TRANSACTIONS = 1024
"""Of one message: `TARGET_BYTES` of the smallest ones."""
MAX_MESSAGE_BYTES = TARGET_BYTES + MAX_TRANSACTION_BYTES + 1024


class TransactionsKind(IntEnum):
    """Messages of the channel."""

    PUSH = 1
    ANNOUNCE = 2
    WANT = 3
    ANSWER = 4


_LIMITS: dict[int, int] = {
    TransactionsKind.PUSH: MAX_MESSAGE_BYTES,
    TransactionsKind.ANNOUNCE: 16 * 1024,
    TransactionsKind.WANT: 16 * 1024,
    TransactionsKind.ANSWER: MAX_MESSAGE_BYTES,
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said of a transaction before it is sent."""

    hash: Hash32
    type: int
    size: int
    """Wire bytes."""


@dataclass(frozen=True, slots=True)
class Push:
    """Transactions nobody asked for; wire bytes."""

    transactions: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Transactions that the receiver may ask for."""

    announcements: tuple[Announcement, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """A request."""

    number: int
    hashes: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Its answer; those that the sender no longer has are left out."""

    number: int
    transactions: tuple[bytes, ...]


TransactionsMessage: TypeAlias = Push | Announce | Want | Answer


def encode_transactions(message: TransactionsMessage) -> bytes:
    """Return the bytes of a message."""
    number = rlp.int_to_bytes
    match message:
        case Push(transactions):
            return seal(TransactionsKind.PUSH, transactions)
        case Announce(announcements):
            items = [[a.hash, number(a.type), number(a.size)] for a in announcements]
            return seal(TransactionsKind.ANNOUNCE, items)
        case Want(request, hashes):
            return seal(TransactionsKind.WANT, [number(request), hashes])
        case Answer(request, transactions):
            return seal(TransactionsKind.ANSWER, [number(request), transactions])


def decode_transactions(message: bytes) -> TransactionsMessage:
    """Return the message; transactions stay bytes. Raises DecodingError, ProtocolViolation for an unknown kind."""
    kind = kind_of(message, _LIMITS)
    fields = fields_of(message)
    if kind == TransactionsKind.PUSH:
        return Push(_transactions(fields))
    if kind == TransactionsKind.ANNOUNCE:
        items = as_short_list(fields, MAX_HASHES, "announcements")
        return Announce(tuple(_announcement(item) for item in items))
    request, items_field = rlp.as_list(fields, length=2)
    if kind == TransactionsKind.WANT:
        hashes = as_short_list(items_field, MAX_HASHES, "hashes")
        return Want(as_number(request), tuple(Hash32(rlp.as_bytes(item, size=32)) for item in hashes))
    return Answer(as_number(request), _transactions(items_field))


def batches(transactions: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Return the transactions in groups that each fit one message."""
    groups: list[tuple[bytes, ...]] = []
    group: list[bytes] = []
    size = 0
    for raw in transactions:
        if group and (size + len(raw) > TARGET_BYTES or len(group) >= MAX_TRANSACTIONS):
            groups.append(tuple(group))
            group, size = [], 0
        group.append(raw)
        size += len(raw)
    if group:
        groups.append(tuple(group))
    return groups


def _transactions(item: Item) -> tuple[bytes, ...]:
    transactions = tuple(rlp.as_bytes(raw) for raw in as_short_list(item, MAX_TRANSACTIONS, "transactions"))
    if not all(0 < len(raw) <= MAX_TRANSACTION_BYTES for raw in transactions):
        raise DecodingError(f"a transaction has 1 to {MAX_TRANSACTION_BYTES} bytes")
    return transactions


def _announcement(item: Item) -> Announcement:
    tx_hash, type_, size = rlp.as_list(item, length=3)
    size_bytes = rlp.as_int(size, bits=32)
    if not 0 < size_bytes <= MAX_TRANSACTION_BYTES:
        raise DecodingError(f"a transaction has 1 to {MAX_TRANSACTION_BYTES} bytes, not {size_bytes}")
    return Announcement(Hash32(rlp.as_bytes(tx_hash, size=32)), rlp.as_int(type_, bits=8), size_bytes)
