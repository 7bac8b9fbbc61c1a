"""Who waits for a seat: candidates that could be elected and are not, strongest first.

A binary heap in storage: whatever happens to a candidate costs O(log n) words, and the election looks at the top only,
so a thousand candidacies more make a block no slower. A word orders by itself:

    stake(96) ‖ inverted consensus address(160)        more stake first, of equals the smaller address

The candidate is found by the address; its own place in the heap is in its `Watch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.staking.layout import (
    CONTENDERS,
    consensus_key_of,
    key_use,
    stake_of,
    status_of,
    store_watch,
    watch_of,
)
from cybermiles.staking.records import ACTIVE, JAILED, SEATED, TOMBSTONED, WITHDRAWN
from cybermiles.state.slots import Array
from cybermiles.types.validator import consensus_address

if TYPE_CHECKING:
    from cybermiles.staking.records import Status
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage

_ADDRESS_MASK = (1 << 160) - 1


def is_standing(status: Status) -> bool:
    """Tell whether a candidate wants to and may be elected, whatever its stake."""
    return status.flags & (ACTIVE | WITHDRAWN | TOMBSTONED | JAILED) == ACTIVE


def rank_word(storage: ReadStorage, candidate: int) -> int:
    """Return the number that orders a candidate by stake and consensus address."""
    address = consensus_address(consensus_key_of(storage, candidate))
    return stake_of(storage, candidate) << 160 | _ADDRESS_MASK ^ int.from_bytes(address)


def word_stake(word: int) -> int:
    """Return the stake in a word. Wei."""
    return word >> 160


def candidate_in(storage: ReadStorage, word: int) -> int:
    """Return whose word it is. Raises InvariantViolation where nobody has that address."""
    address = (word & _ADDRESS_MASK ^ _ADDRESS_MASK).to_bytes(20)
    candidate = key_use(storage, address).candidate
    if not candidate:
        raise InvariantViolation(f"a contender's address {address.hex()} is nobody's")
    return candidate


def refresh(state: StakingState, candidate: int) -> None:
    """Put a candidate in, out, or at its right place, after anything that the election looks at changed."""
    storage = state.storage
    status, place = status_of(storage, candidate), watch_of(storage, candidate).place
    if status.flags & SEATED or not is_standing(status):
        if place:
            _remove(storage, place - 1)
        return
    word = rank_word(storage, candidate)
    heap = Array(storage, CONTENDERS)
    if not place:
        place = heap.grow() + 1
    _settle(storage, heap, place - 1, word)


def peek(storage: Storage) -> int:
    """Return the strongest contender's word, 0 where nobody waits."""
    heap = Array(storage, CONTENDERS)
    return storage.load(heap.slot_of(0)) if len(heap) else 0


def pop(storage: Storage) -> int:
    """Take the strongest contender out and return its candidate."""
    candidate = candidate_in(storage, peek(storage))
    _remove(storage, 0)
    return candidate


def _remove(storage: Storage, index: int) -> None:
    heap = Array(storage, CONTENDERS)
    gone = candidate_in(storage, storage.load(heap.slot_of(index)))
    last = storage.load(heap.slot_of(len(heap) - 1))
    heap.drop_last()
    store_watch(storage, gone, watch_of(storage, gone)._replace(place=0))
    if index < len(heap):
        _settle(storage, heap, index, last)


def _settle(storage: Storage, heap: Array, index: int, word: int) -> None:
    """Let a word rise or sink from a free place to where it belongs."""
    while index and storage.load(heap.slot_of((index - 1) // 2)) < word:
        _move(storage, heap, (index - 1) // 2, index)
        index = (index - 1) // 2
    size = len(heap)
    while 2 * index + 1 < size:
        child = 2 * index + 1
        if child + 1 < size and storage.load(heap.slot_of(child + 1)) > storage.load(heap.slot_of(child)):
            child += 1
        if storage.load(heap.slot_of(child)) <= word:
            break
        _move(storage, heap, child, index)
        index = child
    _put(storage, heap, index, word)


def _move(storage: Storage, heap: Array, source: int, target: int) -> None:
    _put(storage, heap, target, storage.load(heap.slot_of(source)))


def _put(storage: Storage, heap: Array, index: int, word: int) -> None:
    storage.store(heap.slot_of(index), word)
    candidate = candidate_in(storage, word)
    store_watch(storage, candidate, watch_of(storage, candidate)._replace(place=index + 1))
