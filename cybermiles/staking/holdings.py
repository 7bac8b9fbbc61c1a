"""One account's stake with one candidate: the record, its place in both lists, and what it is still liable for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.staking.layout import (
    ARRIVAL,
    ARRIVED,
    IDENTITY,
    INDEX,
    PAST,
    POSITION,
    SLASH_INDEX,
    candidate_slot,
    delegation_slot,
    delegators_array,
    held_array,
    identity_of,
    slashes_view,
)
from cybermiles.staking.records import (
    ARRIVAL_WORD,
    IDENTITY_WORD,
    PAST_WORD,
    POSITION_WORD,
    PPM,
    SLASH_WORD,
    Arrival,
    Past,
    Position,
)
from cybermiles.staking.snapshots import keep_position
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from cybermiles.staking.book import Book
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage

INDEX_SCALE = 2**128
"""Slashed wei per share, times this, is what a pool counts up."""


@dataclass(slots=True, kw_only=True)
class Holding:
    """A delegation in memory. `shares` 0 is none."""

    holder: Address
    candidate: int
    position: Position
    past: Past
    index: int
    """The pool's slashed wei per share when `past.slashed` was counted."""
    arrival: Arrival
    arrived: int
    """Shares that came from `arrival.source`."""

    @property
    def shares(self) -> int:
        """Shares of its pool."""
        return self.position.shares

    @property
    def pool(self) -> int:
        """The pool they are of."""
        return self.position.pool

    def value(self, book: Book) -> int:
        """Return what it is worth, rounded down. Wei."""
        return book.value(self.pool, self.shares)


def load_holding(storage: ReadStorage, holder: Address, candidate: int) -> Holding:
    """Return a delegation, one of no shares where there is none."""
    slot = delegation_slot(holder, candidate)
    return Holding(
        holder=holder,
        candidate=candidate,
        position=POSITION_WORD.load(storage, slot + POSITION),
        past=PAST_WORD.load(storage, slot + PAST),
        index=storage.load(slot + INDEX),
        arrival=ARRIVAL_WORD.load(storage, slot + ARRIVAL),
        arrived=storage.load(slot + ARRIVED),
    )


def store_holding(state: StakingState, holding: Holding) -> None:
    """Write a delegation back, and enter it into or strike it off both lists where it began or ended."""
    storage, slot = state.storage, delegation_slot(holding.holder, holding.candidate)
    before = POSITION_WORD.load(storage, slot + POSITION)
    mark = keep_position(storage, holding.holder, holding.candidate, before).mark
    if holding.shares and not before.shares:
        holding.position = _enlist(storage, holding)
    elif before.shares and not holding.shares:
        _strike(storage, holding, before)
        holding.position, holding.past, holding.index, holding.arrived = Position(0, 0, 0, 0, 0), Past(0, 0, 0), 0, 0
        holding.arrival = Arrival(holding.arrival.leaving, 0, 0, 0, 0)
    holding.position = holding.position._replace(mark=mark)
    POSITION_WORD.store(storage, slot + POSITION, holding.position)
    PAST_WORD.store(storage, slot + PAST, holding.past)
    storage.store(slot + INDEX, holding.index)
    ARRIVAL_WORD.store(storage, slot + ARRIVAL, holding.arrival)
    storage.store(slot + ARRIVED, holding.arrived)


def slash_index(storage: ReadStorage, candidate: int, pool: int) -> int:
    """Return a pool's slashed wei per share, scaled, since it exists."""
    return storage.load(candidate_slot(candidate) + SLASH_INDEX + pool)


