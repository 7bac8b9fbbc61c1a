"""State sync on the wire: one question and one answer.

Ask       what, height, index
Answer    the same three, and the bytes; none where the sender does not have them

    what 0   which snapshots there are; height and index 0; rlp [[height, id]…], at most 16
    what 1   the manifest of the snapshot at a height
    what 2   its chunk `index`
    what 3   the light block of a height
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from cybermiles.errors import DecodingError
from cybermiles.p2p.wire.envelope import MAX_NUMBER_BITS, as_number, fields_of, kind_of, seal
from cybermiles.snapshots.format import MAX_CHUNK_BYTES
from cybermiles.sync.snapshot_offers import Wanted
from cybermiles.types import rlp

MAX_MESSAGE_BYTES = MAX_CHUNK_BYTES + 64


class StateSyncKind(IntEnum):
    """Messages of the channel."""

    ASK = 1
    ANSWER = 2


_LIMITS: dict[int, int] = {StateSyncKind.ASK: 32, StateSyncKind.ANSWER: MAX_MESSAGE_BYTES}


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants."""

    what: Wanted
    height: int
    index: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was wanted, unverified."""

    question: Question
    payload: bytes
    """Empty where the sender does not have it."""


StateSyncMessage: TypeAlias = Question | Answer


def encode_state_sync(message: StateSyncMessage) -> bytes:
    """Return the bytes of a message."""
    match message:
        case Question():
            return seal(StateSyncKind.ASK, _numbers(message))
        case Answer(question, payload):
            return seal(StateSyncKind.ANSWER, [*_numbers(question), payload])


def decode_state_sync(message: bytes) -> StateSyncMessage:
    """Return the message. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    if kind_of(message, _LIMITS) == StateSyncKind.ASK:
        what, height, index = rlp.as_list(fields_of(message), length=3)
        return _question(as_number(what), as_number(height), as_number(index))
    start, end = rlp.read_list(message, 1)
    (what_number, height_number, index_number), start = rlp.read_ints(message, start, 3)
    payload, stop = rlp.read_bytes(message, start)
    if not stop == end == len(message):
        raise DecodingError("an answer is three numbers and bytes, and nothing else")
    return Answer(_question(what_number, height_number, index_number), payload)


def _question(what: int, height: int, index: int) -> Question:
    if what not in Wanted.__members__.values():
        raise DecodingError(f"nothing is number {what}")
    if max(height, index).bit_length() > MAX_NUMBER_BITS:
        raise DecodingError("a height and an index have 64 bits")
    return Question(Wanted(what), height, index)


def _numbers(question: Question) -> list[bytes]:
    return [rlp.int_to_bytes(number) for number in (question.what, question.height, question.index)]
