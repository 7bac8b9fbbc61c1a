"""Messages of the next height, which arrive while this node still finishes the last one.

They wait in bounded room: of each validator the votes of its highest rounds, and a few proposals. What finds no room is
sent again by its sender, once this node says that it has arrived there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.consensus.core.inputs import ProposalReceived
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.vote import Vote

MAX_VOTES = 8
"""Of one validator: two types in four rounds."""
MAX_PROPOSALS = 8
"""In all."""
_MAX_PROPOSALS_OF_ROUND = 2


class NextHeight:
    """Room for one height; the validators are those of the votes, which the host verified."""

    def __init__(self, height: int) -> None:
        """Start empty."""
        self.height = height
        self._votes: dict[bytes, list[Vote]] = {}
        self._proposals: list[ProposalReceived] = []

    def wants_vote(self, vote: Vote) -> bool:
        """Whether the vote would be kept."""
        kept = self._votes.get(vote.validator, [])
        if any(_is_same(vote, other) for other in kept):
            return False
        return len(kept) < MAX_VOTES or vote.round > min(other.round for other in kept)

    def add_vote(self, vote: Vote) -> None:
        """Keep a vote where there is room, instead of one of the validator's lowest round."""
        if not self.wants_vote(vote):
            return
        kept = self._votes.setdefault(vote.validator, [])
        if len(kept) == MAX_VOTES:
            kept.remove(min(kept, key=lambda other: other.round))
        kept.append(vote)

    def wants_proposal(self, proposal: SignedProposal) -> bool:
        """Whether the proposal would be kept."""
        of_round = [kept.proposal for kept in self._proposals if kept.proposal.round == proposal.round]
        return (
            len(self._proposals) < MAX_PROPOSALS
            and len(of_round) < _MAX_PROPOSALS_OF_ROUND
            and all(other.block_hash != proposal.block_hash for other in of_round)
        )

    def add_proposal(self, received: ProposalReceived) -> None:
        """Keep a proposal where there is room."""
        if self.wants_proposal(received.proposal):
            self._proposals.append(received)

    def votes(self) -> Iterator[Vote]:
        """Yield the votes in order of arrival of the validators' first ones."""
        for kept in self._votes.values():
            yield from kept

    def proposals(self) -> tuple[ProposalReceived, ...]:
        """Return the proposals in order of arrival."""
        return tuple(self._proposals)


def _is_same(one: Vote, other: Vote) -> bool:
    """Whether both say the same; signatures may differ."""
    return (one.type, one.round, one.block_hash) == (other.type, other.round, other.block_hash)
