"""Polled filters."""

import pytest

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.filters import PENDING_HASHES_KEPT, FilterRegistry, IdSource
from cybermiles.rpc.serializers import Serializer
from cybermiles.types.events import BlockCommitted, TransactionsAdmitted
from tests.fakes.rpc import CONTRACT, TOPIC, FakeNode, hexed, log, outcome, sign_transaction

MISSING = {"code": -32000, "message": "filter not found"}


def commit_log(node, nonce, *topics, address=CONTRACT):
    transaction = sign_transaction(nonce)
    return node.commit([transaction], [outcome(transaction, logs=[log(*topics, address=address)])])


@pytest.mark.asyncio
async def test_a_block_filter_answers_each_new_hash_once():
    node = FakeNode()
    own = await node.result("eth_newBlockFilter")
    assert await node.result("eth_getFilterChanges", own) == []
    hashes = [hexed(node.commit().hash) for _ in range(3)]
    assert await node.result("eth_getFilterChanges", own) == hashes
    assert await node.result("eth_getFilterChanges", own) == []


@pytest.mark.asyncio
async def test_a_block_filter_that_is_far_behind_answers_in_parts():
    node = FakeNode(limits=RpcLimits(logs_max_blocks=2))
    own = await node.result("eth_newBlockFilter")
    hashes = [hexed(node.commit().hash) for _ in range(3)]
    assert await node.result("eth_getFilterChanges", own) == hashes[:2]
    assert await node.result("eth_getFilterChanges", own) == hashes[2:]


@pytest.mark.asyncio
async def test_a_log_filter_answers_new_matching_logs_once_and_its_range_on_demand():
    node = FakeNode()
    own = await node.result("eth_newFilter", {"fromBlock": "0x0", "topics": [hexed(TOPIC)]})
    assert await node.result("eth_getFilterChanges", own) == []
    commit_log(node, 10)
    block = commit_log(node, 11, TOPIC)
    changes = await node.result("eth_getFilterChanges", own)
    assert [entry["blockHash"] for entry in changes] == [hexed(block.hash)]
    assert await node.result("eth_getFilterChanges", own) == []
    assert len(await node.result("eth_getFilterLogs", own)) == 4


@pytest.mark.asyncio
async def test_a_log_filter_keeps_to_its_range():
    node = FakeNode()
    own = await node.result("eth_newFilter", {"fromBlock": "0x7", "toBlock": "0x8"})
    for nonce in range(10, 15):
        commit_log(node, nonce, TOPIC)
    changes = await node.result("eth_getFilterChanges", own)
    assert [entry["blockNumber"] for entry in changes] == ["0x7", "0x8"]


@pytest.mark.asyncio
async def test_a_log_filter_over_a_limit_answers_in_parts_and_gets_past_a_block_that_is_too_full():
    node = FakeNode(limits=RpcLimits(logs_max_results=1))
    own = await node.result("eth_newFilter", {})
    commit_log(node, 10, TOPIC)
    transaction = sign_transaction(11)
    node.commit([transaction], [outcome(transaction, logs=[log(), log()])])
    commit_log(node, 12, TOPIC)
    assert [entry["blockNumber"] for entry in await node.result("eth_getFilterChanges", own)] == ["0x6"]
    error = await node.error("eth_getFilterChanges", own)
    assert "block 0x7 alone has more" in error["message"]
    assert [entry["blockNumber"] for entry in await node.result("eth_getFilterChanges", own)] == ["0x8"]


@pytest.mark.asyncio
async def test_a_pending_filter_answers_hashes_since_it_was_made():
    node = FakeNode()
    await node.hub.publish(TransactionsAdmitted((sign_transaction(1),)))
    own = await node.result("eth_newPendingTransactionFilter")
    later = await node.result("eth_newPendingTransactionFilter")
    transactions = [sign_transaction(2), sign_transaction(3)]
    await node.hub.publish(TransactionsAdmitted(tuple(transactions)))
    assert await node.result("eth_getFilterChanges", own) == [hexed(tx.hash) for tx in transactions]
    assert await node.result("eth_getFilterChanges", own) == []
    assert len(await node.result("eth_getFilterChanges", later)) == 2


