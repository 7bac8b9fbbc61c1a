"""What enters the engine. Every signature in an input was verified by the host; nothing else was.

    host ──► StartHeight, ProposalReceived, ValueChecked, ValueBuilt, VoteReceived, CertificateReceived,
             CommitReceived, TimeoutElapsed ──► engine.handle ──► effects (core/effects.py)

The node's own signed messages come back through the same inputs as everybody's. Inputs of other heights are
ignored, except those of the next height, which wait in bounded room until it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.rotation import Rotation
    from cybermiles.types.vote import Vote


class TimeoutKind(IntEnum):
    """What a timer is for."""

    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    REBROADCAST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StartHeight:
    """The parent is durable; begin round 0."""

    height: int
    rotation: Rotation
    """Of round 0."""
    is_voting: bool = True
    """False while catching up: follow and decide, but ask for no signature."""


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """A proposal signed by the proposer of its height and round."""

    proposal: SignedProposal
    received_ms: int
    """Wall time of arrival, milliseconds since 1970; decides whether a fresh block's time is credible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChecked:
    """The verdict on complete bytes that were announced as a block of this height, wherever they came from.

    An acceptance is about the block, whoever proposes it again. A refusal is about the block *under these parts*:
    a liar may announce the hash of a good block over parts of rubbish, which says nothing against the block.
    """

    height: int
    block_hash: Hash32
    """As announced; bytes that are another block are refused."""
    parts: PartsHeader
    """Which the bytes were assembled under; for bytes that came whole, what they split into."""
    accepted: bool
    timestamp: int
    """Header time, whole seconds; 0 where refused bytes have none."""


@dataclass(frozen=True, slots=True)
class ValueBuilt:
    """The block that `Build` asked for; it counts as checked and accepted."""

    height: int
    round: int
    block_hash: Hash32
    parts: PartsHeader
    timestamp: int
    """Header time, whole seconds."""


@dataclass(frozen=True, slots=True)
class VoteReceived:
    """A vote signed by a member of the height's set."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class CertificateReceived:
    """A bundle of votes, each verified."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class CommitReceived:
    """A verified commit of this height, from block sync."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class TimeoutElapsed:
    """A timer that `ScheduleTimeout` asked for has run out."""

    kind: TimeoutKind
    height: int
    round: int


HeightInput: TypeAlias = (
    ProposalReceived | ValueChecked | ValueBuilt | VoteReceived | CertificateReceived | CommitReceived | TimeoutElapsed
)
"""What happens during a height."""
Input: TypeAlias = StartHeight | HeightInput
