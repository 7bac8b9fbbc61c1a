"""What the node and a call worker say to each other, over one pair of connected sockets.

    frame = length (4 bytes, of what follows) ‖ kind (1 byte) ‖ payload

Every frame but the first two is an answer to the one before, so neither side ever reads ahead:

    node ──SETUP──► worker     node ◄──READY── worker
    node ──JOB────► worker     node ◄──GET/SCAN── worker     node ──VALUE/ABSENT/ITEMS──► worker  …any number of times
                               node ◄──DONE/RAISED/FAULT/MEMORY── worker

A worker may have been taken over by what it executed, so the node bounds its frames, and unpickles what it says into
this package's plain values only.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from dataclasses import is_dataclass
from enum import Enum, IntEnum
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from cybermiles.errors import CybermilesError, ProtocolViolation, restore_error
from cybermiles.rpc.jsonrpc import RawJson

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

_HEAD = struct.Struct(">IB")
_SCAN = struct.Struct(">?IH")
_ITEM = struct.Struct(">HI")
_READ_AT_ONCE = 1 << 16
_WHOLE = 1 << 20
"""Payloads up to this size are copied behind their head, which saves a system call."""


class Kind(IntEnum):
    """Of a frame."""

    SETUP = 1
    READY = 2
    JOB = 3
    GET = 4
    SCAN = 5
    VALUE = 6
    ABSENT = 7
    ITEMS = 8
    DONE = 9
    RAISED = 10
    """An error for the caller, pickled."""
    FAULT = 11
    """A bug: its traceback as text."""
    MEMORY = 12
    """The job took more memory than it may."""


class Closed(ProtocolViolation):
    """The other side is gone."""


class Channel:
    """One end. Belongs to one thread."""

    def __init__(self, end: socket.socket, max_bytes: int, remaining: Callable[[], float | None]) -> None:
        """`remaining`: seconds left for what is going on, None for any number."""
        self._end = end
        self._max_bytes = max_bytes
        self._remaining = remaining

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a frame. Raises Closed, TimeoutError."""
        head = _HEAD.pack(len(payload) + 1, kind)
        try:
            self._limit_time()
            if len(payload) <= _WHOLE:
                self._end.sendall(head + payload)
            else:
                self._end.sendall(head)
                self._end.sendall(payload)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed("the other side of a call worker's socket is gone") from None

    def receive(self) -> tuple[int, bytes]:
        """Return kind and payload of the next frame. Raises Closed, TimeoutError, ProtocolViolation."""
        data = self._some(_READ_AT_ONCE)
        while len(data) < _HEAD.size:
            data += self._some(_READ_AT_ONCE)
        length, kind = _HEAD.unpack_from(data)
        size = length + _HEAD.size - 1
        if not 1 <= length <= self._max_bytes:
            raise ProtocolViolation(f"a call worker's frame has {length} bytes, at most {self._max_bytes} are allowed")
        if len(data) > size:
            raise ProtocolViolation("a call worker said more than was asked")
        if len(data) == size:
            return kind, data[_HEAD.size :]
        parts, missing = [data[_HEAD.size :]], size - len(data)
        while missing:
            parts.append(self._some(min(missing, _WHOLE)))
            missing -= len(parts[-1])
        return kind, b"".join(parts)

    def close(self) -> None:
        """Hang up; again is harmless."""
        self._end.close()

    def _some(self, most: int) -> bytes:
        try:
            self._limit_time()
            data = self._end.recv(most)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed("the other side of a call worker's socket is gone")
        return data

    def _limit_time(self) -> None:
        remaining = self._remaining()
        if remaining is not None and remaining <= 0:
            raise TimeoutError
        self._end.settimeout(remaining)


def encode_scan(start: bytes, stop: bytes, *, reverse: bool, max_bytes: int) -> bytes:
    """Return the payload of SCAN: a key range, and about how much of it is wanted at once."""
    return _SCAN.pack(reverse, max_bytes, len(start)) + start + stop


