"""Per-height write-ahead log: what the engine took in, durable before this node signs because of it.

After a crash the same inputs in the same order lead the engine to the same place. One file per height needs no search
for an end marker and is bounded by the height itself. Records are collected in memory and written by `flush`, as one
frame and with one fsync, before the next frame begins:

    file     wal-<height, 12 digits>     removed once a later height is durable
    frame    MARKER ‖ escaped(crc32(4) ‖ length(4) ‖ records)        big-endian; the CRC covers length and records
    record   type(1) ‖ length(4) ‖ payload
    escaped  every MAGIC is followed by 0x00; MARKER is MAGIC ‖ 0x01, so no content looks like a frame

A frame that does not decode and has no whole frame behind it is a torn write: it is cut off, because nothing that
depended on it was ever signed. One with a whole frame behind it was on the disk once, and the disk lost it: the node
refuses to start. Blocks are other people's bytes: without the escaping one of them could, torn, look like the latter.
Finding frames is one linear search, whatever the file holds.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from cybermiles.consensus.records import Record, RecordType
from cybermiles.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.consensus.ports import Directory, Worker

MAGIC = b"\xfe\xca\xd0\x0d"
"""Has no proper prefix that is its suffix too, so occurrences never overlap."""
MARKER = MAGIC + b"\x01"
_ESCAPED = MAGIC + b"\x00"
_CRC_BYTES = 4
_LENGTH_BYTES = 4
_RECORD = struct.Struct(">BI")
_PREFIX = "wal-"


class WriteAheadLog:
    """The log of one height, opened for appending. Owned by the runner's task.

    `exists` says that `read_log` found one; otherwise the file is created by the first flush.
    """

    def __init__(self, directory: Directory, worker: Worker, height: int, *, exists: bool) -> None:
        self._directory = directory
        self._worker = worker
        self._name = log_name(height)
        self._waiting: list[Record] = []
        self._is_named = exists

    def append(self, record: Record) -> None:
        """Take a record; it is durable after the next `flush`."""
        self._waiting.append(record)

    async def flush(self) -> None:
        """Return when every record taken so far survives a loss of power. Raises StorageError."""
        if self._waiting:
            records, self._waiting = self._waiting, []
            await self._worker.run(self._write, records)

    async def remove(self) -> None:
        """Delete the log: its height is durable elsewhere, or is begun anew. Raises StorageError."""
        self._waiting = []
        if self._is_named:
            self._is_named = False
            await self._worker.run(_remove, self._directory, self._name)

    def _write(self, records: Sequence[Record]) -> None:
        try:
            self._directory.append(self._name, encode_frame(records))
            self._directory.sync(self._name)
            if not self._is_named:
                self._directory.sync_names()
                self._is_named = True
        except OSError as error:
            raise StorageError(f"the write-ahead log cannot be written: {error}") from error


def log_name(height: int) -> str:
    """Return the file name of a height's log."""
    return f"{_PREFIX}{height:012d}"


def read_log(directory: Directory, height: int) -> tuple[Record, ...]:
    """Return what an earlier run left for this height, and cut off a torn end.

    Raises StorageError where whole frames follow a damaged one.
    """
    name = log_name(height)
    try:
        data = directory.read(name) or b""
        records, good = decode_frames(data, name)
        if good < len(data):
            directory.truncate(name, good)
        if data:
            # A killed process may leave what only the kernel has. What follows from it will be signed.
            directory.sync(name)
            directory.sync_names()
    except OSError as error:
        raise StorageError(f"the write-ahead log {name} cannot be read: {error}") from error
    return records


def remove_before(directory: Directory, height: int) -> None:
    """Delete the logs of heights that are decided and durable. Raises StorageError."""
    for name in directory.names():
        if name.startswith(_PREFIX) and name < log_name(height):
            _remove(directory, name)


def encode_frame(records: Sequence[Record]) -> bytes:
    """Return the bytes of one frame."""
    body = b"".join(_RECORD.pack(record.type, len(record.payload)) + record.payload for record in records)
    length = len(body).to_bytes(_LENGTH_BYTES)
    content = zlib.crc32(body, zlib.crc32(length)).to_bytes(_CRC_BYTES) + length + body
    return MARKER + content.replace(MAGIC, _ESCAPED)


def decode_frames(data: bytes, name: str) -> tuple[tuple[Record, ...], int]:
    """Return the records of a log and how many of its bytes they take.

    Raises StorageError naming `name` where the log is damaged in its middle.
    """
    before, *segments = data.split(MARKER)
    records: list[Record] = []
    good = 0
    is_damaged = bool(before)
    for segment in segments:
        frame = _decode_frame(segment)
        if frame is None:
            is_damaged = True
            continue
        if is_damaged:
            raise StorageError(
                f"{name} is corrupt at byte {good}: a damaged record is followed by whole ones. Check the disk. Then "
                "restore the data directory from a backup, or remove it with `cmt node reset` and sync again; keep "
                "the validator's key and signer state in either case."
            )
        content, size = frame
        records += content
        good += size
        is_damaged = size < len(MARKER) + len(segment)
    return tuple(records), good


def _decode_frame(segment: bytes) -> tuple[list[Record], int] | None:
    """Return the records of what follows a marker and the size of the frame in the file, None where it is damaged."""
    content = segment.replace(_ESCAPED, MAGIC)
    length = int.from_bytes(content[_CRC_BYTES : _CRC_BYTES + _LENGTH_BYTES])
    start = _CRC_BYTES + _LENGTH_BYTES
    records = _decode_records(content[start : start + length])
    if records is None:
        return None
    # What the records encode to has their checksum, so equal bytes are right ones.
    encoded = encode_frame(records)
    return (records, len(encoded)) if (MARKER + segment).startswith(encoded) else None


def _decode_records(body: bytes) -> list[Record] | None:
    records = []
    position = 0
    while position < len(body):
        if position + _RECORD.size > len(body):
            return None
        kind, length = _RECORD.unpack_from(body, position)
        position += _RECORD.size
        payload = body[position : position + length]
        position += length
        if kind not in RecordType.__members__.values() or len(payload) != length:
            return None
        records.append(Record(RecordType(kind), payload))
    return records


def _remove(directory: Directory, name: str) -> None:
    try:
        directory.remove(name)
    except OSError as error:
        raise StorageError(f"the write-ahead log {name} cannot be removed: {error}") from error
