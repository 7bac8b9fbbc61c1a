"""keccak-256 and sha-256 against known answers and another implementation."""

from __future__ import annotations

import hashlib

import pytest
import sha3
from Crypto.Hash import keccak as other
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import hashing
from cybermiles.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"\x80", "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
        (b"transfer(address,uint256)", "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b"),
    ],
)
def test_keccak_gives_known_answers(data, digest):
    assert hashing.keccak256(data).hex() == digest


@given(st.binary(max_size=600))
def test_hashes_equal_other_implementations(data):
    assert hashing.keccak256(data) == other.new(data=data, digest_bits=256).digest()
    assert hashing.sha256(data) == hashlib.sha256(data).digest()


def test_the_backend_of_the_lock_file_passes_the_check():
    hashing.assert_backend()


def test_a_keccak_that_is_not_the_c_extension_is_refused(monkeypatch):
    class Slow:
        """Right answers from elsewhere."""

    monkeypatch.setattr(sha3, "keccak_256", Slow)
    with pytest.raises(ConfigError, match="C extension"):
        hashing.assert_backend()


def test_a_keccak_with_wrong_answers_is_refused(monkeypatch):
    monkeypatch.setattr(hashing, "keccak256", lambda data: hashlib.sha3_256(data).digest())
    with pytest.raises(ConfigError, match="wrong results"):
        hashing.assert_backend()
