"""Per-height write-ahead log: CRC-framed records, one file a height, fsync on demand.

What the engine will act on is in this file before it acts, so that after a crash the same inputs give the
same outputs. One file per height needs no search for an end marker and is bounded by the height itself.

    file    wal-<height, 12 digits>     removed once a later height is durable
    record  crc32(4) ‖ length(4) ‖ type(1) ‖ payload     big-endian; the CRC covers length, type and payload

An undecodable end with nothing valid behind it is a torn write: it is cut off, because nothing derived from it
was ever sent. A bad record with valid ones behind it is disk corruption: the node refuses to start.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from cybermiles.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = struct.Struct(">IIB")
MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes; no block is larger."""


class RecordType(IntEnum):
    """What a record holds."""

    PROPOSAL = 1
    """Round (4 bytes, big-endian) and the value this node proposes."""


@dataclass(frozen=True, slots=True)
class Record:
    """One durable input."""

    type: RecordType
    payload: bytes


class WriteAheadLog:
    """The log of one height, opened for appending. Owned by the engine's task."""

    def __init__(self, directory: Path, height: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"wal-{height:012d}"
        self._records = _recover(self._path)
        self._file = self._path.open("ab")
        _sync_directory(directory)

    @property
    def records(self) -> tuple[Record, ...]:
        """What an earlier run left for this height."""
        return tuple(self._records)

    def append(self, record: Record) -> None:
        """Write a record and return when it survives power loss."""
        self._file.write(_encode(record))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, keeping it."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete: a later height is durable."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def remove_before(directory: Path, height: int) -> None:
    """Delete logs of heights that are decided and durable."""
    for path in directory.glob("wal-*"):
        if int(path.name.removeprefix("wal-")) < height:
            path.unlink()


def _encode(record: Record) -> bytes:
    body = struct.pack(">IB", len(record.payload), record.type) + record.payload
    return zlib.crc32(body).to_bytes(4) + body


def _recover(path: Path) -> list[Record]:
    if not path.exists():
        return []
    data = path.read_bytes()
    records: list[Record] = []
    position = 0
    while position < len(data):
        record, end = _read(data, position)
        if record is None:
            _cut_torn_tail(path, data, position)
            break
        records.append(record)
        position = end
    return records


def _read(data: bytes, position: int) -> tuple[Record | None, int]:
    start = position + _HEAD.size
    if start > len(data):
        return None, position
    crc, length, kind = _HEAD.unpack_from(data, position)
    end = start + length
    if length > MAX_PAYLOAD or end > len(data):
        return None, position
    if zlib.crc32(data[position + 4 : end]) != crc or kind not in RecordType.__members__.values():
        return None, position
    return Record(RecordType(kind), data[start:end]), end


def _cut_torn_tail(path: Path, data: bytes, position: int) -> None:
    for later in range(position + 1, len(data) - _HEAD.size + 1):
        if _read(data, later)[0] is not None:
            raise StorageError(
                f"{path} is corrupt at byte {position}: a damaged record is followed by valid ones. "
                "Check the disk; restore the data directory from a backup or remove it and sync again, "
                "keeping the validator's key and signer state."
            )
    with path.open("r+b") as file:
        file.truncate(position)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
