"""Consensus across heights, sans-IO: inputs in, effects out. The public face of the core.

    host ──Input──► Engine.handle ──► (Effect, …) ──► host performs them in order

    StartHeight(H) … Decide(H) … late precommits of H … StartHeight(H+1) …

The engine is owned by one task. It never raises for what a peer does; InvariantViolation means that more than a third
of the power is faulty or that this node has a bug, and the node must stop. Equal inputs in equal order give equal
effects, in every process: that is what the log and the simulation rest on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core import inputs as i
from cybermiles.consensus.core.certificates import polka_certificate
from cybermiles.consensus.core.driver import HeightDriver
from cybermiles.consensus.core.explanation import explain
from cybermiles.consensus.core.next_height import NextHeight
from cybermiles.consensus.core.round_state import RoundValue, Step
from cybermiles.errors import InvariantViolation
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from cybermiles.consensus.core.effects import Effect
    from cybermiles.consensus.core.inputs import HeightInput, Input
    from cybermiles.consensus.core.tally import Tally
    from cybermiles.consensus.core.timeouts import EngineSettings
    from cybermiles.types.certificate import Certificate, PolkaCertificate, RoundCertificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.validator import Validator, ValidatorSet


class Engine:
    """One validator's consensus, height after height."""

    def __init__(self, address: bytes | None, settings: EngineSettings) -> None:
        """`address` is the own 20-byte consensus address, None for a node without a key."""
        self._address = address
        self._settings = settings
        self._current: HeightDriver | None = None
        self._next = NextHeight(0)

    def handle(self, input_: Input) -> tuple[Effect, ...]:
        """Take one input and return what is to be done, in order.

        Raises InvariantViolation where more than a third of the power is faulty, where the host starts a height out of
        order, or where a rule of this node is broken.
        """
        if isinstance(input_, i.StartHeight):
            self._start(input_)
        elif self._current is None:
            return ()
        else:
            ahead = _height(input_) - self._current.height
            if ahead == 0:
                self._feed(self._current, input_)
            elif ahead == 1:
                self._keep(input_)
        return self._driver.take_effects()

    @property
    def height(self) -> int:
        """Being decided, or decided and waiting for the next StartHeight; 0 before the first."""
        return 0 if self._current is None else self._current.height

    @property
    def round(self) -> int:
        """Of the height; -1 before the first height."""
        return -1 if self._current is None else self._current.state.round

    @property
    def step(self) -> Step:
        """Of the round."""
        return Step.UNSTARTED if self._current is None else self._current.state.step

    @property
    def is_decided(self) -> bool:
        """Whether `Decide` was given for the height."""
        return self.step is Step.COMMIT

    @property
    def is_voting(self) -> bool:
        """Whether this node is a validator of the height and was not told to follow only."""
        return self._current is not None and self._current.is_voting

    @property
    def validators(self) -> ValidatorSet:
        """Of the height. Raises InvariantViolation before the first StartHeight, like all that asks about a height."""
        return self._driver.members

    @property
    def locked(self) -> RoundValue | None:
        """What this validator precommitted last in the height."""
        return self._driver.state.locked

    @property
    def valid(self) -> RoundValue | None:
        """The newest block of the height that is known to have had a polka."""
        return self._driver.state.valid

    def wants(self, message: SignedProposal | Vote | Certificate) -> bool:
        """Whether the message is news that would be kept: ask this before checking a signature.

        Of the next height everything is wanted that finds room; whether its validator exists is the host's to know.
        """
        is_next = message.height == self.height + 1
        if self._current is None or not (is_next or message.height == self.height):
            return False
        match message:
            case SignedProposal():
                return self._next.wants_proposal(message) if is_next else self._driver.wants_proposal(message)
            case Vote():
                return self._next.wants_vote(message) if is_next else self._driver.votes.wants(message)
            case _:
                return bool(self.news(message))

    def news(self, certificate: Certificate) -> tuple[Vote, ...]:
        """Return those votes of a certificate that make it wanted; taken alone they do what all of it would."""
        if self._current is not None and certificate.height == self.height:
            return self._driver.votes.news(certificate.votes)
        return tuple(vote for vote in certificate.votes if self.wants(vote))

    def proposer(self, round_: int) -> Validator:
        """Return who proposes in a round of this height; the work grows with the round: ask for what it `wants`."""
        return self._driver.members.validators[self._driver.proposer(round_)]

    def proposal(self, round_: int) -> SignedProposal | None:
        """Return the round's proposal; of several, the one a quorum voted for, else the first."""
        proposals = self.proposals(round_)
        votes = self._driver.votes.round(round_)
        voted_for = () if votes is None else (votes.precommits.block_hash, votes.prevotes.block_hash)
        return next((p for p in proposals if p.block_hash in voted_for), proposals[0] if proposals else None)

    def proposals(self, round_: int) -> tuple[SignedProposal, ...]:
        """Return every proposal of the round: more than one where its proposer lies."""
        return tuple(arrival.proposal for arrival in self._driver.proposals.arrivals(round_))

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator, in the order of the set."""
        tally = self._tally(round_, type_)
        return (None,) * len(self.validators.validators) if tally is None else tuple(tally.votes)

    def conflicting_votes(self, round_: int, type_: VoteType) -> tuple[Vote, ...]:
        """Return the second votes of who voted twice, in the order of the set."""
        tally = self._tally(round_, type_)
        return () if tally is None else tuple(tally.second[position] for position in sorted(tally.second))

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which votes are counted, ascending."""
        return self._driver.votes.rounds()

    def round_certificate(self) -> RoundCertificate | None:
        """Return why the current round was entered; None in round 0."""
        return self._driver.round_certificate

    def polka_certificate(self, round_: int) -> PolkaCertificate | None:
        """Return the prevotes of a quorum for one block in that round, None where there is no such quorum."""
        return polka_certificate(self._driver.votes, self.height, round_)

    def commit(self) -> Commit | None:
        """Return the decision with every precommit for it that is known by now; None while undecided."""
        return None if self._current is None else self._current.commit()

    def explain(self) -> str:
        """Say in one sentence why the height does not advance, and who is missing."""
        return "No height has started." if self._current is None else explain(self._current)

    @property
    def _driver(self) -> HeightDriver:
        if self._current is None:
            raise InvariantViolation("the engine was asked about a height before the first one started")
        return self._current

    def _tally(self, round_: int, type_: VoteType) -> Tally | None:
        votes = self._driver.votes.round(round_)
        return None if votes is None else votes.tally(type_)

    def _start(self, start: i.StartHeight) -> None:
        """Begin a height and feed it what waited for it: the votes first, for they say which rounds are real."""
        if self._current is not None and not (self.is_decided and start.height == self.height + 1):
            raise InvariantViolation(
                f"height {start.height} cannot start: height {self.height} is "
                + ("decided, so the one after it is next" if self.is_decided else "undecided")
            )
        driver = self._current = HeightDriver(start, self._address, self._settings)
        driver.begin()
        waiting, self._next = self._next, NextHeight(start.height + 1)
        if waiting.height != start.height:
            return
        for vote in waiting.votes():
            driver.receive_vote(vote)
        for received in waiting.proposals():
            driver.receive_proposal(received.proposal, received.received_ms)

    def _feed(self, driver: HeightDriver, input_: HeightInput) -> None:
        match input_:
            case i.VoteReceived():
                driver.receive_vote(input_.vote)
            case i.ProposalReceived():
                driver.receive_proposal(input_.proposal, input_.received_ms)
            case i.ValueChecked():
                driver.check_value(input_)
            case i.ValueBuilt():
                driver.build_value(input_)
            case i.CertificateReceived():
                driver.receive_certificate(input_.certificate)
            case i.CommitReceived():
                driver.receive_commit(input_.commit)
            case _:  # TimeoutElapsed
                driver.elapse(input_.kind, input_.round)

    def _keep(self, input_: HeightInput) -> None:
        """Let a message of the next height wait."""
        match input_:
            case i.VoteReceived():
                self._next.add_vote(input_.vote)
            case i.CertificateReceived():
                for vote in input_.certificate.votes:
                    self._next.add_vote(vote)
            case i.ProposalReceived():
                self._next.add_proposal(input_)


def _height(input_: HeightInput) -> int:
    match input_:
        case i.VoteReceived():
            return input_.vote.height
        case i.ProposalReceived():
            return input_.proposal.height
        case i.CertificateReceived():
            return input_.certificate.height
        case i.CommitReceived():
            return input_.commit.height
        case _:
            return input_.height
