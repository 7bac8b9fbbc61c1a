"""All votes of one height, and which thresholds they reach.

    vote ──► round 0 … current + 1, or seen by an honest minority ──► RoundVotes: a tally of each type
         └─► beyond                                               ──► FarVotes, two rounds a validator

Memory is bounded by the number of validators and of rounds that this node or an honest validator was in, whatever
liars send. Votes come verified; the keeper believes nothing else about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core.far_votes import FarVotes
from cybermiles.consensus.core.tally import COUNTED, IGNORED, REACHED, Outcome, Tally
from cybermiles.errors import InvariantViolation
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.types.primitives import Hash32
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.types.vote import Vote


class RoundVotes:
    """Votes of one round."""

    __slots__ = ("_voted", "has_honest", "power", "precommits", "prevotes")

    def __init__(self, members: ValidatorSet) -> None:
        """Start empty."""
        self.prevotes = Tally(members)
        self.precommits = Tally(members)
        self._voted = bytearray(len(members.validators))
        self.power = 0
        """Of those that sent a vote of either type, each once."""
        self.has_honest = False
        """Whether that is more than a third, so that a correct validator was in this round."""

    def tally(self, type_: VoteType) -> Tally:
        """Return the votes of a type."""
        return self.prevotes if type_ is VoteType.PREVOTE else self.precommits

    def note_sender(self, position: int, power: int, honest_power: int) -> bool:
        """Whether this sender completes an honest minority."""
        if self._voted[position]:
            return False
        self._voted[position] = 1
        self.power += power
        if self.has_honest or self.power < honest_power:
            return False
        self.has_honest = True
        return True


class VoteKeeper:
    """Votes of one height."""

    def __init__(self, members: ValidatorSet) -> None:
        """Start in round 0 without votes."""
        self.members = members
        self._powers = tuple(member.power for member in members.validators)
        self._honest_power = members.honest_power
        self._round = 0
        self._rounds: dict[int, RoundVotes] = {}
        self._far = FarVotes(members)
        self.highest_honest_round = -1
        """The highest round in which an honest minority voted."""
        self.commits: dict[int, Hash32] = {}
        """By round, the blocks that a quorum precommitted: one block, if no more than a third is faulty."""

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which votes are counted, ascending."""
        return tuple(sorted(self._rounds))

    def round(self, round_: int) -> RoundVotes | None:
        """Return the counted votes of a round, None where there is none."""
        return self._rounds.get(round_)

    def wants(self, vote: Vote) -> bool:
        """Whether the vote would be kept."""
        position = self.members.position(vote.validator)
        if position is None:
            return False
        votes = self._rounds.get(vote.round)
        if votes is not None:
            return votes.tally(vote.type).wants(position, vote.block_hash)
        return vote.round <= self._round + 1 or self._far.wants(position, vote)

    def add(self, vote: Vote) -> list[Outcome]:
        """Take a vote; the outcomes are its own and those of the far votes that it proves real.

        Raises InvariantViolation where two values get a quorum.
        """
        return self._add(vote, is_proven=False)

    def _add(self, vote: Vote, *, is_proven: bool) -> list[Outcome]:
        position = self.members.position(vote.validator)
        if position is None:
            return []
        votes = self._rounds.get(vote.round)
        if votes is None:
            if vote.round > self._round + 1:
                return self._add_far(position, vote)
            votes = self._rounds[vote.round] = RoundVotes(self.members)
        return [self._count(votes, position, vote, is_proven=is_proven)]

    def add_together(self, votes: tuple[Vote, ...]) -> list[Outcome]:
        """Take the votes of a certificate or commit.

        The bound on far rounds costs none where an honest minority signed it, the bound on values of one validator none
        where it holds a quorum. Raises InvariantViolation where two values get a quorum.
        """
        outcomes: list[Outcome] = []
        for round_ in dict.fromkeys(vote.round for vote in votes):
            if round_ > self._round + 1 and self._has_honest(vote for vote in votes if vote.round == round_):
                outcomes += self._open(round_)
        proven = self._proven(votes)
        for vote in votes:
            outcomes += self._add(vote, is_proven=_subject(vote) in proven)
        return outcomes

    def news(self, votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
        """Return what of a certificate would be kept: of a quorum that is not known all, for it counts as a whole."""
        unknown = [subject for subject in self._proven(votes) if not self._has_quorum_for(*subject)]
        return tuple(vote for vote in votes if _subject(vote) in unknown or self.wants(vote))

    def _proven(self, votes: tuple[Vote, ...]) -> tuple[tuple[VoteType, int, Hash32], ...]:
        """Return type, round and block of each quorum among the votes."""
        voters: dict[tuple[VoteType, int, Hash32 | None], dict[int, int]] = {}
        for vote in votes:
            position = self.members.position(vote.validator)
            if position is not None:
                voters.setdefault(_subject(vote), {})[position] = self._powers[position]
        return tuple(
            (type_, round_, block_hash)
            for (type_, round_, block_hash), powers in voters.items()
            if block_hash is not None and self.members.has_quorum(sum(powers.values()))
        )

    def _has_quorum_for(self, type_: VoteType, round_: int, block_hash: Hash32) -> bool:
        votes = self._rounds.get(round_)
        return votes is not None and votes.tally(type_).block_hash == block_hash

    def enter(self, round_: int) -> list[Outcome]:
        """Note the current round; the votes that are no longer far are counted now."""
        self._round = round_
        outcomes: list[Outcome] = []
        for vote in list(self._far.take_up_to(round_ + 1)):
            outcomes += self.add(vote)
        return outcomes

    def _add_far(self, position: int, vote: Vote) -> list[Outcome]:
        if not self._far.add(position, vote):
            return [IGNORED]
        if self._far.power(vote.round) < self._honest_power:
            return [COUNTED]
        return self._open(vote.round)

    def _open(self, round_: int) -> list[Outcome]:
        """Count a round that an honest validator was in."""
        self._rounds.setdefault(round_, RoundVotes(self.members))
        outcomes: list[Outcome] = []
        for vote in list(self._far.take(round_)):
            outcomes += self.add(vote)
        return outcomes

    def _has_honest(self, votes: Iterable[Vote]) -> bool:
        voters = dict.fromkeys(self.members.position(vote.validator) for vote in votes)
        return self.members.has_honest(sum(self._powers[position] for position in voters if position is not None))

    def _count(self, votes: RoundVotes, position: int, vote: Vote, *, is_proven: bool) -> Outcome:
        power = self._powers[position]
        if vote.type is VoteType.PREVOTE:
            outcome = votes.prevotes.add(position, power, vote, is_proven=is_proven)
        else:
            outcome = votes.precommits.add(position, power, vote, is_proven=is_proven)
            if outcome.is_threshold:
                self._note_commit(vote.round, votes.precommits.block_hash)
        if votes.note_sender(position, power, self._honest_power):
            self.highest_honest_round = max(self.highest_honest_round, vote.round)
            return outcome if outcome.is_threshold else REACHED
        return outcome

    def _note_commit(self, round_: int, block_hash: Hash32 | None) -> None:
        """Remember a quorum of precommits. Raises InvariantViolation where another round has one for another block."""
        if block_hash is None or round_ in self.commits:
            return
        for other, decided in self.commits.items():
            if decided != block_hash:
                raise InvariantViolation(
                    f"more than one third of the power is faulty: quorums precommitted {decided.hex()} in round "
                    f"{other} and {block_hash.hex()} in round {round_}"
                )
        self.commits[round_] = block_hash


def _subject(vote: Vote) -> tuple[VoteType, int, Hash32 | None]:
    return vote.type, vote.round, vote.block_hash
