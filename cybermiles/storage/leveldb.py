"""LevelDB behind `KeyValueStore`: the only module that knows plyvel.

Every read verifies the checksum of the block it came from, and opening checks the write-ahead log
strictly (`paranoid_checks`): without that LevelDB silently drops a damaged record from the middle
of its log and the node would go on with a block missing. A log that merely ends early, as after a
power cut, is repaired by LevelDB itself: its last batch is gone as a whole.

Errors of the library become StorageError, with what the operator can do about it. plyvel releases
the interpreter lock while LevelDB works, so reads and writes from several threads overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import plyvel

from cybermiles.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDBOptions:
    """Sizes that trade memory for speed."""

    cache_bytes: int = 64 * MEBIBYTE
    """Uncompressed blocks kept in memory; a read outside it costs 10 µs and more."""
    write_buffer_bytes: int = 16 * MEBIBYTE
    """Collected in memory before a table file is written; twice that may be in use."""
    max_file_bytes: int = 8 * MEBIBYTE
    """Size of a table file: larger ones mean fewer open files and longer compactions."""
    max_open_files: int = 512
    """Table files kept open; below the usual process limit of 1024."""


DEFAULT_OPTIONS = LevelDBOptions()
BLOOM_FILTER_BITS = 10
"""Per key: 1 % of the lookups of absent keys read a table file in vain."""

_LOCKED = ("/LOCK: already held by process", "/LOCK: Resource temporarily unavailable")
_RESTORE = (
    "stop the node and restore this directory from a snapshot, or sync into a new one; "
    "the bytes on disk are not what was written"
)


class LevelDB:
    """One open database directory. `close` it before the process ends; a context manager too."""

    def __init__(self, path: Path, options: LevelDBOptions = DEFAULT_OPTIONS) -> None:
        """Open or create the database at `path`.

        Raises StorageError when another process has it open, or it is damaged or not accessible.
        """
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._db = plyvel.DB(
                str(path),
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=options.write_buffer_bytes,
                max_open_files=options.max_open_files,
                lru_cache_size=options.cache_bytes,
                max_file_size=options.max_file_bytes,
                bloom_filter_bits=BLOOM_FILTER_BITS,
            )
        except (plyvel.Error, OSError) as error:
            raise self._translate(error) from error

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None. Raises StorageError on a checksum mismatch."""
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error
        return value

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < stop as they were when the iteration began.

        Raises StorageError where a part of the range cannot be read, also at its end.
        """
        try:
            with self._db.raw_iterator(verify_checksums=True) as cursor:
                yield from _backward(cursor, start, stop) if reverse else _forward(cursor, start, stop)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        """Apply the batch atomically; with `sync` it is on the disk when this returns."""
        try:
            writes = self._db.write_batch(sync=sync)
            for key, value in batch.items():
                if value is None:
                    writes.delete(key)
                else:
                    writes.put(key, value)
            writes.write()
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error

    def compact(self, start: bytes, stop: bytes) -> None:
        """Rewrite the tables of a key range, which frees what deleted keys occupied."""
        try:
            self._db.compact_range(start=start, stop=stop)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error

    def frozen(self) -> FrozenView:
        """Return the database as it is now, whatever is written later. Close it: it keeps old data on the disk."""
        try:
            return FrozenView(self._db.snapshot(), self._translate)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error

    def close(self) -> None:
        """Close the database and all its iterators; again is harmless.

        The caller makes sure that no other thread is inside a method of this object.
        """
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _translate(self, error: Exception) -> StorageError:
        detail = error.args[0] if error.args else ""
        message = detail.decode(errors="replace") if isinstance(detail, bytes) else str(error)
        if any(mark in message for mark in _LOCKED):
            advice = "another node runs on this directory; stop it, or start with another one"
        elif isinstance(error, plyvel.CorruptionError):
            advice = _RESTORE
        elif "closed" in message:
            advice = "the database was closed"
        else:
            advice = "check that the disk has room and that the directory is readable and writable"
        return StorageError(f"database {self._path}: {message} ({advice})")


class FrozenView:
    """`KeyValueReader` of one moment. Any thread may read; close it before the database."""

    def __init__(self, snapshot: plyvel.Snapshot, translate: Callable[[Exception], StorageError]) -> None:
        self._snapshot = snapshot
        self._translate = translate

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None. Raises StorageError."""
        try:
            value: bytes | None = self._snapshot.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error
        return value

    def iterate(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start <= key < stop. Raises StorageError."""
        try:
            with self._snapshot.raw_iterator(verify_checksums=True) as cursor:
                yield from _backward(cursor, start, stop) if reverse else _forward(cursor, start, stop)
        except (plyvel.Error, RuntimeError) as error:
            raise self._translate(error) from error

    def close(self) -> None:
        """Let go of the moment; again is harmless."""
        self._snapshot.close()


def _forward(cursor: plyvel.RawIterator, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk up. plyvel's own iterator ends a range silently where a table is damaged; this one checks."""
    cursor.seek(start)
    while cursor.valid():
        key, value = cursor.item()
        if key >= stop:
            return
        yield key, value
        cursor.next()


def _backward(cursor: plyvel.RawIterator, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk down from below `stop`."""
    cursor.seek(stop)
    if cursor.valid():
        cursor.prev()
    else:
        cursor.seek_to_last()
    while cursor.valid():
        key, value = cursor.item()
        if key < start:
            return
        yield key, value
        cursor.prev()
