"""The senders of a block: known from the pool where it holds the transaction, else recovered in all threads at once.

A transaction's hash covers its signature, so one of the same hash has the same sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction

T = TypeVar("T")


class ThreadPool(Protocol):
    """Threads that share out a list."""

    def spread(self, function: Callable[[Sequence[T]], None], items: Sequence[T]) -> None:
        """Call the function on parts of the list in several threads and wait for all. Raises what one raises."""
        ...


class SenderBook:
    """Fills in senders. Any thread may ask: the pool is read by single look-ups."""

    def __init__(self, lookup: Callable[[Hash32], Transaction | None], threads: ThreadPool) -> None:
        self._lookup = lookup
        self._threads = threads

    def fill_in(self, transactions: Sequence[Transaction]) -> None:
        """Remember each transaction's sender; those that nobody signed stay unknown."""
        unknown = []
        for transaction in transactions:
            pooled = self._lookup(transaction.hash)
            if pooled is not None and pooled.has_sender:
                transaction.remember_sender(pooled.sender)
            elif not transaction.has_sender:
                unknown.append(transaction)
        self._threads.spread(recover_senders, unknown)
