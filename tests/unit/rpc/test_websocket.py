"""WebSockets as strangers use them: hostile messages, slow readers, pages of other origins."""

import asyncio

import aiohttp
import orjson
import pytest

from cybermiles.rpc import session
from cybermiles.rpc.config import RpcConfig, RpcLimits
from tests.fakes.rpc import CONTRACT, TOPIC, FakeNode, hexed, log, outcome, sign_transaction
from tests.unit.rpc.serving import ANSWER, CHAIN_ID, REMIX, call, served, until


async def ask(socket, *arguments, **options):
    await socket.send_bytes(orjson.dumps(call(*arguments, **options)))
    return orjson.loads((await socket.receive()).data)


@pytest.mark.asyncio
async def test_a_websocket_answers_requests_batches_and_paths():
    async with served() as node:
        async with node.http.ws_connect("/") as socket:
            assert await ask(socket, "eth_chainId") == ANSWER
            assert (await ask(socket, "eth_gasPrice"))["result"] == "0x0"
            await socket.send_str("[" + orjson.dumps(CHAIN_ID).decode() + "]")
            message = await socket.receive()
            assert (message.type, orjson.loads(message.data)) == (aiohttp.WSMsgType.TEXT, [ANSWER])
        async with node.http.ws_connect("/paid") as socket:
            assert (await ask(socket, "eth_gasPrice"))["result"] == hex(2 * 10**9)


@pytest.mark.asyncio
async def test_an_unknown_method_over_a_websocket_says_so_exactly():
    async with served() as node, node.http.ws_connect("/") as socket:
        assert await ask(socket, "eth_nothing") == {
            "jsonrpc": "2.0",
            "id": 1,
            "error": {"code": -32601, "message": "the method eth_nothing does not exist/is not available"},
        }


@pytest.mark.asyncio
async def test_hostile_websocket_messages_get_errors_and_the_connection_lives():
    async with served() as node, node.http.ws_connect("/") as socket:
        for message in (b"[" * 99_000 + b"]" * 99_000, b"\xff", b"", b"{"):
            await socket.send_bytes(message)
            answer = orjson.loads((await socket.receive()).data)
            assert answer["error"]["code"] == -32700
        assert await ask(socket, "eth_chainId") == ANSWER


@pytest.mark.asyncio
async def test_a_websocket_message_over_the_limit_closes_the_connection():
    async with served(RpcLimits(body_max_bytes=1000)) as node, node.http.ws_connect("/") as socket:
        await socket.send_bytes(b"x" * 1001)
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)


@pytest.mark.asyncio
async def test_web_pages_need_a_listed_origin_for_a_websocket():
    async with served(cors_origins=("wallets",)) as node:
        async with node.http.ws_connect("/", headers={"Origin": REMIX}) as socket:
            assert await ask(socket, "eth_chainId") == ANSWER
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await node.http.ws_connect("/", headers=headers)
            assert caught.value.status == 403


@pytest.mark.asyncio
async def test_websockets_are_capped_and_counted_down():
    async with served(RpcLimits(websockets_max=1)) as node:
        async with node.http.ws_connect("/") as socket:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await node.http.ws_connect("/")
            assert caught.value.status == 429
            assert await ask(socket, "eth_chainId") == ANSWER
        async with node.http.ws_connect("/") as socket:
            assert await ask(socket, "eth_chainId") == ANSWER


@pytest.mark.asyncio
async def test_events_are_pushed_after_the_id_and_end_with_the_connection():
    async with served() as node:
        async with node.http.ws_connect("/") as socket:
            heads = (await ask(socket, "eth_subscribe", "newHeads"))["result"]
            logs = (await ask(socket, "eth_subscribe", "logs", {"address": hexed(CONTRACT)}))["result"]
            transaction = sign_transaction(9)
            block = node.commit([transaction], [outcome(transaction, logs=[log(TOPIC)])])
            first, second = [orjson.loads((await socket.receive()).data)["params"] for _ in range(2)]
            assert (first["subscription"], first["result"]["hash"]) == (heads, hexed(block.hash))
            assert (second["subscription"], second["result"]["logIndex"]) == (logs, "0x0")
            assert (await ask(socket, "eth_unsubscribe", heads))["result"] is True
            assert len(node.hub) == 1
        await until(lambda: len(node.hub) == 0)


