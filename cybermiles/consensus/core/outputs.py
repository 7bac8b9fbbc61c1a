"""What the round machine asks of the driver. Height, keys and certificates are the driver's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.consensus.core.inputs import TimeoutKind
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Ask for a block to propose in the current round."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Propose a block in the current round."""

    block_hash: Hash32
    pol_round: int
    """-1 for a fresh block."""


@dataclass(frozen=True, slots=True)
class Prevote:
    """Prevote in the current round."""

    block_hash: Hash32 | None


@dataclass(frozen=True, slots=True)
class Precommit:
    """Precommit in the current round."""

    block_hash: Hash32 | None


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Start a timer of the current round."""

    kind: TimeoutKind


@dataclass(frozen=True, slots=True)
class EnterRound:
    """Another round was entered; the machine waits to be told who proposes in it."""

    round: int


@dataclass(frozen=True, slots=True)
class DecideBlock:
    """The height is decided."""

    round: int
    block_hash: Hash32


Output: TypeAlias = BuildBlock | Propose | Prevote | Precommit | StartTimer | EnterRound | DecideBlock
