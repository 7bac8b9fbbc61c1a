"""Web3 Secret Storage v3 files: what geth and every wallet import and export.

Encryption is eth-account's (scrypt with N = 2^18 unless told otherwise); this module keeps the directory, the file
modes and the errors.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_account import Account

from cybermiles.crypto.secp256k1 import N, address_of
from cybermiles.errors import ConfigError
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from pathlib import Path

SCRYPT_ITERATIONS = 2**18
"""N of scrypt, as in geth's standard keystore."""


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """One key file."""

    address: Address
    path: Path


class Keystore:
    """A directory of key files."""

    def __init__(self, directory: Path, *, iterations: int = SCRYPT_ITERATIONS) -> None:
        self._directory = directory
        self._iterations = iterations

    def list(self) -> list[StoredAccount]:
        """Return the accounts in order of file names, which begin with the time of creation."""
        if not self._directory.exists():
            return []
        return [
            StoredAccount(_address_in(_read(path), path), path)
            for path in sorted(self._directory.iterdir())
            if path.name.startswith("UTC--")
        ]

    def add(self, private_key: bytes, password: str, created: str) -> StoredAccount:
        """Store a key under a password; `created` is the time for the file's name.

        Raises ConfigError for a key out of range or one that is stored already.
        """
        if len(private_key) != 32 or not 0 < int.from_bytes(private_key) < N:
            raise ConfigError("a private key is 32 bytes between 1 and the order of secp256k1")
        address = Address(address_of(private_key))
        for known in self.list():
            if known.address == address:
                raise ConfigError(f"0x{address.hex()} is stored already in {known.path}")
        document = Account.encrypt(private_key, password, kdf="scrypt", iterations=self._iterations)
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"UTC--{created.replace(':', '-')}--{address.hex()}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        return StoredAccount(address, path)

    def unlock(self, address: Address, password: str) -> bytes:
        """Return the private key. Raises ConfigError for an unknown account or a wrong password."""
        for known in self.list():
            if known.address == address:
                return decrypt(_read(known.path), password)
        raise ConfigError(f"no key for 0x{address.hex()} in {self._directory}; see `cmt account list`")


def decrypt(document: dict[str, Any], password: str) -> bytes:
    """Return the private key in a key file's content. Raises ConfigError for a wrong password or content."""
    try:
        return bytes(Account.decrypt(document, password))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"cannot decrypt the key: {error}") from error


def _address_in(document: dict[str, Any], path: Path) -> Address:
    text = document.get("address")
    if not isinstance(text, str) or len(text.removeprefix("0x")) != 40:
        raise ConfigError(f"{path} is not a keystore file: it has no address")
    return Address(bytes.fromhex(text.removeprefix("0x")))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is not a keystore file")
    return document
