"""What consensus needs from the rest of the node, stated as narrow protocols.

Production implements them with LevelDB, files, threads and sockets; the deterministic simulation with a virtual
disk, network and clock. Nothing in this package knows which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.consensus.privval import Step
    from cybermiles.runtime.clock import Clock
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

P = ParamSpec("P")
T = TypeVar("T")


KEPT_OUTCOMES = 4
"""An application keeps the last so many blocks that it built or accepted at a height, or more."""


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
        """Decode, check and execute a block; its outcome is kept until `KEPT_OUTCOMES` others came after it."""
        ...

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """Take the kept outcome of the decided block. Raises InvariantViolation when it is unknown."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Make the finalized block durable in one synced batch, then tell the rest of the node."""
        ...

    async def load(self, height: int) -> tuple[bytes, Commit] | None:
        """Return a committed block's bytes and the commit stored with it, None where it is not kept."""
        ...


class TransactionSource(Protocol):
    """The mempool as the engine sees it."""

    def candidates(self) -> Sequence[Transaction]:
        """Return what a block built now should try, in order."""
        ...

    async def wait_for_transactions(self) -> None:
        """Return as soon as `candidates` is not empty."""
        ...


class Worker(Protocol):
    """Runs what blocks: in production a thread, in simulations the same task after a virtual delay."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and return its result, or raise its exception."""
        ...


class Lock(Protocol):
    """An exclusive hold, gone with the process."""

    def close(self) -> None:
        """Let go."""
        ...


class Directory(Protocol):
    """The files of one directory, by name. Every method may block and raises OSError.

    Nothing survives a loss of power before it is synced: a file's content by `sync`, the names of the directory
    (created, renamed, removed) by `sync_names`.
    """

    def names(self) -> tuple[str, ...]:
        """Return the files' names, sorted."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is no such file."""
        ...

    def append(self, name: str, content: bytes) -> None:
        """Write at the end of a file, creating it readable by its owner only."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Write a file's whole content in place, creating it readable by its owner only."""
        ...

    def truncate(self, name: str, size: int) -> None:
        """Cut a file to its first `size` bytes."""
        ...

    def sync(self, name: str) -> None:
        """Return when the file's content survives a loss of power."""
        ...

    def sync_names(self) -> None:
        """Return when the directory's names survive a loss of power."""
        ...

    def rename(self, name: str, target: str) -> None:
        """Give a file another name, replacing what had it; others see the one or the other."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file; nothing happens where there is none."""
        ...

    def lock(self, name: str) -> Lock:
        """Hold a lock file. Raises BlockingIOError where another holder lives."""
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
    def public_key(self) -> bytes:
        """32 bytes."""
        ...

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerPorts:
    """What the runner works with."""

    application: Application
    transactions: TransactionSource
    evidence: EvidenceSource
    signer: Signer | None
    """None: a node without key, which follows and decides but says nothing."""
    verifier: Verifier
    clock: Clock
    log_directory: Directory
    """Holds the write-ahead logs and nothing else."""
    worker: Worker
    """Runs fsyncs and the cutting of blocks into parts."""
