"""The execution API's two encodings, QUANTITY and DATA, in both directions.

A quantity is a number in hex without leading zeros ("0x0" for zero); data is bytes with two digits each.
Parsers take a parsed JSON value and raise ValueError with geth's wording; whoever calls them knows
which argument it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.types.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.jsonrpc import Json

T = TypeVar("T")

_SLOT_DIGITS = 64
_HEX_DIGITS = re.compile("[0-9a-fA-F]*")


def encode_data(data: bytes) -> str:
    """Return bytes as DATA."""
    return "0x" + data.hex()


def encode_word(value: int) -> str:
    """Return a 256-bit word as 32 bytes of DATA."""
    return f"0x{value:064x}"


def encode_checksummed(address: bytes) -> str:
    """Return an address with EIP-55's capitals, for where it is a key that clients look up."""
    digits = address.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit for digit, nibble in zip(digits, digest, strict=False)
    )


def parse_quantity(value: Json) -> int:
    """Return a QUANTITY of at most 256 bits."""
    return _quantity(value, 256)


def parse_uint64(value: Json) -> int:
    """Return a QUANTITY of at most 64 bits."""
    return _quantity(value, 64)


def parse_count(value: Json) -> int:
    """Return a QUANTITY of at most 64 bits, or a JSON integer, as some old methods allow."""
    if type(value) is int and 0 <= value < 1 << 64:
        return value
    return _quantity(value, 64)


def parse_data(value: Json) -> bytes:
    """Return DATA of any length."""
    digits = _digits(value)
    if len(digits) % 2:
        raise ValueError("hex string of odd length")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ValueError("invalid hex string") from None
    if len(data) * 2 != len(digits):
        raise ValueError("invalid hex string")
    return data


def parse_address(value: Json) -> Address:
    """Return DATA of 20 bytes. Any case is accepted; a checksum is the sender's to check."""
    return Address(_fixed(value, 20, "an address"))


def parse_hash(value: Json) -> Hash32:
    """Return DATA of 32 bytes."""
    return Hash32(_fixed(value, 32, "a hash"))


def parse_bool(value: Json) -> bool:
    """Return a JSON boolean."""
    if not isinstance(value, bool):
        raise ValueError("a boolean is expected")  # noqa: TRY004  (one error for every parser)
    return value


def parse_slot(value: Json) -> tuple[int, int]:
    """Return a storage key and how many bytes it was written with, up to 32, any leading zeros.

    Raises RpcError with geth's code -32000 instead of ValueError: that is what clients have seen so far.
    """
    if not isinstance(value, str):
        raise ValueError("a string is expected")  # noqa: TRY004
    digits = value[2:] if value[:2] in ("0x", "0X") else value
    if len(digits) > _SLOT_DIGITS:
        raise _bad_slot("hex string too long, want at most 32 bytes")
    if not _is_hex(digits):
        raise _bad_slot("hex string invalid")
    return int(digits or "0", 16), (len(digits) + 1) // 2


def parse_list(value: Json, element: Callable[[Json], T], *, limit: int, key: str) -> tuple[T, ...]:
    """Return a JSON array, each element parsed. `key` names the limit in the configuration."""
    if not isinstance(value, list):
        raise ValueError("an array is expected")  # noqa: TRY004
    if len(value) > limit:
        raise ValueError(f"{len(value)} elements, at most {limit} are allowed ({key})")
    return tuple(element(item) for item in value)


def _bad_slot(reason: str) -> RpcError:
    return RpcError(SERVER_ERROR, f"unable to decode storage key: {reason}")


def _digits(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("a hex string is expected")  # noqa: TRY004
    if not value:
        raise ValueError("empty hex string")
    if not value.startswith("0x"):
        raise ValueError("hex string without 0x prefix")
    return value[2:]


def _quantity(value: Json, bits: int) -> int:
    digits = _digits(value)
    if not digits:
        raise ValueError('hex string "0x"')
    if len(digits) * 4 > bits:
        raise ValueError(f"hex number > {bits} bits")
    if digits[0] == "0" and len(digits) > 1:
        raise ValueError("hex number with leading zero digits")
    if not _is_hex(digits):
        raise ValueError("invalid hex string")
    return int(digits, 16)


def _fixed(value: Json, size: int, what: str) -> bytes:
    digits = _digits(value)
    if len(digits) != size * 2:
        raise ValueError(f"hex string has length {len(digits)}, want {size * 2} for {what}")
    return parse_data(value)


def _is_hex(digits: str) -> bool:
    """Whether every character is a hex digit: `int` alone would take signs, spaces and underscores."""
    return _HEX_DIGITS.fullmatch(digits) is not None
