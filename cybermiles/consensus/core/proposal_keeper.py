"""The proposals of one height, and what is known of the blocks they announce.

A proposal is *valid* when its block was accepted and the parts it signs are that block's parts, *refused* when the
bytes under its parts were refused or are not that block's, and unknown until then. A proposer that signs several
proposals in one round costs a bounded amount of memory; a block that a quorum voted for always finds room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal

MAX_PROPOSALS = 4
"""Of one round; only a liar signs more than one."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A proposal and when it came, wall time in milliseconds."""

    proposal: SignedProposal
    received_ms: int


@dataclass(frozen=True, slots=True)
class AcceptedBlock:
    """What the application said yes to."""

    parts: PartsHeader
    timestamp: int
    """Header time, whole seconds."""


class ProposalKeeper:
    """Proposals by round, verdicts by block."""

    def __init__(self) -> None:
        """Start empty."""
        self._rounds: dict[int, list[Arrival]] = {}
        self._accepted: dict[Hash32, AcceptedBlock] = {}
        self._refused: dict[tuple[Hash32, PartsHeader], None] = {}

    def wants(self, proposal: SignedProposal, *, is_voted_for: bool) -> bool:
        """Whether the proposal would be kept; `is_voted_for` says that a quorum of its round voted for its block."""
        if not -1 <= proposal.pol_round < proposal.round:
            return False
        arrivals = self._rounds.get(proposal.round, [])
        if any(_is_same(arrival.proposal, proposal) for arrival in arrivals):
            return False
        if len(arrivals) < MAX_PROPOSALS:
            return True
        is_new_block = all(arrival.proposal.block_hash != proposal.block_hash for arrival in arrivals)
        return is_voted_for and is_new_block

    def add(self, proposal: SignedProposal, received_ms: int) -> None:
        """Keep a proposal that `wants` allowed."""
        self._rounds.setdefault(proposal.round, []).append(Arrival(proposal, received_ms))

    def accept(self, block_hash: Hash32, block: AcceptedBlock) -> None:
        """Note that a block is valid. This is final."""
        self._accepted.setdefault(block_hash, block)

    def refuse(self, block_hash: Hash32, parts: PartsHeader) -> None:
        """Note that what is under these parts is no valid block of that hash."""
        self._refused[block_hash, parts] = None

    def arrivals(self, round_: int) -> list[Arrival]:
        """Return the proposals of a round, in order of arrival."""
        return self._rounds.get(round_, [])

    def accepted(self, block_hash: Hash32) -> AcceptedBlock | None:
        """Return what is known of an accepted block."""
        return self._accepted.get(block_hash)

    def is_valid(self, proposal: SignedProposal) -> bool | None:
        """Whether the proposal announces a valid block; None while that is unknown."""
        block = self._accepted.get(proposal.block_hash)
        if block is not None:
            return block.parts == proposal.parts
        return False if (proposal.block_hash, proposal.parts) in self._refused else None

    def has_valid(self, round_: int, block_hash: Hash32) -> bool:
        """Whether the block is proposed in the round, by a valid proposal."""
        return any(
            arrival.proposal.block_hash == block_hash and self.is_valid(arrival.proposal)
            for arrival in self._rounds.get(round_, ())
        )


def _is_same(one: SignedProposal, other: SignedProposal) -> bool:
    """Whether both say the same; signatures may differ."""
    return (one.block_hash, one.pol_round, one.parts) == (other.block_hash, other.pol_round, other.parts)
