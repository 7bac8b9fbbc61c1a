"""Builds what a node publishes so that others can follow it: commits, polka certificates, round certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from cybermiles.consensus.core.vote_keeper import VoteKeeper
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.validator import ValidatorSet


def commit_of(votes: VoteKeeper, height: int, round_: int, block_hash: Hash32) -> Commit:
    """Return all precommits for a block in a round that are known."""
    counted = votes.round(round_)
    precommits = [] if counted is None else counted.precommits.votes_for(block_hash)
    return Commit(height, round_, block_hash, tuple(None if vote is None else vote.signature for vote in precommits))


def votes_of(commit: Commit, members: ValidatorSet) -> tuple[Vote, ...]:
    """Return the precommits that a commit stands for."""
    return tuple(
        Vote(VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash, address, signature)
        for address, signature in zip(members.addresses, commit.signatures, strict=True)
        if signature is not None
    )


def polka_certificate(votes: VoteKeeper, height: int, round_: int) -> PolkaCertificate | None:
    """Return the prevotes of a quorum for one block in a round, None where there is no such quorum."""
    counted = votes.round(round_)
    if counted is None or counted.prevotes.block_hash is None:
        return None
    block_hash = counted.prevotes.block_hash
    prevotes = tuple(vote for vote in counted.prevotes.votes_for(block_hash) if vote is not None)
    return PolkaCertificate(height, round_, block_hash, prevotes)


def round_certificate(votes: VoteKeeper, height: int, round_: int) -> RoundCertificate | None:
    """Return why a round may be entered: a quorum of precommits of the round before, else an honest minority's votes.

    Of each validator one vote suffices. None where there is no reason.
    """
    before, itself = votes.round(round_ - 1), votes.round(round_)
    if before is not None and before.precommits.has_quorum:
        chosen = before.precommits.votes
    elif itself is not None and itself.has_honest:
        chosen = [
            prevote or precommit
            for prevote, precommit in zip(itself.prevotes.votes, itself.precommits.votes, strict=True)
        ]
    else:
        return None
    return RoundCertificate(height, round_, tuple(vote for vote in chosen if vote is not None))
