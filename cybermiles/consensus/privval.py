"""The validator's signer: a key and, apart from it, the last thing signed.

A validator that signs two different messages for one (height, round, step) loses its stake. So the signer
remembers the last one in its own file, durable before a signature leaves this module, and refuses anything
that is not later, unless the bytes are the same, for which it returns the stored signature. The state is bound
to one chain; a key without its state is refused, because a lost state file is how honest validators get slashed.

Steps order a round: propose 1 < prevote 2 < precommit 3. The file is replaced whole: write beside, sync, rename,
sync the directory's names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError, InvariantViolation, StorageError
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.consensus.ports import Directory, Lock, Worker
    from cybermiles.consensus.validator_key import ValidatorKey


class Step(IntEnum):
    """What is signed, in the order of a round."""

    NONE = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


STEP_OF = {VoteType.PREVOTE: Step.PREVOTE, VoteType.PRECOMMIT: Step.PRECOMMIT}
_HEX_FIELDS = frozenset({"genesis_hash", "sign_bytes", "signature"})
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


class SigningRefused(InvariantViolation):
    """Signing would contradict an earlier signature."""


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

    @property
    def position(self) -> tuple[int, int, int]:
        """(height, round, step)."""
        return self.height, self.round, self.step


def create_state(directory: Directory, name: str, chain_id: int, genesis_hash: bytes) -> None:
    """Write the state of a key that has never signed on this chain. Raises ConfigError where one exists."""
    if directory.read(name) is not None:
        raise ConfigError(f"{name} exists; a signer state is never overwritten")
    _save(directory, name, SignState(chain_id=chain_id, genesis_hash=genesis_hash.hex()))


def load_state(directory: Directory, name: str, chain_id: int, genesis_hash: bytes) -> SignState:
    """Return the stored state. Raises ConfigError where it is missing, damaged or another chain's."""
    content = directory.read(name)
    if content is None:
        raise ConfigError(
            f"the validator key exists but its signer state {name} does not. Restore the state file that belongs to "
            "the key; signing without it can sign twice and lose the stake. A key that has never signed gets one "
            "from `cmt init`."
        )
    state = _decode(content, name)
    if (state.chain_id, state.genesis_hash) != (chain_id, genesis_hash.hex()):
        raise ConfigError(
            f"{name} belongs to chain {state.chain_id} with genesis {state.genesis_hash}, not to chain "
            f"{chain_id} with genesis {genesis_hash.hex()}; use another home directory for another chain"
        )
    return state


def replace_state(directory: Directory, name: str, state: SignState) -> None:
    """Write another state than the last one, durable on return, while no signer holds it. Raises StorageError.

    For a chain that nobody else has ever seen: a validator that forgets what others have seen may sign twice.
    """
    _save(directory, name, state)


class FileSigner:
    """`consensus.ports.Signer` with a state file. Hold one per key, ever: the state is locked.

    `sign_with(private key, message)` returns a signature; simulations put a cheaper one in its place.
    """

    def __init__(  # noqa: PLR0913  (the composition root wires every port by name)
        self,
        key: ValidatorKey,
        *,
        directory: Directory,
        state_name: str,
        chain_id: int,
        genesis_hash: bytes,
        worker: Worker,
        sign_with: Callable[[bytes, bytes], bytes] = ed25519.sign,
    ) -> None:
        """Lock and load the state. Raises ConfigError where another process holds it, or it is not usable.

        What was loaded is made durable first: a killed process may leave a state that only the kernel has, and the
        signature in it is given out again without being written again. Raises StorageError where that fails.
        """
        self._key = key
        self._directory = directory
        self._name = state_name
        self._worker = worker
        self._sign_with = sign_with
        self._lock = _lock(directory, state_name)
        try:
            self._state = load_state(directory, state_name, chain_id, genesis_hash)
            _settle(directory, state_name)
        except (ConfigError, StorageError):
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
        return self._state.position

    async def sign(self, height: int, round_: int, step: Step, sign_bytes: bytes) -> bytes:
        """Return the signature of `sign_bytes`, durable before it is returned.

        Raises SigningRefused when (height, round, step) is not later than the last signed one and the bytes differ
        from it: signing would be a double sign. Raises StorageError where the state cannot be written.
        """
        return await self._worker.run(self._sign, (height, round_, int(step)), sign_bytes)

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()

    def _sign(self, position: tuple[int, int, int], sign_bytes: bytes) -> bytes:
        state = self._state
        if position == state.position and state.sign_bytes == sign_bytes.hex():
            return bytes.fromhex(state.signature)
        if position <= state.position:
            raise SigningRefused(
                f"refusing to sign height/round/step {position}: already signed {state.position}. "
                "Two nodes may be running with this key."
            )
        signature = self._sign_with(self._key.private, sign_bytes)
        height, round_, step = position
        state = replace(
            state,
            height=height,
            round=round_,
            step=step,
            sign_bytes=sign_bytes.hex(),
            signature=signature.hex(),
        )
        _save(self._directory, self._name, state)
        self._state = state
        return signature


def _save(directory: Directory, name: str, state: SignState) -> None:
    document = {field: getattr(state, field) for field in SignState.__slots__}
    temporary = f"{name}.tmp"
    try:
        directory.replace(temporary, json.dumps(document, indent=1).encode())
        directory.sync(temporary)
        directory.rename(temporary, name)
        directory.sync_names()
    except OSError as error:
        raise StorageError(f"the signer state {name} cannot be written: {error}") from error


def _settle(directory: Directory, name: str) -> None:
    try:
        directory.sync(name)
        directory.sync_names()
    except OSError as error:
        raise StorageError(f"the signer state {name} cannot be synced: {error}") from error


def _decode(content: bytes, name: str) -> SignState:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{name} is damaged ({error}); restore it from a backup") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{name} is damaged: not a JSON object; restore it from a backup")
    try:
        state = SignState(**document)
    except TypeError as error:
        raise ConfigError(f"{name} is not a signer state file: {error}") from error
    for field in SignState.__slots__:
        value = getattr(state, field)
        if not (_is_hex(value) if field in _HEX_FIELDS else _is_natural(value)):
            raise ConfigError(f"{name} is damaged: {field} is {value!r}; restore it from a backup")
    if state.step not in tuple(Step):
        raise ConfigError(f"{name} is damaged: step is {state.step}; restore it from a backup")
    return state


def _is_natural(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_hex(value: object) -> bool:
    """Whether it is what `bytes.hex` writes; what was signed is compared as text."""
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _lock(directory: Directory, name: str) -> Lock:
    try:
        return directory.lock(f"{name.removesuffix('.json')}.lock")
    except OSError as error:
        raise ConfigError(f"another process signs with {name}; one key may run in one place only") from error
