"""secp256k1: sign and recover, through coincurve. The low-s rule lives here and nowhere else.

Recovery releases the GIL inside libsecp256k1, so batches may run in threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import coincurve

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, InvalidSignature

if TYPE_CHECKING:
    from collections.abc import Iterable

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of the group."""
HALF_N = N // 2
"""Largest canonical s (EIP-2)."""


def recover_address(message_hash: bytes, y_parity: int, r: int, s: int) -> bytes:
    """Return the 20-byte address whose key signed the 32-byte hash.

    Raises InvalidSignature for values out of range or a point that is not on the curve. High s is accepted:
    whether it is allowed depends on what was signed.
    """
    if not (0 < r < N and 0 < s < N and y_parity in (0, 1)):
        raise InvalidSignature("invalid signature: r, s or y parity out of range")
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes((y_parity,))
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, message_hash, hasher=None)
    except ValueError as error:
        raise InvalidSignature("invalid signature: no key recovers from it") from error
    return keccak256(key.format(compressed=False)[1:])[12:]


def recover_addresses(batch: Iterable[tuple[bytes, int, int, int]]) -> list[bytes | None]:
    """Return the address of each (hash, y parity, r, s), None where `recover_address` would raise."""
    addresses: list[bytes | None] = []
    for message_hash, y_parity, r, s in batch:
        try:
            addresses.append(recover_address(message_hash, y_parity, r, s))
        except InvalidSignature:
            addresses.append(None)
    return addresses


def sign(message_hash: bytes, private_key: bytes) -> tuple[int, int, int]:
    """Return (y parity, r, s) over a 32-byte hash, deterministic (RFC 6979) and with low s.

    Raises InvalidSignature for a private key out of range.
    """
    signature = _private_key(private_key).sign_recoverable(message_hash, hasher=None)
    return signature[64], int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])


def address_of(private_key: bytes) -> bytes:
    """Return the 20-byte address of a private key. Raises InvalidSignature for one out of range."""
    return keccak256(_private_key(private_key).public_key.format(compressed=False)[1:])[12:]


def assert_backend() -> None:
    """Raise ConfigError unless libsecp256k1 signs and recovers the known answer."""
    key, digest = bytes(31) + b"\x01", keccak256(b"cybermiles")
    y_parity, r, s = sign(digest, key)
    known = "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    if type(coincurve.GLOBAL_CONTEXT.ctx).__module__ != "_cffi_backend":
        raise ConfigError("secp256k1 is not the C library; reinstall coincurve from the lock file")
    if s > HALF_N or recover_address(digest, y_parity, r, s).hex() != known or address_of(key).hex() != known:
        raise ConfigError("secp256k1 gives wrong results; reinstall coincurve from the lock file")


def _private_key(private_key: bytes) -> coincurve.PrivateKey:
    """Return coincurve's key of 32 bytes; shorter ones would silently be padded there."""
    try:
        if len(private_key) == 32:
            return coincurve.PrivateKey(private_key)
    except ValueError as error:
        raise InvalidSignature("the private key is not between 1 and the group order") from error
    raise InvalidSignature(f"a private key has 32 bytes, not {len(private_key)}")
