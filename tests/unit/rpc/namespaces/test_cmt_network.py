"""cmt_consensusState and cmt_peers."""

from __future__ import annotations

import pytest

from cybermiles.rpc.node_status import PeerStatus
from cybermiles.rpc.quantities import encode_checksummed
from tests.fakes.rpc import SENDER, FakeNode

PEER = PeerStatus(
    id="cd" * 20,
    address="10.0.0.2:26656",
    is_outbound=False,
    score=20,
    last_reason="useless message",
    height=7,
    base_height=1,
)


@pytest.mark.asyncio
async def test_the_state_says_who_voted_for_what():
    answer = await FakeNode().result("cmt_consensusState")
    assert answer | {"validators": None} == {
        "explanation": "height 6 waits for carol",
        "height": "0x6",
        "round": "0x1",
        "step": "prevote",
        "started": True,
        "catchingUp": False,
        "lockedRound": None,
        "validRound": "0x0",
        "totalPower": "0x6",
        "quorumPower": "0x5",
        "prevotes": "xn_",
        "precommits": "n__",
        "validators": None,
    }
    assert [v["name"] for v in answer["validators"]] == ["alice", "bob", "carol"]
    assert answer["validators"][0] == {
        "name": "alice",
        "address": "0x" + "01" * 20,
        "operator": encode_checksummed(SENDER),
        "power": "0x1",
        "proposer": True,
        "prevote": "0x" + "aa" * 32,
        "precommit": "nil",
    }


@pytest.mark.asyncio
async def test_peers_are_listed_with_their_address_for_this_machine_only():
    node = FakeNode()
    node.info.known_peers = (PEER,)
    (own,) = await node.result("cmt_peers", remote="127.0.0.1")
    assert own == {
        "id": "cd" * 20,
        "address": "10.0.0.2:26656",
        "direction": "inbound",
        "score": "0x14",
        "lastReason": "useless message",
        "height": "0x7",
        "baseHeight": "0x1",
    }
    (foreign,) = await node.result("cmt_peers", remote="203.0.113.9")
    assert foreign == own | {"address": None}
