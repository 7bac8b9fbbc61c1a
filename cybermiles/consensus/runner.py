"""Drives the consensus core of one node: verifies, logs, hands inputs in, performs effects, paces heights.

One task (`run`) owns the engine, the log and everything else here. Reactors only leave messages and read.

    receive ─► inbox ─► known? stale? ─► signatures (batch, threads) ─► log ─► engine.handle ─► effects in order
    timers ────────────────────────────────────────────────────────────►│            │
    application (one call at a time, beside the loop) ─────────────────►│            ├─ sign: log fsync, signer fsync,
    apply_synced ──────────────────────────────────────────────────────►│            │  log, hand back, publish
                                                                                     └─ decide: fsync, finalize, commit

An exception of the core, the signer, the disk or the application ends `run` and with it the node. What peers send
never does: it is dropped and reported to `Gossip.rejected`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from cybermiles.consensus.core.engine import EngineSettings
    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.consensus.ports import (
        Application,
        Directory,
        EvidenceSource,
        Gossip,
        Signer,
        TransactionSource,
        Verifier,
        Worker,
    )
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartSet
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.types.vote import Vote, VoteType


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """How the runner behaves."""

    chain_id: int
    genesis_hash: Hash32
    engine: EngineSettings
    block_interval_ms: int
    """Least time between the starts of two heights. From 1000 on, header times never run ahead of the clock."""
    create_empty_blocks: bool = True
    """False: a height starts only when a transaction or evidence waits, or when others have started it."""
    max_block_bytes: int = 16 * 1024 * 1024
    """Wire size of a block; parts of larger ones are not collected."""
    double_sign_check_heights: int = 10
    """How many stored commits are searched at start for signatures that the signer does not remember."""


class ConsensusRunner:
    """Decides one height after another. Its task is `run`; every other method is for reactors, and plain calls of
    it return at once."""

    def __init__(self, ports: RunnerPorts, settings: RunnerSettings) -> None:
        raise NotImplementedError

    def join(self, gossip: Gossip) -> None:
        """Speak through `gossip`. Called once, before `run`; without it the node is alone."""
        raise NotImplementedError

    async def run(self) -> NoReturn:
        """Decide heights until cancelled. Raises what stops the node: ConfigError, InvariantViolation, StorageError."""
        raise NotImplementedError

    # What reactors hand in

    def receive(self, message: ConsensusMessage, source: str) -> None:
        """Take a peer's decoded message; dropped where it is stale or where the source's room is full."""
        raise NotImplementedError

    async def apply_synced(self, value: bytes, commit: Commit) -> None:
        """Decide the current height by a block and its commit, and return when it is durable.

        Returns at once where that height is committed already. Raises InvalidBlock or ProtocolViolation where block
        or commit are wrong, which is the supplier's fault, and ValueError for a height that is not next.
        """
        raise NotImplementedError

    def set_catching_up(self, *, catching_up: bool) -> None:
        """Say whether others are more than one height ahead; such a node votes on nothing. Initially it is not."""
        raise NotImplementedError

    def wake(self) -> None:
        """Look again whether a height should start, because evidence arrived."""
        raise NotImplementedError

    # What reactors read; about the height of `view`, nothing while it has not started

    @property
    def view(self) -> RoundView:
        """Where the node stands."""
        raise NotImplementedError

    @property
    def validators(self) -> ValidatorSet:
        """Who decides the height of the view."""
        raise NotImplementedError

    @property
    def last_commit(self) -> Commit:
        """Commit of the height before, with precommits that came late."""
        raise NotImplementedError

    def proposal(self, round_: int) -> SignedProposal | None:
        """Return the proposal of a round."""
        raise NotImplementedError

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator in the order of the set; empty where nothing is known."""
        raise NotImplementedError

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which anything is known."""
        raise NotImplementedError

    def part_set(self, root: Hash32) -> PartSet | None:
        """Return the parts of a proposed block as far as they are here; only read it."""
        raise NotImplementedError

    def explain(self) -> str:
        """Return one sentence: why the height does not advance and who is missing."""
        raise NotImplementedError
