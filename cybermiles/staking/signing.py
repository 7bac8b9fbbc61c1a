"""Who was absent: one bit for each block of a sliding window, and what too many of them cost.

The bit of height h is bit h mod window, so that nothing moves: a block looks at one bit of each member that has any
bit set, and writes only where it changes. Members that were present all the time cost one word to read.

    too many bits set ─► slashed (where absence is) and jailed: out of the next election until a time has passed
                         and the owner calls `activate`; the bits are forgotten

Who is out of the set for less than a window comes back with the absences before, else a block outside would undo them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.layout import MISSED, candidate_slot, store_watch, watch_of
from cybermiles.state.slots import items_slot

if TYPE_CHECKING:
    from cybermiles.staking.records import Watch
    from cybermiles.state.slots import ReadStorage, Storage

WORD_BITS = 256


def note_presence(storage: Storage, candidate: int, height: int, *, window: int, present: bool) -> int:
    """Set or clear the bit of a height and return how many are set in the window."""
    watch = watch_of(storage, candidate)
    if watch.window != window and watch.missed:
        forget_absences(storage, candidate)
        watch = watch_of(storage, candidate)
    if present and not watch.missed:
        return 0
    slot, bit = _bit_of(candidate, height % window)
    word = storage.load(slot)
    if bool(word & bit) is not present:
        return watch.missed
    storage.store(slot, word ^ bit)
    missed = watch.missed + (-1 if present else 1)
    store_watch(storage, candidate, watch._replace(missed=missed, window=window))
    return missed


def forget_absences(storage: Storage, candidate: int) -> None:
    """Clear the whole window."""
    watch = watch_of(storage, candidate)
    if not watch.missed:
        return
    for index in range(-(-watch.window // WORD_BITS)):
        storage.store(_bit_of(candidate, index * WORD_BITS)[0], 0)
    store_watch(storage, candidate, watch._replace(missed=0))


def pass_over(storage: Storage, candidate: int, first: int, last: int) -> None:
    """Clear the bits of heights at which a candidate was out of the set; they are those of a window earlier."""
    watch = watch_of(storage, candidate)
    if last - first + 1 >= watch.window:
        forget_absences(storage, candidate)
        return
    run = (1 << last - first + 1) - 1 << first % watch.window
    passed, missed = run | run >> watch.window, watch.missed
    for index in range(-(-watch.window // WORD_BITS)):
        slot, _ = _bit_of(candidate, index * WORD_BITS)
        word = storage.load(slot)
        gone = word & passed >> index * WORD_BITS
        storage.store(slot, word ^ gone)
        missed -= gone.bit_count()
    store_watch(storage, candidate, watch._replace(missed=missed))


def last_signed(storage: ReadStorage, candidate: int, watch: Watch, newest: int) -> int:
    """Return the last height that a candidate voted on, as far as the window reaches; 0 where it never did.

    `newest` is the last height whose votes could have been looked at.
    """
    height = newest - (_absent_at_last(storage, candidate, watch.window, newest) if watch.missed else 0)
    return height if height > watch.since else 0


def last_missed(storage: ReadStorage, candidate: int, watch: Watch, newest: int) -> int:
    """Return the last height in the window that a candidate did not vote on, 0 where there is none.

    `newest` is the last height whose votes could have been looked at.
    """
    if not watch.missed:
        return 0
    for height in range(newest, max(0, newest - watch.window), -1):
        slot, bit = _bit_of(candidate, height % watch.window)
        if storage.load(slot) & bit:
            return height
    return 0


def _absent_at_last(storage: ReadStorage, candidate: int, window: int, newest: int) -> int:
    """Return how many absences in a row end with a height, at most the window. Reads words and not bits."""
    first = items_slot(candidate_slot(candidate) + MISSED)
    words = (storage.load((first + index) % (1 << 256)) for index in range(-(-window // WORD_BITS)))
    ring = sum(word << index * WORD_BITS for index, word in enumerate(words))
    older = newest % window + 1
    in_order = ring >> older | (ring & (1 << older) - 1) << window - older
    return window - (in_order ^ (1 << window) - 1).bit_length()


def _bit_of(candidate: int, index: int) -> tuple[int, int]:
    first = items_slot(candidate_slot(candidate) + MISSED)
    return (first + index // WORD_BITS) % (1 << 256), 1 << index % WORD_BITS
