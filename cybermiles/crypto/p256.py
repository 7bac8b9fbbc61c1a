"""ECDSA verification on secp256r1 (NIST P-256) for the P256VERIFY precompile, through `cryptography`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def verify(message_hash: bytes, r: int, s: int, x: int, y: int) -> bool:
    """Tell whether (r, s) signs the 32-byte hash for the public point (x, y); False for any bad value."""
    if not (0 < r < _N and 0 < s < _N and x < _P and y < _P) or (x == 0 and y == 0):
        return False
    try:
        key = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
        key.verify(encode_dss_signature(r, s), message_hash, ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True
