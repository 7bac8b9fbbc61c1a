"""From a peer's message to the signatures that must be right before the core may see it.

    message ─► does the engine want it? ─► whose signature over what? ─► Verifier, a whole batch at once

A message that names a key which is not of this height is nobody's business and costs its sender; one that the engine
does not want is dropped before any arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import ProtocolViolation
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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
_TOO_LONG = "a certificate of more votes than can be cast"
_NO_VALIDATOR = "a vote of somebody who is no validator of its height"
_WRONG_SIGNATURE = "a wrong signature"
_Check: TypeAlias = "tuple[bytes, bytes, bytes]"
_Checks: TypeAlias = "list[_Check]"


@dataclass(frozen=True, slots=True)
class AtWork:
    """What early messages say."""

    is_proposed: bool
    """Whether the proposer of round 0 proposed."""
    voters: frozenset[bytes]
    """Addresses of validators that voted."""
    wrong: dict[str, str]
    """By source, what is wrong with what it sent."""


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
                wrong.append((received, _TOO_LONG))
            elif engine.wants(message):
                checks = self._checks_of(message, engine)
                if checks is None:
                    wrong.append((received, _NO_VALIDATOR))
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
                wrong.append((received, _WRONG_SIGNATURE))
            position += len(checks)
        return right, wrong

    async def at_work(self, early: Sequence[Received], rotation: Rotation, known: Collection[bytes]) -> AtWork:
        """Return who is at work on the height that `rotation` begins, beside those `known`, as these messages show.

        Of each source one signature of each validator is verified: it says that the validator is at work, or that the
        source lies. So what a peer makes this node compute is bounded by the validators, however much it sends.
        """
        claims, wrong = self._claims(early, rotation, known)
        checks = tuple(dict.fromkeys(claims.values()))
        answers = dict(zip(checks, await self._verifier.verify(checks) if checks else (), strict=True))
        right = [signer for (_, signer), check in claims.items() if answers[check]]
        wrong |= {source: _WRONG_SIGNATURE for (source, _), check in claims.items() if not answers[check]}
        voters = frozenset(signer for signer in right if signer is not None)
        return AtWork(is_proposed=None in right, voters=voters, wrong=wrong)

    def _claims(
        self, early: Sequence[Received], rotation: Rotation, known: Collection[bytes]
    ) -> tuple[dict[tuple[str, bytes | None], _Check], dict[str, str]]:
        """Return what is to be verified by source and voter, None for the proposer, and the sources that are wrong."""
        members = rotation.validators
        claims: dict[tuple[str, bytes | None], _Check] = {}
        wrong: dict[str, str] = {}
        for received in early:
            message, source = received.message, received.source
            if _is_too_long(message, members):
                wrong[source] = _TOO_LONG
                continue
            if isinstance(message, SignedProposal) and message.round == 0 and (source, None) not in claims:
                claims[source, None] = self._check(rotation.proposer.consensus_key, message)
            for vote in votes_of(message):
                validator = members.by_address(vote.validator)
                if validator is None:
                    wrong[source] = _NO_VALIDATOR
                elif vote.validator not in known and (source, vote.validator) not in claims:
                    claims[source, vote.validator] = self._check(validator.consensus_key, vote)
        return claims, wrong

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

    def _check(self, key: bytes, message: SignedProposal | Vote) -> _Check:
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
