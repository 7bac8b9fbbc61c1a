"""Log queries: what matches, which limits stop them, and that a scan does not hold up the event loop."""

import pickle
import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.logs import LogQuery, LogSearch
from cybermiles.rpc.namespaces.eth_filters import EthFilters
from cybermiles.rpc.serializers import Serializer
from tests.fakes.rpc import (
    CONTRACT,
    OTHER_TOPIC,
    STRANGER,
    TOPIC,
    FakeChain,
    FakeNode,
    hexed,
    log,
    outcome,
    sign_transaction,
)

T, U = hexed(TOPIC), hexed(OTHER_TOPIC)
ALL = {"fromBlock": "0x0", "toBlock": "latest"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (ALL, ["2.0", "2.1", "2.2", "5.0", "5.1"]),
        ({"fromBlock": "earliest", "toBlock": "0x2"}, ["2.0", "2.1", "2.2"]),
        ({}, ["5.0", "5.1"]),
        ({"fromBlock": "0x3", "toBlock": "0x4"}, []),
        ({"fromBlock": "0x64", "toBlock": "0x65"}, []),
        ({"fromBlock": "0x2", "toBlock": "0x64"}, ["2.0", "2.1", "2.2", "5.0", "5.1"]),
        (ALL | {"address": hexed(STRANGER)}, ["2.2"]),
        (ALL | {"address": [hexed(STRANGER), hexed(CONTRACT)]}, ["2.0", "2.1", "2.2", "5.0", "5.1"]),
        (ALL | {"address": "0x" + "00" * 20}, []),
        (ALL | {"topics": [T]}, ["2.0", "2.1", "5.1"]),
        (ALL | {"topics": [[T, U]]}, ["2.0", "2.1", "2.2", "5.1"]),
        (ALL | {"topics": [None, U]}, ["2.1"]),
        (ALL | {"topics": [[], T]}, ["5.1"]),
        (ALL | {"topics": [None]}, ["2.0", "2.1", "2.2", "5.1"]),
        (ALL | {"topics": []}, ["2.0", "2.1", "2.2", "5.0", "5.1"]),
        (ALL | {"topics": [T, T, T, T]}, ["5.1"]),
        (ALL | {"topics": [U], "address": hexed(CONTRACT)}, []),
    ],
)
async def test_exactly_the_matching_logs_are_found_in_order(query, found):
    logs = await FakeNode().result("eth_getLogs", query)
    assert [f"{int(entry['blockNumber'], 16)}.{int(entry['logIndex'], 16)}" for entry in logs] == found


@pytest.mark.asyncio
async def test_a_block_by_hash_is_searched_alone():
    node = FakeNode()
    logs = await node.result("eth_getLogs", {"blockHash": hexed(node.chain.headers[2].hash)})
    assert len(logs) == 3
    assert await node.error("eth_getLogs", {"blockHash": "0x" + "00" * 32}) == {
        "code": -32000,
        "message": "unknown block",
    }


@pytest.mark.asyncio
async def test_a_range_that_ends_before_it_begins_is_refused():
    error = await FakeNode().error("eth_getLogs", {"fromBlock": "0x3", "toBlock": "0x2"})
    assert error == {"code": -32602, "message": "invalid block range params: 3 is after 2"}


@pytest.mark.asyncio
async def test_a_range_over_the_limit_is_refused_with_one_that_is_not():
    node = FakeNode(limits=RpcLimits(logs_max_blocks=3))
    error = await node.error("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x5"})
    assert error == {
        "code": -32005,
        "message": "block range of 5 blocks is over the limit of 3 (rpc.logs_max_blocks): "
        "try this block range: [0x1, 0x3]",
    }
    assert await node.result("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x3"})
    assert await node.result("eth_getLogs", {"fromBlock": "0x3", "toBlock": "0x400"})


@pytest.mark.asyncio
async def test_too_many_results_are_refused_with_a_range_that_is_answered():
    node = FakeNode(limits=RpcLimits(logs_max_results=4))
    error = await node.error("eth_getLogs", ALL)
    assert error == {
        "code": -32005,
        "message": "query returned more than 4 results (rpc.logs_max_results): try this block range: [0x0, 0x4]",
    }
    assert len(await node.result("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x4"})) == 3


@pytest.mark.asyncio
async def test_one_block_with_too_many_results_says_what_to_narrow():
    node = FakeNode(limits=RpcLimits(logs_max_results=2))
    error = await node.error("eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x5"})
    assert "block 0x2 alone has more: ask for fewer addresses or topics" in error["message"]


@pytest.mark.asyncio
async def test_results_are_bounded_by_size_before_they_are_encoded():
    chain = FakeChain()
    for nonce in range(4):
        transaction = sign_transaction(nonce)
        chain.add([transaction], [outcome(transaction, logs=[log(TOPIC, data=bytes(10_000))])])
    node = FakeNode(chain=chain, limits=RpcLimits(response_max_bytes=50_000))
    error = await node.error("eth_getLogs", ALL)
    assert "query returned more than 50000 bytes (rpc.response_max_bytes)" in error["message"]
    assert "[0x0, 0x2]" in error["message"]
    assert len(await node.result("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x2"})) == 2


@pytest.mark.asyncio
async def test_the_range_that_an_error_names_is_answered_wherever_the_limit_falls():
    chain = FakeChain()
    for nonce in range(4):
        transaction = sign_transaction(nonce)
        chain.add([transaction], [outcome(transaction, logs=[log(TOPIC)])])
    refused = 0
    for limit in range(1_000, 2_400, 11):
        node = FakeNode(chain=chain, limits=RpcLimits(response_max_bytes=limit))
        answer = await node.ask("eth_getLogs", ALL)
        if "error" in answer:
            refused += 1
            assert answer["error"]["code"] == -32005
            first, last = re.search(r"range: \[(\w+), (\w+)\]", answer["error"]["message"]).groups()
            logs = await node.result("eth_getLogs", {"fromBlock": first, "toBlock": last})
            assert len(logs) == max(0, int(last, 16))
    assert 0 < refused < len(range(1_000, 2_400, 11))


@pytest.mark.asyncio
async def test_the_search_is_a_job_and_not_the_event_loops():
    node = FakeNode()
    ran = []

    class Elsewhere:
        async def run(self, job):
            copy = pickle.loads(pickle.dumps(job))
            ran.append(copy)
            return pickle.loads(pickle.dumps(copy.run(node.chain)))

    filters = EthFilters(node.chain, Elsewhere(), None, node.hub, Serializer(), RpcLimits())
    raw = await filters.get_logs(LogQuery(first=0))
    assert [type(job) for job in ran] == [LogSearch]
    assert orjson.loads(raw.data) == await node.result("eth_getLogs", ALL)


words = st.sampled_from([TOPIC, OTHER_TOPIC, b"\1" * 32])
entries = st.builds(
    lambda address, topics: log(*topics, address=address),
    st.sampled_from([CONTRACT, STRANGER]),
    st.lists(words, max_size=4),
)
queries = st.builds(
    LogQuery,
    addresses=st.lists(st.sampled_from([CONTRACT, STRANGER]), max_size=2).map(tuple),
    topics=st.lists(st.lists(words, max_size=2).map(tuple), max_size=4).map(tuple),
)


@given(queries, entries)
@settings(max_examples=150, deadline=None)
def test_matching_is_what_the_specification_says(query, entry):
    expected = not query.addresses or entry.address in query.addresses
    for position, wanted in enumerate(query.topics):
        expected = expected and position < len(entry.topics) and (not wanted or entry.topics[position] in wanted)
    assert query.matches(entry) is bool(expected)
