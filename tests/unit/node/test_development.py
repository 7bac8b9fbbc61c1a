"""A changed time is the next block's, whatever is being built when it is changed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from cybermiles.node.dev_parts import AskedFor, DevClock
from cybermiles.node.development import Development
from cybermiles.runtime.clock import ManualClock

START = 1_700_000_000
INTERVAL_MS = 1_000


class Chain:
    """A `LiveChain` whose engine decides nothing by itself."""

    is_alone = True

    def __init__(self):
        self.head = block_at(START).header
        self.parts = SimpleNamespace(asked=AskedFor(None), engine=SimpleNamespace(wake=lambda: None))

    def listen(self, listener):
        pass

    def follow(self, follower):
        follower(self.parts)


def block_at(timestamp):
    return SimpleNamespace(header=SimpleNamespace(timestamp=timestamp))


async def give_turns():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("committed_ms_ago", "waits"),
    [(None, True), (100, False), (399, False), (500, True), (900, True)],
    ids=["at a start", "just committed", "soon after", "half way", "late"],
)
async def test_a_block_in_the_making_is_let_through_before_time_changes(committed_ms_ago, waits):
    wall = ManualClock(START * 1000)
    clock = DevClock(wall, START)
    development = Development(clock, Chain(), INTERVAL_MS, START)
    if committed_ms_ago is not None:
        development.block_committed(block_at(START + 1), None)
        wall.advance(committed_ms_ago)
    changing = asyncio.ensure_future(development.set_next_time(START + 1_000))
    await give_turns()
    assert changing.done() == (not waits)
    if waits:
        assert clock.pinned is None
        development.block_committed(block_at(START + 2), None)
        await changing
    assert clock.pinned == START + 1_000
