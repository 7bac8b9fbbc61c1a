"""Snapshot format 1: a manifest of chunk hashes, and chunks of records. Pure.

    manifest   rlp [1, height, block hash, [keccak256 of chunk…]]; its keccak256 is the id of the snapshot
    chunk      zlib of records; a record is key size u16 ‖ value size u32 ‖ key ‖ value

Keys are those of the store where the value is as well (`storage.schema`): the block and its outcomes, the rotations,
the supply, accounts, words, codes. The block's commit is not among them: each node has one with other signatures, and
snapshots of a height must be the same everywhere. Three are the format's own, of what can be checked without blocks:

    h ‖ height   rlp [header bytes, consensus digest]     from the snapshot's height down
    e ‖ height   rlp [proof…]                             evidence in the block of that height, where there is any
    v ‖ hash     rlp of the validator set with this hash
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = 1
CHUNK_TARGET = 2 * 1024 * 1024
"""Bytes of records before a chunk is closed."""
MAX_RAW_BYTES = 40 * 1024 * 1024
"""Of one chunk's records: the target, and one record as large as a block."""
MAX_CHUNK_BYTES = 18 * 1024 * 1024
MAX_CHUNKS = 100_000
MAX_MANIFEST_BYTES = 34 * MAX_CHUNKS
_HEAD = Struct(">HI")
_LEVEL = 1
"""Of compression: headers are mostly zeros, and time matters more than the rest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot consists of."""

    height: int
    block_hash: Hash32
    chunks: tuple[Hash32, ...]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode([rlp.int_to_bytes(FORMAT), rlp.int_to_bytes(self.height), self.block_hash, list(self.chunks)])

    @property
    def id(self) -> Hash32:
        """What names the snapshot and everything in it."""
        return Hash32(keccak256(self.encode()))


def decode_manifest(raw: bytes) -> Manifest:
    """Return the manifest. Raises DecodingError, also for another format."""
    if len(raw) > MAX_MANIFEST_BYTES:
        raise DecodingError(f"a manifest of {len(raw)} bytes, {MAX_MANIFEST_BYTES} are allowed")
    number, height, block_hash, chunks = rlp.as_list(rlp.decode(raw, max_depth=2), length=4)
    if rlp.as_int(number, bits=32) != FORMAT:
        raise DecodingError(f"snapshot format {rlp.as_int(number, bits=32)}, this program knows {FORMAT}")
    hashes = tuple(Hash32(rlp.as_bytes(item, size=32)) for item in rlp.as_list(chunks))
    if not 1 <= len(hashes) <= MAX_CHUNKS:
        raise DecodingError(f"a snapshot of {len(hashes)} chunks, 1 to {MAX_CHUNKS} are allowed")
    return Manifest(rlp.as_int(height, bits=64), Hash32(rlp.as_bytes(block_hash, size=32)), hashes)


def pack(records: Iterable[tuple[bytes, bytes]], target: int = CHUNK_TARGET) -> Iterator[bytes]:
    """Yield the chunks of a stream of records."""
    parts: list[bytes] = []
    size = 0
    for key, value in records:
        parts += (_HEAD.pack(len(key), len(value)), key, value)
        size += _HEAD.size + len(key) + len(value)
        if size >= target:
            yield zlib.compress(b"".join(parts), _LEVEL)
            parts, size = [], 0
    if parts:
        yield zlib.compress(b"".join(parts), _LEVEL)


def unpack(chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of a chunk. Raises DecodingError, for more than `MAX_RAW_BYTES` too."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(chunk, MAX_RAW_BYTES)
    except zlib.error as error:
        raise DecodingError(f"a chunk does not decompress: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise DecodingError(f"a chunk is torn, goes on after its end, or has more than {MAX_RAW_BYTES} bytes")
    position = 0
    while position < len(raw):
        start = position + _HEAD.size
        if start > len(raw):
            raise DecodingError("a chunk ends within a record")
        key_size, value_size = _HEAD.unpack_from(raw, position)
        middle = start + key_size
        position = middle + value_size
        if position > len(raw):
            raise DecodingError("a chunk ends within a record")
        yield raw[start:middle], raw[middle:position]
