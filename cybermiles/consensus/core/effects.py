"""What the engine asks of its host, to be performed in order.

The host's part of each:

    SignProposal, SignVote   sign durably, log, hand the message back as an input, then publish it
    Publish                  send a message that is signed already (certificates, own messages again)
    Build                    ask the application for a block; it comes back as ValueBuilt
    ScheduleTimeout          a timer; it comes back as TimeoutElapsed, also when the round has passed by then
    Decide                   the height is decided: finalize and commit; exactly once a height
    ReportEquivocation       two conflicting votes of one validator, each pair once
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.consensus.core.inputs import TimeoutKind
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.vote import Vote, VoteType


@dataclass(frozen=True, slots=True)
class SignProposal:
    """Propose a block in the current round."""

    height: int
    round: int
    pol_round: int
    """-1 for a fresh block."""
    block_hash: Hash32
    parts: PartsHeader


@dataclass(frozen=True, slots=True)
class SignVote:
    """Vote in the current round."""

    type: VoteType
    height: int
    round: int
    block_hash: Hash32 | None
    """None votes nil."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Send a message to every peer that may need it."""

    message: SignedProposal | Vote | Certificate


@dataclass(frozen=True, slots=True)
class Build:
    """Ask the application for the next block."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class ScheduleTimeout:
    """Start a timer."""

    kind: TimeoutKind
    height: int
    round: int
    after_ms: int


@dataclass(frozen=True, slots=True)
class Decide:
    """A quorum precommitted a block that is here and valid."""

    commit: Commit
    """Names height, round and block, with every precommit for it that is known."""


@dataclass(frozen=True, slots=True)
class ReportEquivocation:
    """A validator signed twice."""

    evidence: DuplicateVote


Effect: TypeAlias = SignProposal | SignVote | Publish | Build | ScheduleTimeout | Decide | ReportEquivocation
