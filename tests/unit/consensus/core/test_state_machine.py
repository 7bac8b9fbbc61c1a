"""The round machine as a table: every clause in every step, then the guards inside a step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.consensus.core import clauses as c
from cybermiles.consensus.core import outputs as o
from cybermiles.consensus.core.inputs import TimeoutKind
from cybermiles.consensus.core.round_state import RoundState, RoundValue, Step
from cybermiles.consensus.core.state_machine import apply, enter_round

A, B = b"A" * 32, b"B" * 32
ROUND = 3
TIMER = {kind: (o.StartTimer(kind),) for kind in TimeoutKind}
PROPOSE, PREVOTE, PRECOMMIT = TimeoutKind.PROPOSE, TimeoutKind.PREVOTE, TimeoutKind.PRECOMMIT

CLAUSES = [
    c.RoundStarted(ROUND, is_proposer=False),
    c.RoundStarted(ROUND, is_proposer=True),
    c.RoundStarted(ROUND + 1, is_proposer=True),
    c.BlockBuilt(ROUND, A),
    c.BlockBuilt(ROUND - 1, A),
    c.FreshProposal(A),
    c.RefusedProposal(),
    c.ProposalWithPolka(A, 1),
    c.ProposalWithPolka(A, ROUND),
    c.ProposalWithPolka(A, -1),
    c.RefusedProposalWithPolka(1),
    c.RefusedProposalWithPolka(ROUND),
    c.RefusedProposalWithPolka(-1),
    c.AnyPrevotes(),
    c.PolkaForBlock(A),
    c.PolkaForNil(),
    c.AnyPrecommits(),
    c.CommitQuorum(0, A),
    c.CommitQuorum(ROUND, A),
    c.CommitQuorum(9, A),
    c.RoundAhead(ROUND),
    c.RoundAhead(ROUND - 1),
    c.RoundAhead(9),
    c.ProposeTimedOut(ROUND),
    c.ProposeTimedOut(ROUND - 1),
    c.PrevoteTimedOut(ROUND),
    c.PrevoteTimedOut(ROUND + 1),
    c.PrecommitTimedOut(ROUND),
    c.PrecommitTimedOut(ROUND - 1),
]
ACTIVE = (Step.UNSTARTED, Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT)
AT = RoundState(round=ROUND)
VALUE = RoundValue(A, ROUND)


def _decided(round_):
    return {"step": Step.COMMIT, "decision": RoundValue(A, round_)}, (o.DecideBlock(round_, A),)


def _entered(round_):
    return {"round": round_, "step": Step.UNSTARTED}, (o.EnterRound(round_),)


_VOTED_A = {"step": Step.PREVOTE}, (o.Prevote(A),)
_VOTED_NIL = {"step": Step.PREVOTE}, (o.Prevote(None),)
_COMMITTED_NIL = {"step": Step.PRECOMMIT}, (o.Precommit(None),)
EXPECTED = {
    **{(step, c.CommitQuorum(round_, A)): _decided(round_) for step in ACTIVE for round_ in (0, ROUND, 9)},  # T18
    **{(step, c.RoundAhead(9)): _entered(9) for step in ACTIVE},  # T17
    **{(step, c.PrecommitTimedOut(ROUND)): _entered(ROUND + 1) for step in ACTIVE},  # T16
    **{(step, c.AnyPrecommits()): ({"has_precommit_timer": True}, TIMER[PRECOMMIT]) for step in ACTIVE},  # T15
    (Step.UNSTARTED, CLAUSES[0]): ({"step": Step.PROPOSE}, TIMER[PROPOSE]),  # T3
    (Step.UNSTARTED, CLAUSES[1]): ({"step": Step.PROPOSE}, (o.BuildBlock(), *TIMER[PROPOSE])),  # T2
    (Step.PROPOSE, c.BlockBuilt(ROUND, A)): ({"has_proposed": True}, (o.Propose(A, -1),)),  # T4
    (Step.PROPOSE, c.FreshProposal(A)): _VOTED_A,  # T5
    (Step.PROPOSE, c.RefusedProposal()): _VOTED_NIL,  # T6
    (Step.PROPOSE, c.ProposalWithPolka(A, 1)): _VOTED_A,  # T7
    (Step.PROPOSE, c.RefusedProposalWithPolka(1)): _VOTED_NIL,  # T8
    (Step.PROPOSE, c.ProposeTimedOut(ROUND)): _VOTED_NIL,  # T9
    (Step.PREVOTE, c.AnyPrevotes()): ({"has_prevote_timer": True}, TIMER[PREVOTE]),  # T10
    (Step.PREVOTE, c.PolkaForBlock(A)): (
        {"step": Step.PRECOMMIT, "locked": VALUE, "valid": VALUE, "has_polka": True},
        (o.Precommit(A),),
    ),  # T11
    (Step.PRECOMMIT, c.PolkaForBlock(A)): ({"valid": VALUE, "has_polka": True}, ()),  # T12: no lock, no vote
    (Step.PREVOTE, c.PolkaForNil()): _COMMITTED_NIL,  # T13
    (Step.PREVOTE, c.PrevoteTimedOut(ROUND)): _COMMITTED_NIL,  # T14
}


@pytest.mark.parametrize("clause", CLAUSES, ids=str)
@pytest.mark.parametrize("step", list(Step), ids=lambda step: step.name)
def test_each_clause_in_each_step_does_what_the_table_says_and_nothing_elsewhere(step, clause):
    state = replace(AT, step=step)
    changes, outputs = EXPECTED.get((step, clause), ({}, ()))
    transition = apply(state, clause)
    assert transition.state == replace(state, **changes)
    assert transition.outputs == outputs
    if not changes:
        assert transition.state is state


def test_the_table_reaches_every_clause():
    assert {type(clause) for _, clause in EXPECTED} == {type(clause) for clause in CLAUSES}


def test_a_proposer_with_a_valid_block_proposes_it_again_and_needs_no_timer():  # T1
    state = replace(AT, valid=RoundValue(B, 1))
    transition = apply(state, c.RoundStarted(ROUND, is_proposer=True))
    assert transition.outputs == (o.Propose(B, 1),)
    assert transition.state == replace(state, step=Step.PROPOSE, has_proposed=True)


def test_another_than_the_proposer_ignores_its_own_valid_block():  # T3
    state = replace(AT, valid=RoundValue(B, 1))
    assert apply(state, c.RoundStarted(ROUND, is_proposer=False)).outputs == TIMER[PROPOSE]


@pytest.mark.parametrize(
    ("step", "mark", "clause"),
    [
        (Step.PROPOSE, "has_proposed", c.BlockBuilt(ROUND, A)),
        (Step.PREVOTE, "has_prevote_timer", c.AnyPrevotes()),
        (Step.PREVOTE, "has_polka", c.PolkaForBlock(A)),
        (Step.PRECOMMIT, "has_polka", c.PolkaForBlock(A)),
        (Step.PROPOSE, "has_precommit_timer", c.AnyPrecommits()),
        (Step.PREVOTE, "has_precommit_timer", c.AnyPrecommits()),
        (Step.PRECOMMIT, "has_precommit_timer", c.AnyPrecommits()),
    ],
)
def test_what_happens_once_in_a_round_does_not_happen_again(step, mark, clause):
    state = replace(AT, step=step, **{mark: True})
    assert apply(state, clause).state is state


LOCKED = {
    "none": None,
    "A in 1": RoundValue(A, 1),
    "B in 0": RoundValue(B, 0),
    "B in 1": RoundValue(B, 1),
    "B in 2": RoundValue(B, 2),
}


@pytest.mark.parametrize(
    ("locked", "fresh", "pol_0", "pol_1"),
    [
        ("none", A, A, A),
        ("A in 1", A, A, A),
        ("B in 0", None, A, A),  # the lock is not newer than the polka
        ("B in 1", None, None, A),  # equal rounds: the paper says ≤
        ("B in 2", None, None, None),
    ],
)
def test_a_lock_gives_way_only_to_its_own_block_or_to_a_polka_that_is_not_older(locked, fresh, pol_0, pol_1):
    state = replace(AT, step=Step.PROPOSE, locked=LOCKED[locked])
    assert apply(state, c.FreshProposal(A)).outputs == (o.Prevote(fresh),)
    assert apply(state, c.ProposalWithPolka(A, 0)).outputs == (o.Prevote(pol_0),)
    assert apply(state, c.ProposalWithPolka(A, 1)).outputs == (o.Prevote(pol_1),)


def test_prevoting_another_block_does_not_unlock():
    state = replace(AT, step=Step.PROPOSE, locked=RoundValue(B, 0), valid=RoundValue(B, 0))
    after = apply(state, c.ProposalWithPolka(A, 1)).state
    assert after.locked == after.valid == RoundValue(B, 0)


def test_precommitting_nil_does_not_unlock():
    state = replace(AT, step=Step.PREVOTE, locked=RoundValue(B, 0), valid=RoundValue(B, 0))
    for clause in (c.PolkaForNil(), c.PrevoteTimedOut(ROUND)):
        assert apply(state, clause).state.locked == RoundValue(B, 0)


def test_a_newer_polka_moves_the_lock_and_a_late_one_moves_only_the_valid_block():
    old = RoundValue(B, 0)
    prevoting = replace(AT, step=Step.PREVOTE, locked=old, valid=old)
    assert apply(prevoting, c.PolkaForBlock(A)).state.locked == RoundValue(A, ROUND)
    late = apply(replace(prevoting, step=Step.PRECOMMIT), c.PolkaForBlock(A)).state
    assert (late.locked, late.valid) == (old, RoundValue(A, ROUND))


@pytest.mark.parametrize("clause", [c.PrecommitTimedOut(ROUND), c.RoundAhead(ROUND + 1)], ids=str)
def test_a_new_round_keeps_lock_and_valid_block_and_forgets_every_mark_of_the_last(clause):
    locked, valid = RoundValue(A, 1), RoundValue(B, 2)
    state = RoundState(
        round=ROUND, step=Step.PRECOMMIT, locked=locked, valid=valid, has_proposed=True,
        has_prevote_timer=True, has_precommit_timer=True, has_polka=True,
    )  # fmt: skip
    entered = apply(state, clause).state
    assert entered == RoundState(round=ROUND + 1, locked=locked, valid=valid)
    assert entered == enter_round(state, ROUND + 1)


def test_nothing_moves_a_decided_height():
    state = replace(AT, step=Step.COMMIT, decision=RoundValue(B, 0))
    for clause in CLAUSES:
        assert apply(state, clause).state is state
        assert apply(state, clause).outputs == ()
