"""What the chain's rules are, what the node has, submission that waits for the receipt, and methods that make no sense here."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.rpc.absent_methods import ABSENT, ABSENT_NAMESPACES
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jsonrpc import METHOD_NOT_FOUND
from cybermiles.rpc.namespaces import eth_node
from cybermiles.types.events import TransactionDropped
from cybermiles.vm.pyevm.precompiles import precompile_table
from cybermiles.vm.rules import Fork
from tests.fakes.rpc import CHAIN_ID, FakeNode, hexed, outcome, sign_transaction


@pytest.mark.asyncio
async def test_the_configuration_is_what_the_chain_runs():
    node = FakeNode()
    answer = await node.result("eth_config")
    current = answer["current"]
    assert (answer["next"], answer["last"], current["activationTime"]) == (None, None, 0)
    assert current["chainId"] == hex(CHAIN_ID)
    assert int(current["forkId"], 16) == zlib.crc32(node.chain.header(0).hash)
    assert {bytes.fromhex(address[2:]) for address in current["precompiles"].values()} == set(
        precompile_table(Fork.OSAKA)
    )
    assert set(SYSTEM_CONTRACTS) < set(eth_node.SYSTEM_CONTRACTS.values())


@pytest.mark.asyncio
@pytest.mark.parametrize("pruned_below", range(6))
async def test_capabilities_name_the_oldest_state_there_is(pruned_below):
    node = FakeNode()
    node.chain.pruned_below = pruned_below
    answer = await node.result("eth_capabilities")
    assert answer["head"] == {"number": "0x5", "hash": hexed(node.chain.header(5).hash)}
    for name in ("blocks", "tx", "receipts", "logs"):
        assert answer[name] == {"disabled": False, "oldestBlock": "0x0"}
    for name in ("state", "stateproofs"):
        assert answer[name] == {"disabled": False, "oldestBlock": hex(pruned_below)}


@pytest.mark.asyncio
async def test_headers_and_bytes_are_those_of_the_block_and_of_its_transactions():
    node = FakeNode()
    block = node.chain.blocks[2]
    for index, transaction in enumerate(block.transactions):
        asked = [
            ("ByHash", [hexed(transaction.hash)]),
            ("ByBlockNumberAndIndex", ["0x2", hex(index)]),
            ("ByBlockHashAndIndex", [hexed(block.hash), hex(index)]),
        ]
        for name, params in asked:
            assert await node.result(f"eth_getRawTransaction{name}", *params) == hexed(transaction.raw)
    header = await node.result("eth_getHeaderByNumber", "0x2")
    assert (header["hash"], "transactions" in header) == (hexed(block.hash), False)
    assert header == await node.result("eth_getHeaderByHash", hexed(block.hash))
    pooled = sign_transaction(6)
    await node.result("eth_sendRawTransaction", hexed(pooled.raw))
    assert await node.result("eth_getRawTransactionByHash", hexed(pooled.hash)) == hexed(pooled.raw)
    pending = node.chain.template.transactions[0]
    assert await node.result("eth_getRawTransactionByBlockNumberAndIndex", "pending", "0x0") == hexed(pending.raw)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("eth_getRawTransactionByHash", ["0x" + "00" * 32], "0x"),
        ("eth_getRawTransactionByBlockNumberAndIndex", ["0x2", "0x2"], "0x"),
        ("eth_getRawTransactionByBlockNumberAndIndex", ["0x64", "0x0"], "0x"),
        ("eth_getRawTransactionByBlockHashAndIndex", ["0x" + "00" * 32, "0x0"], "0x"),
        ("eth_getHeaderByNumber", ["0x64"], None),
        ("eth_getHeaderByNumber", ["pending"], None),
        ("eth_getHeaderByHash", ["0x" + "00" * 32], None),
        ("eth_getTransactionReceipt", ["0x" + "00" * 32], None),
        ("eth_getBlockReceipts", ["0x64"], None),
        ("eth_getBlockReceipts", ["0x0"], []),
    ],
)
async def test_what_is_not_there_is_null_or_no_bytes(method, params, answer):
    assert await FakeNode().result(method, *params) == answer


@pytest.mark.asyncio
async def test_a_pooled_transaction_and_a_pending_block_have_no_receipts():
    node = FakeNode()
    pooled = sign_transaction(6)
    await node.result("eth_sendRawTransaction", hexed(pooled.raw))
    assert await node.result("eth_getTransactionReceipt", hexed(pooled.hash)) is None
    error = await node.error("eth_getBlockReceipts", "pending")
    assert error == {"code": -32000, "message": "pending receipts is not available"}


@pytest.mark.asyncio
async def test_a_submission_that_waits_answers_with_the_receipt_once_the_block_is_there():
    node = FakeNode()
    transaction, other = sign_transaction(6), sign_transaction(7)
    waiting = asyncio.create_task(node.result("eth_sendRawTransactionSync", hexed(transaction.raw)))
    while not node.pool.events._subscriptions:
        await asyncio.sleep(0)
    node.commit([other], [outcome(other)])
    node.pool.events.publish(TransactionDropped(other.hash, "not this one"))
    await asyncio.sleep(0)
    assert not waiting.done()
    node.commit([transaction], [outcome(transaction)])
    receipt = await waiting
    assert (receipt["transactionHash"], receipt["blockNumber"]) == (hexed(transaction.hash), "0x7")
    assert receipt == await node.result("eth_getTransactionReceipt", hexed(transaction.hash))


@pytest.mark.asyncio
@pytest.mark.parametrize(("given", "limit", "waited"), [("0x0", 8_000, 0), (99_999, 0, 0)])
async def test_a_submission_that_no_block_takes_in_time_names_its_hash(given, limit, waited):
    node = FakeNode(limits=RpcLimits(send_sync_max_ms=limit))
    transaction = sign_transaction(6)
    error = await node.error("eth_sendRawTransactionSync", hexed(transaction.raw), given)
    assert error == {
        "code": 4,
        "message": f"The transaction was added to the mempool but wasn't processed within {waited} ms",
        "data": hexed(transaction.hash),
    }
    assert node.pool.transaction(transaction.hash) is not None


@pytest.mark.asyncio
async def test_a_submission_that_the_pool_gives_up_says_why():
    node = FakeNode()
    transaction = sign_transaction(6)
    waiting = asyncio.create_task(node.error("eth_sendRawTransactionSync", hexed(transaction.raw)))
    while not node.pool.events._subscriptions:
        await asyncio.sleep(0)
    node.pool.events.publish(TransactionDropped(transaction.hash, "replaced"))
    assert await waiting == {"code": -32000, "message": "transaction dropped: replaced"}


@pytest.mark.asyncio
async def test_an_invalid_submission_is_refused_at_once():
    node = FakeNode()
    node.pool.least_nonce = 9
    error = await node.error("eth_sendRawTransactionSync", hexed(sign_transaction(6).raw))
    assert (error["code"], "nonce too low" in error["message"]) == (-32000, True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "why"),
    [*ABSENT.items(), *((f"{name}_anything", why) for name, why in ABSENT_NAMESPACES.items())],
)
async def test_a_well_known_method_that_is_not_served_says_why(method, why):
    error = await FakeNode().error(method)
    assert error == {
        "code": METHOD_NOT_FOUND,
        "message": f"the method {method} does not exist/is not available: {why}",
    }


def test_no_served_method_is_called_absent():
    served = FakeNode().dispatcher.method_names
    assert not set(served) & set(ABSENT)
    assert not {name.partition("_")[0] for name in served} & set(ABSENT_NAMESPACES)
