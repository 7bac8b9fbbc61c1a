"""ed25519 against RFC 8032's and Wycheproof's vectors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import ed25519

KEYS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(
    ("private", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_rfc_8032_section_7_1(private, public, message, signature):
    private, public, message, signature = map(bytes.fromhex, (private, public, message, signature))
    assert ed25519.public_key(private) == public
    assert ed25519.sign(private, message) == signature
    assert ed25519.verify(public, message, signature)


@given(KEYS, st.binary(max_size=100), st.integers(0, 511))
def test_a_signature_verifies_and_with_a_flipped_bit_does_not(private, message, bit):
    public = ed25519.public_key(private)
    signature = ed25519.sign(private, message)
    assert ed25519.verify(public, message, signature)
    flipped = (int.from_bytes(signature) ^ 1 << bit).to_bytes(64)
    assert not ed25519.verify(public, message, flipped)
    assert not ed25519.verify(public, message + b"\x00", signature)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_no_bytes_make_verification_raise(public, message, signature):
    assert not ed25519.verify(public, message, signature)


def test_generated_keys_differ_and_sign():
    first, second = ed25519.generate(), ed25519.generate()
    assert first != second
    assert ed25519.verify(ed25519.public_key(first), b"m", ed25519.sign(first, b"m"))


def test_wycheproof_signatures(vectors):
    groups = json.loads((vectors / "crypto" / "ed25519_test.json").read_text())["testGroups"]
    count = 0
    for group in groups:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            accepted = ed25519.verify(public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert accepted == (case["result"] == "valid"), case
            count += 1
    assert count == 151
