"""Strangers that are slow, loud or greedy, on real sockets: each costs itself and nobody else."""

import asyncio
import os
import socket
from contextlib import suppress

import aiohttp
import orjson
import pytest

from cybermiles.rpc import http_protocol, session
from cybermiles.rpc.config import RpcLimits
from tests.fakes.logs import RecordedLog
from tests.fakes.rpc import FakeNode, execution_result, sign_transaction
from tests.unit.rpc.serving import ANSWER, CHAIN_ID, call, post, served, until

TOKEN = "0123456789abcdef0123456789abcdef"
BODY = orjson.dumps(CHAIN_ID)
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


async def exchange(node, *parts, end=True):
    """Everything the server says to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def error_in(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return int(head.split()[1]), orjson.loads(body)["error"]["message"]


@pytest.mark.asyncio
async def test_a_head_that_is_not_there_in_time_ends_the_connection():
    async with served(RpcLimits(header_timeout_seconds=0)) as node:
        status, message = error_in(await exchange(node, HEAD, end=False))
        assert status == 408
        assert "rpc.header_timeout_seconds" in message


@pytest.mark.asyncio
async def test_dripping_bytes_does_not_move_a_heads_deadline():
    async with served(RpcLimits(header_timeout_seconds=3600)) as node:
        _, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
        deadlines = set()
        for byte in HEAD[:20]:
            writer.write(bytes([byte]))
            await until(lambda: node.server._runner.server.connections)
            (protocol,) = node.server._runner.server.connections
            await until(lambda protocol=protocol: protocol._head_timer is not None)
            deadlines.add(protocol._head_timer.when())
        assert len(deadlines) == 1
        writer.close()


@pytest.mark.asyncio
async def test_large_headers_are_refused_whether_they_end_or_not():
    many = b"".join(b"X%d: %b\r\n" % (i, b"y" * 4_000) for i in range(5))
    async with served() as node:
        for tail in (b"\r\n" + BODY, b""):
            status, message = error_in(await exchange(node, HEAD + many + tail, end=not tail))
            assert status == 431
            assert "rpc.header_max_bytes" in message
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_a_body_is_no_header_however_the_bytes_come():
    body = orjson.dumps(call("web3_sha3", "0x" + "00" * 20_000))
    head = HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(body)) + b"Connection: close\r\n\r\n"
    async with served(RpcLimits(header_max_bytes=500)) as node:
        for cut in (len(head) - 3, len(head) - 1, len(head), len(head) + 5):
            whole = head + body
            answer = await exchange(node, whole[:cut], whole[cut:], end=False)
            assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /secret\x00 HTTP/1.1\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        HEAD + b"Bad\x00Name: secret\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX") + b"\r\nzz\r\n",
        HEAD + b"\r\n" + BODY[:5],
    ],
    ids=["TLS", "null in the path", "no verb", "null in a name", "two lengths", "no chunk", "half a body"],
)
async def test_what_is_no_http_gets_a_json_error_without_echo_and_no_line_in_the_log(garbage, monkeypatch, caplog):
    monkeypatch.setattr(http_protocol, "log", log := RecordedLog())
    async with served() as node:
        answer = await exchange(node, garbage)
        if answer:
            status, message = error_in(answer)
            assert (status, "HTTP" in message) == (400, True)
            assert not {b"secret", b"aiohttp", b"Python"} & {
                word for word in (b"secret", b"aiohttp", b"Python") if word in answer
            }
        assert (await post(node, CHAIN_ID))[1] == ANSWER
    assert log.events == []
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


@pytest.mark.asyncio
async def test_a_host_or_an_origin_that_is_no_text_is_refused_as_any_other():
    async with served() as node:
        for path in (b"/", b"/status"):
            answer = await exchange(node, b"GET %b HTTP/1.0\r\nHost: i\xe6\xff\r\n\r\n" % path, end=False)
            assert answer.split()[1] == b"403"
            assert b"rpc.vhosts" in answer
        answer = await exchange(node, b"GET / HTTP/1.0\r\nHost: localhost\r\nUpgrade: \xe6\xff\r\n\r\n", end=False)
        assert answer.split()[1] == b"200"
        reader, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
        writer.write(UPGRADE[:-2] + b"Origin: \xe6\xff\r\n\r\n")
        assert b"rpc.cors_origins" in await reader.readuntil(b"}}")
        writer.close()


@pytest.mark.asyncio
async def test_a_fault_of_the_node_behind_http_is_logged_and_answered_without_detail(monkeypatch):
    monkeypatch.setattr(http_protocol, "log", log := RecordedLog())
    async with served() as node:

        async def broken(*_):
            raise KeyError("/secret/path")

        monkeypatch.setattr(node.server._dispatchers.http, "handle", broken)
        status, answer, headers = await post(node, CHAIN_ID)
        assert (status, answer["error"]) == (500, {"code": -32603, "message": "internal error"})
        assert headers["Server"] == "cybermiles"
    assert log.events == ["rpc_http_failed"]


@pytest.mark.asyncio
async def test_pipelined_requests_are_answered_in_their_order():
    requests = b"".join(
        HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(body)) + b"\r\n" + body
        for body in (orjson.dumps(CHAIN_ID | {"id": number}) for number in range(100, 150))
    )
    async with served() as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
        writer.write(requests)
        ids = []
        while len(ids) < 50:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            ids.append(orjson.loads(await reader.readexactly(length))["id"])
        assert ids == list(range(100, 150))
        writer.close()


def unread(node, request):
    """A client with a small window that sends a request and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", node.server.port))
    client.sendall(HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(request)) + b"\r\n" + request)
    return client


