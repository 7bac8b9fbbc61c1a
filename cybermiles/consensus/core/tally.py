"""The votes of one type in one round, counted by power.

A validator that votes for two values is counted once for "a quorum voted", and with each value for that value: dropping
its second vote would be safe but would let it hide a polka from part of the network. A third value is ignored, so a
validator costs two votes of memory.

The exception are votes that come in one bundle which proves a quorum for their value: they take the place of the
second. Otherwise a liar that shows one node two votes and the others a third could keep that node from ever taking a
polka or a commit that needs the third. Only one value can have a quorum, so this happens once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.types.evidence import duplicate_vote

if TYPE_CHECKING:
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.types.vote import Vote


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a vote."""

    is_kept: bool
    """False for one that is here already or has no room."""
    is_threshold: bool = False
    """Whether it completed a quorum or an honest minority, so that a rule may now apply."""
    evidence: DuplicateVote | None = None
    """Of a validator that voted for another value before."""


IGNORED = Outcome(is_kept=False)
COUNTED = Outcome(is_kept=True)
REACHED = Outcome(is_kept=True, is_threshold=True)


class Tally:
    """Votes of one type in one round."""

    __slots__ = ("_members", "_powers", "_quorum", "block_hash", "has_quorum", "is_nil", "power", "second", "votes")

    def __init__(self, members: ValidatorSet) -> None:
        """Start empty."""
        self._members = members
        self._quorum = members.quorum_power
        self._powers: dict[Hash32 | None, int] = {}
        self.votes: list[Vote | None] = [None] * len(members.validators)
        """The first vote of each, in the order of the set."""
        self.second: dict[int, Vote] = {}
        """By position, the conflicting votes."""
        self.power = 0
        """Of all that voted, each once."""
        self.has_quorum = False
        """Whether that is a quorum."""
        self.block_hash: Hash32 | None = None
        """The block that a quorum voted for."""
        self.is_nil = False
        """Whether a quorum voted nil."""

    def wants(self, position: int, block_hash: Hash32 | None) -> bool:
        """Whether a vote of that validator for that value would be kept."""
        first = self.votes[position]
        return first is None or (first.block_hash != block_hash and position not in self.second)

    def add(self, position: int, power: int, vote: Vote, *, is_proven: bool = False) -> Outcome:
        """Count a vote; `is_proven` says that it came with a quorum for its value.

        Raises InvariantViolation where a second value gets a quorum.
        """
        first = self.votes[position]
        if first is None:
            self.votes[position] = vote
            self.power += power
            reached = not self.has_quorum and self.power >= self._quorum
            self.has_quorum |= reached
            if self._count_for_value(vote, power) or reached:
                return REACHED
            return COUNTED
        second = self.second.get(position)
        if first.block_hash == vote.block_hash:
            return IGNORED
        if second is not None:
            if second.block_hash == vote.block_hash or not is_proven:
                return IGNORED
            self._powers[second.block_hash] -= power
        self.second[position] = vote
        return Outcome(
            is_kept=True, is_threshold=self._count_for_value(vote, power), evidence=duplicate_vote(first, vote)
        )

    def votes_for(self, block_hash: Hash32 | None) -> list[Vote | None]:
        """Return each validator's vote for one value, in the order of the set."""
        return [
            vote if vote is None or vote.block_hash == block_hash else self._second_for(position, block_hash)
            for position, vote in enumerate(self.votes)
        ]

    def _second_for(self, position: int, block_hash: Hash32 | None) -> Vote | None:
        vote = self.second.get(position)
        return vote if vote is not None and vote.block_hash == block_hash else None

    def _count_for_value(self, vote: Vote, power: int) -> bool:
        """Whether the vote gave its value a quorum."""
        value = vote.block_hash
        before = self._powers.get(value, 0)
        self._powers[value] = after = before + power
        if after < self._quorum or before >= self._quorum:
            return False
        if self.is_nil or self.block_hash is not None:
            raise InvariantViolation(self._two_quorums(vote))
        if value is None:
            self.is_nil = True
        else:
            self.block_hash = value
        return True

    def _two_quorums(self, vote: Vote) -> str:
        """Say who made it possible."""
        liars = ", ".join(self._members.addresses[position].hex() for position in sorted(self.second))
        values = " and ".join(
            "nil" if value is None else value.hex()
            for value, power in self._powers.items()
            if self._members.has_quorum(power)
        )
        return (
            f"more than one third of the power is faulty: at height {vote.height} round {vote.round} quorums of "
            f"{vote.type.name.lower()}s for {values}; who voted twice: {liars}"
        )
