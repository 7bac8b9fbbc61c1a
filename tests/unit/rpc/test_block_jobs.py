"""Long blocks leave the event loop, with the answers that short ones have; one transaction is read alone."""

from __future__ import annotations

import pickle

import pytest

from cybermiles.node.chain_view import ChainView
from cybermiles.rpc import block_jobs
from cybermiles.rpc.block_jobs import BlockFees, Part, RenderBlock, RenderReceipt
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.serializers import Serializer
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from tests.factories import genesis_document
from tests.fakes.blocks import append, genesis, log
from tests.fakes.rpc import FakeNode, hexed

LOGS = 2
"""Block 2 of the fake chain has a transaction with two logs first."""
WHOLE = (
    ("eth_getBlockByNumber", True, RenderBlock),
    ("eth_getBlockByNumber", False, RenderBlock),
    ("eth_getBlockReceipts", None, RenderBlock),
    ("debug_getRawBlock", None, RenderBlock),
    ("debug_getRawReceipts", None, RenderBlock),
    ("ots_getBlockDetails", None, BlockFees),
)


def jobs_of(node):
    return [job for kind, job, *_ in node.executor.asked if kind == "run"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "full", "kind"), WHOLE)
async def test_a_long_block_is_a_job_with_the_answer_of_a_short_one(monkeypatch, method, full, kind):
    node, arguments = FakeNode(), ["0x2"] if full is None else ["0x2", full]
    short = await node.result(method, *arguments)
    assert not node.executor.asked
    monkeypatch.setattr(block_jobs, "LONG_BYTES", 100)
    assert await node.result(method, *arguments) == short
    (job,) = jobs_of(node)
    assert type(job) is kind
    assert pickle.loads(pickle.dumps(job)) == job


@pytest.mark.asyncio
async def test_much_gas_makes_a_block_long_for_what_its_transactions_did(monkeypatch):
    node = FakeNode()
    monkeypatch.setattr(block_jobs, "LONG_GAS", 1_000)
    for method, *arguments in (
        ("eth_getBlockByNumber", "0x2", True),
        ("eth_getBlockReceipts", "0x2"),
        ("debug_getRawReceipts", "0x2"),
    ):
        await node.result(method, *arguments)
    assert [job.part for job in jobs_of(node)] == [Part.TRANSACTIONS, Part.RECEIPTS, Part.RAW_RECEIPTS]
    await node.result("eth_getBlockByNumber", "0x2", False)
    await node.result("debug_getRawBlock", "0x2")
    assert len(jobs_of(node)) == 3


@pytest.mark.asyncio
async def test_hashes_of_a_long_block_in_memory_are_no_job(monkeypatch):
    node = FakeNode()
    node.chain.at_hand = {2}
    monkeypatch.setattr(block_jobs, "LONG_BYTES", 100)
    await node.result("eth_getBlockByNumber", "0x2", False)
    await node.result("debug_getRawBlock", "0x2")
    assert not node.executor.asked


@pytest.mark.asyncio
async def test_a_receipt_with_many_logs_is_a_job_with_the_same_answer(monkeypatch):
    node = FakeNode()
    tx = hexed(node.chain.blocks[2].transactions[0].hash)
    receipt = await node.result("eth_getTransactionReceipt", tx)
    assert len(receipt["logs"]) == LOGS
    assert not node.executor.asked
    monkeypatch.setattr("cybermiles.rpc.namespaces.eth_chain.LONG_LOGS", LOGS - 1)
    assert await node.result("eth_getTransactionReceipt", tx) == receipt
    (job,) = jobs_of(node)
    assert (type(job), job.height, job.index) == (RenderReceipt, 2, 0)


def test_what_is_too_long_for_an_answer_is_refused_where_it_is_made():
    chain = FakeNode().chain
    bounds = {"serializer": Serializer(), "max_bytes": 300}
    for job in (
        *(RenderBlock(height=2, part=part, **bounds) for part in Part),
        RenderReceipt(height=2, index=0, **bounds),
    ):
        with pytest.raises(RpcError, match="limit of 300 .rpc.response_max_bytes"):
            job.run(chain)


SINGLE = (
    ("eth_getTransactionByHash", "tx"),
    ("eth_getTransactionReceipt", "tx"),
    ("eth_getTransactionByBlockNumberAndIndex", "0x2", "0x1"),
    ("eth_getTransactionByBlockHashAndIndex", "block", "0x1"),
    ("eth_getBlockTransactionCountByNumber", "0x2"),
    ("eth_getBlockTransactionCountByHash", "block"),
    ("eth_getRawTransactionByHash", "tx"),
    ("eth_getRawTransactionByBlockNumberAndIndex", "0x2", "0x1"),
    ("debug_getRawTransaction", "tx"),
    ("cmt_transactionStatus", "tx"),
    ("ots_getTransactionError", "tx"),
    ("debug_storageRangeAt", "block", 0, "0x" + "c0" * 20, "0x", 10),
)


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", SINGLE, ids=lambda request: request[0])
async def test_what_concerns_one_transaction_decodes_no_other(request_):
    node = FakeNode()
    block = node.chain.blocks[2]
    known = {"tx": hexed(block.transactions[1].hash), "block": hexed(block.hash)}
    node.chain.block = node.chain.outcomes = None
    method, *arguments = request_
    assert await node.result(method, *(known.get(value, value) for value in arguments)) is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("height", ["0x2", "0x0"])
async def test_a_place_beyond_the_last_transaction_is_null(height):
    node = FakeNode()
    assert await node.result("eth_getTransactionByBlockNumberAndIndex", height, "0x2") is None
    assert await node.result("eth_getRawTransactionByBlockNumberAndIndex", height, "0x2") == "0x"
    assert await node.result("eth_getBlockTransactionCountByNumber", "0x99") is None


def test_the_database_gives_single_transactions_as_it_gives_whole_blocks():
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis([("balance", number, 0, 1000) for number in range(3)]))
    block, _, _ = append(database, [("balance", 0, 0, 5)], logs=[[log(3)], [log(1, b"a"), log(2)], []])
    for fresh, is_at_hand in ((database, True), (Database(store), False)):
        view = ChainView(fresh, 1, genesis_document().params, tuple)
        assert view.is_at_hand(1) == is_at_hand
        assert [view.transaction_count(height) for height in (0, 1, 2)] == [0, 3, 0]
        assert tuple(view.transaction(1, index) for index in range(3)) == block.transactions
        assert tuple(view.outcome(1, index).outcome for index in range(3)) == view.outcomes(1)
        assert [view.outcome(1, index).first_log for index in range(3)] == [0, 1, 3]
        assert [view.log_count(1, index) for index in range(4)] == [1, 2, 0, 0]
        for height, index in ((0, 0), (1, 3), (2, 0)):
            assert view.transaction(height, index) is view.outcome(height, index) is None
