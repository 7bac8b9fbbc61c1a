"""What the reactors need from the rest of the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartSet
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import Validator, ValidatorSet
    from cybermiles.types.vote import Vote, VoteType


class Consensus(Protocol):
    """The runner, as gossip sees it; what it reads is about the height of the view, which is 0 before it runs."""

    @property
    def view(self) -> RoundView:
        """Where the node stands."""
        ...

    @property
    def validators(self) -> ValidatorSet:
        """Who decides the height."""
        ...

    @property
    def last_commit(self) -> Commit:
        """Of the height before."""
        ...

    def receive(self, message: ConsensusMessage, source: str) -> None:
        """Take a peer's message, unverified; never blocks."""
        ...

    def proposer(self, round_: int) -> Validator | None:
        """Return who proposes in a round, None while the height has not started."""
        ...

    def proposal(self, round_: int) -> SignedProposal | None:
        """Return a round's proposal."""
        ...

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator."""
        ...

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which anything is known."""
        ...

    def part_set(self, parts_id: Hash32) -> PartSet | None:
        """Return the parts of a proposed block."""
        ...
