"""The contract ABI's types as codecs: strict, canonical, and quick for what calls are made of.

What is decoded is part of consensus, so one meaning has one encoding here: words have no dirty bits, a bool is 0 or 1,
an enum names a member, text is UTF-8, padding is there and is zero, and tails lie behind the heads in order and without
gaps, as solc, vyper, ethers, viem and web3.py write them. Bytes behind the last tail are ignored, as Solidity ignores
them (wallets append marks). Every byte is read at most once, so calldata cannot unfold into more than it is.

    codec.decode(data, at) -> (value, end of what it read)      raises MalformedData, whatever the bytes are
    codec.encode(value)    -> bytes                             raises EncodingError for a value of another type

Values: int, bool, bytes, str, Address, tuples for structs and arrays. A NamedTuple is a struct as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import TYPE_CHECKING, Protocol

from cybermiles.errors import CybermilesError, DecodingError
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

_ZEROS = bytes(32)


class MalformedData(DecodingError):
    """Bytes are not the canonical encoding of the values they should be."""


class EncodingError(CybermilesError):
    """A value is not of the ABI's type."""


class Codec(Protocol):
    """One type. `size` is its bytes in the head of what contains it; `is_dynamic` types have their offset there."""

    size: int
    is_dynamic: bool

    def decode(self, data: bytes, at: int) -> tuple[object, int]:
        """Return the value that begins at `at` and where its encoding ends."""
        ...

    def encode(self, value: object) -> bytes:
        """Return the encoding: the head's words of a static type, the tail of a dynamic one."""
        ...


class Unsigned:
    """uint8 … uint256, and enums: unsigned integers up to `maximum`."""

    __slots__ = ("maximum",)
    size = 32
    is_dynamic = False

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum

    def decode(self, data: bytes, at: int) -> tuple[int, int]:
        value = int.from_bytes(data[at : at + 32])
        if value > self.maximum:
            raise MalformedData(f"{value} is over {self.maximum}")
        return value, at + 32

    def encode(self, value: object) -> bytes:
        if not isinstance(value, int) or not 0 <= value <= self.maximum:
            raise EncodingError(f"{value!r} is no integer in 0 … {self.maximum}")
        return value.to_bytes(32)


class Signed:
    """int8 … int256 in two's complement."""

    __slots__ = ("_limit",)
    size = 32
    is_dynamic = False

    def __init__(self, bits: int) -> None:
        self._limit = 1 << bits - 1

    def decode(self, data: bytes, at: int) -> tuple[int, int]:
        value = int.from_bytes(data[at : at + 32], signed=True)
        if not -self._limit <= value < self._limit:
            raise MalformedData(f"{value} is not in ±{self._limit}")
        return value, at + 32

    def encode(self, value: object) -> bytes:
        if not isinstance(value, int) or not -self._limit <= value < self._limit:
            raise EncodingError(f"{value!r} is no integer in ±{self._limit}")
        return value.to_bytes(32, signed=True)


class Boolean:
    """bool: the word 0 or 1."""

    __slots__ = ()
    size = 32
    is_dynamic = False

    def decode(self, data: bytes, at: int) -> tuple[bool, int]:
        value = int.from_bytes(data[at : at + 32])
        if value > 1:
            raise MalformedData(f"{value} is no bool")
        return value == 1, at + 32

    def encode(self, value: object) -> bytes:
        if not isinstance(value, bool):
            raise EncodingError(f"{value!r} is no bool")
        return value.to_bytes(32)


