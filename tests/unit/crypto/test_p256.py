"""P-256 verification as the precompile at 0x100 needs it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from cybermiles.crypto.hashing import sha256
from cybermiles.crypto.p256 import verify

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
KEY = derive_private_key(12345, SECP256R1())
POINT = KEY.public_key().public_numbers()
HASH = sha256(b"message")
R, S = decode_dss_signature(KEY.sign(HASH, ECDSA(Prehashed(SHA256()))))


def test_a_signature_verifies_with_either_s():
    """EIP-7951 has no low-s rule."""
    assert verify(HASH, R, S, POINT.x, POINT.y)
    assert verify(HASH, R, N - S, POINT.x, POINT.y)


def test_rfc_6979_a_2_5():
    x = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
    r = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert verify(sha256(b"sample"), r, s, x, y)
    assert not verify(sha256(b"Sample"), r, s, x, y)


@pytest.mark.parametrize(
    ("r", "s", "x", "y"),
    [
        (0, S, POINT.x, POINT.y),
        (R, 0, POINT.x, POINT.y),
        (N, S, POINT.x, POINT.y),
        (R, N, POINT.x, POINT.y),
        (R, S, 0, 0),
        (R, S, POINT.x, P),
        (R, S, P, POINT.y),
        (R, S, POINT.x, POINT.y ^ 1),
        (R, S, POINT.x, P - POINT.y),
        (R ^ 1, S, POINT.x, POINT.y),
    ],
    ids=["r=0", "s=0", "r=n", "s=n", "infinity", "y=p", "x=p", "off curve", "other point", "other r"],
)
def test_bad_values_are_false_and_never_raise(r, s, x, y):
    assert not verify(HASH, r, s, x, y)