@pytest.mark.asyncio
async def test_an_answer_that_nobody_reads_is_given_up_and_its_bytes_are_free_again():
    async with served(RpcLimits(answer_timeout_seconds=0)) as node:
        node.executor.result = execution_result(output=bytes(4_500_000))
        client = unread(node, orjson.dumps(call("eth_call", {})))
        await until(lambda: node.executor.asked)
        await until(lambda: not node.server._runner.server.connections)
        assert node.server._backlog.held_bytes == 0
        client.close()


@pytest.mark.asyncio
async def test_answers_that_wait_are_bounded_over_all_connections():
    async with served(RpcLimits(answers_max_bytes=10_000_000)) as node:
        node.executor.result = execution_result(output=bytes(4_500_000))
        client = unread(node, orjson.dumps(call("eth_call", {})))
        await until(lambda: node.server._backlog.held_bytes)
        status, answer, _ = await post(node, call("eth_call", {}, request_id="mine"))
        assert (status, answer["id"], answer["error"]["code"]) == (200, "mine", -32005)
        assert "rpc.answers_max_bytes" in answer["error"]["message"]
        assert (await post(node, [call("eth_call", {})]))[1]["error"]["code"] == -32005
        assert (await post(node, CHAIN_ID))[1] == ANSWER
        client.close()
        await until(lambda: node.server._backlog.held_bytes == 0)
        assert "result" in (await post(node, call("eth_call", {})))[1]


@pytest.mark.asyncio
async def test_a_caller_that_goes_on_after_refusals_is_cut_off_until_it_calms_down():
    limits = RpcLimits(requests_burst=3, requests_per_second=3)
    async with served(limits, loopback_exempt=False) as node:
        assert [("result" in (await post(node, CHAIN_ID))[1]) for _ in range(6)] == [True] * 3 + [False] * 3
        for _ in range(2):  # on the same connection, which is closed, then on a new one
            status, answer, headers = await post(node, CHAIN_ID)
            assert (status, answer["error"]["code"], headers["Retry-After"]) == (429, -32005, "10")
            assert "rpc.requests_per_second" in answer["error"]["message"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await node.http.ws_connect("/")
        node.clock.advance(1_000)
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_what_reaches_no_method_costs_as_much_as_a_request():
    limits = RpcLimits(requests_burst=4, requests_per_second=1)
    for body in (b"{", b"1", orjson.dumps(call("no_method")), b"[1]", b'"' + b"x" * 70_000 + b'"'):
        async with served(limits, loopback_exempt=False) as node:
            for _ in range(4):
                await post(node, body)
            assert (await post(node, CHAIN_ID))[1]["error"]["code"] == -32005


@pytest.mark.asyncio
async def test_a_websocket_hog_is_closed_with_1008_by_requests_and_by_pings():
    limits = RpcLimits(requests_burst=5, requests_per_second=1)
    for send in (lambda ws: ws.send_bytes(BODY), lambda ws: ws.send_bytes(b""), lambda ws: ws.ping(b"x")):
        async with served(limits, loopback_exempt=False) as node:
            async with node.http.ws_connect("/", autoping=False) as hog:
                with suppress(ConnectionError):
                    for _ in range(30):
                        await send(hog)
                        await asyncio.sleep(0)
                while (message := await hog.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PONG):
                    pass
                assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION
            await until(lambda node=node: not node.server._sessions)


@pytest.mark.asyncio
async def test_a_ping_is_answered():
    async with served() as node, node.http.ws_connect("/", autoping=False) as ws:
        await ws.ping(b"hello")
        message = await ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"hello")


