"""A token bucket in integers: so many tokens a second, so many at once. Pure: `now_ms` is an argument.

    allow    takes tokens if they are there: for what may be refused (a request, a connection)
    charge   takes them in any case and says how long to wait: for what is here already (bytes that were read)

A bucket that nobody took from for long enough is full and may be forgotten.
"""

from __future__ import annotations


class TokenBucket:
    """`rate` tokens a second flow in, up to `burst`. Levels are in thousandths of a token."""

    __slots__ = ("_level", "_rate", "_size", "_updated_ms")

    def __init__(self, rate: int, burst: int, now_ms: int) -> None:
        self._rate = rate
        self._size = burst * 1000
        self._level = self._size
        self._updated_ms = now_ms

    def allow(self, now_ms: int, tokens: int = 1) -> bool:
        """Take the tokens and return True, or return False and take none."""
        self._refill(now_ms)
        if self._level < tokens * 1000:
            return False
        self._level -= tokens * 1000
        return True

    def charge(self, now_ms: int, tokens: int) -> int:
        """Take the tokens, into debt if need be, and return the milliseconds until the debt is paid."""
        self._refill(now_ms)
        self._level -= tokens * 1000
        return 0 if self._level >= 0 else -(self._level // self._rate)

    def is_full(self, now_ms: int) -> bool:
        """Whether nothing was taken for so long that forgetting the bucket changes nothing."""
        self._refill(now_ms)
        return self._level == self._size

    def _refill(self, now_ms: int) -> None:
        if now_ms > self._updated_ms:
            self._level = min(self._level + (now_ms - self._updated_ms) * self._rate, self._size)
            self._updated_ms = now_ms
