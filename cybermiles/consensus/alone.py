"""What a node uses in place of a network when it is the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.vote import Vote


class Silence:
    """`consensus.ports.Gossip` with nobody to talk to."""

    def publish(self, message: SignedProposal | Vote | Certificate) -> None:
        """Nobody listens."""

    def accepted(self, message: ConsensusMessage, source: str) -> None:
        """Nobody sends."""

    def rejected(self, source: str, reason: str) -> None:
        """Nobody sends."""

    def view_changed(self, view: RoundView) -> None:
        """Nobody asks."""


class NoEvidence:
    """`consensus.ports.EvidenceSource` where nobody else votes."""

    def report(self, evidence: DuplicateVote) -> None:
        """Nothing to report."""

    def pending(self, max_bytes: int) -> tuple[bytes, ...]:  # noqa: ARG002  (the protocol's)
        """Return nothing."""
        return ()
