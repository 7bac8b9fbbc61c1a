"""Wrappers of the node's seams that count what passes: the wrapped object and its user know nothing of it.

runner ──► MeteredGossip ──► consensus reactor          runner ──► MeteredApplication ──► application
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.messages import PartMessage
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.application.metrics import AbciMetrics
    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.consensus.metrics import ConsensusMetrics
    from cybermiles.consensus.ports import Application, Gossip
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.abci import AppInfo, FinalizeResult, PrepareRequest, Proposal, Verdict
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction


class MeteredGossip:
    """`consensus.ports.Gossip` in front of another one; measures rounds and steps by the node's clock."""

    def __init__(self, gossip: Gossip, metrics: ConsensusMetrics, clock: Clock) -> None:
        self._gossip = gossip
        self._metrics = metrics
        self._clock = clock
        self._view: RoundView | None = None
        self._step_began = 0.0
        self._round_began = 0.0
        self._proposed: tuple[int, float] | None = None

    def publish(self, message: SignedProposal | Vote | Certificate) -> None:
        """Count an own message and pass it on."""
        if isinstance(message, SignedProposal):
            if self._view is None or message.round == self._view.round:
                self._metrics.proposal_create_total.inc()
            self._note_proposal(message.height)
        self._gossip.publish(message)

    def accepted(self, message: ConsensusMessage, source: str) -> None:
        """Count a peer's message and pass it on."""
        metrics = self._metrics
        if isinstance(message, SignedProposal):
            metrics.proposal_receive_total.inc()
            self._note_proposal(message.height)
        elif isinstance(message, Vote):
            kind = message.type.name.lower()
            metrics.votes_received_total.inc(kind)
            if self._view is not None and (message.height, message.round) < (self._view.height, self._view.round):
                metrics.late_votes_total.inc(kind)
        elif isinstance(message, PartMessage):
            metrics.block_parts_received_total.inc()
        self._gossip.accepted(message, source)

    def rejected(self, source: str, reason: str) -> None:
        """Count a peer's fault and pass it on."""
        self._metrics.rejected_messages_total.inc()
        self._gossip.rejected(source, reason)

    def view_changed(self, view: RoundView) -> None:
        """Measure what ended and pass the view on."""
        now = self._clock.monotonic()
        old, self._view = self._view, view
        if old is None:
            self._step_began = self._round_began = now
        else:
            self._measure(old, view, now)
        self._gossip.view_changed(view)

    def _measure(self, old: RoundView, new: RoundView, now: float) -> None:
        metrics = self._metrics
        if (old.height, old.round, old.step) != (new.height, new.round, new.step):
            metrics.step_duration_seconds.observe(now - self._step_began, old.step.name.lower())
            self._step_began = now
        if (old.height, old.round) != (new.height, new.round):
            metrics.round_duration_seconds.observe(now - self._round_began)
            self._round_began = now
            if new.round > 0:
                metrics.rounds_entered_total.inc()
        if self._proposed is not None and new.height > self._proposed[0]:
            metrics.decision_seconds.observe(now - self._proposed[1])
            self._proposed = None

    def _note_proposal(self, height: int) -> None:
        if self._proposed is None or self._proposed[0] < height:
            self._proposed = (height, self._clock.monotonic())


class MeteredApplication:
    """`consensus.ports.Application` in front of another one; measures how long each call takes."""

    def __init__(self, application: Application, metrics: AbciMetrics, clock: Clock) -> None:
        self._application = application
        self._timing = metrics.connection_method_timing_seconds
        self._clock = clock

    async def info(self) -> AppInfo:
        """Pass on."""
        return await self._application.info()

    async def prepare_proposal(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Proposal:
        """Measure building a block."""
        began = self._clock.monotonic()
        proposal = await self._application.prepare_proposal(request, candidates)
        self._timing.observe(self._clock.monotonic() - began, "prepare_proposal")
        return proposal

    async def process_proposal(self, value: bytes) -> Verdict:
        """Measure checking a block."""
        began = self._clock.monotonic()
        verdict = await self._application.process_proposal(value)
        self._timing.observe(self._clock.monotonic() - began, "process_proposal")
        return verdict

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """Measure taking the decided block's outcome."""
        began = self._clock.monotonic()
        result = await self._application.finalize_block(block_hash)
        self._timing.observe(self._clock.monotonic() - began, "finalize_block")
        return result

    async def commit(self, commit: Commit) -> None:
        """Measure making a block durable."""
        began = self._clock.monotonic()
        await self._application.commit(commit)
        self._timing.observe(self._clock.monotonic() - began, "commit")

    async def load(self, height: int) -> tuple[bytes, Commit] | None:
        """Pass on."""
        return await self._application.load(height)
