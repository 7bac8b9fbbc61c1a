"""ChaCha20-Poly1305 (RFC 8439), through `cryptography`: confidential and authentic, or refused."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cybermiles.errors import DecodingError

KEY_BYTES = 32
TAG_BYTES = 16
"""What sealing adds to the plaintext."""
_NONCE_PREFIX = bytes(4)


class Cipher:
    """One key. The caller never seals twice with the same counter."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def seal(self, counter: int, plaintext: bytes, associated: bytes = b"") -> bytes:
        """Return the ciphertext and its tag. The nonce is the counter in 64 bits, little-endian, as in Noise."""
        return self._aead.encrypt(_NONCE_PREFIX + counter.to_bytes(8, "little"), plaintext, associated)

    def open(self, counter: int, sealed: bytes, associated: bytes = b"") -> bytes:
        """Return the plaintext. Raises DecodingError unless sealed with this key, counter and associated data."""
        try:
            return self._aead.decrypt(_NONCE_PREFIX + counter.to_bytes(8, "little"), sealed, associated)
        except InvalidTag:
            raise DecodingError("aead: the bytes were not sealed with this key and counter") from None
