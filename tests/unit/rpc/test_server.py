"""The server as strangers meet it: real sockets, hostile bodies, browsers' headers."""

import asyncio

import aiohttp
import pytest

from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.connections import EveryLoopback, _Gate
from tests.fakes.rpc import FakeNode
from tests.unit.rpc.serving import ANSWER, CHAIN_ID, JSON, REMIX, answers, call, post, served


@pytest.mark.asyncio
async def test_a_request_and_a_batch_are_answered():
    async with served() as node:
        assert (await post(node, CHAIN_ID))[:2] == (200, ANSWER)
        status, answers, headers = await post(node, [CHAIN_ID, CHAIN_ID | {"id": 2}])
        assert (status, [a["id"] for a in answers]) == (200, [1, 2])
        assert headers["Content-Type"] == "application/json"


@pytest.mark.asyncio
async def test_the_path_decides_the_fee_advice():
    async with served() as node:
        assert (await post(node, call("eth_gasPrice")))[1]["result"] == "0x0"
        assert (await post(node, call("eth_gasPrice"), "/paid"))[1]["result"] == hex(2 * 10**9)
        assert (await post(node, CHAIN_ID, "/other"))[0] == 404


@pytest.mark.asyncio
async def test_a_notification_is_answered_with_nothing():
    async with served() as node:
        assert (await post(node, {"jsonrpc": "2.0", "method": "eth_chainId"}))[:2] == (204, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 99_000 + b"]" * 99_000,
        b'{"a":' * 40_000,
        b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":' + b"[" * 99_000 + b"]" * 99_000 + b"}",
        b"\xff\xfe",
        b"",
        b"NaN",
    ],
    ids=["array bomb", "object bomb", "bomb in params", "no unicode", "nothing", "no json"],
)
async def test_a_hostile_body_gets_an_error_and_the_server_lives(body):
    async with served() as node:
        status, answer, _ = await post(node, body)
        assert (status, answer["error"]["code"], answer["id"]) == (200, -32700, None)
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_a_large_body_is_refused_by_its_length_and_by_its_bytes():
    async with served(RpcLimits(body_max_bytes=1000)) as node:
        assert (await post(node, b'"' + b"x" * 998 + b'"'))[0] == 200

        async def chunks():
            for _ in range(50):
                yield b"x" * 100

        for body in (b"x" * 1001, aiohttp.payload.AsyncIterablePayload(chunks())):
            status, answer, _ = await post(node, body)
            assert (status, answer["error"]["code"]) == (413, -32600)
            assert "rpc.body_max_bytes" in answer["error"]["message"]
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_a_body_that_never_ends_is_given_up():
    async with served(RpcLimits(body_timeout_seconds=0)) as node:

        async def forever():
            yield b"{"
            await asyncio.sleep(30)

        status, answer, _ = await post(node, aiohttp.payload.AsyncIterablePayload(forever()))
        assert status == 408
        assert "rpc.body_timeout_seconds" in answer["error"]["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_page_may_send_without_a_preflight_is_refused(content_type):
    async with served() as node:
        status, answer, _ = await post(node, CHAIN_ID, headers={"Content-Type": content_type})
        assert (status, answer["error"]["code"]) == (415, -32600)


@pytest.mark.asyncio
async def test_a_charset_beside_the_content_type_is_no_trouble():
    async with served() as node:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        assert (await post(node, CHAIN_ID, headers=headers))[1] == ANSWER


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_compressed_bodies_are_refused_unread(encoding):
    async with served() as node:
        status, answer, _ = await post(node, b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": encoding})
        assert (status, answer["error"]["message"]) == (415, "compressed requests are not accepted")
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_an_unknown_host_is_refused_for_every_verb():
    async with served() as node:
        for host, status in (("evil.example", 403), ("localhost:1", 200), ("[::1]", 200)):
            assert (await post(node, CHAIN_ID, headers={"Host": host}))[0] == status
        headers = {"Host": "evil.example"}
        async with node.http.get("/", headers=headers) as response:
            assert response.status == 403
            assert "rpc.vhosts" in (await response.json())["error"]["message"]
        async with node.http.options("/", headers=headers | {"Origin": REMIX}) as response:
            assert response.status == 403


@pytest.mark.asyncio
async def test_listed_origins_may_read_answers_and_others_may_not():
    async with served(cors_origins=("wallets",)) as node:
        headers = (await post(node, CHAIN_ID, headers={"Origin": REMIX}))[2]
        assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (REMIX, "Origin")
        status, _, headers = await post(node, CHAIN_ID, headers={"Origin": "https://evil.example"})
        assert (status, "Access-Control-Allow-Origin" in headers) == (200, False)
        assert "Access-Control-Allow-Origin" not in (await post(node, CHAIN_ID))[2]


@pytest.mark.asyncio
async def test_a_preflight_is_answered_for_listed_origins_only():
    async with served(cors_origins=("http://localhost:*",)) as node:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
        async with node.http.options("/", headers=asked | {"Origin": "http://localhost:3000"}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Headers"] == "Content-Type"
            assert response.headers["Access-Control-Allow-Private-Network"] == "true"
        async with node.http.options("/paid", headers=asked | {"Origin": REMIX}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.asyncio
async def test_a_plain_get_is_a_greeting_and_other_verbs_are_not_served():
    async with served() as node:
        async with node.http.get("/") as response:
            assert (response.status, "JSON-RPC" in await response.text()) == (200, True)
        async with node.http.put("/", data=b"{}", headers=JSON) as response:
            assert response.status == 405


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_connection_that_never_finishes_its_headers_is_closed():
    async with served(RpcLimits(keepalive_seconds=1)) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: loc")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.asyncio
async def test_an_ipv6_address_is_served_and_shown_in_brackets():
    async with served(host="::1") as node:
        assert node.server.url == f"http://[::1]:{node.server.port}"
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_a_path_that_is_not_served_gets_a_json_error():
    async with served() as node:
        status, answer, _ = await post(node, CHAIN_ID, "/other")
        assert (status, answer["error"]["code"]) == (404, -32600)


@pytest.mark.asyncio
async def test_the_server_stops_and_frees_its_port():
    node = FakeNode(RpcConfig(port=0))
    async with node.serving() as server, aiohttp.ClientSession(server.url) as http:
        node.http = http
        port = server.port
        assert (await post(node, CHAIN_ID))[0] == 200
    again = FakeNode(RpcConfig(port=port))
    async with again.serving() as server:
        assert server.port == port
    await again.server.stop()


@pytest.mark.asyncio
async def test_connections_are_capped_before_they_send_anything():
    async with served(RpcLimits(connections_max=3)) as node:
        port = node.server.port
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        refusal = await reader.read()
        assert refusal.startswith(b"HTTP/1.1 429 ")
        assert b"rpc.connections_max" in refusal
        writer.close()
        for _, other in idle:
            other.close()
            await other.wait_closed()
        while not await answers(node):
            await asyncio.sleep(0)


class Held:
    def __init__(self, remote):
        self.transport = self
        self.remote = remote

    def get_extra_info(self, name):
        assert name == "peername"
        return (self.remote, 1)


def test_connections_of_one_remote_address_are_capped_but_not_of_this_machine():
    class Server:
        connections = [Held("10.0.0.1"), Held("10.0.0.1"), Held("127.0.0.1"), Held("127.0.0.1")]

    gate = _Gate(Server, RpcLimits(connections_per_ip_max=2), EveryLoopback(), {})
    assert "rpc.connections_per_ip_max" in gate._refuse("10.0.0.1")
    assert gate._refuse("10.0.0.2") is None
    assert gate._refuse("127.0.0.1") is None
