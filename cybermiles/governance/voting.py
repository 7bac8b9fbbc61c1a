"""Votes, support for freezing, and support for cancelling: what members do between a proposal and its execution.

The tally holds two sums, kept at every vote. Under a member with power W lie its delegators' own votes w1 … wn; the
member's vote weighs W - (w1 + … + wn), whenever each of them votes:

    delegator votes   w goes to its side; the first time, w leaves the member's part, and the member's side if it voted
    member votes      what is left of W goes to its side
    voting again      takes the earlier vote back first
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.governance.electorate import parts_of
from cybermiles.governance.errors import (
    AlreadyCounted,
    BadChoice,
    NotAMember,
    NotARecovery,
    NotOpen,
    NotValidator,
    NotVoting,
    UnknownProposal,
)
from cybermiles.governance.holds import account_of, check_freezable, place_hold
from cybermiles.governance.layout import (
    BALLOT_WORD,
    BOND,
    BOND_WORD,
    COURSE,
    COURSE_WORD,
    MEMBER_WORD,
    POWERS,
    POWERS_WORD,
    VOTES,
    VOTES_WORD,
    WEIGHT_WORD,
    Ballot,
    Choice,
    Kind,
    Status,
    Votes,
    as_address,
    ballot_slot,
    bond_of,
    course_of,
    head_of,
    member_slot,
    members_view,
    powers_of,
    proposal_slot,
    times_of,
    votes_of,
)
from cybermiles.governance.proposals import finish, settle_bond

if TYPE_CHECKING:
    from cybermiles.governance.layout import Head
    from cybermiles.governance.state import GovernanceState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address

MIN_VALIDATORS = 2
"""So many validators must support a freeze and a recovery, whatever power one of them has; one where there is one."""


def vote(state: GovernanceState, proposal: int, voter: Address, choice: int) -> None:
    """Count a vote. Raises UnknownProposal, NotVoting, BadChoice or NotAMember."""
    head = _known(state.storage, proposal)
    times = times_of(state.storage, proposal)
    if head.status != Status.VOTING or not times.opens <= state.time < times.closes:
        raise NotVoting(proposal)
    if choice not in (Choice.YES, Choice.NO):
        raise BadChoice
    tally = _Tally(votes_of(state.storage, proposal))
    own = member_slot(state.storage, proposal, voter)
    power = _vote_as_delegator(state, proposal, voter, choice, tally)
    if own:
        power += _vote_as_member(state, own, choice, tally)
    elif not power:
        raise NotAMember
    VOTES_WORD.store(state.storage, proposal_slot(proposal) + VOTES, tally.votes)
    ballot = Ballot(choice, state.height, power)
    BALLOT_WORD.store(state.storage, ballot_slot(proposal, voter), ballot)
    state.events.emit("Voted", proposal, voter, choice, power)


def support_hold(state: GovernanceState, proposal: int, supporter: Address) -> None:
    """Count a validator for freezing, and freeze where they are a third of power.

    Raises UnknownProposal, NotARecovery, NotOpen, NotValidator, AlreadyCounted or FreezeSpent.
    """
    storage = state.storage
    head = _known(storage, proposal)
    if head.kind != Kind.RECOVER_FUNDS:
        raise NotARecovery(proposal)
    if head.status != Status.VOTING or state.time >= times_of(storage, proposal).closes:
        raise NotOpen(proposal)
    check_freezable(state, account_of(storage, proposal))
    slot = _validator(state, proposal, supporter)
    member = MEMBER_WORD.load(storage, slot)
    if member.supports:
        raise AlreadyCounted(proposal)
    MEMBER_WORD.store(storage, slot, member._replace(supports=1))
    powers, course = powers_of(storage, proposal), course_of(storage, proposal)
    powers = powers._replace(support=powers.support + WEIGHT_WORD.load(storage, slot + 1).power)
    course = course._replace(supporters=course.supporters + 1)
    POWERS_WORD.store(storage, proposal_slot(proposal) + POWERS, powers)
    COURSE_WORD.store(storage, proposal_slot(proposal) + COURSE, course)
    state.events.emit("HoldSupported", proposal, supporter, powers.support)
    enough = course.supporters >= validators_needed(storage, proposal)
    if not head.holds and enough and 3 * powers.support >= powers.total:
        place_hold(state, proposal)


def cancel(state: GovernanceState, proposal: int, caller: Address) -> None:
    """End a proposal before its execution: for its proposer, or where validators with a third of power want it.

    Raises UnknownProposal, NotOpen, NotValidator or AlreadyCounted.
    """
    storage = state.storage
    head = _known(storage, proposal)
    if not Status(head.status).is_open:
        raise NotOpen(proposal)
    if as_address(head.proposer) != caller and not _count_cancel(state, proposal, caller):
        return
    finish(state, proposal, Status.CANCELLED)
    settle_bond(state, proposal, burn=False)
    votes, powers = votes_of(storage, proposal), powers_of(storage, proposal)
    state.events.emit("Closed", proposal, Status.CANCELLED, votes.yes, votes.no, powers.total)


def validators_needed(storage: ReadStorage, proposal: int) -> int:
    """Return how many validators a freeze and a recovery need, whatever their power."""
    return min(MIN_VALIDATORS, len(members_view(storage, proposal)))


class _Tally:
    """The two sums while a vote is counted."""

    __slots__ = ("votes",)

    def __init__(self, votes: Votes) -> None:
        self.votes = votes

    def add(self, choice: int, power: int) -> None:
        yes, no = self.votes
        if choice == Choice.YES:
            self.votes = Votes(yes + power, no)
        elif choice == Choice.NO:
            self.votes = Votes(yes, no + power)


def _vote_as_delegator(state: GovernanceState, proposal: int, voter: Address, choice: int, tally: _Tally) -> int:
    storage = state.storage
    before = BALLOT_WORD.load(storage, ballot_slot(proposal, voter)).choice
    power = 0
    for part in parts_of(state, proposal, course_of(storage, proposal).snapshot, voter):
        if before:
            tally.add(before, -part.weight)
        else:
            weight = WEIGHT_WORD.load(storage, part.slot + 1)
            WEIGHT_WORD.store(storage, part.slot + 1, weight._replace(overridden=weight.overridden + part.weight))
            tally.add(MEMBER_WORD.load(storage, part.slot).choice, -part.weight)
        tally.add(choice, part.weight)
        power += part.weight
    return power


def _vote_as_member(state: GovernanceState, slot: int, choice: int, tally: _Tally) -> int:
    member, weight = MEMBER_WORD.load(state.storage, slot), WEIGHT_WORD.load(state.storage, slot + 1)
    own = weight.power - weight.overridden
    tally.add(member.choice, -own)
    tally.add(choice, own)
    MEMBER_WORD.store(state.storage, slot, member._replace(choice=choice))
    return own


def _count_cancel(state: GovernanceState, proposal: int, caller: Address) -> bool:
    slot = _validator(state, proposal, caller)
    member = MEMBER_WORD.load(state.storage, slot)
    if member.cancels:
        raise AlreadyCounted(proposal)
    MEMBER_WORD.store(state.storage, slot, member._replace(cancels=1))
    books = bond_of(state.storage, proposal)
    books = books._replace(cancel=books.cancel + WEIGHT_WORD.load(state.storage, slot + 1).power)
    BOND_WORD.store(state.storage, proposal_slot(proposal) + BOND, books)
    state.events.emit("CancelSupported", proposal, caller, books.cancel)
    return 3 * books.cancel >= powers_of(state.storage, proposal).total


def _known(storage: ReadStorage, proposal: int) -> Head:
    head = head_of(storage, proposal)
    if not head.kind:
        raise UnknownProposal(proposal)
    return head


def _validator(state: GovernanceState, proposal: int, owner: Address) -> int:
    slot = member_slot(state.storage, proposal, owner)
    if not slot:
        raise NotValidator
    return slot
