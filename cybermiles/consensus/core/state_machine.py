"""The rules of Tendermint for one height of one validator, as a pure function. arXiv:1807.04938, Algorithm 1.

    apply(state, clause) ──► Transition(state, outputs)

Every branch names the rule's line (L) and the number of the transition (T) that docs and tests use. A clause that
does not matter in a state returns that very state, so that "nothing happened" is an identity test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cybermiles.consensus.core import clauses as c
from cybermiles.consensus.core import outputs as o
from cybermiles.consensus.core.inputs import TimeoutKind
from cybermiles.consensus.core.round_state import RoundState, RoundValue, Step

if TYPE_CHECKING:
    from cybermiles.consensus.core.clauses import Clause
    from cybermiles.consensus.core.outputs import Output
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class Transition:
    """The next state and what it asks for, in order."""

    state: RoundState
    outputs: tuple[Output, ...] = ()


def apply(state: RoundState, clause: Clause) -> Transition:
    """Return what a clause does in a state; the state itself where it does nothing (T19)."""
    if state.step is Step.COMMIT:  # T19: a decided height is final
        return Transition(state)
    return _in_any_step(state, clause) or _RULES[state.step](state, clause)


def enter_round(state: RoundState, round_: int) -> RoundState:
    """Return the state at the door of a round: lock and valid value stay, all marks of the last round go."""
    return RoundState(round=round_, locked=state.locked, valid=state.valid)


def _in_any_step(state: RoundState, clause: Clause) -> Transition | None:
    match clause:
        case c.CommitQuorum(round_, block_hash):  # L49, T18: of any round
            decided = replace(state, step=Step.COMMIT, decision=RoundValue(block_hash, round_))
            return Transition(decided, (o.DecideBlock(round_, block_hash),))
        case c.RoundAhead(round_) if round_ > state.round:  # L55, T17
            return _enter(state, round_)
        case c.PrecommitTimedOut(round_) if round_ == state.round:  # L65, T16
            return _enter(state, round_ + 1)
        case c.AnyPrecommits() if not state.has_precommit_timer:  # L47, T15
            return Transition(replace(state, has_precommit_timer=True), (o.StartTimer(TimeoutKind.PRECOMMIT),))
    return None


def _enter(state: RoundState, round_: int) -> Transition:
    return Transition(enter_round(state, round_), (o.EnterRound(round_),))


def _in_unstarted(state: RoundState, clause: Clause) -> Transition:
    match clause:
        case c.RoundStarted(round_, is_proposer) if round_ == state.round:  # L11
            if not is_proposer:  # L20, T3
                return Transition(replace(state, step=Step.PROPOSE), (o.StartTimer(TimeoutKind.PROPOSE),))
            if state.valid is None:  # L18, T2: building takes time, so the proposer's timer runs as well
                return Transition(
                    replace(state, step=Step.PROPOSE), (o.BuildBlock(), o.StartTimer(TimeoutKind.PROPOSE))
                )
            again = o.Propose(state.valid.block_hash, state.valid.round)
            return Transition(replace(state, step=Step.PROPOSE, has_proposed=True), (again,))  # L15, T1
    return Transition(state)


def _in_propose(state: RoundState, clause: Clause) -> Transition:
    match clause:
        case c.BlockBuilt(round_, block_hash) if round_ == state.round and not state.has_proposed:  # L19, T4
            return Transition(replace(state, has_proposed=True), (o.Propose(block_hash, -1),))
        case c.FreshProposal(block_hash):  # L22, T5
            return _prevote(state, block_hash if _is_free_for(state, block_hash) else None)
        case c.RefusedProposal():  # L26, T6
            return _prevote(state, None)
        case c.ProposalWithPolka(block_hash, pol_round) if 0 <= pol_round < state.round:  # L28, T7
            is_newer = state.locked is not None and state.locked.round <= pol_round
            return _prevote(state, block_hash if is_newer or _is_free_for(state, block_hash) else None)
        case c.RefusedProposalWithPolka(pol_round) if 0 <= pol_round < state.round:  # L32, T8
            return _prevote(state, None)
        case c.ProposeTimedOut(round_) if round_ == state.round:  # L57, T9
            return _prevote(state, None)
    return Transition(state)


def _is_free_for(state: RoundState, block_hash: Hash32) -> bool:
    return state.locked is None or state.locked.block_hash == block_hash


def _prevote(state: RoundState, block_hash: Hash32 | None) -> Transition:
    return Transition(replace(state, step=Step.PREVOTE), (o.Prevote(block_hash),))


def _in_prevote(state: RoundState, clause: Clause) -> Transition:
    match clause:
        case c.PolkaForBlock(block_hash) if not state.has_polka:  # L36, T11: the only place that locks
            value = RoundValue(block_hash, state.round)
            return Transition(
                replace(state, step=Step.PRECOMMIT, locked=value, valid=value, has_polka=True),
                (o.Precommit(block_hash),),
            )
        case c.PolkaForNil():  # L44, T13
            return _precommit_nil(state)
        case c.AnyPrevotes() if not state.has_prevote_timer:  # L34, T10
            return Transition(replace(state, has_prevote_timer=True), (o.StartTimer(TimeoutKind.PREVOTE),))
        case c.PrevoteTimedOut(round_) if round_ == state.round:  # L61, T14
            return _precommit_nil(state)
    return Transition(state)


def _precommit_nil(state: RoundState) -> Transition:
    return Transition(replace(state, step=Step.PRECOMMIT), (o.Precommit(None),))


def _in_precommit(state: RoundState, clause: Clause) -> Transition:
    match clause:
        case c.PolkaForBlock(block_hash) if not state.has_polka:  # L42, T12: too late to lock, not to know
            return Transition(replace(state, valid=RoundValue(block_hash, state.round), has_polka=True))
    return Transition(state)


_RULES = {
    Step.UNSTARTED: _in_unstarted,
    Step.PROPOSE: _in_propose,
    Step.PREVOTE: _in_prevote,
    Step.PRECOMMIT: _in_precommit,
}
