"""The key-value store that state and storage are written against, and its in-memory form."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class KeyValueReader(Protocol):
    """Ordered byte keys to byte values, read side."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None. Raises StorageError when the disk returns wrong bytes."""
        ...

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < stop in key order, or backwards."""
        ...


class KeyValueStore(KeyValueReader, Protocol):
    """The write side: one atomic batch at a time."""

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        """Apply all puts and deletions (value None) or none; with `sync` they survive power loss."""
        ...


class MemoryStore:
    """`KeyValueStore` in a dict, for tests and ephemeral nodes."""

    def __init__(self, items: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._values: dict[bytes, bytes] = dict(items)
        self._keys: list[bytes] = sorted(self._values)

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        keys = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, stop)]
        for key in reversed(keys) if reverse else keys:
            yield key, self._values[key]

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:  # noqa: ARG002  (memory has no fsync)
        for key, value in batch.items():
            if value is None:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
