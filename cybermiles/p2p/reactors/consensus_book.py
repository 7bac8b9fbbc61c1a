"""Keeps the shelves of the current height and of the one before in step with the runner. No I/O.

The runner tells of each message it verified; what it knows besides, such as what it read from its log after a crash, is
read again whenever the round changes and every few seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.messages import PartMessage
from cybermiles.p2p.reactors.consensus_shelf import KEPT_ROUNDS, Shelf, VoteKey
from cybermiles.p2p.wire.consensus import RoundStep
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.consensus.messages import ConsensusMessage
    from cybermiles.p2p.reactors.ports import Consensus
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.primitives import Hash32

_KEPT_POLKAS = 4


class Book:
    """What this node has, of two heights."""

    def __init__(self, consensus: Consensus) -> None:
        self._consensus = consensus
        self._polkas: dict[tuple[int, Hash32], PolkaCertificate] = {}
        self.shelf = Shelf(0, None)
        """Of the height of the view."""
        self.previous: Shelf | None = None
        """Of the height before, where we decided it here: the decided block and its precommits."""
        self.step = RoundStep(0, 0, consensus.view.step)
        """Where the node stands, as `follow` saw it last."""

    def follow(self, now_ms: int) -> bool:
        """Move on with the runner and tell whether it moved."""
        view = self._consensus.view
        step = RoundStep(view.height, max(view.round, 0), view.step)
        before = self.step
        if step == before:
            return False
        self.step = step
        if step.height != before.height:
            self._enter_height(step.height, now_ms)
        elif step.round != before.round:
            self.shelf.leave_rounds(step.round)
            self.refill(now_ms)
        return True

    def shelves(self) -> Iterator[Shelf]:
        """Yield the shelves there are."""
        yield self.shelf
        if self.previous is not None:
            yield self.previous

    def shelf_of(self, height: int) -> Shelf | None:
        """Return the shelf of a height."""
        return next((shelf for shelf in self.shelves() if shelf.height == height), None)

    def refill(self, now_ms: int) -> None:
        """Take what the runner knows and did not tell."""
        consensus = self._consensus
        for round_ in consensus.rounds():
            if round_ < self.step.round - KEPT_ROUNDS:
                continue
            for type_ in VoteType:
                for vote in consensus.votes(round_, type_):
                    if vote is not None:
                        self.shelf.add_vote(vote, now_ms)
            proposal = consensus.proposal(round_)
            if proposal is not None:
                self._keep_proposal(proposal, now_ms, own=False)

    def keep(self, message: ConsensusMessage, now_ms: int, *, own: bool) -> None:
        """Take a verified message; of other heights than the two nothing is kept."""
        match message:
            case Vote():
                self._keep_vote(message, now_ms, own=own)
            case PolkaCertificate() | RoundCertificate():
                self._keep_certificate(message, now_ms)
            case SignedProposal() if message.height == self.shelf.height:
                self._keep_proposal(message, now_ms, own=own)
            case PartMessage(height, parts_id, part) if height == self.shelf.height:
                self._keep_part(parts_id, part.index, now_ms)
            case _:
                pass  # of a height that was left: block sync serves whoever needs it

    def polka(self, proposal: SignedProposal) -> PolkaCertificate | None:
        """Return the polka that a block is proposed again for, as far as it is here."""
        kept = self._polkas.get((proposal.pol_round, proposal.block_hash))
        if kept is not None:
            return kept
        votes = self._consensus.votes(proposal.pol_round, VoteType.PREVOTE)
        agreeing = tuple(vote for vote in votes if vote is not None and vote.block_hash == proposal.block_hash)
        if not agreeing:
            return None
        return PolkaCertificate(proposal.height, proposal.pol_round, proposal.block_hash, agreeing)

    def _enter_height(self, height: int, now_ms: int) -> None:
        left, self.previous = self.shelf, None
        self._polkas.clear()
        self.shelf = Shelf(height, self._consensus.validators)
        commit = self._consensus.last_commit
        if height == left.height + 1 == commit.height + 1 > 1:
            left.settle(commit, now_ms)
            self.previous = left
        self.refill(now_ms)

    def _keep_vote(self, vote: Vote, now_ms: int, *, own: bool) -> None:
        shelf = self.shelf_of(vote.height)
        if shelf is None:
            return
        is_late = shelf is self.previous
        if not is_late or VoteKey(vote.round, vote.type, vote.block_hash) in shelf.here:
            shelf.add_vote(vote, now_ms, own=own)

    def _keep_certificate(self, certificate: Certificate, now_ms: int) -> None:
        if certificate.height != self.shelf.height:
            return
        for vote in certificate.votes:
            self.shelf.add_vote(vote, now_ms)
        if isinstance(certificate, PolkaCertificate):
            self._polkas[certificate.round, certificate.block_hash] = certificate
            while len(self._polkas) > _KEPT_POLKAS:
                del self._polkas[next(iter(self._polkas))]

    def _keep_proposal(self, proposal: SignedProposal, now_ms: int, *, own: bool) -> None:
        proposer = self._consensus.proposer(proposal.round)
        author = None if proposer is None else self.shelf.index_of.get(proposer.address)
        if author is not None:
            parts = self._consensus.part_set(proposal.parts.id)
            self.shelf.add_proposal(proposal, author, parts, now_ms, own=own)

    def _keep_part(self, parts_id: Hash32, index: int, now_ms: int) -> None:
        shelf = self.shelf
        if parts_id not in shelf.part_sets:
            part_set = self._consensus.part_set(parts_id)
            author = next((shelf.author[key] for key in shelf.proposals if key.parts_id == parts_id), None)
            if part_set is None or author is None:
                return
            shelf.add_parts(parts_id, part_set, author, now_ms)
        shelf.add_part(parts_id, index, now_ms)
