"""The Unix socket: for its owner, with everything, in whatever pieces a client sends."""

import asyncio
import socket
import stat
from contextlib import asynccontextmanager

import orjson
import pytest

from cybermiles.rpc import ipc
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.ipc import MAX_PATH_BYTES
from tests.fakes.logs import RecordedLog
from tests.fakes.rpc import FakeNode
from tests.unit.rpc.serving import call, until


@asynccontextmanager
async def owned(tmp_path, **limits):
    config = RpcConfig(port=0, namespaces=("eth",), ipc_path=tmp_path / "cmt.ipc", limits=RpcLimits(**limits))
    node = FakeNode(config)
    async with node.serving():
        yield node


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, node):
        return cls(*await asyncio.open_unix_connection(node.config.ipc_path, limit=1 << 24))

    async def read(self):
        return orjson.loads(await self.reader.readline())

    async def ask(self, method, *params):
        self.writer.write(orjson.dumps(call(method, *params)))
        return await self.read()


@pytest.mark.asyncio
async def test_the_owner_gets_every_namespace_and_nobody_else_gets_in(tmp_path):
    async with owned(tmp_path) as node:
        assert stat.S_IMODE(node.config.ipc_path.stat().st_mode) == 0o600
        client = await Client.open(node)
        assert (await client.ask("debug_getRawHeader", "0x1"))["result"].startswith("0x")
        assert (await client.ask("admin_nodeInfo"))["result"]["moniker"] == "tester"
        modules = (await client.ask("rpc_modules"))["result"]
        assert {"eth", "debug", "admin", "txpool"} <= set(modules)
        assert (await node.error("debug_getRawHeader", "0x1"))["code"] == -32601
        client.writer.close()


@pytest.mark.asyncio
async def test_documents_may_follow_each_other_and_events_are_pushed(tmp_path):
    async with owned(tmp_path) as node:
        client = await Client.open(node)
        body = orjson.dumps(call("eth_chainId"))
        client.writer.write(body + body + b"\n[" + body + b"]nonsense\n")
        answers = [await client.read() for _ in range(4)]
        assert sorted(str(type(answer)) for answer in answers) == ["<class 'dict'>"] * 3 + ["<class 'list'>"]
        assert [a["error"]["code"] for a in answers if isinstance(a, dict) and "error" in a] == [-32700]
        heads = (await client.ask("eth_subscribe", "newHeads"))["result"]
        node.commit()
        assert (await client.read())["params"]["subscription"] == heads
        client.writer.close()
        await until(lambda: len(node.hub) == 0)


@pytest.mark.asyncio
async def test_a_document_that_never_ends_costs_its_connection(tmp_path):
    async with owned(tmp_path, body_max_bytes=1000) as node:
        client = await Client.open(node)
        client.writer.write(b"[" * 2_000)
        assert "rpc.body_max_bytes" in (await client.read())["error"]["message"]
        assert await client.reader.read() == b""
        client.writer.close()


@pytest.mark.asyncio
async def test_connections_are_capped(tmp_path):
    async with owned(tmp_path, connections_max=1) as node:
        first, second = await Client.open(node), await Client.open(node)
        assert "result" in await first.ask("eth_chainId")
        assert "rpc.connections_max" in (await second.read())["error"]["message"]
        first.writer.close()
        second.writer.close()


@pytest.mark.asyncio
async def test_a_file_left_behind_is_replaced_and_removed_at_the_end(tmp_path):
    path = tmp_path / "cmt.ipc"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.is_socket()
    async with owned(tmp_path) as node:
        client = await Client.open(node)
        assert "result" in await client.ask("eth_chainId")
        client.writer.close()
    assert not path.exists()


@pytest.mark.asyncio
async def test_a_path_that_is_too_long_for_a_socket_is_no_reason_not_to_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(ipc, "log", log := RecordedLog())
    path = tmp_path / ("x" * MAX_PATH_BYTES) / "cmt.ipc"
    node = FakeNode(RpcConfig(port=0, ipc_path=path))
    async with node.serving():
        assert not path.exists()
    assert log.events == ["rpc_ipc_off"]
