"""Votes of rounds that this node has no reason to believe in yet: beyond the next, of less than an honest minority.

A validator can sign for as many future rounds as it likes, so of each only the two highest are kept: correct validators
move upwards, and it is their newest round that an honest minority will meet in. As soon as that much power is seen in
one round, the round is real, and its votes move to a tally.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.types.validator import ValidatorSet
    from cybermiles.types.vote import Vote

MAX_FAR_ROUNDS = 2
"""Of one validator."""
_MAX_VOTES = 4
"""Of one validator in one round: two types, two values."""


class FarVotes:
    """At most MAX_FAR_ROUNDS · 4 votes of each validator."""

    def __init__(self, members: ValidatorSet) -> None:
        """Start empty."""
        self._powers = tuple(member.power for member in members.validators)
        self._by_member: list[dict[int, list[Vote]]] = [{} for _ in self._powers]
        """By position and round."""

    def wants(self, position: int, vote: Vote) -> bool:
        """Whether the vote would be kept."""
        rounds = self._by_member[position]
        votes = rounds.get(vote.round)
        if votes is None:
            return len(rounds) < MAX_FAR_ROUNDS or vote.round > min(rounds)
        return len(votes) < _MAX_VOTES and all(
            (kept.type, kept.block_hash) != (vote.type, vote.block_hash) for kept in votes
        )

    def add(self, position: int, vote: Vote) -> bool:
        """Take a vote; False where it is here already or has no room."""
        if not self.wants(position, vote):
            return False
        rounds = self._by_member[position]
        if vote.round not in rounds and len(rounds) == MAX_FAR_ROUNDS:
            del rounds[min(rounds)]
        rounds.setdefault(vote.round, []).append(vote)
        return True

    def power(self, round_: int) -> int:
        """Return the power of those that voted in a round, each once."""
        return sum(power for power, rounds in zip(self._powers, self._by_member, strict=True) if round_ in rounds)

    def take(self, round_: int) -> Iterator[Vote]:
        """Yield and forget the votes of a round, in the order of the set."""
        for rounds in self._by_member:
            yield from rounds.pop(round_, ())

    def take_up_to(self, round_: int) -> Iterator[Vote]:
        """Yield and forget the votes of a round and of those below it, in the order of the set, then of rounds."""
        for rounds in self._by_member:
            for reached in sorted(kept for kept in rounds if kept <= round_):
                yield from rounds.pop(reached)
