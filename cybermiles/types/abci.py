"""The application boundary: what a consensus engine and the application say to each other.

The shape is ABCI 2.0's (info, check, prepare, process, finalize, commit), so that the same application can
run below any engine with that interface. To the engine a block is opaque: bytes with a 32-byte id.

    engine                                application
      │  PrepareRequest + transactions ───►  builds and executes a block
      │ ◄──────────────────── Proposal
      │  value bytes ─────────────────────►  checks and executes it, keeps the outcome by id
      │ ◄───────────────────── Verdict
      │  id ──────────────────────────────►  finalize: the kept outcome becomes the decided one
      │ ◄─────────────── FinalizeResult
      │  Commit ──────────────────────────►  commit: one synced write batch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit
    from cybermiles.types.primitives import Hash32, Height, Timestamp
    from cybermiles.types.rotation import Rotation
    from cybermiles.types.validator import ValidatorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInfo:
    """What the application has durably committed."""

    height: Height
    block_hash: Hash32
    timestamp: Timestamp
    """Header time of that block, which the next one must exceed."""
    last_commit: Commit
    """The engine's own commit of that block, for the next block's header."""
    rotation: Rotation
    """Who decides the next height, and who proposes in its round 0."""

    @property
    def validators(self) -> ValidatorSet:
        """Who decides the next height."""
        return self.rotation.validators


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRequest:
    """Everything a block contains that the application does not know by itself."""

    height: Height
    timestamp: Timestamp
    proposer: bytes
    """20-byte consensus address."""
    last_commit: Commit
    """Commit of the parent block, at least +2/3 of its validators."""
    evidence: tuple[bytes, ...] = ()
    """Encoded proofs of misbehaviour; the application leaves out what the block may not contain."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block ready to be voted on."""

    block_hash: Hash32
    value: bytes
    """The block's wire bytes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a proposed block is valid; a pure function of the block and its parent's state."""

    accepted: bool
    block_hash: Hash32 | None
    """Id of the block, None where the bytes do not decode."""
    reason: str = ""
    """Why it was refused."""
    timestamp: int = 0
    """Header time of an accepted block, whole seconds."""
    is_genuine: bool = False
    """Of a refused block: whether the bytes are the very ones its hash names, so that not the supplier is at fault."""


@dataclass(frozen=True, slots=True)
class FinalizeResult:
    """Consequences of the decided block for the engine."""

    height: Height
    block_hash: Hash32
    next_validators: ValidatorSet
    """Who decides the next height."""
