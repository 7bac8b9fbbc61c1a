"""Recursive Length Prefix: canonical encoding and bounded decoding (Yellow Paper, appendix B).

Ours and not a library's because it runs once for every transaction, node and header. The decoder accepts
the canonical form only, so that equal values have equal bytes and hashes, and its depth is bounded, so that no
bytes can exhaust the stack. Anything else raises DecodingError.

There are two ways in. `decode` turns bytes into nested lists, which `as_bytes`, `as_int` and `as_list` then check
against what should be there. The `read_*` functions go through the bytes of a known structure from left to right
without building the lists first: twice as fast, and a list of a hundred thousand empty lists is refused at its
first one. A reader returns where the next item starts; whoever reads a list compares the last position with its end.
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
    """Return the item that `data` is the whole canonical encoding of.

    Raises DecodingError, also for lists nested deeper than `max_depth`; 0 allows no list at all.
    """
    if not data:
        raise DecodingError("rlp: no data")
    start, stop = _payload(data, 0)
    if stop > len(data):
        raise DecodingError("rlp: data ends inside an item")
    if stop < len(data):
        raise DecodingError(f"rlp: {len(data) - stop} bytes after the item")
    return data[start:stop] if data[0] < 0xC0 else _items(data, start, stop, max_depth - 1)


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


def read_ints(data: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Read `count` canonical integers of at most 256 bits. Raises DecodingError."""
    values = []
    try:
        for _ in range(count):
            prefix = data[position]
            position += 1
            if prefix <= 0x80:
                if prefix == 0:
                    raise DecodingError("rlp: integer with leading zeros")
                values.append(prefix & 0x7F)
            elif prefix <= 0xA0:
                first = data[position]
                if first < 0x80 and (first == 0 or prefix == 0x81):
                    raise DecodingError("rlp: integer with leading zeros or a needless prefix")
                stop = position + prefix - 0x80
                values.append(int.from_bytes(data[position:stop]))
                position = stop
            else:
                raise DecodingError("rlp: an integer of at most 256 bits is expected")
    except IndexError:
        raise DecodingError("rlp: data ends before an integer") from None
    if position > len(data):
        raise DecodingError("rlp: data ends inside an integer")
    return values, position


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """Read one byte string. Raises DecodingError."""
    if position >= len(data) or data[position] >= 0xC0:
        raise DecodingError("rlp: bytes are expected")
    start, stop = _payload(data, position)
    if stop > len(data):
        raise DecodingError("rlp: data ends inside a string")
    return data[start:stop], stop


def read_list(data: bytes, position: int) -> tuple[int, int]:
    """Return where the items of a list start and where it ends. Raises DecodingError."""
    if position >= len(data) or data[position] < 0xC0:
        raise DecodingError("rlp: a list is expected")
    start, stop = _payload(data, position)
    if stop > len(data):
        raise DecodingError("rlp: data ends inside a list")
    return start, stop


def int_size(value: int) -> int:
    """Return how many bytes `encode_int` gives."""
    return 1 if value < 0x80 else 1 + (value.bit_length() + 7) // 8


def _items(data: bytes, position: int, end: int, depth: int) -> list[Item]:
    """Decode the items of the list whose payload is data[position:end]; `depth` more levels may follow."""
    if depth < 0:
        raise DecodingError("rlp: lists are nested too deeply")
    items: list[Item] = []
    while position < end:
        prefix = data[position]
        start = position + 1
        if prefix < 0x80:
            start, stop = position, start
        elif prefix < 0xB8 and prefix != 0x81:
            stop = start + prefix - 0x80
        else:
            start, stop = _payload(data, position)
        if stop > end:
            raise DecodingError("rlp: an item ends after its list")
        items.append(data[start:stop] if prefix < 0xC0 else _items(data, start, stop, depth - 1))
        position = stop
    return items


def _payload(data: bytes, position: int) -> tuple[int, int]:
    """Return start and end of the payload of the item at `position`; the end may be beyond the data's."""
    prefix = data[position]
    start = position + 1
    if prefix < 0x80:
        return position, start
    if prefix < 0xB8:
        if prefix == 0x81 and data[start : start + 1] < b"\x80":
            raise DecodingError("rlp: a single small byte has no prefix")
        return start, start + prefix - 0x80
    if 0xC0 <= prefix < 0xF8:
        return start, start + prefix - 0xC0
    size = prefix - (0xB7 if prefix < 0xC0 else 0xF7)
    length = data[start : start + size]
    if len(length) != size:
        raise DecodingError("rlp: data ends inside a length")
    payload_size = int.from_bytes(length)
    if length[0] == 0 or payload_size < 56:
        raise DecodingError("rlp: a length with leading zeros, or a short one in the long form")
    start += size
    return start, start + payload_size
