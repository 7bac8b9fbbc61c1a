"""Recursive Length Prefix: canonical encoding and bounded decoding (Yellow Paper, appendix B).

Ours and not a library's because it runs once for every transaction, node and header. The decoder accepts
the canonical form only, so that equal values have equal bytes and hashes, and its depth is bounded, so that no
bytes can exhaust the stack. Anything else raises DecodingError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

from cybermiles.errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

Item: TypeAlias = Union[bytes, "list[Item]"]
"""What decoding gives: bytes, or a list of items."""
Encodable: TypeAlias = Union[bytes, "Sequence[Encodable]"]

MAX_DEPTH = 16
"""Nested lists; no structure of this protocol has more than six."""


def encode(item: Encodable) -> bytes:
    """Return the encoding of bytes or of a nested sequence of bytes."""
    if isinstance(item, (bytes, bytearray, memoryview)):
        return encode_bytes(bytes(item))
    return encode_list([encode(element) for element in item])


def encode_bytes(data: bytes) -> bytes:
    """Return the encoding of one byte string."""
    size = len(data)
    if size == 1 and data[0] < 0x80:
        return data
    if size < 56:
        return bytes((0x80 + size,)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0xB7 + len(length),)) + length + data


def encode_list(encoded_items: Sequence[bytes]) -> bytes:
    """Return the encoding of a list whose items are encoded already."""
    payload = b"".join(encoded_items)
    size = len(payload)
    if size < 56:
        return bytes((0xC0 + size,)) + payload
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0xF7 + len(length),)) + length + payload


def encode_int(value: int) -> bytes:
    """Return the encoding of a non-negative integer: big-endian without leading zeros."""
    if 0 < value < 0x80:
        return bytes((value,))
    return encode_bytes(int_to_bytes(value))


def int_to_bytes(value: int) -> bytes:
    """Return the shortest big-endian bytes; b"" for 0."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def decode(data: bytes, *, max_depth: int = MAX_DEPTH) -> Item:
    """Return the item that `data` is the whole canonical encoding of. Raises DecodingError."""
    item, end = _item(data, 0, len(data), max_depth)
    if end != len(data):
        raise DecodingError(f"rlp: {len(data) - end} bytes after the item")
    return item


def decode_list(data: bytes, *, max_depth: int = MAX_DEPTH) -> list[Item]:
    """Like `decode`, for an encoding that must be a list."""
    item = decode(data, max_depth=max_depth)
    if not isinstance(item, list):
        raise DecodingError("rlp: a list is expected")
    return item


def as_bytes(item: Item, *, size: int | None = None) -> bytes:
    """Return a decoded item that must be bytes, of `size` bytes where given."""
    if not isinstance(item, bytes):
        raise DecodingError("rlp: bytes are expected, not a list")
    if size is not None and len(item) != size:
        raise DecodingError(f"rlp: {size} bytes are expected, not {len(item)}")
    return item


def as_int(item: Item, *, bits: int = 256) -> int:
    """Return a decoded item that must be a canonical integer below 2^bits."""
    data = as_bytes(item)
    if data and data[0] == 0:
        raise DecodingError("rlp: integer with leading zeros")
    if len(data) * 8 > bits:
        raise DecodingError(f"rlp: integer over {bits} bits")
    return int.from_bytes(data)


def as_list(item: Item, *, length: int | None = None) -> list[Item]:
    """Return a decoded item that must be a list, of `length` items where given."""
    if not isinstance(item, list):
        raise DecodingError("rlp: a list is expected, not bytes")
    if length is not None and len(item) != length:
        raise DecodingError(f"rlp: {length} items are expected, not {len(item)}")
    return item


def _item(data: bytes, position: int, end: int, depth: int) -> tuple[Item, int]:
    """Decode one item inside data[position:end]; return it and where it stops."""
    if position >= end:
        raise DecodingError("rlp: data ends inside an item")
    prefix = data[position]
    if prefix < 0x80:
        return data[position : position + 1], position + 1
    if prefix < 0xB8:
        start = position + 1
        stop = start + prefix - 0x80
        if stop > end:
            raise DecodingError("rlp: data ends inside a string")
        if prefix == 0x81 and data[start] < 0x80:
            raise DecodingError("rlp: a single small byte has no prefix")
        return data[start:stop], stop
    if prefix < 0xC0:
        start, stop = _long(data, position, end, prefix - 0xB7)
        return data[start:stop], stop
    if prefix < 0xF8:
        start = position + 1
        stop = start + prefix - 0xC0
        if stop > end:
            raise DecodingError("rlp: data ends inside a list")
    else:
        start, stop = _long(data, position, end, prefix - 0xF7)
    if depth == 0:
        raise DecodingError("rlp: lists are nested too deeply")
    items: list[Item] = []
    while start < stop:
        item, start = _item(data, start, stop, depth - 1)
        items.append(item)
    return items, stop


def _long(data: bytes, position: int, end: int, length_size: int) -> tuple[int, int]:
    start = position + 1 + length_size
    if start > end:
        raise DecodingError("rlp: data ends inside a length")
    if data[position + 1] == 0:
        raise DecodingError("rlp: length with leading zeros")
    size = int.from_bytes(data[position + 1 : start])
    if size < 56:
        raise DecodingError("rlp: a short length in the long form")
    stop = start + size
    if stop > end:
        raise DecodingError("rlp: data ends inside an item")
    return start, stop
