"""Who decides: the strongest candidates by stake, with damped votes.

    seated, still standing ─┐                                  by stake, of equals the smaller consensus address
    contenders, from the top ┴─► the first max_vals + backup_vals ─► seats by damped power, then address
                                                                    the first max_vals are validators, the rest backups

Damping changes no candidate's place before another but makes equals of the largest. Where nobody is eligible, the last
set stays: a chain without validators would be at an end. A chain whose founders staked nothing has no seats and no
elections: its founders decide for ever.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

from cybermiles.chain.power import damped_powers
from cybermiles.staking import contenders
from cybermiles.staking.layout import (
    ELECTED,
    REBUILD,
    VALIDATOR_COUNT,
    consensus_key_of,
    owner_of,
    stake_of,
    status_of,
    store_status,
    store_watch,
    watch_of,
)
from cybermiles.staking.records import SEAT_WORD, SEATED, WITHDRAWN, Seat
from cybermiles.staking.roles import Role
from cybermiles.staking.signing import pass_over
from cybermiles.state.slots import Array, ArrayView
from cybermiles.types.validator import Validator, ValidatorSet, consensus_address

if TYPE_CHECKING:
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage


def elect(state: StakingState) -> ValidatorSet | None:
    """Elect, and return the set that decides two blocks later; None where it is the one elected a block ago."""
    storage = state.storage
    before = seats_of(storage)
    if not before:
        return None
    chosen = _choose(state, before)
    if not chosen:
        return None
    sitting = [seat.candidate for seat in before if contenders.is_standing(status_of(storage, seat.candidate))]
    base = sum(stake_of(storage, candidate) for candidate in sitting or chosen)
    seats = _seats(state, chosen, base)
    if seats == before and not storage.load(REBUILD) and storage.load(VALIDATOR_COUNT) == _validators(state, seats):
        return None
    _take_seats(state, before, seats)
    return validator_set(storage, seats)


def seats_of(storage: ReadStorage) -> list[Seat]:
    """Return the elected, the first ranked first."""
    seats = ArrayView(storage, ELECTED)
    return [SEAT_WORD.load(storage, seats.slot_of(index)) for index in range(len(seats))]


def validator_set(storage: ReadStorage, seats: list[Seat]) -> ValidatorSet:
    """Return the consensus set of these seats."""
    return ValidatorSet(
        tuple(
            Validator(consensus_key_of(storage, seat.candidate), owner_of(storage, seat.candidate), seat.power)
            for seat in seats
        )
    )


def role_at(storage: ReadStorage, index: int) -> Role:
    """Return the role of the seat at a place, from 0."""
    return Role.VALIDATOR if index < storage.load(VALIDATOR_COUNT) else Role.BACKUP


def role_of(storage: ReadStorage, candidate: int) -> tuple[Role, int, int]:
    """Return a candidate's role, rank (from 1, 0: none) and power."""
    flags = status_of(storage, candidate).flags
    if flags & SEATED:
        for index, seat in enumerate(seats_of(storage)):
            if seat.candidate == candidate:
                return role_at(storage, index), index + 1, seat.power
    return (Role.EXITING if flags & WITHDRAWN else Role.CANDIDATE), 0, 0


def seat_first(state: StakingState, candidates: list[int]) -> None:
    """Seat the founders, whose stake is the first elected stake."""
    base = sum(stake_of(state.storage, candidate) for candidate in candidates)
    for candidate in candidates:
        _set_seated(state, candidate, seated=True)
        contenders.refresh(state, candidate)
    _take_seats(state, [], _seats(state, candidates, base))


def _choose(state: StakingState, before: list[Seat]) -> list[int]:
    """Return the candidates that get a seat, and leave in the heap those that do not."""
    storage, unit = state.storage, state.params.power_unit
    size = state.params.max_vals + state.params.backup_vals
    ranked: list[tuple[int, int]] = []
    for seat in before:
        standing = contenders.is_standing(status_of(storage, seat.candidate))
        word = contenders.rank_word(storage, seat.candidate)
        if standing and contenders.word_stake(word) >= unit:
            ranked.append((word, seat.candidate))
    ranked.sort()
    while contenders.word_stake(top := contenders.peek(storage)) >= unit:
        if len(ranked) >= size and top < ranked[0][0]:
            break
        candidate = contenders.pop(storage)
        _set_seated(state, candidate, seated=True)
        insort(ranked, (top, candidate))
        if len(ranked) > size:
            _vacate(state, ranked.pop(0)[1])
    while len(ranked) > size:
        _vacate(state, ranked.pop(0)[1])
    if ranked:
        kept = {candidate for _, candidate in ranked}
        for seat in before:
            if seat.candidate not in kept and status_of(storage, seat.candidate).flags & SEATED:
                _vacate(state, seat.candidate)
    return [candidate for _, candidate in ranked]


def _seats(state: StakingState, candidates: list[int], base: int) -> list[Seat]:
    storage = state.storage
    powers = damped_powers([stake_of(storage, candidate) for candidate in candidates], state.params, base)
    seats = [
        Seat(int.from_bytes(consensus_address(consensus_key_of(storage, candidate))), candidate, power)
        for candidate, power in zip(candidates, powers, strict=True)
    ]
    return sorted(seats, key=lambda seat: (-seat.power, seat.address))


def _validators(state: StakingState, seats: list[Seat]) -> int:
    return min(len(seats), state.params.max_vals)


def _take_seats(state: StakingState, before: list[Seat], seats: list[Seat]) -> None:
    storage = state.storage
    was = {seat.candidate: role_at(storage, index) for index, seat in enumerate(before)}
    array = Array(storage, ELECTED)
    while len(array) > len(seats):
        array.drop_last()
    while len(array) < len(seats):
        array.grow()
    for index, seat in enumerate(seats):
        SEAT_WORD.store(storage, array.slot_of(index), seat)
    storage.store(VALIDATOR_COUNT, _validators(state, seats))
    storage.store(REBUILD, 0)
    for index, seat in enumerate(seats):
        _report(state, seat.candidate, was.pop(seat.candidate, Role.CANDIDATE), role_at(storage, index))
    for candidate, role in was.items():
        _report(state, candidate, role, role_of(storage, candidate)[0])


def _report(state: StakingState, candidate: int, before: Role, now: Role) -> None:
    if before is not now:
        state.events.emit("RoleChanged", owner_of(state.storage, candidate), before.value, now.value)


def _vacate(state: StakingState, candidate: int) -> None:
    _set_seated(state, candidate, seated=False)
    contenders.refresh(state, candidate)


def _set_seated(state: StakingState, candidate: int, *, seated: bool) -> None:
    storage = state.storage
    status = status_of(storage, candidate)
    flags = status.flags | SEATED if seated else status.flags & ~SEATED
    store_status(storage, candidate, status._replace(flags=flags))
    if seated:
        pass_over(storage, candidate, watch_of(storage, candidate).left, state.height + 1)
        watch = watch_of(storage, candidate)._replace(since=state.height, left=0)
    else:
        watch = watch_of(storage, candidate)._replace(left=state.height)
    store_watch(storage, candidate, watch)