def slashed_of(storage: ReadStorage, holding: Holding) -> int:
    """Return what slashes took from a delegation, rounded up, less the part of what left it. Wei."""
    since = slash_index(storage, holding.candidate, holding.pool) - holding.index
    return holding.past.slashed - (-holding.shares * since // INDEX_SCALE)


def count_slashed(storage: ReadStorage, holding: Holding) -> None:
    """Take what slashes took so far into the record, before shares or pool change."""
    holding.past = holding.past._replace(slashed=slashed_of(storage, holding))
    holding.index = slash_index(storage, holding.candidate, holding.pool)


def answer_for_source(state: StakingState, holding: Holding, book: Book) -> None:
    """Burn what arrived shares owe for faults of the candidate they came from; forget the source when its time is over.

    Done before anything else happens to a delegation, so that nothing is gained by when it happens.
    """
    arrival = holding.arrival
    if not arrival.source:
        return
    gone, seen = owed_shares(state.storage, holding)
    if gone:
        count_slashed(state.storage, holding)
        burnt = book.value(holding.pool, gone)
        book.remove(holding.pool, gone, burnt)
        holding.position = holding.position._replace(shares=holding.shares - gone)
        holding.arrived -= gone
        holding.past = holding.past._replace(slashed=holding.past.slashed + burnt)
        state.burn(burnt)
    if state.time >= arrival.until:
        holding.arrival, holding.arrived = Arrival(arrival.leaving, 0, 0, 0, 0), 0
    else:
        holding.arrival = arrival._replace(seen=seen)


def owed_shares(storage: ReadStorage, holding: Holding) -> tuple[int, int]:
    """Return the arrived shares lost to the source's faults and how many of its slashes are looked at then."""
    arrival = holding.arrival
    kept, seen = still_unslashed(
        storage, holding.arrived, arrival.source, seen=arrival.seen, left=arrival.height, until=arrival.until
    )
    return holding.arrived - kept, seen


def still_unslashed(
    storage: ReadStorage, amount: int, candidate: int, *, seen: int, left: int, until: int | None = None
) -> tuple[int, int]:
    """Return what is left of stake that left a candidate at height `left`, and how many slashes there are.

    It answers for faults at heights up to `left` + 1, the last one at which it was behind a vote, when they were
    punished before `until`. Each slash is rounded up.
    """
    slashes = slashes_view(storage, candidate)
    count = len(slashes)
    for index in range(seen, count):
        slash = SLASH_WORD.load(storage, slashes.slot_of(index))
        if slash.fault_height <= left + 1 and (until is None or slash.time < until):
            amount -= -(-amount * slash.ratio // PPM)
    return amount, count


def slash_count(storage: ReadStorage, candidate: int) -> int:
    """Return how often a candidate was punished."""
    return len(slashes_view(storage, candidate))


def _enlist(storage: Storage, holding: Holding) -> Position:
    in_candidate = delegators_array(storage, holding.candidate).append(int.from_bytes(holding.holder))
    in_holder = held_array(storage, holding.holder).append(holding.candidate)
    _count_delegators(storage, holding.candidate, 1)
    return holding.position._replace(in_candidate=in_candidate, in_holder=in_holder)


def _strike(storage: Storage, holding: Holding, before: Position) -> None:
    delegators, held = delegators_array(storage, holding.candidate), held_array(storage, holding.holder)
    if delegators.swap_remove(before.in_candidate) != before.in_candidate:
        moved = Address(storage.load(delegators.slot_of(before.in_candidate)).to_bytes(20))
        _replace_place(storage, moved, holding.candidate, in_candidate=before.in_candidate)
    if held.swap_remove(before.in_holder) != before.in_holder:
        moved_to = storage.load(held.slot_of(before.in_holder))
        _replace_place(storage, holding.holder, moved_to, in_holder=before.in_holder)
    _count_delegators(storage, holding.candidate, -1)


def _replace_place(storage: Storage, holder: Address, candidate: int, **place: int) -> None:
    slot = delegation_slot(holder, candidate) + POSITION
    position = POSITION_WORD.load(storage, slot)
    if not position.shares:
        raise InvariantViolation(f"candidate {candidate} lists {holder.hex()}, who delegates nothing")
    POSITION_WORD.store(storage, slot, position._replace(**place))


def _count_delegators(storage: Storage, candidate: int, change: int) -> None:
    identity = identity_of(storage, candidate)
    slot = candidate_slot(candidate) + IDENTITY
    IDENTITY_WORD.store(storage, slot, identity._replace(delegators=identity.delegators + change))
