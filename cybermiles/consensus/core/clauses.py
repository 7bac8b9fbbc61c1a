"""What can be true of a round: the conditions of the paper's rules, as the round machine takes them.

Each is stated once by the multiplexer when it holds, or by the driver when a timer ran out or a block was built.
The machine decides by its state whether it matters. "Prevotes", "precommits" and "proposal" are the current round's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """Lines 11 to 21: the round that was entered begins."""

    round: int
    is_proposer: bool


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """Line 18: the application returned the block asked for."""

    round: int
    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class FreshProposal:
    """Line 22: a valid and timely block is proposed for the first time."""

    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class RefusedProposal:
    """Line 26: a fresh proposal is invalid, or its time is not credible."""


@dataclass(frozen=True, slots=True)
class ProposalWithPolka:
    """Line 28: a valid block is proposed again, and the polka it rests on is here."""

    block_hash: Hash32
    pol_round: int


@dataclass(frozen=True, slots=True)
class RefusedProposalWithPolka:
    """Line 32: the same of an invalid block."""

    pol_round: int


@dataclass(frozen=True, slots=True)
class AnyPrevotes:
    """Line 34: a quorum prevoted, whatever it is."""


@dataclass(frozen=True, slots=True)
class PolkaForBlock:
    """Line 36: a quorum prevoted a valid block that is proposed in this round."""

    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class PolkaForNil:
    """Line 44: a quorum prevoted nil."""


@dataclass(frozen=True, slots=True)
class AnyPrecommits:
    """Line 47: a quorum precommitted, whatever it is."""


@dataclass(frozen=True, slots=True)
class CommitQuorum:
    """Line 49: in some round a quorum precommitted a block that is here and valid."""

    round: int
    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class RoundAhead:
    """Line 55: validators of more than a third of the power voted in a round."""

    round: int


@dataclass(frozen=True, slots=True)
class ProposeTimedOut:
    """Line 57."""

    round: int


@dataclass(frozen=True, slots=True)
class PrevoteTimedOut:
    """Line 61."""

    round: int


@dataclass(frozen=True, slots=True)
class PrecommitTimedOut:
    """Line 65."""

    round: int


Clause: TypeAlias = (
    RoundStarted
    | BlockBuilt
    | FreshProposal
    | RefusedProposal
    | ProposalWithPolka
    | RefusedProposalWithPolka
    | AnyPrevotes
    | PolkaForBlock
    | PolkaForNil
    | AnyPrecommits
    | CommitQuorum
    | RoundAhead
    | ProposeTimedOut
    | PrevoteTimedOut
    | PrecommitTimedOut
)
