"""Which rules of the paper apply now, in order of priority.

    1. a decision, in any round (the lowest first)
    2. the current round: proposals in order of arrival, or a polka for a block, for nil, of anything; then precommits
    3. leaving for a round that an honest minority is in (the highest)

The driver takes the first that changes the state and asks again, until none does. So everything that was stored too
early is looked at again after every step, and no rule can hide another: a polka for nil is found although there is also
one "of anything". What the current round still yields, a lock or a valid block, is taken before it is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core import clauses as c
from cybermiles.consensus.core.round_state import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.consensus.core.clauses import Clause
    from cybermiles.consensus.core.proposal_keeper import Arrival, ProposalKeeper
    from cybermiles.consensus.core.round_state import RoundState
    from cybermiles.consensus.core.tally import Tally
    from cybermiles.consensus.core.timeliness import Timeliness
    from cybermiles.consensus.core.vote_keeper import VoteKeeper


class Multiplexer:
    """Reads the keepers of one height; owns nothing."""

    def __init__(self, votes: VoteKeeper, proposals: ProposalKeeper, timeliness: Timeliness) -> None:
        """Look at these."""
        self._votes = votes
        self._proposals = proposals
        self._timeliness = timeliness

    def clauses(self, state: RoundState) -> Iterator[Clause]:
        """Yield what holds; the machine ignores what does not matter in its state."""
        if state.step is Step.COMMIT:
            return
        if self._votes.commits:
            yield from self._decisions()
        if state.step is Step.PROPOSE:
            yield from self._proposal_clauses(state.round)
        votes = self._votes.round(state.round)
        if votes is not None:
            if votes.prevotes.has_quorum:
                yield from self._polkas(state, votes.prevotes)
            if votes.precommits.has_quorum and not state.has_precommit_timer:
                yield c.AnyPrecommits()
        if self._votes.highest_honest_round > state.round:
            yield c.RoundAhead(self._votes.highest_honest_round)

    def _decisions(self) -> Iterator[Clause]:
        for round_ in sorted(self._votes.commits):
            block_hash = self._votes.commits[round_]
            if self._proposals.accepted(block_hash) is not None:
                yield c.CommitQuorum(round_, block_hash)

    def _proposal_clauses(self, round_: int) -> Iterator[Clause]:
        for arrival in self._proposals.arrivals(round_):
            is_valid = self._proposals.is_valid(arrival.proposal)
            if is_valid is None:
                continue
            pol_round = arrival.proposal.pol_round
            if pol_round == -1:
                yield self._fresh(arrival, is_valid=is_valid)
            elif self._has_polka(pol_round, arrival):
                yield (
                    c.ProposalWithPolka(arrival.proposal.block_hash, pol_round)
                    if is_valid
                    else c.RefusedProposalWithPolka(pol_round)
                )

    def _fresh(self, arrival: Arrival, *, is_valid: bool) -> Clause:
        proposal = arrival.proposal
        block = self._proposals.accepted(proposal.block_hash)
        if not is_valid or block is None:
            return c.RefusedProposal()
        if not self._timeliness.is_timely(block.timestamp, arrival.received_ms, proposal.round):
            return c.RefusedProposal()
        return c.FreshProposal(proposal.block_hash)

    def _has_polka(self, pol_round: int, arrival: Arrival) -> bool:
        """Whether the polka that a proposal rests on is here, and is one for the very block it proposes."""
        votes = self._votes.round(pol_round)
        return votes is not None and votes.prevotes.block_hash == arrival.proposal.block_hash

    def _polkas(self, state: RoundState, prevotes: Tally) -> Iterator[Clause]:
        block_hash = prevotes.block_hash
        if block_hash is not None and not state.has_polka and self._proposals.has_valid(state.round, block_hash):
            yield c.PolkaForBlock(block_hash)
        if prevotes.is_nil:
            yield c.PolkaForNil()
        yield c.AnyPrevotes()
