"""HKDF with SHA-256 (RFC 5869), through `cryptography`: one secret becomes several independent keys."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand


def extract(salt: bytes, secret: bytes) -> bytes:
    """Return 32 uniformly random-looking bytes made of a secret that is not uniform, such as a shared point."""
    return HKDF.extract(SHA256(), salt, secret)


def expand(key: bytes, purpose: bytes, size: int = 32) -> bytes:
    """Return `size` bytes for one purpose; different purposes tell nothing about each other."""
    return HKDFExpand(SHA256(), size, purpose).derive(key)