@pytest.mark.asyncio
async def test_slow_requests_do_not_hold_up_quick_ones_on_a_websocket():
    async with served() as node, node.http.ws_connect("/") as socket:
        node.executor.delay = 0.2
        await socket.send_bytes(orjson.dumps(call("eth_call", {}, request_id=1)))
        await socket.send_bytes(orjson.dumps(call("eth_chainId", request_id=2)))
        assert [orjson.loads((await socket.receive()).data)["id"] for _ in range(2)] == [2, 1]


@pytest.mark.asyncio
async def test_a_subscriber_that_does_not_read_is_closed_with_1008_and_nobody_waits():
    limits = RpcLimits(subscriber_queue_items=10, subscriber_queue_bytes=100_000)
    async with served(limits) as node:
        async with node.http.ws_connect("/", max_msg_size=0) as socket, node.http.ws_connect("/") as other:
            await ask(socket, "eth_subscribe", "newPendingTransactions", True)
            heads = (await ask(other, "eth_subscribe", "newHeads"))["result"]
            socket._response.connection.transport.pause_reading()
            transaction = sign_transaction(9, data=bytes(100_000))
            for _ in range(200):
                await node.pool.submit(transaction.raw)
                await asyncio.sleep(0)
            assert len(node.hub) <= 2
            node.commit()
            message = orjson.loads((await other.receive()).data)
            assert message["params"]["subscription"] == heads
            socket._response.connection.transport.resume_reading()
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)


@pytest.mark.asyncio
async def test_a_subscriber_that_never_reads_again_is_cut_off(monkeypatch):
    monkeypatch.setattr(session, "CLOSE_GRACE_SECONDS", 0.1)
    limits = RpcLimits(subscriber_queue_items=10, subscriber_queue_bytes=100_000)
    async with served(limits) as node:
        socket = await node.http.ws_connect("/")
        await ask(socket, "eth_subscribe", "newPendingTransactions", True)
        socket._response.connection.transport.pause_reading()
        transaction = sign_transaction(9, data=bytes(100_000))
        for _ in range(300):
            await node.pool.submit(transaction.raw)
            await asyncio.sleep(0)
        await until(lambda: len(node.hub) == 0)
        socket._response.connection.transport.abort()


@pytest.mark.asyncio
async def test_answers_wait_for_a_slow_reader_instead_of_closing_it():
    limits = RpcLimits(subscriber_queue_items=2, subscriber_queue_bytes=10_000, websocket_concurrency=4)
    async with served(limits) as node, node.http.ws_connect("/") as socket:
        for request_id in range(30):
            await socket.send_bytes(orjson.dumps(call("eth_getBlockByNumber", "latest", True, request_id=request_id)))
        answers = [orjson.loads((await socket.receive()).data) for _ in range(30)]
        assert sorted(answer["id"] for answer in answers) == list(range(30))


@pytest.mark.asyncio
async def test_the_server_listens_anew_when_it_fell_behind():
    async with served() as node:
        await asyncio.sleep(0)
        for _ in range(1100):
            node.pool.events.publish(None)
        for _ in range(10):
            await asyncio.sleep(0)
        async with node.http.ws_connect("/") as socket:
            await ask(socket, "eth_subscribe", "newHeads")
            node.commit()
            assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT


@pytest.mark.asyncio
async def test_stopping_closes_open_websockets_with_1001():
    node = FakeNode(RpcConfig(port=0))
    await node.server.start()
    async with aiohttp.ClientSession(node.server.url) as http:
        socket = await http.ws_connect("/")
        assert await ask(socket, "eth_chainId") == ANSWER
        await node.server.stop()
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
