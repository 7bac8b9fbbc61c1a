"""Answers that wait for slow readers, bounded in bytes over all connections.

Each connection may hold several answers of `response_max_bytes` until its peer has read them. Many such connections
together would hold gigabytes; past the bound an answer is replaced by an error of a few bytes.
"""

from __future__ import annotations

from cybermiles.rpc.jsonrpc import LIMIT_EXCEEDED, RpcError, replace_result

SMALL_BYTES = 4 * 1024
"""Answers up to this size are always admitted: the numbers of connections and of their requests bound them."""


class Backlog:
    """Counts the bytes. Owned by the event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def admit(self, answer: bytes) -> bytes:
        """Return the answer, or the error in its place, and count its bytes until `give_back`."""
        if len(answer) > SMALL_BYTES and self._held + len(answer) > self._limit:
            what = f"server busy: {self._held} bytes of answers wait to be read (rpc.answers_max_bytes)"
            answer = replace_result(answer, RpcError(LIMIT_EXCEEDED, what))
        self._held += len(answer)
        return answer

    def give_back(self, size: int) -> None:
        """Count bytes off."""
        self._held -= size

    @property
    def held_bytes(self) -> int:
        """Bytes that wait now."""
        return self._held
