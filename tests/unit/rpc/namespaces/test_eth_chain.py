"""Blocks, transactions and receipts."""

import pytest

from cybermiles.types.transaction_codec import decode_transaction
from tests.fakes.rpc import OTHER, SENDER, FakeChain, FakeNode, hexed, outcome, sign_transaction


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "result"),
    [("eth_chainId", "0x2c63a"), ("eth_blockNumber", "0x5"), ("eth_accounts", []), ("eth_syncing", False)],
)
async def test_simple_facts(method, result):
    assert await FakeNode().result(method) == result


@pytest.mark.asyncio
async def test_tags_name_the_same_final_block():
    node = FakeNode()
    latest = await node.result("eth_getBlockByNumber", "latest", False)
    assert latest["number"] == "0x5"
    for tag in ("safe", "finalized", "0x5"):
        assert await node.result("eth_getBlockByNumber", tag, False) == latest
    assert await node.result("eth_getBlockByHash", latest["hash"], False) == latest
    assert (await node.result("eth_getBlockByNumber", "earliest", False))["number"] == "0x0"


@pytest.mark.asyncio
async def test_the_genesis_block_has_a_header_and_no_transactions():
    node = FakeNode()
    block = await node.result("eth_getBlockByNumber", "0x0", True)
    assert (block["number"], block["transactions"], block["size"]) == ("0x0", [], hex(540))
    assert await node.result("eth_getBlockReceipts", "0x0") == []
    assert await node.result("eth_getBlockTransactionCountByNumber", "0x0") == "0x0"


@pytest.mark.asyncio
async def test_the_pending_block_is_the_next_ones_template():
    node = FakeNode()
    block = await node.result("eth_getBlockByNumber", "pending", True)
    transaction = node.chain.template.transactions[0]
    assert block["number"] == "0x6"
    assert block["transactions"] == [await node.result("eth_getTransactionByBlockNumberAndIndex", "pending", "0x0")]
    assert block["transactions"][0]["hash"] == hexed(transaction.hash)
    assert await node.result("eth_getBlockTransactionCountByNumber", "pending") == "0x1"
    node.chain.template = None
    assert await node.result("eth_getBlockByNumber", "pending", False) is None
    assert await node.result("eth_getBlockTransactionCountByNumber", "pending") is None
    assert await node.result("eth_getTransactionByBlockNumberAndIndex", "pending", "0x0") is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0x64", True]),
        ("eth_getBlockByHash", ["0x" + "00" * 32, True]),
        ("eth_getBlockReceipts", ["0x64"]),
        ("eth_getBlockReceipts", [{"blockHash": "0x" + "00" * 32}]),
        ("eth_getBlockTransactionCountByNumber", ["0x64"]),
        ("eth_getBlockTransactionCountByHash", ["0x" + "00" * 32]),
        ("eth_getUncleCountByBlockNumber", ["0x64"]),
        ("eth_getUncleCountByBlockHash", ["0x" + "00" * 32]),
        ("eth_getUncleByBlockNumberAndIndex", ["0x1", "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x64", "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x1", "0x2"]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0x1", "0xffffffffffffffff"]),
        ("eth_getTransactionByBlockHashAndIndex", ["0x" + "00" * 32, "0x0"]),
        ("eth_getTransactionByHash", ["0x" + "00" * 32]),
        ("eth_getTransactionReceipt", ["0x" + "00" * 32]),
    ],
)
async def test_what_does_not_exist_is_null_and_no_error(method, params):
    assert await FakeNode().result(method, *params) is None


@pytest.mark.asyncio
async def test_a_transaction_is_the_same_however_it_is_found():
    node = FakeNode()
    block = node.chain.blocks[2]
    by_hash = await node.result("eth_getTransactionByHash", hexed(block.transactions[1].hash))
    assert by_hash["from"] == hexed(SENDER)
    for method, key in (("Number", "0x2"), ("Hash", hexed(block.hash))):
        assert await node.result(f"eth_getTransactionByBlock{method}AndIndex", key, "0x1") == by_hash
    full = await node.result("eth_getBlockByNumber", "0x2", True)
    assert full["transactions"][1] == by_hash


@pytest.mark.asyncio
async def test_receipts_are_the_same_however_they_are_found():
    node = FakeNode()
    block = node.chain.blocks[4]
    receipts = await node.result("eth_getBlockReceipts", hexed(block.hash))
    assert receipts == await node.result("eth_getBlockReceipts", {"blockNumber": "0x4"})
    for transaction, receipt in zip(block.transactions, receipts, strict=True):
        assert await node.result("eth_getTransactionReceipt", hexed(transaction.hash)) == receipt


@pytest.mark.asyncio
async def test_a_pooled_transaction_is_found_but_has_no_receipt():
    node = FakeNode()
    transaction = sign_transaction(9)
    await node.result("eth_sendRawTransaction", hexed(transaction.raw))
    found = await node.result("eth_getTransactionByHash", hexed(transaction.hash))
    assert (found["blockHash"], found["from"]) == (None, hexed(SENDER))
    assert await node.result("eth_getTransactionReceipt", hexed(transaction.hash)) is None


@pytest.mark.asyncio
async def test_senders_that_storage_did_not_keep_are_recovered():
    chain = FakeChain()
    transactions = [decode_transaction(sign_transaction(nonce).raw) for nonce in range(70)]
    chain.add(transactions, [outcome(tx) for tx in transactions])
    block = await FakeNode(chain=chain).result("eth_getBlockByNumber", "0x1", True)
    assert {tx["from"] for tx in block["transactions"]} == {hexed(SENDER)}
    assert block["miner"] == hexed(OTHER)


@pytest.mark.asyncio
async def test_a_flag_that_is_left_out_means_hashes():
    block = await FakeNode().result("eth_getBlockByNumber", "0x1")
    assert all(isinstance(entry, str) for entry in block["transactions"])
