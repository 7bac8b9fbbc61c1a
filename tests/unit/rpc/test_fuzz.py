"""The RPC fuzzer in this process: a few thousand cases, the same each time, and shapes that Hypothesis thinks up."""

import asyncio
import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.rpc.config import RpcConfig
from cybermiles.rpc.methods import Context
from tests.fakes.rpc import FakeNode
from tests.fuzz.rpc import Failed, check, gather_facts
from tests.fuzz.rpc_cases import Generator
from tests.fuzz.rpc_local import IpcClient, dev_templates

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**65)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0x", "0x1", "latest", "0x" + "ab" * 20, "0x" + "00" * 32]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NODE = FakeNode()


async def answered(node, body):
    """The outcome of a body. A body whose last request surely has an answer must get it."""
    answer = await node.dispatcher.handle(body.data, Context())
    if answer is None:
        assert body.last_id is None, body.data
        return "nothing"
    outcome = check(answer, body.data)
    if body.last_id is not None:
        document = orjson.loads(answer)
        assert (document[-1] if isinstance(document, list) else document)["id"] == body.last_id
    return outcome


@pytest.mark.asyncio
async def test_thousands_of_damaged_requests_get_answers_and_no_internal_error():
    node = FakeNode()
    generator = Generator(random.Random(7), node.dispatcher.method_names, await gather_facts(node.result))
    bodies = [generator.body() for _ in range(300)]
    outcomes = {await answered(node, body) for body in bodies}
    assert sum(body.cases for body in bodies) > 5_000
    assert outcomes >= {"ok", "batch", "-32700", "-32600", "-32602"}


@given(st.sampled_from(NODE.dispatcher.method_names), st.lists(JSON, max_size=4))
def test_whatever_the_arguments_are_the_answer_is_one(method, params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    sent = orjson.dumps(request, option=orjson.OPT_PASSTHROUGH_DATACLASS, default=str) if _fits(params) else None
    if sent is not None:
        check(asyncio.run(NODE.dispatcher.handle(sent, Context())), sent)


def _fits(value):
    """Whether orjson can write it: integers of 64 bits."""
    if isinstance(value, list):
        return all(map(_fits, value))
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":""}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"File /usr/lib/x.py"}}',
    ],
)
def test_the_fuzzer_does_not_take_what_is_no_answer_or_shows_the_insides(answer):
    with pytest.raises(Failed):
        check(answer, b"")


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(5))
async def test_the_fuzzer_finds_an_answer_for_each_body_it_sends_over_the_unix_socket(tmp_path, number):
    path = tmp_path / "cmt.ipc"
    node = FakeNode(RpcConfig(port=0, ipc_path=path))
    await node.server.start()
    try:
        facts = await gather_facts(node.result)
        generator = Generator(random.Random(number), node.dispatcher.method_names, facts, more=dev_templates(facts, 1))
        client = IpcClient(path, generator, random.Random(number), check, Failed)
        bodies = []
        while sum(body.cases for body in bodies) < 300:
            await client.connection(bodies.append)
        assert client.outcomes["IPC batch"] + client.outcomes["IPC ok"]
    finally:
        await node.server.stop()
