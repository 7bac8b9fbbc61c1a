"""X25519, HKDF and ChaCha20-Poly1305: what links are made of, against Wycheproof's vectors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import hkdf, x25519
from cybermiles.crypto.aead import TAG_BYTES, Cipher
from cybermiles.errors import DecodingError

COUNTERS = st.integers(0, 2**64 - 1)


def _tests(vectors, name):
    groups = json.loads((vectors / "crypto" / f"{name}_test.json").read_text())["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


def test_wycheproof_x25519(vectors):
    refused = 0
    for _, test in _tests(vectors, "x25519"):
        public, private, shared = (bytes.fromhex(test[name]) for name in ("public", "private", "shared"))
        if shared == bytes(32):
            refused += 1
            with pytest.raises(DecodingError, match="small order"):
                x25519.shared_secret(private, public)
        else:
            assert x25519.shared_secret(private, public) == shared
    assert refused > 10


def test_wycheproof_hkdf(vectors):
    for _, test in _tests(vectors, "hkdf_sha256"):
        if test["result"] == "valid":
            key = hkdf.extract(bytes.fromhex(test["salt"]), bytes.fromhex(test["ikm"]))
            assert hkdf.expand(key, bytes.fromhex(test["info"]), test["size"]).hex() == test["okm"]


def test_wycheproof_chacha20_poly1305(vectors):
    """Those vectors whose nonce has our form: four zero bytes and a counter."""
    checked = 0
    for _, test in _tests(vectors, "chacha20_poly1305"):
        iv = bytes.fromhex(test["iv"])
        if len(iv) != 12 or iv[:4] != bytes(4):
            continue
        checked += 1
        counter, cipher = int.from_bytes(iv[4:], "little"), Cipher(bytes.fromhex(test["key"]))
        sealed, associated = bytes.fromhex(test["ct"] + test["tag"]), bytes.fromhex(test["aad"])
        if test["result"] == "valid":
            assert cipher.open(counter, sealed, associated).hex() == test["msg"]
            assert cipher.seal(counter, bytes.fromhex(test["msg"]), associated) == sealed
        else:
            with pytest.raises(DecodingError):
                cipher.open(counter, sealed, associated)
    assert checked == 10


@given(st.binary(max_size=64), COUNTERS, st.binary(max_size=8), st.data())
def test_what_is_sealed_opens_once_unchanged_and_with_its_counter_only(plaintext, counter, associated, data):
    cipher = Cipher(b"k" * 32)
    sealed = cipher.seal(counter, plaintext, associated)
    assert len(sealed) == len(plaintext) + TAG_BYTES
    assert cipher.open(counter, sealed, associated) == plaintext
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    changed = (int.from_bytes(sealed) ^ 1 << bit).to_bytes(len(sealed))
    other = data.draw(COUNTERS.filter(lambda each: each != counter))
    for attempt in ((counter, changed, associated), (other, sealed, associated), (counter, sealed, associated + b"x")):
        with pytest.raises(DecodingError):
            cipher.open(*attempt)
    with pytest.raises(DecodingError):
        cipher.open(counter, sealed[: TAG_BYTES - 1], associated)


def test_both_sides_compute_one_secret():
    one, two = x25519.generate(), x25519.generate()
    assert one != two
    assert x25519.shared_secret(one, x25519.public_key(two)) == x25519.shared_secret(two, x25519.public_key(one))


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(32)])
def test_what_is_no_public_key_is_refused(public):
    with pytest.raises(DecodingError):
        x25519.shared_secret(b"\x01" * 32, public)
