"""What happened, as a hash over everything and the last lines of text.

Two runs of one seed have equal hashes; a violation prints the lines.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b


class Trace:
    """Every recorded event goes into the hash; the last `keep` are kept to be printed."""

    def __init__(self, keep: int = 0) -> None:
        self._hash = blake2b(digest_size=16)
        self._lines: deque[tuple[object, ...]] = deque(maxlen=keep)
        self.events = 0

    def record(self, *event: object) -> None:
        """Take an event: virtual time in ms, who, what, and details whose repr does not depend on the process."""
        self.events += 1
        self._hash.update(repr(event).encode())
        self._lines.append(event)

    @property
    def hash(self) -> str:
        """Hex digest of all events so far."""
        return self._hash.hexdigest()

    def lines(self) -> list[str]:
        """Return the kept events as text."""
        return ["  ".join(str(part) for part in event) for event in self._lines]
