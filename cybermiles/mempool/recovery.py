"""Senders of newcomers, recovered in the threads: those that come while others are at work go together, next.

A hundred clients that each send one transaction then cost a few hand-overs and not a hundred.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.types.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Protocol):
    """Where signatures are recovered."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread."""
        ...


@dataclass(slots=True)
class _Batch:
    transactions: list[Transaction] = field(default_factory=list)
    is_done: bool = False


class SenderRecovery:
    """Shared by everybody who hands transactions in, on the event loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._gathering = _Batch()
        self._turn = asyncio.Lock()

    async def recover(self, transactions: Sequence[Transaction]) -> None:
        """Recover and remember senders; unrecoverable ones stay unknown."""
        batch = self._gathering
        batch.transactions.extend(transactions)
        async with self._turn:
            if batch.is_done:
                return
            # Whoever comes first takes the batch along for all. If that one is cancelled, the next does it again.
            if batch is self._gathering:
                self._gathering = _Batch()
            await self._threads.run(recover_senders, batch.transactions)
            batch.is_done = True
