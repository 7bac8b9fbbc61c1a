"""Why a transaction was refused or dropped, kept for a while, so that its sender can ask."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32


class State(StrEnum):
    """Where a transaction is."""

    PENDING = "pending"
    """Waits for a block and can execute."""
    QUEUED = "queued"
    """Waits for an earlier nonce of its sender."""
    INCLUDED = "included"
    """In a block."""
    DROPPED = "dropped"
    """Was in the pool and left it without a block."""
    REJECTED = "rejected"
    """Never entered the pool."""


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """What the node knows of a transaction."""

    state: State
    reason: str = ""
    """Why it was dropped or rejected."""
    height: int | None = None
    """Of the block that includes it."""


class Reasons:
    """A bounded journal by hash; the oldest go first."""

    def __init__(self, seconds: int, maximum: int) -> None:
        self._seconds = seconds
        self._maximum = maximum
        self._entries: OrderedDict[Hash32, tuple[int, TransactionStatus]] = OrderedDict()

    def record(self, tx_hash: Hash32, status: TransactionStatus, now: int) -> None:
        """Keep a status; a later one of the same transaction replaces it."""
        self._entries[tx_hash] = (now, status)
        self._entries.move_to_end(tx_hash)
        if len(self._entries) > self._maximum:
            self._entries.popitem(last=False)

    def get(self, tx_hash: Hash32) -> TransactionStatus | None:
        """Return what is kept."""
        entry = self._entries.get(tx_hash)
        return None if entry is None else entry[1]

    def expire(self, now: int) -> None:
        """Forget what is older than the journal's time."""
        while self._entries:
            recorded, _ = next(iter(self._entries.values()))
            if now - recorded < self._seconds:
                return
            self._entries.popitem(last=False)
