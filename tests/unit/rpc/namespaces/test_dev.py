"""Snapshots as the methods for developers have them: ids, whom callers impersonate, filters, refusals."""

from __future__ import annotations

import json

import pytest

from cybermiles.errors import ConfigError
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.dispatcher import Dispatcher
from cybermiles.rpc.methods import Context
from cybermiles.rpc.namespaces.dev import NAMESPACES, Dev
from cybermiles.rpc.service import RpcPorts, build_server
from tests.fakes.rpc import FakeNode

ONE, OTHER = "0x" + "11" * 20, "0x" + "22" * 20


class Development:
    """A chain of numbers: a snapshot is a height."""

    def __init__(self):
        self.height = 5
        self.snapshots = {}
        self.refusal = None

    async def snapshot(self):
        number = max(self.snapshots, default=0) + 1
        self.snapshots[number] = self.height
        return number

    async def revert(self, number):
        if self.refusal is not None:
            raise self.refusal
        height = self.snapshots.get(number)
        self.snapshots = {other: at for other, at in self.snapshots.items() if other < number or height is None}
        return height

    async def reset(self):
        self.snapshots.clear()
        return 0


class Filters:
    def __init__(self):
        self.heights = []

    def taken_back(self, height):
        self.heights.append(height)


class Caller:
    def __init__(self):
        self.development, self.filters = Development(), Filters()
        dev = Dev(None, None, None, self.development, self.filters, RpcLimits())
        self._dispatcher = Dispatcher(dev.methods(), limits=RpcLimits())

    async def ask(self, method, *params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return json.loads(await self._dispatcher.handle(json.dumps(request).encode(), Context(remote="")))

    async def __call__(self, method, *params):
        return (await self.ask(method, *params))["result"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("take", "go_back", "shown"),
    [("evm_snapshot", "evm_revert", "0x2"), ("anvil_snapshot", "anvil_revert", 2)],
)
async def test_a_snapshot_has_an_id_and_serves_once(take, go_back, shown) -> None:
    call = Caller()
    assert [await call(take) for _ in range(3)] == ["0x1", "0x2", "0x3"]
    assert await call(go_back, "0x9") is False
    assert await call(go_back, shown) is True
    assert [await call(go_back, number) for number in ("0x2", "0x3", "0x1", "0x1")] == [False, False, True, False]
    assert call.filters.heights == [5, 5]


@pytest.mark.asyncio
async def test_impersonated_accounts_are_those_of_the_snapshot() -> None:
    call = Caller()
    await call("anvil_impersonateAccount", ONE)
    first = await call("evm_snapshot")
    await call("hardhat_impersonateAccount", OTHER)
    second = await call("evm_snapshot")
    assert await call("hardhat_stopImpersonatingAccount", ONE) is True
    assert await call("hardhat_stopImpersonatingAccount", ONE) is False
    assert await call("eth_accounts") == [OTHER]
    await call("evm_revert", second)
    assert await call("eth_accounts") == [ONE, OTHER]
    await call("evm_revert", first)
    assert await call("eth_accounts") == [ONE]
    assert await call("anvil_reset") is True
    assert await call("eth_accounts") == []


@pytest.mark.asyncio
async def test_a_refused_revert_says_why_and_changes_nothing() -> None:
    call = Caller()
    snapshot = await call("evm_snapshot")
    await call("anvil_impersonateAccount", ONE)
    call.development.refusal = ConfigError("others have them too")
    answer = await call.ask("evm_revert", snapshot)
    assert answer["error"] == {"code": -32000, "message": "others have them too"}
    assert await call("eth_accounts") == [ONE]
    assert call.filters.heights == []
    call.development.refusal = None
    assert await call("evm_revert", snapshot) is True


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", [[], [None], [{}], [{"forking": None}]])
async def test_a_reset_is_to_this_chain_s_genesis_block(origin) -> None:
    call = Caller()
    await call("evm_snapshot")
    assert await call("hardhat_reset", *origin) is True
    assert await call("evm_revert", "0x1") is False
    assert call.filters.heights == [0]


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", [{"forking": {"jsonRpcUrl": "http://localhost"}}, "genesis", 5])
async def test_a_reset_to_anything_else_is_refused(origin) -> None:
    call = Caller()
    answer = await call.ask("anvil_reset", origin)
    assert answer["error"]["code"] == -32602
    assert "it forks no other" in answer["error"]["message"]
    assert call.filters.heights == []


def served(**config):
    """Return the methods of HTTP, WebSocket, and of who is trusted."""
    node = FakeNode()
    ports = RpcPorts(
        chain=node.chain,
        executor=node.executor,
        pool=node.pool,
        info=node.info,
        events=node.pool.events,
        clock=node.clock,
        id_secret=bytes(32),
        development=Development(),
    )
    server = build_server(RpcConfig(port=0, **config), ports)
    return [
        set(d.method_names)
        for d in (server._dispatchers.http, server._dispatchers.websocket, server._dispatchers.private)
    ]


OWN = {"evm_mine", "evm_revert", "eth_sendTransaction"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_everybody_has_them(host) -> None:
    for methods in served(host=host):
        assert methods >= OWN


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::"])
def test_where_other_machines_get_in_only_who_is_trusted_has_them(host) -> None:
    http, websocket, private = served(host=host)
    assert private >= OWN
    for methods in (http, websocket):
        assert not methods & OWN
        assert not {name for name in methods if name.partition("_")[0] in NAMESPACES}
        assert {"eth_accounts", "eth_call"} <= methods


def test_a_namespace_that_is_named_is_for_all() -> None:
    http, websocket, _ = served(host="0.0.0.0", namespaces=("eth", "evm"), websocket_namespaces=("eth", "anvil"))
    assert http >= OWN
    assert "anvil_setBalance" not in http
    assert "anvil_setBalance" in websocket
    assert not websocket & OWN


@pytest.mark.asyncio
async def test_a_stranger_is_told_what_turns_them_on() -> None:
    assert "rpc.namespaces" in (await FakeNode().error("evm_mine"))["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["evm_snapshot", "evm_revert", "anvil_snapshot", "anvil_reset", "hardhat_reset"])
async def test_elsewhere_there_are_none(method) -> None:
    assert (await FakeNode().error(method))["code"] == -32601
