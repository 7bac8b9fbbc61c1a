"""Checks consensus signatures in threads, each distinct one once.

Votes come from several peers, alone and in certificates, and again after a round; what was found right before is
answered from a bounded memory. Wrong signatures are not remembered: they cost their sender, who is dropped.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.crypto import ed25519

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.consensus.ports import Worker

_Check: TypeAlias = "tuple[bytes, bytes, bytes]"
"""Public key, message, signature."""
REMEMBERED = 20_000
"""Right signatures kept, about 6 MiB: three rounds of votes of the largest validator set."""
_CHUNK = 64
"""Signatures of one task of a thread, about 8 ms."""


class BatchVerifier:
    """`consensus.ports.Verifier` over a pool of threads.

    `verify_one(public key, message, signature)` does the arithmetic; simulations put a cheaper one in its place.
    """

    def __init__(self, worker: Worker, verify_one: Callable[[bytes, bytes, bytes], bool] = ed25519.verify) -> None:
        self._worker = worker
        self._verify_one = verify_one
        self._right: dict[_Check, None] = {}
        self.verified_total = 0
        """Signatures that were computed, not remembered."""

    async def verify(self, checks: Sequence[_Check]) -> list[bool]:
        """See `Verifier`."""
        unknown = list(dict.fromkeys(check for check in checks if check not in self._right))
        self.verified_total += len(unknown)
        right = await self._verify_chunks(unknown)
        answers = [check in right or check in self._right for check in checks]
        self._remember(right)
        return answers

    async def _verify_chunks(self, checks: Sequence[_Check]) -> dict[_Check, None]:
        chunks = [checks[start : start + _CHUNK] for start in range(0, len(checks), _CHUNK)]
        found = await asyncio.gather(*(self._worker.run(self._verify_all, chunk) for chunk in chunks))
        return {check: None for chunk in found for check in chunk}

    def _remember(self, right: dict[_Check, None]) -> None:
        self._right |= right
        for oldest in list(islice(self._right, max(0, len(self._right) - REMEMBERED))):
            del self._right[oldest]

    def _verify_all(self, checks: Sequence[_Check]) -> list[_Check]:
        return [check for check in checks if self._verify_one(*check)]
