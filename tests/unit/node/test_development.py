"""A changed time is the next block's, whatever is being built when it is changed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from cybermiles.errors import ConfigError
from cybermiles.node.dev_parts import AskedFor, DevClock
from cybermiles.node.development import LATEST_TIME, Development
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


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "change",
    [
        lambda development, over: development.set_next_time(LATEST_TIME + over),
        lambda development, over: development.advance(LATEST_TIME - START + over),
        lambda development, over: development.mine(1, at=LATEST_TIME + over),
        lambda development, over: development.mine(2, apart=LATEST_TIME - START - 1 + over),
    ],
    ids=["set", "advance", "mine at", "mine apart"],
)
async def test_time_does_not_pass_the_end_of_the_books(change):
    """They keep 32 bits: a block after that would be a broken invariant, and the end of the node."""

    def begun():
        development = Development(DevClock(ManualClock(START * 1000), START), Chain(), INTERVAL_MS, START)
        development.block_committed(block_at(START), None)
        return development

    development = begun()
    making = asyncio.ensure_future(change(development, 1))
    await give_turns()
    development.block_committed(block_at(START + 1), None)
    with pytest.raises(ConfigError, match="too far ahead"):
        await making
    development = begun()
    making = asyncio.ensure_future(change(development, 0))
    for _ in range(2):
        await give_turns()
        development.block_committed(block_at(START + 1), None)
    await making
