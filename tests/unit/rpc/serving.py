"""A fake node behind the real server, and a client for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import orjson

from cybermiles.rpc.config import RpcConfig, RpcLimits
from tests.fakes.rpc import FakeNode

JSON = {"Content-Type": "application/json"}
CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": "0x2c63a"}
REMIX = "https://remix.ethereum.org"


@asynccontextmanager
async def served(limits=None, **config):
    node = FakeNode(RpcConfig(port=0, limits=limits or RpcLimits(), **config))
    async with node.serving() as server, aiohttp.ClientSession(server.url) as http:
        node.http = http
        yield node


async def post(node, body, path="/", **options):
    data = body if isinstance(body, (bytes, aiohttp.Payload)) else orjson.dumps(body)
    headers = JSON | options.pop("headers", {})
    async with node.http.post(path, data=data, headers=headers, **options) as response:
        content = await response.read()
        return response.status, orjson.loads(content) if content else None, response.headers


def call(method, *params, request_id=1):
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}


async def answers(node):
    """Whether a new connection gets an answer; one that is refused may be cut off before its request is read."""
    try:
        return (await post(node, CHAIN_ID))[0] == 200
    except aiohttp.ClientError:
        return False


async def until(condition):
    """Let the server work until the condition holds."""
    while not condition():
        await asyncio.sleep(0)
