"""Keys and signatures that cost a microsecond and cannot be forged by accident.

signature = keyed BLAKE2b of the message. The public key is the secret turned over, so whoever verifies can derive
the secret; strategies of the simulation sign only with keys they own. `patched` puts the scheme behind
`cybermiles.crypto.ed25519`, so that commits, evidence and handshakes that check signatures there work too.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256

from cybermiles.crypto import ed25519
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.validator import Validator, ValidatorSet, consensus_address

CHAIN_ID = 181_818
GENESIS_HASH = Hash32(sha256(b"simulated chain").digest())
_TURN = bytes([0x5A]) * 32


@dataclass(frozen=True, slots=True)
class Key:
    """A validator's key pair."""

    private: bytes
    public: bytes
    address: bytes


def public_key(private: bytes) -> bytes:
    """Return the public half."""
    return (int.from_bytes(private) ^ int.from_bytes(_TURN)).to_bytes(32)


def sign(private: bytes, message: bytes) -> bytes:
    """Return 64 bytes."""
    return blake2b(message, key=private, digest_size=64).digest()


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the key's owner signed the message."""
    return len(public) == 32 and sign(public_key(public), message) == signature


@lru_cache(maxsize=4096)
def _key(number: int) -> Key:
    private = sha256(b"simulated key %d" % number).digest()
    public = public_key(private)
    return Key(private, public, consensus_address(public))


@lru_cache(maxsize=4096)
def validator_keys(powers: tuple[int, ...]) -> tuple[tuple[Key, ...], ValidatorSet]:
    """Return keys and their set; the n-th key belongs to the n-th validator of the set. Powers are descending."""
    keys = [_key(number) for number in range(len(powers))]
    validators = ValidatorSet(
        tuple(Validator(key.public, Address(key.address), power) for key, power in zip(keys, powers, strict=True))
    )
    by_address = {key.address: key for key in keys}
    return tuple(by_address[member.address] for member in validators.validators), validators


@contextmanager
def patched():
    """Put the scheme in the place of ed25519 while the context lasts."""
    saved = ed25519.public_key, ed25519.sign, ed25519.verify
    ed25519.public_key, ed25519.sign, ed25519.verify = public_key, sign, verify
    try:
        yield
    finally:
        ed25519.public_key, ed25519.sign, ed25519.verify = saved
