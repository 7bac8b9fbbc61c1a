"""A bounded cache whose every operation is safe beside other threads without a lock.

Entries go into the new half; when that is full it becomes the old half and what was in the old half
is forgotten. So an entry that is used is found in one of two dictionaries, eviction is an
assignment, and nothing ever iterates over a dictionary that somebody else may change. Values are
bytes, numbers and flat tuples, which the garbage collector does not have to visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class AgingCache(Generic[K, V]):
    """At most two halves of `limit` cost units each."""

    __slots__ = ("_cost", "_limit", "_new", "_old")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cost = 0
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K, default: D) -> V | D:
        """Return the cached value or `default`."""
        try:
            return self._new[key]
        except KeyError:
            return self._old.get(key, default)

    def put(self, key: K, value: V, cost: int = 1) -> None:
        """Remember a value, which shadows an earlier one of the key."""
        self._make_room()
        self._new[key] = value
        self._cost += cost

    def put_all(self, values: Mapping[K, V], cost: int) -> None:
        """Remember many values that cost so much together."""
        self._make_room()
        self._new.update(values)
        self._cost += cost

    def _make_room(self) -> None:
        if self._cost >= self._limit:
            self._old = self._new
            self._new = {}
            self._cost = 0
