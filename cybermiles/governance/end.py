"""What governance does at the end of a block, in the order of proposal ids: votes close, what passed is executed.

One word says when something is due next, so that most blocks read one word. What waits for a height and not only for a
time is looked at in every block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.params import format_value
from cybermiles.errors import Refusal
from cybermiles.governance.errors import StepTooLarge
from cybermiles.governance.holds import account_of, end_overdue_freezes, place_hold
from cybermiles.governance.layout import (
    HEAD,
    HEAD_WORD,
    MEMBER_WORD,
    NEXT_DUE,
    VERSION,
    Choice,
    Kind,
    Status,
    course_of,
    details_slot,
    head_of,
    hold_of,
    members_view,
    open_ids,
    powers_of,
    proposal_slot,
    times_of,
    votes_of,
)
from cybermiles.governance.parameters import apply_change, check_change, value_of
from cybermiles.governance.proposals import app_version, finish, settle_bond
from cybermiles.governance.recovery import close_vaults, execute_recovery
from cybermiles.governance.voting import validators_needed

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.governance.layout import Head
    from cybermiles.governance.state import GovernanceState

_EVERY_BLOCK = 1


def end_governance(state: GovernanceState) -> ChainParams:
    """Do what is due; return the parameters of the next block."""
    params = state.params
    due = state.storage.load(NEXT_DUE)
    if not due or state.time < due:
        return params
    for proposal in open_ids(state.storage):
        if head_of(state.storage, proposal).status == Status.VOTING:
            _close(state, proposal)
        if head_of(state.storage, proposal).status == Status.PASSED:
            params = _execute(state, proposal, params)
    following = [end_overdue_freezes(state), close_vaults(state)]
    following += [_due(state, proposal) for proposal in open_ids(state.storage)]
    state.storage.store(NEXT_DUE, min((time for time in following if time), default=0))
    return params


def _due(state: GovernanceState, proposal: int) -> int:
    head, times = head_of(state.storage, proposal), times_of(state.storage, proposal)
    if head.status == Status.VOTING:
        return times.closes
    return times.executes if head.kind == Kind.RECOVER_FUNDS else _EVERY_BLOCK


def _close(state: GovernanceState, proposal: int) -> None:
    """Decide a proposal whose vote is over."""
    storage = state.storage
    if state.time < times_of(storage, proposal).closes:
        return
    head, votes, total = head_of(storage, proposal), votes_of(storage, proposal), powers_of(storage, proposal).total
    status = Status.EXPIRED
    if 3 * votes.yes > 2 * total and _is_backed(state, proposal, head):
        status = Status.PASSED
    elif 3 * votes.no >= total and votes.no:
        status = Status.REJECTED
    state.events.emit("Closed", proposal, status, votes.yes, votes.no, total)
    is_ignored = 3 * (votes.yes + votes.no) < total or not votes.yes + votes.no
    settle_bond(state, proposal, burn=status == Status.REJECTED or is_ignored)
    if status != Status.PASSED:
        finish(state, proposal, status)
        return
    if head.kind == Kind.SIGNAL:
        finish(state, proposal, Status.EXECUTED)
        state.events.emit("Executed", proposal, True, "")  # noqa: FBT003  (the event's argument)
        return
    HEAD_WORD.store(storage, proposal_slot(proposal) + HEAD, head._replace(status=Status.PASSED))
    _after_passing(state, proposal, head)


def _is_backed(state: GovernanceState, proposal: int, head: Head) -> bool:
    """Whether as many validators as a recovery needs said yes themselves; other proposals need power only."""
    if head.kind != Kind.RECOVER_FUNDS:
        return True
    members = members_view(state.storage, proposal)
    choices = (MEMBER_WORD.load(state.storage, members.slot_of(index)).choice for index in range(len(members)))
    return sum(choice == Choice.YES for choice in choices) >= validators_needed(state.storage, proposal)


def _after_passing(state: GovernanceState, proposal: int, head: Head) -> None:
    if head.kind == Kind.UPGRADE:
        course = course_of(state.storage, proposal)
        state.events.emit("UpgradeScheduled", proposal, course.app_version, course.start_block)
    if head.kind == Kind.RECOVER_FUNDS and not head.holds:
        hold = hold_of(state.storage, account_of(state.storage, proposal))
        can_freeze = hold.since or (not hold.holders and hold.used < state.params.gov_freeze_seconds)
        if can_freeze:
            place_hold(state, proposal)


def _execute(state: GovernanceState, proposal: int, params: ChainParams) -> ChainParams:
    """Execute what is ready, whole or not at all; return the parameters of the next block."""
    kind, course = head_of(state.storage, proposal).kind, course_of(state.storage, proposal)
    is_locked = state.time < times_of(state.storage, proposal).executes
    following = state.height + 1
    if kind == Kind.UPGRADE:
        if following < course.start_block:
            return params
        outcome = _raise_version(state, course.app_version, is_late=is_locked or following > course.start_block)
    elif is_locked or following < course.start_block:
        return params
    elif kind == Kind.CHANGE_PARAM:
        params, outcome = _change_param(state, proposal, params)
    else:
        outcome = execute_recovery(state, proposal)
    finish(state, proposal, Status.FAILED if outcome else Status.EXECUTED, outcome)
    state.events.emit("Executed", proposal, not outcome, outcome)
    return params


def _raise_version(state: GovernanceState, version: int, *, is_late: bool) -> str:
    if is_late:
        return "the time-lock was not over at its block"
    if version <= app_version(state.storage):
        return "a later version is in force"
    state.storage.store(VERSION, version)
    return ""


def _change_param(state: GovernanceState, proposal: int, params: ChainParams) -> tuple[ChainParams, str]:
    details = details_slot(proposal)
    name, text = state.storage.load_text(details), state.storage.load_text(details + 2)
    old = value_of(params, name)
    try:
        changed = check_change(params, name, text)
    except StepTooLarge:
        return params, "too large a step from the value in force"
    except Refusal:
        return params, "the value is not possible any more"
    value = value_of(changed, name)
    apply_change(state.storage, name, value, state.height + 1)
    parts = name, format_value(old), format_value(value)
    state.events.emit("ParamChanged", proposal, *parts, state.height + 1)
    return changed, ""
