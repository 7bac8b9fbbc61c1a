"""The newest absence in a window that wraps around, whatever was missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.predeploys import STAKING
from cybermiles.staking.layout import watch_of
from cybermiles.staking.signing import last_missed, note_presence
from cybermiles.state.reader import NoState
from cybermiles.state.slots import Storage
from cybermiles.state.world import WorldState

WINDOW = 300
"""Over one word of bits."""


@given(missed=st.sets(st.integers(1, 700)), newest=st.integers(1, 700))
def test_the_newest_absence_of_the_window_is_found(missed, newest):
    world = WorldState(NoState())
    storage = Storage(world, STAKING)
    world.begin_transaction()
    for height in range(1, newest + 1):
        note_presence(storage, 1, height, window=WINDOW, present=height not in missed)
    known = [height for height in missed if newest - WINDOW < height <= newest]
    assert last_missed(storage, 1, watch_of(storage, 1), newest) == max(known, default=0)
