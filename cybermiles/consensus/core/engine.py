"""Consensus across heights, sans-IO: inputs in, effects out. The public face of the core.

    host ──Input──► Engine.handle ──► (Effect, …) ──► host performs them in order

The engine is owned by one task. It never raises for what a peer does; InvariantViolation means that more than a third
of the power is faulty or that this node has a bug, and the node must stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core.round_state import RoundValue, Step
from cybermiles.consensus.core.timeouts import EngineSettings

if TYPE_CHECKING:
    from cybermiles.consensus.core.effects import Effect
    from cybermiles.consensus.core.inputs import Input
    from cybermiles.types.certificate import Certificate, PolkaCertificate, RoundCertificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import Validator, ValidatorSet
    from cybermiles.types.vote import Vote, VoteType


class Engine:
    """One validator's consensus, height after height."""

    height: int
    """Being decided, or decided and waiting for the next StartHeight; 0 before the first."""
    round: int
    step: Step
    is_decided: bool
    is_voting: bool
    validators: ValidatorSet
    """Of this height. Raises InvariantViolation before the first StartHeight."""
    locked: RoundValue | None
    valid: RoundValue | None

    def __init__(self, address: bytes | None, settings: EngineSettings) -> None:
        """`address` is the own 20-byte consensus address, None for a node without a key."""

    def handle(self, input_: Input) -> tuple[Effect, ...]:
        """Take one input and return what is to be done, in order. Raises InvariantViolation."""
        raise NotImplementedError

    def wants(self, message: SignedProposal | Vote | Certificate) -> bool:
        """Whether the message is news that would be kept: ask this before checking a signature."""
        raise NotImplementedError

    def proposer(self, round_: int) -> Validator:
        """Return who proposes in a round of this height. Ask only for rounds of messages it `wants`."""
        raise NotImplementedError

    def proposal(self, round_: int) -> SignedProposal | None:
        """Return the round's proposal; of several, the one a quorum voted for, else the first."""
        raise NotImplementedError

    def proposals(self, round_: int) -> tuple[SignedProposal, ...]:
        """Return every proposal of the round: more than one where its proposer lies."""
        raise NotImplementedError

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator, in the order of the set."""
        raise NotImplementedError

    def conflicting_votes(self, round_: int, type_: VoteType) -> tuple[Vote, ...]:
        """Return the second votes of who voted twice, in the order of the set."""
        raise NotImplementedError

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which votes are kept, ascending."""
        raise NotImplementedError

    def round_certificate(self) -> RoundCertificate | None:
        """Return why the current round was entered; None in round 0."""
        raise NotImplementedError

    def polka_certificate(self, round_: int) -> PolkaCertificate | None:
        """Return the prevotes of a quorum for one block in that round, None where there is no such quorum."""
        raise NotImplementedError

    def commit(self) -> Commit | None:
        """Return the decision with every precommit for it that is known by now; None while undecided."""
        raise NotImplementedError

    def explain(self) -> str:
        """Say in one sentence why the height does not advance, and who is missing."""
        raise NotImplementedError
