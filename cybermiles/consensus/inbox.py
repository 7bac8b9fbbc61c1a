"""Messages of peers on their way to the runner: bounded per peer, so that one that floods only loses its own.

    current   of the height being decided, in order of arrival
    early     of the next height (or of this one while it waits to start): kept until they matter

Overflow drops the newcomer; gossip says everything again that its peers still lack.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.consensus.messages import PartMessage
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from cybermiles.consensus.messages import ConsensusMessage

MAX_MESSAGES = 2_048
"""Waiting, of one peer: more than the votes of three rounds of 300 validators."""
MAX_BYTES = 8 * 1024 * 1024
"""Waiting, of one peer; counts parts and certificates, small messages have the limit above."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Current, of all peers together."""
MAX_EARLY_BYTES = 32 * 1024 * 1024
"""Early, of all peers together. Apart, because it stays until the current height is decided: a few peers that fill a
common room with it would keep out the votes that the decision needs."""
_SMALL = 512
"""Bytes that a proposal or vote holds in memory, roughly."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message, who sent it and when it came."""

    message: ConsensusMessage
    source: str
    received_ms: int
    """Wall time, milliseconds since 1970."""


class Inbox:
    """Owned by the runner; reactors put in through it."""

    def __init__(self) -> None:
        self._current: deque[Received] = deque()
        self._early: list[Received] = []
        self._seen = 0
        """How many of the early ones `fresh_early` returned."""
        self._held: dict[str, tuple[int, int]] = {}
        """(messages, bytes) by source; no entry where nothing waits."""
        self._current_bytes = 0
        self._early_bytes = 0
        self.dropped_total = 0
        """Messages refused for want of room."""

    def put(self, received: Received, *, early: bool) -> bool:
        """Take a message; False where its source or everybody together has too much waiting."""
        size = size_of(received.message)
        messages, total = self._held.get(received.source, (0, 0))
        used, room = (self._early_bytes, MAX_EARLY_BYTES) if early else (self._current_bytes, MAX_TOTAL_BYTES)
        if messages >= MAX_MESSAGES or total + size > MAX_BYTES or used + size > room:
            self.dropped_total += 1
            return False
        self._held[received.source] = messages + 1, total + size
        if early:
            self._early.append(received)
            self._early_bytes += size
        else:
            self._current.append(received)
            self._current_bytes += size
        return True

    def take(self, limit: int) -> list[Received]:
        """Remove and return the oldest current messages, `limit` at most."""
        taken = [self._current.popleft() for _ in range(min(limit, len(self._current)))]
        self._forget(taken)
        return taken

    def fresh_early(self) -> list[Received]:
        """Return what waits for its height and was not returned before; it goes on waiting."""
        fresh = self._early[self._seen :]
        self._seen = len(self._early)
        return fresh

    def drop(self, source: str) -> None:
        """Drop all that waits of a source that was rejected: it is not worth the arithmetic."""
        if self._held.pop(source, None) is None:
            return
        self._seen = sum(received.source != source for received in self._early[: self._seen])
        self._early = [received for received in self._early if received.source != source]
        self._current = deque(received for received in self._current if received.source != source)
        self._early_bytes = sum(size_of(received.message) for received in self._early)
        self._current_bytes = sum(size_of(received.message) for received in self._current)

    @property
    def is_empty(self) -> bool:
        """Whether no current message waits."""
        return not self._current

    def height_committed(self) -> None:
        """Drop what was about the height that is durable now, except precommits; what was early stays early."""
        late, self._current = self._current, deque()
        for received in late:
            message = received.message
            if isinstance(message, Vote) and message.type is VoteType.PRECOMMIT:
                self._current.append(received)
            else:
                self._forget([received])

    def height_started(self) -> None:
        """What was early is current."""
        self._current.extend(self._early)
        self._early.clear()
        self._seen = 0
        self._current_bytes += self._early_bytes
        self._early_bytes = 0

    def _forget(self, taken: list[Received]) -> None:
        for received in taken:
            size = size_of(received.message)
            messages, total = self._held[received.source]
            self._current_bytes -= size
            if messages == 1:
                del self._held[received.source]
            else:
                self._held[received.source] = messages - 1, total - size


def size_of(message: ConsensusMessage) -> int:
    """Return roughly how many bytes a message holds in memory."""
    if isinstance(message, PartMessage):
        return len(message.part.payload) + _SMALL
    if isinstance(message, (PolkaCertificate, RoundCertificate)):
        return _SMALL * (1 + len(message.votes))
    return _SMALL