def decode_scan(payload: bytes) -> tuple[bytes, bytes, bool, int]:
    """Return (start, stop, reverse, max_bytes). Raises ProtocolViolation."""
    if len(payload) < _SCAN.size:
        raise ProtocolViolation("a call worker's scan is cut short")
    reverse, max_bytes, middle = _SCAN.unpack_from(payload)
    keys = payload[_SCAN.size :]
    return keys[:middle], keys[middle:], reverse, max_bytes


def encode_items(items: Iterable[tuple[bytes, bytes]], max_bytes: int) -> bytes:
    """Return the payload of ITEMS: whether these are all ‖ items, up to the first that passes `max_bytes`."""
    parts, size = [b"\x01"], 0
    for key, value in items:
        parts += (_ITEM.pack(len(key), len(value)), key, value)
        size += len(key) + len(value)
        if size >= max_bytes:
            parts[0] = b"\x00"
            break
    return b"".join(parts)


def decode_items(payload: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Return the items, and whether there are no more."""
    return list(_items(payload)), payload[0] == 1


def _items(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 1
    while position < len(payload):
        key_bytes, value_bytes = _ITEM.unpack_from(payload, position)
        middle = position + _ITEM.size + key_bytes
        position = middle + value_bytes
        yield payload[middle - key_bytes : middle], payload[middle:position]


def pickled(value: object) -> bytes:
    """Return a value's bytes. Raises whatever its classes raise where it cannot be pickled."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpickled(payload: bytes) -> Any:  # noqa: ANN401  (whatever the job's type says)
    """Return a value made of builtins and of this package's values and errors. Raises ProtocolViolation."""
    try:
        return _ValuesOnly(io.BytesIO(payload)).load()
    except ProtocolViolation:
        raise
    except Exception as error:
        raise ProtocolViolation(f"a call worker's answer cannot be read: {type(error).__name__}") from error


_OWN = "cybermiles."


class _ValuesOnly(pickle.Unpickler):
    """Finds nothing that does anything when it is made, and nothing that can be changed.

    A pickle can call what it finds, make it without its constructor, and set attributes of what is on its stack: of a
    class, too. So it is given stand-ins of the classes, which make values and have no attributes to set.
    """

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (as its base class)
        if (module, name) == (restore_error.__module__, restore_error.__name__):
            return _restored_error
        stand_in = _stand_in(module, name)
        if stand_in is None:
            raise ProtocolViolation(f"a call worker answered with {module}.{name}, which is no value")
        return stand_in


class _StandIn(type):
    """The metaclass of what stands for a class while a pickle is read."""

    real: type

    def __call__(cls, *arguments: Any) -> Any:  # noqa: ANN401
        if issubclass(cls.real, Enum) or (cls.real is Fraction and all(type(part) is int for part in arguments)):
            return cls.real(*arguments)
        raise ProtocolViolation(f"a call worker's answer calls {cls.__name__}")

    def __setattr__(cls, name: str, value: object) -> None:
        raise ProtocolViolation(f"a call worker's answer sets {cls.__name__}.{name}")


@cache
def _stand_in(module: str, name: str) -> type | None:
    """Return what stands for a class of values, None where the name is no such class of a module that is loaded."""
    if (module, name) != (Fraction.__module__, Fraction.__name__) and not module.startswith(_OWN):
        return None
    kind = getattr(sys.modules.get(module), name, None)
    if not isinstance(kind, type) or not (kind is Fraction or _is_value(kind)):
        return None
    is_bytes = issubclass(kind, bytes)

    def make(_cls: type, *arguments: Any) -> Any:  # noqa: ANN401
        if is_bytes and not all(isinstance(part, bytes) for part in arguments):
            raise ProtocolViolation(f"a call worker's answer makes {name} of no bytes")
        return kind.__new__(kind, *arguments)

    return _StandIn(name, (), {"__slots__": (), "__new__": make, "real": kind})


def _restored_error(kind: object, arguments: tuple[object, ...], fields: dict[str, object]) -> CybermilesError:
    if isinstance(kind, _StandIn) and issubclass(kind.real, CybermilesError):
        return restore_error(kind.real, arguments, fields)
    raise ProtocolViolation("a call worker's answer raises what is no error")


def _is_value(kind: type) -> bool:
    return is_dataclass(kind) or issubclass(kind, (tuple, bytes, int, Enum, CybermilesError, RawJson))
