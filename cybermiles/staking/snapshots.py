"""Stake as it was: what votes are counted by.

Opening a snapshot costs one word. A candidate's pools, or a delegation, that change for the first time after it first
put what they were into a checkpoint of the newest snapshot; who asks about an older one finds the next checkpoint after
it, and where there is none, nothing changed since.

    snapshot      1        2        3            pools at 1 = checkpoint 2, at 2 the same, at 3 = as they are now
    pools  ── A ──────────── B (checkpoint 2: A) ────────

Awards not shared out yet when a snapshot opens are not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.layout import (
    CANDIDATE_CHECKPOINTS,
    CANDIDATE_MARKS,
    DELEGATION_CHECKPOINTS,
    DELEGATION_MARKS,
    LEDGER,
    POOLS,
    POSITION,
    candidate_slot,
    delegation_slot,
    ledger_of,
    status_of,
    store_watch,
    watch_of,
)
from cybermiles.staking.records import LEDGER_WORD, POOL_WORD, POSITION_WORD
from cybermiles.state.slots import Array, ArrayView, mapping_slot

if TYPE_CHECKING:
    from cybermiles.staking.records import Pool, Position
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage
    from cybermiles.types.primitives import Address


def open_snapshot(storage: Storage) -> int:
    """Open a snapshot of all stake as it is now and return its number."""
    ledger = ledger_of(storage)
    LEDGER_WORD.store(storage, LEDGER, ledger._replace(snapshots=ledger.snapshots + 1))
    return ledger.snapshots + 1


def candidate_stake_at(storage: ReadStorage, candidate: int, snapshot: int) -> int:
    """Return all stake with a candidate at a snapshot. Wei."""
    return sum(pool.tokens for pool in _pools_at(storage, candidate, snapshot))


def delegation_at(storage: ReadStorage, holder: Address, candidate: int, snapshot: int) -> int:
    """Return what a delegation was worth at a snapshot, rounded down. Wei."""
    position = _position_at(storage, holder, candidate, snapshot)
    if not position.shares:
        return 0
    pool = _pools_at(storage, candidate, snapshot)[position.pool]
    return position.shares * pool.tokens // pool.shares


def keep_pools(state: StakingState, candidate: int) -> None:
    """Before the pools change: checkpoint them, where a snapshot was opened since the last time."""
    storage = state.storage
    newest, watch = ledger_of(storage).snapshots, watch_of(storage, candidate)
    if watch.mark == newest:
        return
    Array(storage, mapping_slot(CANDIDATE_MARKS, candidate)).append(newest)
    kept, now = mapping_slot(CANDIDATE_CHECKPOINTS, candidate, newest), candidate_slot(candidate) + POOLS
    for index in range(status_of(storage, candidate).pools + 1):
        storage.store(kept + index, storage.load(now + index))
    store_watch(storage, candidate, watch._replace(mark=newest))


def keep_position(storage: Storage, holder: Address, candidate: int, position: Position) -> Position:
    """Before a delegation changes: checkpoint it where needed. Return it with its new mark."""
    newest = ledger_of(storage).snapshots
    if position.mark == newest:
        return position
    Array(storage, mapping_slot(DELEGATION_MARKS, holder, candidate)).append(newest)
    POSITION_WORD.store(storage, mapping_slot(DELEGATION_CHECKPOINTS, holder, candidate, newest), position)
    return position._replace(mark=newest)


def _pools_at(storage: ReadStorage, candidate: int, snapshot: int) -> list[Pool]:
    mark = _next_mark(ArrayView(storage, mapping_slot(CANDIDATE_MARKS, candidate)), storage, snapshot)
    first = candidate_slot(candidate) + POOLS
    if mark:
        first = mapping_slot(CANDIDATE_CHECKPOINTS, candidate, mark)
    return [POOL_WORD.load(storage, first + index) for index in range(status_of(storage, candidate).pools + 1)]


def _position_at(storage: ReadStorage, holder: Address, candidate: int, snapshot: int) -> Position:
    marks = ArrayView(storage, mapping_slot(DELEGATION_MARKS, holder, candidate))
    mark = _next_mark(marks, storage, snapshot)
    if mark:
        return POSITION_WORD.load(storage, mapping_slot(DELEGATION_CHECKPOINTS, holder, candidate, mark))
    return POSITION_WORD.load(storage, delegation_slot(holder, candidate) + POSITION)


def _next_mark(marks: ArrayView, storage: ReadStorage, snapshot: int) -> int:
    """Return the first checkpoint's number that is not before the snapshot, 0 where there is none: by bisection."""
    low, high = 0, len(marks)
    while low < high:
        middle = (low + high) // 2
        if storage.load(marks.slot_of(middle)) < snapshot:
            low = middle + 1
        else:
            high = middle
    return storage.load(marks.slot_of(low)) if low < len(marks) else 0
