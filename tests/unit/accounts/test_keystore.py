"""Key files: what other programs write is read, and nothing is ever overwritten or readable by others."""

from __future__ import annotations

import json

import pytest

from cybermiles.accounts.keystore import Keystore, decrypt
from cybermiles.crypto.secp256k1 import N, address_of
from cybermiles.errors import ConfigError

KEY = bytes(31) + b"\x2a"
NOW = "2026-11-24T12:00:00Z"


@pytest.fixture
def keystore(tmp_path):
    return Keystore(tmp_path / "keystore", iterations=2)


def test_a_key_is_stored_listed_and_unlocked(keystore):
    stored = keystore.add(KEY, "secret", NOW)
    assert stored.address == address_of(KEY)
    assert stored.path.name == f"UTC--2026-11-24T12-00-00Z--{address_of(KEY).hex()}"
    assert stored.path.stat().st_mode & 0o777 == 0o600
    assert stored.path.parent.stat().st_mode & 0o777 == 0o700
    assert keystore.list() == [stored]
    assert keystore.unlock(stored.address, "secret") == KEY


def test_wrong_passwords_unknown_accounts_and_repeated_keys_are_refused(keystore):
    stored = keystore.add(KEY, "secret", NOW)
    with pytest.raises(ConfigError, match="cannot decrypt"):
        keystore.unlock(stored.address, "wrong")
    with pytest.raises(ConfigError, match="cmt account list"):
        keystore.unlock(bytes(20), "secret")
    with pytest.raises(ConfigError, match="stored already"):
        keystore.add(KEY, "other", "2027-01-01T00:00:00Z")


@pytest.mark.parametrize("key", [bytes(32), N.to_bytes(32), b"\x01" * 31, b""])
def test_values_that_are_no_private_key_are_refused(keystore, key):
    with pytest.raises(ConfigError, match="32 bytes between 1"):
        keystore.add(key, "secret", NOW)
    assert keystore.list() == []


def test_damaged_files_are_named(keystore):
    stored = keystore.add(KEY, "secret", NOW)
    stored.path.write_text("{")
    with pytest.raises(ConfigError, match=f"{stored.path.name} is damaged"):
        keystore.list()
    stored.path.write_text(json.dumps({"version": 3}))
    with pytest.raises(ConfigError, match="it has no address"):
        keystore.list()


def test_official_key_files_are_decrypted(basic_tests):
    count = 0
    for cases in basic_tests("KeyStoreTests").values():
        for case in cases.values():
            assert decrypt(case["json"], case["password"]).hex() == case["priv"]
            count += 1
    assert count >= 2
