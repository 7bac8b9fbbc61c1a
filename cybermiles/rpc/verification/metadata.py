"""The trailer that solc appends to code: a CBOR map with the hash of the contract's metadata, and the map's size.

    code … a2 64 "ipfs" 58 22 <multihash> 64 "solc" 43 00 08 1e 00 33
                                                               └─── bytes of the map

The metadata document names every source with its hash, so a trailer that has an IPFS hash binds the sources to the
last comment. Sources: Solidity's documentation, "Contract Metadata"; RFC 8949; the UnixFS and DAG-PB specifications.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_MAX_ENTRIES = 8
_CHUNK_BYTES = 256 * 1024
"""IPFS splits larger files; their hash is a tree's."""


class Trailer(NamedTuple):
    """What stands behind the code."""

    size: int
    """Bytes, with the two that tell the map's size."""
    ipfs: bytes | None
    """Multihash of the metadata: 0x1220 and a SHA-256 hash."""
    binds_sources: bool
    """Whether it has a hash of the metadata, of IPFS or Swarm."""
    compiler: str | None
    """Version, as "0.8.30"; None where it is not said."""


def trailer_of(code: bytes) -> Trailer | None:
    """Return the trailer of runtime code, None where there is none."""
    if len(code) < 2:
        return None
    size = int.from_bytes(code[-2:])
    if not 0 < size <= len(code) - 2:
        return None
    try:
        entries = _decode_map(code[-2 - size : -2])
    except ValueError:
        return None
    ipfs, solc = entries.get("ipfs"), entries.get("solc")
    compiler = solc if isinstance(solc, str) else None
    if isinstance(solc, bytes) and len(solc) == 3:
        compiler = ".".join(map(str, solc))
    binds = any(isinstance(entries.get(name), bytes) for name in ("ipfs", "bzzr0", "bzzr1"))
    return Trailer(size + 2, ipfs if isinstance(ipfs, bytes) else None, binds, compiler)


def ipfs_multihash(content: bytes) -> bytes | None:
    """Return the multihash under which IPFS knows a file, None for one so large that it would be split."""
    if len(content) > _CHUNK_BYTES:
        return None
    length = _varint(len(content))
    data = b"\x12" + length + content if content else b""
    file = b"\x08\x02" + data + b"\x18" + length
    return b"\x12\x20" + hashlib.sha256(b"\x0a" + _varint(len(file)) + file).digest()


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _decode_map(data: bytes) -> dict[str, bytes | str | bool]:
    """Return a map of text to bytes, text or bool that fills `data`. Raises ValueError for anything else."""
    kind, count, at = _head(data, 0)
    if kind != 5 or count > _MAX_ENTRIES:
        raise ValueError("no small map")
    entries: dict[str, bytes | str | bool] = {}
    for _ in range(count):
        name, at = _item(data, at)
        value, at = _item(data, at)
        if not isinstance(name, str):
            raise ValueError("a key that is no text")  # noqa: TRY004  (what a decoder reports)
        entries[name] = value
    if at != len(data):
        raise ValueError("bytes behind the map")
    return entries


def _item(data: bytes, at: int) -> tuple[bytes | str | bool, int]:
    if data[at : at + 1] in (b"\xf4", b"\xf5"):
        return data[at] == 0xF5, at + 1
    kind, size, at = _head(data, at)
    value = data[at : at + size]
    if kind not in (2, 3) or len(value) != size:
        raise ValueError("neither bytes nor text nor a bool")
    return value if kind == 2 else value.decode(), at + size


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return (major type, argument, where the content begins)."""
    if at >= len(data):
        raise ValueError("ends early")
    kind, argument = data[at] >> 5, data[at] & 0x1F
    if argument < 24:
        return kind, argument, at + 1
    width = {24: 1, 25: 2}.get(argument)
    if width is None or at + 1 + width > len(data):
        raise ValueError("an argument that is too wide")
    return kind, int.from_bytes(data[at + 1 : at + 1 + width]), at + 1 + width
