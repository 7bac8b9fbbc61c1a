"""What a peer's misbehaviour costs it: offence, penalty, decay, ban.

A score belongs to a key, the peer's id or its IP address, because ids are free and addresses are not. It halves every
`HALF_LIFE_MS`. At `BAN_SCORE` the key is banned for an hour, and each further ban lasts twice as long, up to a day: an
honest node that was misjudged or repaired comes back. Pure: `now_ms` is an argument, and memory is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from cybermiles.errors import ProtocolViolation

BAN_SCORE = 100
HALF_LIFE_MS = 10 * 60_000
FIRST_BAN_MS = 60 * 60_000
LONGEST_BAN_MS = 24 * 60 * 60_000
FORGET_BANS_AFTER_MS = 7 * 24 * 60 * 60_000
"""A key that behaved for a week starts again with the first ban's length."""
MAX_KEYS = 10_000
"""Least recently touched keys are forgotten beyond it: about 2 MB."""


class Offence(Enum):
    """What a peer did, with its penalty in points; `BAN_SCORE` points ban at once."""

    BAD_HANDSHAKE = ("bad handshake", 20)
    """Garbage, truncation or a false signature before the link stood."""
    BAD_FRAME = ("bad frame", 100)
    """A frame or packet that the framing forbids; TCP delivers intact bytes, so it is no accident."""
    MALFORMED_MESSAGE = ("malformed message", 50)
    """A message that does not decode or breaks its schema's bounds."""
    INVALID_SIGNATURE = ("invalid signature", 50)
    """A vote, proposal or part whose signature or proof is false."""
    PROTOCOL_VIOLATION = ("protocol violation", 50)
    """A well-formed message that the protocol forbids at this point."""
    LYING = ("lying", 100)
    """A claim that was shown to be false, such as a height that goes down."""
    UNSOLICITED = ("unsolicited answer", 20)
    """An answer nobody asked for."""
    FLOOD = ("flood", 20)
    """More requests than the protocol allows."""
    UNRESPONSIVE = ("unresponsive", 5)
    """No answer to a request in time, or a link that went silent."""
    USELESS = ("useless message", 1)
    """Valid, but of no use: a duplicate or long out of date."""

    def __init__(self, title: str, penalty: int) -> None:
        self.title = title
        self.penalty = penalty


class PeerViolation(ProtocolViolation):
    """A `ProtocolViolation` that names its offence; a plain one counts as `Offence.PROTOCOL_VIOLATION`."""

    def __init__(self, offence: Offence, detail: str) -> None:
        super().__init__(f"{offence.title}: {detail}")
        self.offence = offence


@dataclass(slots=True)
class _Record:
    score: int = 0
    updated_ms: int = 0
    banned_until_ms: int = 0
    bans: int = 0


class Scores:
    """Scores and bans of ids and IP addresses."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._max_keys = max_keys

    def punish(self, key: str, offence: Offence, now_ms: int) -> bool:
        """Add the offence's penalty and tell whether the key is banned now."""
        record = self._records.setdefault(key, _Record(updated_ms=now_ms))
        self._records.move_to_end(key)
        record.score = _decayed(record, now_ms) + offence.penalty
        record.updated_ms = now_ms
        if record.score >= BAN_SCORE:
            if now_ms - record.banned_until_ms > FORGET_BANS_AFTER_MS:
                record.bans = 0
            record.banned_until_ms = now_ms + min(FIRST_BAN_MS << min(record.bans, 10), LONGEST_BAN_MS)
            record.bans += 1
            record.score = 0
        while len(self._records) > self._max_keys:
            self._records.popitem(last=False)
        return record.banned_until_ms > now_ms

    def score(self, key: str, now_ms: int) -> int:
        """Return the points that have not decayed yet."""
        record = self._records.get(key)
        return _decayed(record, now_ms) if record else 0

    def banned_for_ms(self, key: str, now_ms: int) -> int:
        """Return how long the key stays banned; 0 when it is not."""
        record = self._records.get(key)
        return max(record.banned_until_ms - now_ms, 0) if record else 0


def _decayed(record: _Record, now_ms: int) -> int:
    """Halve once for each half-life that passed; between two, linearly."""
    halvings, rest = divmod(max(now_ms - record.updated_ms, 0), HALF_LIFE_MS)
    score = record.score >> min(halvings, 64)
    return score - score * rest // (2 * HALF_LIFE_MS)
