"""The validator's signer: a key file and, apart from it, the last thing signed.

A validator that signs two different messages for one (height, round, step) loses its stake. So the signer
remembers the last one in its own file, fsynced before a signature leaves this module, and refuses anything
that is not later, unless the bytes are the same, for which it returns the stored signature. The state is bound
to one chain; a key without its state is refused, because a lost state file is how honest validators get slashed.

Steps order a round: propose 1 < prevote 2 < precommit 3.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.types.validator import consensus_address

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO


class Step(IntEnum):
    """What is signed, in the order of a round."""

    NONE = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SignState:
    """The last message signed."""

    chain_id: int
    genesis_hash: str
    """Hex; the state is worthless on any other chain."""
    height: int = 0
    round: int = 0
    step: int = Step.NONE
    sign_bytes: str = ""
    """Hex of what was signed."""
    signature: str = ""
    """Hex of the answer."""


def generate_key() -> ValidatorKey:
    """Return a new random key."""
    private = ed25519.generate()
    return ValidatorKey(private, ed25519.public_key(private))


def save_key(path: Path, key: ValidatorKey) -> None:
    """Write a key file readable by its owner only. Raises ConfigError where one exists."""
    if path.exists():
        raise ConfigError(f"{path} exists; move it away before generating another validator key")
    document = {
        "address": key.address.hex(),
        "public_key": key.public.hex(),
        "private_key": key.private.hex(),
    }
    _write_durably(path, document)


def load_key(path: Path) -> ValidatorKey:
    """Read a key file. Raises ConfigError saying what to do where it is missing or damaged."""
    document = _read_json(path, "validator key")
    try:
        private = bytes.fromhex(document["private_key"])
        public = bytes.fromhex(document["public_key"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is not a validator key file: {error}") from error
    if len(private) != 32 or ed25519.public_key(private) != public:
        raise ConfigError(f"{path}: the public key does not belong to the private key")
    return ValidatorKey(private, public)


def create_state(path: Path, chain_id: int, genesis_hash: bytes) -> None:
    """Write the state of a key that has never signed on this chain."""
    if path.exists():
        raise ConfigError(f"{path} exists; a signer state is never overwritten")
    _save_state(path, SignState(chain_id=chain_id, genesis_hash=genesis_hash.hex()))


class FileSigner:
    """Signs votes and proposals of one key on one chain. Hold one per key, ever: the state file is locked."""

    def __init__(self, key_path: Path, state_path: Path, chain_id: int, genesis_hash: bytes) -> None:
        self._key = load_key(key_path)
        self._state_path = state_path
        if not state_path.exists():
            raise ConfigError(
                f"{key_path} exists but its signer state {state_path} does not. Restore the state file "
                "that belongs to the key; signing without it can sign twice and lose the stake. A key "
                "that has never signed gets one from `cmt init`."
            )
        self._lock = _lock(state_path)
        try:
            self._state = _load_state(state_path, chain_id, genesis_hash)
        except ConfigError:
            self._lock.close()
            raise

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._key.public

    @property
    def address(self) -> bytes:
        """The 20-byte consensus address."""
        return self._key.address

    @property
    def last_signed(self) -> tuple[int, int, int]:
        """(height, round, step) of the last signature."""
        return self._state.height, self._state.round, self._state.step

    def sign(self, height: int, round_: int, step: Step, sign_bytes: bytes) -> bytes:
        """Return the signature of `sign_bytes`, durable before it is returned.

        Raises InvariantViolation when (height, round, step) is not later than the last signed one and the
        bytes differ from it: signing would be a double sign.
        """
        state = self._state
        position = (height, round_, int(step))
        last = (state.height, state.round, state.step)
        if position == last and state.sign_bytes == sign_bytes.hex():
            return bytes.fromhex(state.signature)
        if position <= last:
            raise InvariantViolation(
                f"refusing to sign height/round/step {position}: already signed {last}. "
                "Two nodes may be running with this key."
            )
        signature = ed25519.sign(self._key.private, sign_bytes)
        self._state = replace(
            state,
            height=height,
            round=round_,
            step=int(step),
            sign_bytes=sign_bytes.hex(),
            signature=signature.hex(),
        )
        _save_state(self._state_path, self._state)
        return signature

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()


def _load_state(path: Path, chain_id: int, genesis_hash: bytes) -> SignState:
    document = _read_json(path, "signer state")
    try:
        state = SignState(**document)
    except TypeError as error:
        raise ConfigError(f"{path} is not a signer state file: {error}") from error
    if (state.chain_id, state.genesis_hash) != (chain_id, genesis_hash.hex()):
        raise ConfigError(
            f"{path} belongs to chain {state.chain_id} with genesis {state.genesis_hash}, not to chain "
            f"{chain_id} with genesis {genesis_hash.hex()}; use another home directory for another chain"
        )
    return state


def _save_state(path: Path, state: SignState) -> None:
    _write_durably(path, {name: getattr(state, name) for name in SignState.__slots__})


def _lock(state_path: Path) -> IO[str]:
    lock = state_path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"another process signs with {state_path}; one key may run in one place only") from error
    return lock


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"no {what} at {path}; create one with `cmt init`") from error
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it from a backup") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is damaged: not a JSON object; restore it from a backup")
    return document


def _write_durably(path: Path, document: dict[str, Any]) -> None:
    """Write-temp, fsync, rename, fsync of the directory; mode 0600."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
