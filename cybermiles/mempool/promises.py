"""Pooled transactions that count on a sponsor's deposit, so that each deposit is promised once.

Without this a deposit for one transaction would open the pool to any number of them, of which a block takes one. With
it, whoever fills the pool with sponsored transactions has deposited what they cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.sponsorship.lane import Promised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.mempool.pool import Entry
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.transaction import Transaction


class Promises:
    """The sponsored entries of a pool by their target, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[Address, dict[Hash32, Entry]] = {}
        self._gas: dict[Address, int] = {}
        self._uses: dict[tuple[Address, Address], int] = {}

    @property
    def targets(self) -> tuple[Address, ...]:
        """Whose deposits are counted on."""
        return tuple(self._entries)

    def add(self, entry: Entry) -> None:
        """Count an entry that entered the pool."""
        self._count(entry.transaction, 1)
        self._entries.setdefault(_target(entry.transaction), {})[entry.transaction.hash] = entry

    def remove(self, entry: Entry) -> None:
        """Count an entry no more."""
        target = _target(entry.transaction)
        self._count(entry.transaction, -1)
        del self._entries[target][entry.transaction.hash]
        if not self._entries[target]:
            del self._entries[target]

    def before(self, transaction: Transaction, replaced: Entry | None) -> Promised:
        """Return what is promised already of the deposit for a newcomer's target, without what it would replace."""
        target = transaction.to
        if target is None:
            return Promised(0, 0)
        gas, uses = self._gas.get(target, 0), self._uses.get((target, transaction.sender), 0)
        if replaced is not None and replaced.transaction.hash in self._entries.get(target, {}):
            gas, uses = gas - replaced.transaction.gas_limit, uses - 1
        return Promised(gas, uses)

    def broken(self, target: Address, *, largest: int, gas: int) -> Iterator[Entry]:
        """Yield the entries that a deposit does not cover any more: the newest, and those over the largest gas limit.

        `gas` is what it covers altogether.
        """
        excess = self._gas.get(target, 0) - gas
        for entry in reversed(tuple(self._entries.get(target, {}).values())):
            if excess > 0 or entry.transaction.gas_limit > largest:
                excess -= entry.transaction.gas_limit
                yield entry

    def _count(self, transaction: Transaction, sign: int) -> None:
        target = _target(transaction)
        use = (target, transaction.sender)
        self._gas[target] = self._gas.get(target, 0) + sign * transaction.gas_limit
        self._uses[use] = self._uses.get(use, 0) + sign
        if not self._gas[target]:
            del self._gas[target]
        if not self._uses[use]:
            del self._uses[use]


def _target(transaction: Transaction) -> Address:
    if transaction.to is None:
        raise InvariantViolation("a creation has no sponsor")
    return transaction.to