def test_a_pending_filter_that_nobody_polls_does_not_grow():
    node = FakeNode()
    filters = node.hub._filters
    own = filters.add_pending("127.0.0.1")
    for number in range(PENDING_HASHES_KEPT + 10):
        filters.admitted([number.to_bytes(32)])
    kept = filters._new_hashes(filters._get(own))
    assert len(kept) == PENDING_HASHES_KEPT
    assert kept[0] == hexed((10).to_bytes(32))


@pytest.mark.asyncio
async def test_full_transactions_are_for_subscriptions():
    error = await FakeNode().error("eth_newPendingTransactionFilter", True)
    assert error["code"] == -32602


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["eth_getFilterChanges", "eth_getFilterLogs"])
async def test_an_unknown_filter_is_an_error(method):
    assert await FakeNode().error(method, "0x1") == MISSING


@pytest.mark.asyncio
async def test_logs_of_a_filter_that_is_not_for_logs_are_an_error():
    node = FakeNode()
    own = await node.result("eth_newBlockFilter")
    assert await node.error("eth_getFilterLogs", own) == MISSING


@pytest.mark.asyncio
async def test_a_removed_filter_is_gone():
    node = FakeNode()
    own = await node.result("eth_newBlockFilter")
    assert await node.result("eth_uninstallFilter", own) is True
    assert await node.result("eth_uninstallFilter", own) is False
    assert await node.error("eth_getFilterChanges", own) == MISSING


@pytest.mark.asyncio
async def test_a_filter_is_removed_when_nobody_asks_for_five_minutes():
    node = FakeNode()
    idle, used = [await node.result("eth_newBlockFilter") for _ in range(2)]
    node.clock.advance(299_000)
    assert await node.result("eth_getFilterChanges", used) == []
    node.clock.advance(2_000)
    await node.hub.publish(BlockCommitted(node.chain.add(), ()))
    assert len(node.hub._filters) == 1
    assert await node.error("eth_getFilterChanges", idle) == MISSING
    assert len(await node.result("eth_getFilterChanges", used)) == 1


@pytest.mark.asyncio
async def test_filters_are_bounded_for_each_remote_caller_and_for_all():
    node = FakeNode(limits=RpcLimits(filters_max=4, filters_per_ip_max=2))
    for _ in range(2):
        await node.result("eth_newBlockFilter", remote="10.0.0.1")
    error = await node.error("eth_newBlockFilter", remote="10.0.0.1")
    assert (error["code"], "rpc.filters_per_ip_max" in error["message"]) == (-32005, True)
    for _ in range(2):
        await node.result("eth_newBlockFilter", remote="127.0.0.1")
    error = await node.error("eth_newBlockFilter", remote="127.0.0.1")
    assert (error["code"], "rpc.filters_max" in error["message"]) == (-32005, True)
    node.clock.advance(301_000)
    await node.result("eth_newBlockFilter", remote="10.0.0.1")


def test_ids_are_quantities_that_depend_on_the_secret():
    ids = IdSource(b"a")
    first, second = ids.next(), ids.next()
    assert first != second
    assert int(first, 16) >> 100
    assert IdSource(b"a").next() == first
    assert IdSource(b"b").next() != first


@pytest.mark.asyncio
async def test_filters_go_on_where_blocks_were_taken_back():
    node = FakeNode()
    filters = FilterRegistry(
        node.chain,
        node.executor,
        serializer=Serializer(),
        limits=RpcLimits(),
        ids=IdSource(bytes(32)),
        clock=node.clock,
    )
    blocks, pending = filters.add_blocks(""), filters.add_pending("")
    first = node.commit()
    node.commit()
    assert len(await filters.changes(blocks)) == 2
    filters.admitted([first.hash])
    filters.taken_back(first.height)
    assert await filters.changes(blocks) == [hexed(node.chain.header(first.height + 1).hash)]
    filters.taken_back(first.height + 5)
    assert await filters.changes(blocks) == []
    assert await filters.changes(pending) == [hexed(first.hash)]
