"""X25519 key agreement (RFC 7748), through `cryptography`."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from cybermiles.errors import DecodingError


def generate() -> bytes:
    """Return a new 32-byte private key from the system's randomness."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> bytes:
    """Return the 32-byte public key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def shared_secret(private: bytes, public: bytes) -> bytes:
    """Return the 32 bytes that both key owners compute.

    Raises DecodingError for a public key that is not 32 bytes or is a point of small order: the secret would be zero,
    so everybody would know it.
    """
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise DecodingError("x25519: the public key is malformed or of small order") from error
