"""From a peer's message to the signatures that must be right before the core may see it.

    message ─► does the engine want it? ─► whose signature over what? ─► Verifier, a whole batch at once

A message that names a key which is not of this height is nobody's business and costs its sender; one that the engine
does not want is dropped before any arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import ProtocolViolation
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.consensus.core.engine import Engine
    from cybermiles.consensus.inbox import Received
    from cybermiles.consensus.messages import ConsensusMessage
    from cybermiles.consensus.ports import Verifier
    from cybermiles.types.certificate import Certificate
    from cybermiles.types.commit import Commit
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.rotation import Rotation
    from cybermiles.types.validator import ValidatorSet

VOTES_OF_MEMBER = 4
"""In one certificate, on average: two types or rounds, and the second vote of each that liars cast."""
_Checks: TypeAlias = "list[tuple[bytes, bytes, bytes]]"


class Intake:
    """Knows the chain that signatures are bound to."""

    def __init__(self, verifier: Verifier, chain_id: int, genesis_hash: Hash32) -> None:
        self._verifier = verifier
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash

    async def sort(
        self, batch: Sequence[Received], engine: Engine
    ) -> tuple[list[Received], list[tuple[Received, str]]]:
        """Return what is wanted and right, in order, and what is wrong with its reason."""
        wanted: list[tuple[Received, _Checks]] = []
        wrong: list[tuple[Received, str]] = []
        for received in batch:
            message = received.message
            if isinstance(message, PartMessage):
                wanted.append((received, []))
            elif _is_too_long(message, engine.validators):
                wrong.append((received, "a certificate of more votes than can be cast"))
            elif engine.wants(message):
                checks = self._checks_of(message, engine)
                if checks is None:
                    wrong.append((received, "a vote of somebody who is no validator of its height"))
                else:
                    wanted.append((received, checks))
        flat = [check for _, checks in wanted for check in checks]
        answers = await self._verifier.verify(flat) if flat else []
        right = []
        position = 0
        for received, checks in wanted:
            if all(answers[position : position + len(checks)]):
                right.append(received)
            else:
                wrong.append((received, "a wrong signature"))
            position += len(checks)
        return right, wrong

    async def at_work(self, early: Sequence[Received], rotation: Rotation) -> tuple[bool, tuple[bytes, ...]]:
        """Return whether the proposer of round 0 proposed, and who voted, as the right ones of these messages show."""
        members = rotation.validators
        signed: list[tuple[bytes | None, tuple[bytes, bytes, bytes]]] = []
        for received in early:
            message = received.message
            if _is_too_long(message, members):
                continue
            if isinstance(message, SignedProposal):
                if message.round == 0:
                    signed.append((None, self._check(rotation.proposer.consensus_key, message)))
                continue
            for vote in votes_of(message):
                validator = members.by_address(vote.validator)
                if validator is not None:
                    signed.append((vote.validator, self._check(validator.consensus_key, vote)))
        answers = await self._verifier.verify([check for _, check in signed]) if signed else []
        right = [address for (address, _), answer in zip(signed, answers, strict=True) if answer]
        return None in right, tuple(address for address in right if address is not None)

    async def check_commit(self, commit: Commit, validators: ValidatorSet) -> None:
        """Check every signature of a commit, and its quorum. Raises ProtocolViolation with what is wrong."""
        members = validators.validators
        if len(commit.signatures) != len(members):
            raise ProtocolViolation(f"a commit of {len(commit.signatures)} signatures for {len(members)} validators")
        signed = [(m, s) for m, s in zip(members, commit.signatures, strict=True) if s is not None]
        power = sum(member.power for member, _ in signed)
        if not validators.has_quorum(power):
            raise ProtocolViolation(
                f"only {power} of {validators.total_power} power signed, more than two thirds are needed"
            )
        message = vote_sign_bytes(
            self._chain_id, self._genesis_hash, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
        )
        answers = await self._verifier.verify([(member.consensus_key, message, s) for member, s in signed])
        for (member, _), is_right in zip(signed, answers, strict=True):
            if not is_right:
                raise ProtocolViolation(f"wrong precommit signature of {member.address.hex()}")

    def _checks_of(self, message: SignedProposal | Vote | Certificate, engine: Engine) -> _Checks | None:
        if isinstance(message, SignedProposal):
            return [self._check(engine.proposer(message.round).consensus_key, message)]
        checks = []
        for vote in votes_of(message):
            validator = engine.validators.by_address(vote.validator)
            if validator is None:
                return None
            checks.append(self._check(validator.consensus_key, vote))
        return checks

    def _check(self, key: bytes, message: SignedProposal | Vote) -> tuple[bytes, bytes, bytes]:
        return key, message.sign_bytes(self._chain_id, self._genesis_hash), message.signature


def _is_too_long(message: ConsensusMessage, members: ValidatorSet) -> bool:
    return len(votes_of(message)) > VOTES_OF_MEMBER * len(members.validators)


def votes_of(message: ConsensusMessage) -> tuple[Vote, ...]:
    """Return the votes that a message consists of."""
    if isinstance(message, Vote):
        return (message,)
    if isinstance(message, (PolkaCertificate, RoundCertificate)):
        return message.votes
    return ()
