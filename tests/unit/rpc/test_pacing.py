"""Rows of short pieces of work give way."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.rpc import pacing
from cybermiles.rpc.pacing import Turn
from tests.fakes.rpc import FakeNode


async def turns_of_others(work):
    """Run work; return how often another task got its turn."""
    turns, working = 0, asyncio.ensure_future(work)
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    await working
    return turns


@pytest.mark.asyncio
@pytest.mark.parametrize(("seconds", "least", "most"), [(0, 50, 60), (3_600, 1, 3)])
async def test_a_turn_is_shared_once_it_has_been_long_enough(monkeypatch, seconds, least, most):
    monkeypatch.setattr(pacing, "TURN_SECONDS", seconds)

    async def work():
        turn = Turn()
        for _ in range(50):
            await turn.share()

    assert least <= await turns_of_others(work()) <= most


@pytest.mark.asyncio
async def test_a_batch_gives_way_between_requests_that_never_wait(monkeypatch):
    monkeypatch.setattr(pacing, "TURN_SECONDS", 0)
    node = FakeNode()
    batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in range(80)]
    assert await turns_of_others(node.send(batch)) >= 80