class AddressWord:
    """address: 20 bytes behind 12 zero bytes."""

    __slots__ = ()
    size = 32
    is_dynamic = False

    def decode(self, data: bytes, at: int) -> tuple[Address, int]:
        if data[at : at + 12] != _ZEROS[:12]:
            raise MalformedData("dirty bits over an address")
        return Address(data[at + 12 : at + 32]), at + 32

    def encode(self, value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != 20:
            raise EncodingError(f"{value!r} is no address of 20 bytes")
        return value.rjust(32, b"\x00")


class FixedBytes:
    """bytes1 … bytes32: left in the word, zeros behind."""

    __slots__ = ("_length",)
    size = 32
    is_dynamic = False

    def __init__(self, length: int) -> None:
        self._length = length

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        if data[at + self._length : at + 32] != _ZEROS[self._length :]:
            raise MalformedData(f"dirty bits behind bytes{self._length}")
        return data[at : at + self._length], at + 32

    def encode(self, value: object) -> bytes:
        if not isinstance(value, bytes) or len(value) != self._length:
            raise EncodingError(f"{value!r} is not {self._length} bytes")
        return value.ljust(32, b"\x00")


class Bytes:
    """bytes: length, data, zeros up to a whole word."""

    __slots__ = ()
    size = 32
    is_dynamic = True

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        start = at + 32
        length = int.from_bytes(data[at:start])
        end = start + length
        padded = end + -length % 32
        if start > len(data) or padded > len(data):
            raise MalformedData("bytes end behind the calldata")
        if data[end:padded] != _ZEROS[: padded - end]:
            raise MalformedData("dirty padding behind bytes")
        return data[start:end], padded

    def encode(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise EncodingError(f"{value!r} is not bytes")
        return len(value).to_bytes(32) + value + bytes(-len(value) % 32)


class Text:
    """string: bytes that are UTF-8."""

    __slots__ = ()
    size = 32
    is_dynamic = True

    def decode(self, data: bytes, at: int) -> tuple[str, int]:
        raw, end = _BYTES.decode(data, at)
        try:
            return raw.decode(), end
        except UnicodeDecodeError as error:
            raise MalformedData("text is not UTF-8") from error

    def encode(self, value: object) -> bytes:
        if not isinstance(value, str):
            raise EncodingError(f"{value!r} is not text")
        try:
            return _BYTES.encode(value.encode())
        except UnicodeEncodeError as error:
            raise EncodingError(f"{value!r} has no UTF-8") from error


class Struct:
    """A tuple: a struct's fields, a function's arguments."""

    __slots__ = ("_codecs", "_head", "is_dynamic", "size")

    def __init__(self, codecs: Sequence[Codec]) -> None:
        self._codecs = tuple(codecs)
        self._head = sum(codec.size for codec in codecs)
        self.is_dynamic = any(codec.is_dynamic for codec in codecs)
        self.size = 32 if self.is_dynamic else self._head

    def decode(self, data: bytes, at: int) -> tuple[tuple[object, ...], int]:
        return _decode_items(self._codecs, self._head, data, at)

    def encode(self, value: object) -> bytes:
        if not isinstance(value, tuple) or len(value) != len(self._codecs):
            raise EncodingError(f"{value!r} is no tuple of {len(self._codecs)}")
        return _encode_items(self._codecs, self._head, value)


class Array:
    """T[]: length, then its items as a tuple. T[n]: the items alone."""

    __slots__ = ("_item", "_length", "is_dynamic", "size")

    def __init__(self, item: Codec, length: int | None) -> None:
        self._item = item
        self._length = length
        self.is_dynamic = length is None or item.is_dynamic
        self.size = 32 if length is None or item.is_dynamic else length * item.size

    def decode(self, data: bytes, at: int) -> tuple[tuple[object, ...], int]:
        length = self._length
        if length is None:
            length = int.from_bytes(data[at : at + 32])
            at += 32
            if length * self._item.size > len(data) - at:
                raise MalformedData("array ends behind the calldata")
        return _decode_items((self._item,) * length, length * self._item.size, data, at)

    def encode(self, value: object) -> bytes:
        if not isinstance(value, SequenceOf) or isinstance(value, str | bytes):
            raise EncodingError(f"{value!r} is no sequence")
        if self._length is not None and len(value) != self._length:
            raise EncodingError(f"{len(value)} items, but there must be {self._length}")
        items = _encode_items((self._item,) * len(value), len(value) * self._item.size, value)
        return items if self._length is not None else len(value).to_bytes(32) + items


def _decode_items(codecs: Sequence[Codec], head: int, data: bytes, at: int) -> tuple[tuple[object, ...], int]:
    tail = at + head
    if tail > len(data):
        raise MalformedData(f"{len(data)} bytes, but the head ends at {tail}")
    values: list[object] = []
    place = at
    for codec in codecs:
        if codec.is_dynamic:
            if int.from_bytes(data[place : place + 32]) != tail - at:
                raise MalformedData("an offset does not point behind what comes before")
            value, tail = codec.decode(data, tail)
            place += 32
        else:
            value, place = codec.decode(data, place)
        values.append(value)
    return tuple(values), tail


def _encode_items(codecs: Sequence[Codec], head: int, values: Sequence[object]) -> bytes:
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = head
    for codec, value in zip(codecs, values, strict=True):
        encoded = codec.encode(value)
        if codec.is_dynamic:
            heads.append(offset.to_bytes(32))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


_BYTES = Bytes()
