"""Records published after the fact, for whoever listens: nothing waits for a listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.types.block import Block
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import Transaction


@dataclass(frozen=True, slots=True)
class BlockCommitted:
    """A block became durable."""

    block: Block
    logs: tuple[tuple[Log, ...], ...]
    """Of each transaction, in order; behind them the system contracts' events in no transaction, if there are any."""


@dataclass(frozen=True, slots=True)
class TransactionsAdmitted:
    """The pool took transactions, which can execute now or later."""

    transactions: tuple[Transaction, ...]
    """At least one, in the order of their admission."""


@dataclass(frozen=True, slots=True)
class TransactionDropped:
    """The pool gave a transaction up without a block taking it."""

    hash: Hash32
    reason: str


Event: TypeAlias = BlockCommitted | TransactionsAdmitted | TransactionDropped
