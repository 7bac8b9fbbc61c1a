"""The consensus key's file, and key and signer state as one bundle for moving a validator to another machine.

A key that travels without its state is how honest validators get slashed, so the bundle holds both, and importing it
writes the state first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError
from cybermiles.runtime.files import write_durably
from cybermiles.types.validator import consensus_address

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ValidatorKey:
    """An ed25519 consensus key."""

    private: bytes
    """32 bytes."""
    public: bytes
    """32 bytes."""

    @property
    def address(self) -> bytes:
        """The 20-byte consensus address."""
        return consensus_address(self.public)


def generate_key() -> ValidatorKey:
    """Return a new random key."""
    private = ed25519.generate()
    return ValidatorKey(private, ed25519.public_key(private))


def save_key(path: Path, key: ValidatorKey) -> None:
    """Write a key file readable by its owner only. Raises ConfigError where one exists."""
    if path.exists():
        raise ConfigError(f"{path} exists; move it away before generating another validator key")
    _write_json(path, _key_document(key))


def load_key(path: Path) -> ValidatorKey:
    """Read a key file. Raises ConfigError saying what to do where it is missing or damaged."""
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise ConfigError(f"no validator key at {path}; create one with `cmt init`") from error
    return _parse_key(_parse_json(text, str(path)), str(path))


def export_bundle(key_path: Path, state_path: Path) -> str:
    """Return key and state as one secret JSON text. Stop the node first: a state that goes on is worth nothing.

    Raises ConfigError where either is missing or damaged.
    """
    key = load_key(key_path)
    try:
        state = _parse_json(state_path.read_text(), str(state_path))
    except FileNotFoundError as error:
        raise ConfigError(f"no signer state at {state_path}; a key must not leave without it") from error
    return json.dumps({"key": _key_document(key), "state": state}, indent=1)


def import_bundle(text: str, key_path: Path, state_path: Path) -> ValidatorKey:
    """Write the key and the state of a bundle and return the key. Raises ConfigError where either file exists."""
    document = _parse_json(text, "the bundle")
    key = _parse_key(_section(document, "key"), "the bundle")
    state = _section(document, "state")
    for path in (key_path, state_path):
        if path.exists():
            raise ConfigError(f"{path} exists; a validator's key and state are never overwritten")
    _write_json(state_path, state)
    _write_json(key_path, _key_document(key))
    return key


def _key_document(key: ValidatorKey) -> dict[str, str]:
    return {"address": key.address.hex(), "public_key": key.public.hex(), "private_key": key.private.hex()}


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict):
        raise ConfigError(f'the bundle has no "{name}"; it is written by `cmt key export`')
    return section


def _parse_key(document: dict[str, Any], origin: str) -> ValidatorKey:
    try:
        private = bytes.fromhex(document["private_key"])
        public = bytes.fromhex(document["public_key"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{origin} holds no validator key: {error}") from error
    if len(private) != 32 or ed25519.public_key(private) != public:
        raise ConfigError(f"{origin}: the public key does not belong to the private key")
    return ValidatorKey(private, public)


def _parse_json(text: str, origin: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{origin} is damaged ({error}); restore it from a backup") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{origin} is damaged: not a JSON object; restore it from a backup")
    return document


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_durably(path, json.dumps(document, indent=1).encode())
