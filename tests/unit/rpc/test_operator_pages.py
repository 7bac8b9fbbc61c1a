"""/livez, /readyz, /status and /metrics, on the JSON-RPC listener and on one of their own."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import pytest

from cybermiles.rpc.node_status import NodeIdentity, PeerStatus
from cybermiles.rpc.operator_pages import Bar, OperatorPages
from cybermiles.rpc.operator_server import OperatorServer
from cybermiles.rpc.ports import SyncProgress
from tests.fakes.rpc import FakeMetrics, FakeNode
from tests.unit.rpc.serving import served

PEER = PeerStatus(
    id="cd" * 20, address="10.0.0.2:26656", is_outbound=True, score=0, last_reason=None, height=5, base_height=1
)
HEAD = 5
"""Of the fake chain."""


async def get(http, path, **headers):
    async with http.get(path, headers=headers) as response:
        is_json = response.content_type == "application/json"
        return response.status, await (response.json() if is_json else response.text())


def pages(node):
    return OperatorPages(node.chain, node.info, node.clock, FakeMetrics())


@pytest.mark.asyncio
async def test_the_rpc_listener_serves_all_four_to_this_machine():
    async with served() as node:
        assert await get(node.http, "/livez") == (200, "ok\n")
        status, ready = await get(node.http, "/readyz")
        assert (status, ready) == (200, {"ready": True, "reasons": [], "height": HEAD, "peers": 3})
        assert (await get(node.http, "/status"))[0] == 200
        assert await get(node.http, "/metrics") == (200, "cmt_consensus_height 6\n")


@pytest.mark.asyncio
async def test_health_checks_need_no_known_host_but_what_shows_more_does():
    async with served() as node:
        for path in ("/livez", "/readyz"):
            assert (await get(node.http, path, Host="lb.example"))[0] == 200
        for path in ("/status", "/metrics"):
            status, answer = await get(node.http, path, Host="rebound.example")
            assert status == 403
            assert "rpc.vhosts" in answer["error"]


@pytest.mark.asyncio
async def test_strangers_get_no_metrics_from_the_rpc_listener(monkeypatch):
    monkeypatch.setattr("cybermiles.rpc.operator_pages.is_loopback", lambda _: False)
    async with served() as node:
        status, answer = await get(node.http, "/metrics")
    assert status == 403
    assert "metrics.listen" in answer["error"]


@pytest.mark.asyncio
async def test_a_listener_of_their_own_serves_whoever_reaches_it(monkeypatch):
    monkeypatch.setattr("cybermiles.rpc.operator_pages.is_loopback", lambda _: False)
    server = OperatorServer("127.0.0.1", 0, pages(FakeNode()))
    await server.start()
    try:
        async with aiohttp.ClientSession(server.url) as http:
            for path in ("/livez", "/readyz", "/status", "/metrics"):
                assert (await get(http, path, Host="prometheus:9"))[0] == 200
            assert (await get(http, "/"))[0] == 404
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("bar", "highest", "reasons"),
    [
        (Bar(), None, ()),
        (Bar(), HEAD + 3, ()),
        (Bar(), HEAD + 4, ("catching up: at height 5, peers are at 9",)),
        (Bar(max_lag=0), HEAD + 1, ("catching up: at height 5, peers are at 6",)),
        (Bar(min_peers=3), None, ()),
        (Bar(min_peers=4), None, ("3 peers are connected, 4 are wanted",)),
        (
            Bar(max_lag=0, min_peers=9),
            6,
            ("catching up: at height 5, peers are at 6", "3 peers are connected, 9 are wanted"),
        ),
    ],
)
def test_a_node_is_ready_when_it_meets_the_callers_bar(bar, highest, reasons):
    node = FakeNode()
    node.info.syncing = None if highest is None else SyncProgress(0, HEAD, highest)
    assert pages(node).readiness(bar).reasons == reasons


def test_an_old_head_is_a_reason_only_for_who_asks_and_says_why():
    node = FakeNode()
    age = 100
    node.clock.advance(node.chain.headers[-1].timestamp * 1000 + age * 1000 - node.clock.now_ms())
    assert pages(node).readiness(Bar()).reasons == ()
    assert pages(node).readiness(Bar(max_age=age)).reasons == ()
    (reason,) = pages(node).readiness(Bar(max_age=age - 1)).reasons
    assert reason == "the newest block is 100 s old: height 6 waits for carol"


@pytest.mark.asyncio
@pytest.mark.parametrize("query", ["max_lag=many", "max_lag=-1", "min_peers=1.5", "max_leg=3", "max_age=" + "9" * 30])
async def test_a_wrong_bar_is_refused_and_not_ignored(query):
    async with served() as node:
        status, answer = await get(node.http, "/readyz?" + query)
    assert status == 400
    assert query.split("=")[0] in answer["error"]


@pytest.mark.asyncio
async def test_a_node_that_is_not_ready_answers_503():
    async with served() as node:
        node.info.peer_count = 0
        status, answer = await get(node.http, "/readyz?min_peers=1")
    assert (status, answer["ready"]) == (503, False)
    assert answer["reasons"] == ["0 peers are connected, 1 are wanted"]


@pytest.mark.asyncio
async def test_the_status_has_cometbfts_parts():
    async with served() as node:
        node.info.known_peers = (PEER, replace(PEER, id="ef" * 20, is_outbound=False))
        node.info.syncing = SyncProgress(0, HEAD, 9)
        _, status = await get(node.http, "/status")
        header = node.chain.headers[-1]
    assert status == {
        "node_info": {
            "id": "ab" * 20,
            "moniker": "tester",
            "network": "181818",
            "version": "cybermiles/v0/test/python3",
            "listen_addr": "127.0.0.1:26656",
        },
        "sync_info": {
            "latest_block_height": HEAD,
            "latest_block_hash": "0x" + header.hash.hex(),
            "latest_block_time": header.timestamp,
            "highest_height": 9,
            "catching_up": True,
        },
        "validator_info": {
            "address": "0x" + "11" * 20,
            "pub_key": "0x" + "12" * 32,
            "operator": "0x" + node.info.identity.validator.operator.hex(),
            "voting_power": 3,
        },
        "peers": {"connected": 2, "outbound": 1, "inbound": 1},
        "consensus": {
            "height": 6,
            "round": 1,
            "step": "prevote",
            "validators": 3,
            "explanation": "height 6 waits for carol",
        },
    }


@pytest.mark.asyncio
async def test_a_node_without_a_key_or_peers_has_a_status_too():
    async with served() as node:
        node.info.identity = NodeIdentity(id=None, moniker="", listen_address=None, validator=None)
        _, status = await get(node.http, "/status")
    assert status["validator_info"] is None
    assert status["sync_info"]["catching_up"] is False
    assert status["sync_info"]["highest_height"] == HEAD
