"""What validators say to each other, and the snapshot of where a node stands.

Gossip carries these; the runner verifies them and turns them into the core's inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote

if TYPE_CHECKING:
    from cybermiles.consensus.core.round_state import Step
    from cybermiles.types.part_set import Part
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class PartMessage:
    """A part of a proposed block."""

    height: int
    parts_id: Hash32
    """`PartsHeader.id` of the proposal's parts."""
    part: Part


ConsensusMessage: TypeAlias = SignedProposal | Vote | PolkaCertificate | RoundCertificate | PartMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundView:
    """Where this node stands; a new object whenever it moves."""

    height: int
    """Being decided, or waiting to start."""
    round: int
    step: Step
    is_started: bool
    """False between two heights: the last one is durable, the next one waits for its time."""
    is_catching_up: bool
    """Following blocks that others decided; such a node votes on nothing."""
    last_commit_round: int
    """Round in which the height before was decided, -1 at the first height."""
