"""One height: feeds the keepers, runs the round machine until nothing more applies, and turns its outputs into effects.

    input ──► keepers ──► multiplexer ──clause──► state machine ──outputs──► effects
                 ▲                                      │
                 └──────── again, until no clause ──────┘   changes the state

Guards the own signatures independently of the signer: one prevote and one precommit a round, no precommit for a block
that is not the valid one, nothing at all where a vote of the own key is known already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core import clauses as c
from cybermiles.consensus.core import effects as e
from cybermiles.consensus.core import outputs as o
from cybermiles.consensus.core.certificates import (
    commit_of,
    polka_certificate,
    round_certificate,
    votes_of,
)
from cybermiles.consensus.core.inputs import TimeoutKind
from cybermiles.consensus.core.multiplexer import Multiplexer
from cybermiles.consensus.core.proposal_keeper import AcceptedBlock, ProposalKeeper
from cybermiles.consensus.core.round_state import RoundState, Step
from cybermiles.consensus.core.state_machine import apply, enter_round
from cybermiles.consensus.core.timeliness import Timeliness
from cybermiles.consensus.core.vote_keeper import VoteKeeper
from cybermiles.errors import InvariantViolation
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.consensus.core.clauses import Clause
    from cybermiles.consensus.core.effects import Effect
    from cybermiles.consensus.core.inputs import StartHeight, ValueBuilt, ValueChecked
    from cybermiles.consensus.core.outputs import Output
    from cybermiles.consensus.core.tally import Outcome
    from cybermiles.consensus.core.timeouts import EngineSettings
    from cybermiles.types.certificate import Certificate, RoundCertificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.vote import Vote


class HeightDriver:
    """Consensus on one height, as one validator or as an observer sees it."""

    def __init__(self, start: StartHeight, address: bytes | None, settings: EngineSettings) -> None:
        """Stand before round 0; `begin` enters it."""
        self.height = start.height
        self.members = start.rotation.validators
        self.votes = VoteKeeper(self.members)
        self.proposals = ProposalKeeper()
        self.state = RoundState()
        self.round_certificate: RoundCertificate | None = None
        """Why the current round was entered; None in round 0."""
        self._settings = settings
        self._address = address
        self._own_position = None if address is None else self.members.position(address)
        self.is_voting = start.is_voting and self._own_position is not None
        self._rotation = start.rotation.proposers()
        self._proposers: list[int] = []
        timeliness = Timeliness(settings.clock_precision_ms, settings.message_delay_ms)
        self._multiplexer = Multiplexer(self.votes, self.proposals, timeliness)
        self._signed_in = {VoteType.PREVOTE: -1, VoteType.PRECOMMIT: -1}
        """The last round in which a vote of each type was asked for."""
        self._own_votes: dict[VoteType, Vote] = {}
        """The own vote of each type in the highest round."""
        self._own_proposal: SignedProposal | None = None
        self._effects: list[Effect] = []

    def take_effects(self) -> tuple[Effect, ...]:
        """Return what the last input asks for, and forget it."""
        effects, self._effects = tuple(self._effects), []
        return effects

    def proposer(self, round_: int) -> int:
        """Return the position of who proposes in a round."""
        while len(self._proposers) <= round_:
            self._proposers.append(next(self._rotation))
        return self._proposers[round_]

    def begin(self) -> None:
        """Enter round 0."""
        self.state = enter_round(self.state, 0)
        self._enter(0)
        self._rearm()

    def wants_proposal(self, proposal: SignedProposal) -> bool:
        """Whether the proposal would be kept: of a round up to the next one, while the height is undecided."""
        if self.state.step is Step.COMMIT or not 0 <= proposal.round <= self.state.round + 1:
            return False
        votes = self.votes.round(proposal.round)
        is_voted_for = votes is not None and proposal.block_hash in {
            votes.prevotes.block_hash,
            votes.precommits.block_hash,
        }
        return self.proposals.wants(proposal, is_voted_for=is_voted_for)

    def receive_proposal(self, proposal: SignedProposal, received_ms: int) -> None:
        """Take a proposal of this height."""
        if not self.wants_proposal(proposal):
            return
        self.proposals.add(proposal, received_ms)
        if self.proposer(proposal.round) == self._own_position:
            self._own_proposal = proposal
        self._settle()

    def receive_vote(self, vote: Vote) -> None:
        """Take a vote of this height. Raises InvariantViolation where two values get a quorum."""
        self._note(self.votes.add(vote), (vote,))

    def receive_certificate(self, certificate: Certificate) -> None:
        """Take all votes of a certificate of this height, then look what follows. Raises as `receive_vote`."""
        self._note(self.votes.add_together(certificate.votes), certificate.votes)

    def receive_commit(self, commit: Commit) -> None:
        """Take the precommits of a verified commit of this height. Raises as `receive_vote`."""
        votes = votes_of(commit, self.members)
        self._note(self.votes.add_together(votes), votes)

    def check_value(self, checked: ValueChecked) -> None:
        """Take a verdict on a block."""
        if checked.accepted:
            self.proposals.accept(checked.block_hash, AcceptedBlock(checked.parts, checked.timestamp))
        else:
            self.proposals.refuse(checked.block_hash, checked.parts)
        self._settle()

    def build_value(self, built: ValueBuilt) -> None:
        """Take the block that was built for a round; it is valid also when the round has passed."""
        self.proposals.accept(built.block_hash, AcceptedBlock(built.parts, built.timestamp))
        if self.is_voting and self.proposer(self.state.round) == self._own_position:
            self._apply(c.BlockBuilt(built.round, built.block_hash))
        self._settle()

    def elapse(self, kind: TimeoutKind, round_: int) -> None:
        """Take the end of a timer; that of a round or step that has passed changes nothing."""
        match kind:
            case TimeoutKind.PROPOSE:
                self._apply(c.ProposeTimedOut(round_))
            case TimeoutKind.PREVOTE:
                self._apply(c.PrevoteTimedOut(round_))
            case TimeoutKind.PRECOMMIT:
                self._apply(c.PrecommitTimedOut(round_))
            case _:  # REBROADCAST
                self._rebroadcast()
        self._settle()

    def commit(self) -> Commit | None:
        """Return the decision with all precommits for it that are known by now, None while undecided."""
        decision = self.state.decision
        return None if decision is None else commit_of(self.votes, self.height, decision.round, decision.block_hash)

    def _note(self, outcomes: list[Outcome], votes: Iterable[Vote]) -> None:
        """Report who voted twice, remember own votes, and go on where a threshold was reached."""
        self._report(outcomes)
        for vote in votes:
            if vote.validator == self._address:
                self._remember_own(vote)
        if any(outcome.is_threshold for outcome in outcomes):
            self._settle()

    def _report(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.evidence is not None:
                self._effects.append(e.ReportEquivocation(outcome.evidence))

    def _remember_own(self, vote: Vote) -> None:
        last = self._own_votes.get(vote.type)
        if last is None or vote.round > last.round:
            self._own_votes[vote.type] = vote

    def _settle(self) -> None:
        """Apply rules until none changes the state."""
        while any(self._apply(clause) for clause in self._multiplexer.clauses(self.state)):
            pass

    def _apply(self, clause: Clause) -> bool:
        """Whether the clause changed the state."""
        transition = apply(self.state, clause)
        if transition.state is self.state:
            return False
        self.state = transition.state
        for output in transition.outputs:
            self._perform(output)
        return True

    def _perform(self, output: Output) -> None:
        match output:
            case o.Prevote():
                self._vote(VoteType.PREVOTE, output.block_hash)
            case o.Precommit():
                self._vote(VoteType.PRECOMMIT, output.block_hash)
            case o.StartTimer():
                after_ms = self._settings.timeouts.after_ms(output.kind, self.state.round)
                self._effects.append(e.ScheduleTimeout(output.kind, self.height, self.state.round, after_ms))
            case o.EnterRound():
                self._enter(output.round)
            case o.BuildBlock():
                self._effects.append(e.Build(self.height, self.state.round))
            case o.Propose():
                self._propose(output)
            case _:  # DecideBlock
                commit = commit_of(self.votes, self.height, output.round, output.block_hash)
                self._effects.append(e.Decide(commit))

    def _enter(self, round_: int) -> None:
        """Say why the round is entered, and start it. An observer is no proposer."""
        self._report(self.votes.enter(round_))
        if round_ > 0:
            self.round_certificate = round_certificate(self.votes, self.height, round_)
            self._publish(self.round_certificate)
        self._apply(c.RoundStarted(round_, self.is_voting and self.proposer(round_) == self._own_position))

    def _propose(self, output: o.Propose) -> None:
        block = self.proposals.accepted(output.block_hash)
        if block is None:
            raise InvariantViolation(f"asked to propose block {output.block_hash.hex()}, which was never accepted")
        if output.pol_round >= 0:
            self._publish(polka_certificate(self.votes, self.height, output.pol_round))
        self._effects.append(
            e.SignProposal(self.height, self.state.round, output.pol_round, output.block_hash, block.parts)
        )

    def _vote(self, type_: VoteType, block_hash: Hash32 | None) -> None:
        """Ask for the own vote in the current round. Raises InvariantViolation where the rules forbid it."""
        if not self.is_voting or self._own_position is None:
            return
        round_, valid = self.state.round, self.state.valid
        if round_ <= self._signed_in[type_]:
            raise InvariantViolation(f"asked for a second {type_.name.lower()} in round {round_} of {self.height}")
        if type_ is VoteType.PRECOMMIT and block_hash is not None and (valid is None or valid.block_hash != block_hash):
            raise InvariantViolation(f"asked to precommit {block_hash.hex()}, which is not the valid block")
        self._signed_in[type_] = round_
        known = self.votes.round(round_)
        if known is None or known.tally(type_).votes[self._own_position] is None:
            self._effects.append(e.SignVote(type_, self.height, round_, block_hash))

    def _rebroadcast(self) -> None:
        """Say again what others may have missed, as long as the height is undecided."""
        if self.state.step is Step.COMMIT:
            return
        if self._own_proposal is not None and self._own_proposal.round == self.state.round:
            self._publish(self._own_proposal)
        if self.state.valid is not None:
            self._publish(polka_certificate(self.votes, self.height, self.state.valid.round))
        self._publish(self.round_certificate)
        for type_ in VoteType:
            self._publish(self._own_votes.get(type_))
        self._rearm()

    def _publish(self, message: SignedProposal | Vote | Certificate | None) -> None:
        if message is not None:
            self._effects.append(e.Publish(message))

    def _rearm(self) -> None:
        self._effects.append(
            e.ScheduleTimeout(TimeoutKind.REBROADCAST, self.height, self.state.round, self._settings.rebroadcast_ms)
        )