def frame(payload, opcode=1, *, fin=True, rsv1=False):
    """A masked WebSocket frame with a mask of zeros."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    return bytes([first]) + length + bytes(4) + payload


async def upgraded(node):
    reader, writer = await asyncio.open_connection("127.0.0.1", node.server.port)
    writer.write(UPGRADE)
    return await reader.readuntil(b"\r\n\r\n"), reader, writer


@pytest.mark.asyncio
async def test_compression_of_websockets_is_not_spoken():
    async with served() as node:
        head, reader, writer = await upgraded(node)
        assert b"101" in head
        assert b"deflate" not in head
        writer.write(frame(BODY, rsv1=True))
        assert (await reader.read())[2:4] == aiohttp.WSCloseCode.PROTOCOL_ERROR.to_bytes(2)
        writer.close()


@pytest.mark.asyncio
async def test_a_message_may_come_in_tiny_fragments_up_to_the_limit_of_a_message():
    async with served(RpcLimits(body_max_bytes=1_000)) as node:
        _, reader, writer = await upgraded(node)
        pieces = [BODY[i : i + 1] for i in range(len(BODY))]
        writer.write(frame(pieces[0], fin=False) + b"".join(frame(piece, 0, fin=False) for piece in pieces[1:]))
        writer.write(frame(b"", 9) + frame(b"", 0))
        while (answer := await read_frame(reader)) == b"":  # the pong
            pass
        assert orjson.loads(answer) == ANSWER
        writer.write(frame(b"[", fin=False) + b"".join(frame(b"x" * 50, 0, fin=False) for _ in range(30)))
        assert (await read_frame(reader))[:2] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG.to_bytes(2)
        writer.close()


async def read_frame(reader):
    _, length = await reader.readexactly(2)
    assert length < 126
    return await reader.readexactly(length)


@pytest.mark.asyncio
async def test_private_namespaces_are_for_callers_with_the_token():
    async with served(namespaces=("eth", "debug"), token=TOKEN) as node:
        request, good, bad = (call("debug_getRawHeader", "0x1"), f"Bearer {TOKEN}", f"Bearer {TOKEN[::-1]}")
        assert "result" in (await post(node, request, headers={"Authorization": good}))[1]
        assert "result" in (await post(node, call("admin_peers"), headers={"Authorization": good}))[1]
        for headers in ({}, {"Authorization": bad}):
            assert (await post(node, request, headers=headers))[1]["error"]["code"] == -32601
            async with node.http.ws_connect("/", headers=headers) as ws:
                await ws.send_json(request)
                assert (await ws.receive_json())["error"]["code"] == -32601
        async with node.http.ws_connect("/", headers={"Authorization": good}) as ws:
            await ws.send_json(request)
            assert "result" in await ws.receive_json()


@pytest.mark.asyncio
async def test_websockets_have_namespaces_of_their_own():
    async with served(namespaces=("eth", "web3"), websocket_namespaces=("web3",)) as node:
        assert (await post(node, CHAIN_ID))[1] == ANSWER
        async with node.http.ws_connect("/") as ws:
            await ws.send_json(CHAIN_ID)
            assert (await ws.receive_json())["error"]["code"] == -32601
            await ws.send_json(call("rpc_modules"))
            assert (await ws.receive_json())["result"] == {"web3": "1.0"}


@pytest.mark.asyncio
async def test_a_proxy_on_this_machine_gives_strangers_no_rights_of_this_machine():
    async with served() as node:
        async with node.http.get("/metrics") as response:
            assert response.status == 200
        async with node.http.get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}) as response:
            assert response.status == 403
        limits = RpcLimits(requests_burst=1)
    async with served(limits) as node:
        headers = {"X-Forwarded-For": "127.0.0.1, 8.8.8.8"}
        assert (await post(node, CHAIN_ID, headers=headers))[1] == ANSWER
        assert (await post(node, CHAIN_ID, headers=headers))[1]["error"]["code"] == -32005
        assert (await post(node, CHAIN_ID, headers={"X-Forwarded-For": "8.8.4.4"}))[1] == ANSWER
        assert (await post(node, CHAIN_ID))[1] == ANSWER


@pytest.mark.asyncio
async def test_depth_counts_batch_and_request_and_quantities_have_64_digits():
    async with served() as node:
        for depth, code in ((13, -32602), (14, -32700)):
            body = b'[{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[' + b"[" * depth + b"]" * depth + b"]}]"
            answer = (await post(node, body))[1]
            error = (answer[0] if isinstance(answer, list) else answer)["error"]
            assert error["code"] == code
        for digits, fits in ((64, True), (65, False)):
            answer = (await post(node, call("eth_call", {"value": "0x" + "f" * digits})))[1]
            assert ("256 bits" in answer.get("error", {}).get("message", "")) is not fits


@pytest.mark.asyncio
async def test_a_head_that_aiohttp_makes_no_request_of_ends_its_connection(monkeypatch):
    async with served() as node:

        def broken(*_):
            raise AttributeError("'NoneType' object has no attribute 'absolute'")

        monkeypatch.setattr(node.server._runner.server, "request_factory", broken)
        with suppress(ConnectionError):
            assert await exchange(node, HEAD + b"\r\n" + BODY, end=False) == b""
        await until(lambda: not node.server._runner.server.connections)


@pytest.mark.asyncio
async def test_a_pool_that_makes_too_long_an_answer_is_not_rendered():
    node = FakeNode(limits=RpcLimits(response_max_bytes=100_000))
    await node.pool.submit(sign_transaction(9, data=bytes(40_000)).raw)
    assert "result" in await node.ask("txpool_content")
    await node.pool.submit(sign_transaction(10, data=bytes(20_000)).raw)
    error = await node.error("txpool_content")
    assert error["code"] == -32003
    assert "rpc.response_max_bytes" in error["message"]
    assert "result" in await node.ask("txpool_inspect")


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_thousand_subscribers_that_never_read_are_dropped_and_nobody_waits(monkeypatch):
    monkeypatch.setattr(session, "CLOSE_GRACE_SECONDS", 0.05)
    limits = RpcLimits(websockets_max=1_001, connections_max=1_001, subscriptions_max=1_001, subscriber_queue_items=10)
    node = FakeNode(limits=limits)
    async with node.serving() as server:
        subscribe = frame(orjson.dumps(call("eth_subscribe", "newPendingTransactions", True)))
        hogs = []
        for _ in range(1_000):
            hog = socket.socket()
            hog.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            hog.connect(("127.0.0.1", server.port))
            hog.sendall(UPGRADE + subscribe)
            hogs.append(hog)
            await asyncio.sleep(0)
        await until(lambda: len(node.hub) == 1_000)
        async with aiohttp.ClientSession(server.url) as http, http.ws_connect("/") as reader:
            await reader.send_json(call("eth_subscribe", "newHeads"))
            heads = (await reader.receive_json())["result"]
            payload = b"x" * 400_000
            for _ in range(40):
                for subscription in tuple(node.hub._by_kind["newPendingTransactions"].values()):
                    subscription.connection.push(payload)
                await asyncio.sleep(0)
            await until(lambda: len(node.hub) == 1)
            node.commit()
            assert (await reader.receive_json())["params"]["subscription"] == heads
        for hog in hogs:
            os.close(hog.detach())
