"""The newest vote before a run of absences, and heights passed over, in a window that wraps around, word by word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.predeploys import STAKING
from cybermiles.staking.layout import store_watch, watch_of
from cybermiles.staking.signing import WORD_BITS, last_signed, note_presence, pass_over
from cybermiles.state.reader import NoState
from cybermiles.state.slots import Storage
from cybermiles.state.world import WorldState

WINDOW = 300
"""Over one word of bits."""


class CountingStorage(Storage):
    """Counts the words read."""

    reads = 0

    def load(self, slot):
        self.reads += 1
        return super().load(slot)


def storage_after(heights, missed, *, window, since=0):
    world = WorldState(NoState())
    storage = CountingStorage(world, STAKING)
    world.begin_transaction()
    store_watch(storage, 1, watch_of(storage, 1)._replace(since=since))
    for height in heights:
        note_presence(storage, 1, height, window=window, present=height not in missed)
    return storage


@given(
    missed=st.sets(st.integers(1, 700)),
    newest=st.integers(1, 700),
    since=st.integers(0, 700),
    run=st.integers(0, WINDOW + 2),
)
def test_the_newest_vote_of_the_window_is_found(missed, newest, since, run):
    missed |= set(range(newest - run + 1, newest + 1))
    storage = storage_after(range(since + 1, newest + 1), missed, window=WINDOW, since=since)
    voted = (height for height in range(newest, since, -1) if height not in missed or height <= newest - WINDOW)
    assert last_signed(storage, 1, watch_of(storage, 1), newest) == next(voted, 0)


def test_a_long_absence_costs_words_and_not_blocks_to_read():
    window = 7_200
    storage = storage_after(range(1, window), set(range(2, window)), window=window)
    watch = watch_of(storage, 1)
    storage.reads = 0
    assert last_signed(storage, 1, watch, window - 1) == 1
    assert storage.reads <= window // WORD_BITS + 2


@given(missed=st.sets(st.integers(1, 400)), left=st.integers(1, 400), gap=st.integers(0, WINDOW + 2))
def test_heights_out_of_the_set_are_no_absences_and_the_others_stay(missed, left, gap):
    storage = storage_after(range(1, left + 1), missed, window=WINDOW)
    pass_over(storage, 1, left + 1, left + gap)
    known = {height for height in missed if left + gap - WINDOW < height <= left}
    assert watch_of(storage, 1).missed == len(known)
    for height in range(left + gap + 1, left + gap + 1 + WINDOW):
        note_presence(storage, 1, height, window=WINDOW, present=True)
    assert watch_of(storage, 1).missed == 0
