"""What consensus needs from the rest of the node, stated as narrow protocols.

Production implements them with LevelDB, files, threads and sockets; the deterministic simulation with a virtual
disk, network and clock. Nothing in this package knows which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.consensus.privval import Step
    from cybermiles.types.abci import (
        AppInfo,
        FinalizeResult,
        PrepareRequest,
        Proposal,
        Verdict,
    )
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.transaction import Transaction
    from cybermiles.types.vote import Vote


class Application(Protocol):
    """ABCI 2.0-shaped application; every method may take long, so each is awaited.

    The caller never overlaps two calls: prepare and process, then finalize, then commit.
    """

    async def info(self) -> AppInfo:
        """Return what is durably committed."""
        ...

    async def prepare_proposal(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Proposal:
        """Build and execute a block from the candidates, in their order."""
        ...

    async def process_proposal(self, value: bytes) -> Verdict:
        """Decode, check and execute a block; its outcome is kept until the height is decided."""
        ...

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """Take the kept outcome of the decided block. Raises InvariantViolation when it is unknown."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Make the finalized block durable in one synced batch, then tell the rest of the node."""
        ...


class TransactionSource(Protocol):
    """The mempool as the engine sees it."""

    def candidates(self) -> Sequence[Transaction]:
        """Return what a block built now should try, in order."""
        ...

    async def wait_for_transactions(self) -> None:
        """Return as soon as `candidates` is not empty."""
        ...


class EvidenceSource(Protocol):
    """The pool of proofs that validators signed twice."""

    def report(self, evidence: DuplicateVote) -> None:
        """Take a pair that this node saw itself; it becomes pending once its height is committed."""
        ...

    def pending(self, max_bytes: int) -> tuple[bytes, ...]:
        """Return encoded evidence for a block built now, in canonical order."""
        ...


class Signer(Protocol):
    """Keeper of the consensus key."""

    @property
    def address(self) -> bytes:
        """The 20-byte consensus address."""
        ...

    @property
    def last_signed(self) -> tuple[int, int, int]:
        """(height, round, step) of the last signature."""
        ...

    async def sign(self, height: int, round_: int, step: Step, sign_bytes: bytes) -> bytes:
        """Return the signature, durable before it is returned.

        Raises InvariantViolation where it would contradict an earlier one.
        """
        ...


class Verifier(Protocol):
    """Checks ed25519 signatures off the event loop."""

    async def verify(self, checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Return for each (public key, message, signature) whether it is right."""
        ...


class Gossip(Protocol):
    """What spreads messages; called by the runner in its own task, so it must be quick and must not raise."""

    def publish(self, message: SignedProposal | Vote | Certificate) -> None:
        """Send an own message, or one said again, to every peer that may lack it."""
        ...

    def accepted(self, message: ConsensusMessage, source: str) -> None:
        """A peer's message was verified and is news: relay it to who lacks it."""
        ...

    def rejected(self, source: str, reason: str) -> None:
        """A peer sent a wrong signature, a part that proves nothing, or a block it should have refused."""
        ...

    def view_changed(self, view: RoundView) -> None:
        """The node moved to another height, round or step."""
        ...
