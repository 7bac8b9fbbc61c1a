"""The next block's template is made as often as it is cheap."""

from __future__ import annotations

import pytest

from cybermiles.rpc import pending
from tests.fakes.rpc import FakeNode

ASKED = (
    ("eth_getBlockByNumber", "pending", True),
    ("eth_getBlockTransactionCountByNumber", "pending"),
    ("eth_getTransactionByBlockNumberAndIndex", "pending", "0x0"),
)


def counted(node):
    """Return a list that grows by one with each template."""
    made, make = [], node.chain.pending_block
    node.chain.pending_block = lambda: made.append(1) or make()
    return made


@pytest.mark.asyncio
async def test_a_template_that_costs_nothing_is_made_each_time():
    node = FakeNode()
    made = counted(node)
    for method, *arguments in ASKED:
        assert await node.result(method, *arguments)
    assert len(made) == len(ASKED)


@pytest.mark.asyncio
async def test_one_that_took_long_serves_until_the_next_block(monkeypatch):
    monkeypatch.setattr(pending, "LONG_SECONDS", 0)
    monkeypatch.setattr(pending, "SHARE", 10**9)
    node = FakeNode()
    made = counted(node)
    for method, *arguments in (*ASKED, *ASKED):
        assert await node.result(method, *arguments)
    assert len(made) == 1
    node.commit()
    await node.result(*ASKED[0])
    await node.result(*ASKED[0])
    assert len(made) == 2
