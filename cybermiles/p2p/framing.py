"""Encrypted frames over a stream of bytes, one direction each; sans-IO.

    frame = length of what follows (2 bytes, big-endian) | ChaCha20-Poly1305(payload)
    payload: 1 to 16 384 bytes; nonce: the number of frames sealed with the key so far

The length is checked as soon as its two bytes are there, before anything is buffered for it or decrypted. After 2^16
frames both sides derive the next key from the last and forget that one, so a counter never comes near its end and a
stolen key does not open what was sent long before. A frame that was lost, repeated, reordered, reflected or changed
does not open; the stream is over then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto import hkdf
from cybermiles.crypto.aead import TAG_BYTES, Cipher
from cybermiles.errors import DecodingError
from cybermiles.p2p.scoring import Offence, PeerViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PAYLOAD_BYTES = 16_384
"""Small enough that an urgent message hardly waits, large enough that the cipher runs at full speed."""
HEADER_BYTES = 2
REKEY_FRAMES = 1 << 16
"""At most 1 GiB is sealed with one key."""
_REKEY = b"cybermiles p2p rekey"


class FrameKey:
    """The key of one direction: seals or opens frame after frame."""

    __slots__ = ("_cipher", "_counter", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = Cipher(key)
        self._counter = 0

    def seal(self, payload: bytes) -> bytes:
        """Return the next frame. Raises ValueError for a payload that is empty or too large."""
        if not 0 < len(payload) <= MAX_PAYLOAD_BYTES:
            raise ValueError(f"a frame's payload has 1 to {MAX_PAYLOAD_BYTES} bytes, not {len(payload)}")
        sealed = self._cipher.seal(self._counter, payload)
        self._advance()
        return len(sealed).to_bytes(HEADER_BYTES) + sealed

    def open(self, sealed: bytes) -> bytes:
        """Return the next frame's payload. Raises DecodingError where it is not the peer's next frame."""
        payload = self._cipher.open(self._counter, sealed)
        self._advance()
        return payload

    def _advance(self) -> None:
        self._counter += 1
        if self._counter == REKEY_FRAMES:
            self._key = hkdf.expand(self._key, _REKEY)
            self._cipher = Cipher(self._key)
            self._counter = 0


class FrameReader:
    """Cuts a stream, however it arrives split, into frames and opens them."""

    __slots__ = ("_buffer", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = FrameKey(key)
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payload of each frame that is complete now; an incomplete one, below 17 kB, is kept.

        Raises PeerViolation for a length out of bounds and for a frame that does not open. The iterator must be
        exhausted before the next call.
        """
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        while end - position >= HEADER_BYTES:
            size = int.from_bytes(buffer[position : position + HEADER_BYTES])
            if not TAG_BYTES < size <= MAX_PAYLOAD_BYTES + TAG_BYTES:
                raise PeerViolation(Offence.BAD_FRAME, f"length {size}")
            start = position + HEADER_BYTES
            if end - start < size:
                break
            position = start + size
            yield self._open(buffer[start:position])
        self._buffer = buffer[position:]

    def _open(self, sealed: bytes) -> bytes:
        try:
            return self._key.open(sealed)
        except DecodingError as error:
            raise PeerViolation(Offence.BAD_FRAME, "it does not open") from error
