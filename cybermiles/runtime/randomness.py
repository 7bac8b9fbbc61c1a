"""Randomness as a constructor argument, so that a test's or a simulation's choices follow from its seed.

Only choices come from here: which peer, which address, how much jitter. Keys come from `cybermiles.crypto`.
"""

from __future__ import annotations

import random
import secrets
from typing import Protocol


class Randomness(Protocol):
    """Uniform choices."""

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound); the bound is positive."""
        ...


class SystemRandomness:
    """Unpredictable to peers."""

    def below(self, bound: int) -> int:
        return secrets.randbelow(bound)


class SeededRandomness:
    """The same choices for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (choices, not keys)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)
