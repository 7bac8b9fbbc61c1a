"""Who may vote on a proposal, and by how much: validators and backups when it is made, and their delegators.

A member's power is its stake at the snapshot, of which no more counts than the damping allows, as in the election. A
delegator's own vote weighs its part of that power:

    power of a member      W = min(S, threshold · Σ S)            S: all stake with it; rounded down
    weight of a delegator  d · W / S, rounded down                d: its delegation at the snapshot

So all weights under a member are at most W, and what moves after the snapshot counts for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.governance.layout import (
    MEMBER_OF,
    MEMBER_WORD,
    MEMBERS,
    WEIGHT_WORD,
    Member,
    Weight,
    as_address,
    members_view,
    proposal_slot,
)
from cybermiles.governance.state import portion
from cybermiles.staking.layout import ELECTED, candidate_of, owner_of, status_of
from cybermiles.staking.records import SEAT_WORD, SEATED, TOMBSTONED
from cybermiles.staking.snapshots import candidate_stake_at, delegation_at, open_snapshot
from cybermiles.state.slots import Array, ArrayView, mapping_slot

if TYPE_CHECKING:
    from cybermiles.governance.state import GovernanceState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address


class Part(NamedTuple):
    """A delegator's weight under one member."""

    slot: int
    """Of the member."""
    weight: int


def enrol(state: GovernanceState, proposal: int, slot: int) -> tuple[int, int]:
    """Open a snapshot, write the members down under a proposal's slot, and return (snapshot, total power)."""
    snapshot = open_snapshot(state.staking)
    seats = ArrayView(state.staking, ELECTED)
    seated = [SEAT_WORD.load(state.staking, seats.slot_of(index)).candidate for index in range(len(seats))]
    candidates = [seat for seat in seated if not status_of(state.staking, seat).flags & TOMBSTONED]
    stakes = [candidate_stake_at(state.staking, candidate, snapshot) for candidate in candidates]
    most, total = portion(sum(stakes), state.params.validator_size_threshold), 0
    members = Array(state.storage, slot + MEMBERS, 2)
    for candidate, stake in zip(candidates, stakes, strict=True):
        power = min(stake, most)
        if not power:
            continue
        owner = owner_of(state.staking, candidate)
        at = members.slot_of(members.grow())
        MEMBER_WORD.store(state.storage, at, Member(int.from_bytes(owner), candidate, 0, 0, 0))
        WEIGHT_WORD.store(state.storage, at + 1, Weight(power, 0))
        state.storage.store(mapping_slot(proposal_slot(proposal) + MEMBER_OF, owner), len(members))
        total += power
    return snapshot, total


def elected_count(staking: ReadStorage) -> int:
    """Return how many members a proposal made now would have."""
    return len(ArrayView(staking, ELECTED))


def is_seated(staking: ReadStorage, account: Address) -> bool:
    """Tell whether an account owns an elected validator or backup."""
    return bool(status_of(staking, candidate_of(staking, account)).flags & SEATED)


def member_slots(state: GovernanceState, proposal: int) -> list[int]:
    """Return the first slot of every member, in order of rank."""
    members = members_view(state.storage, proposal)
    return [members.slot_of(index) for index in range(len(members))]


def parts_of(state: GovernanceState, proposal: int, snapshot: int, voter: Address) -> list[Part]:
    """Return a voter's weights as a delegator. What an owner has with its own validator votes with that."""
    parts = []
    for slot in member_slots(state, proposal):
        member = MEMBER_WORD.load(state.storage, slot)
        if as_address(member.owner) == voter:
            continue
        delegated = delegation_at(state.staking, voter, member.candidate, snapshot)
        if delegated:
            power = WEIGHT_WORD.load(state.storage, slot + 1).power
            weight = delegated * power // candidate_stake_at(state.staking, member.candidate, snapshot)
            if weight:
                parts.append(Part(slot, weight))
    return parts
