"""Every answer has the shape that the Ethereum JSON-RPC specification gives it."""

import json
import lzma

import pytest

from cybermiles.rpc.config import RpcConfig
from cybermiles.rpc.ports import SyncProgress
from tests.fakes.rpc import FakeNode, hexed, log, outcome, sign_transaction, valid_requests

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks answers against the specification")

NODE = FakeNode()
REQUESTS = valid_requests(NODE)
NEED_A_CONNECTION_OR_FILTER = ("eth_getFilterChanges", "eth_getFilterLogs", "eth_subscribe", "eth_unsubscribe")
OURS = {"cmtLane"}
"""The one field that is not in the specification, in receipts; `rpc.receipt_lane` turns it off."""


@pytest.fixture(scope="module")
def specification(vectors):
    """Validators of results by method."""
    document = json.loads(lzma.open(vectors / "rpc" / "openrpc.json.xz").read())
    return {
        method["name"]: jsonschema.Draft202012Validator(method["result"]["schema"])
        for method in document["methods"]
        if "result" in method
    }


def without_ours(value):
    if isinstance(value, dict):
        return {key: without_ours(entry) for key, entry in value.items() if key not in OURS}
    return [without_ours(entry) for entry in value] if isinstance(value, list) else value


def check(specification, method, result):
    errors = [f"{error.json_path}: {error.message[:300]}" for error in specification[method].iter_errors(result)]
    assert not errors, (method, result, errors)


def test_every_served_method_is_among_the_requests():
    served = set(NODE.dispatcher.method_names) - set(NEED_A_CONNECTION_OR_FILTER)
    assert served == {method for method, _ in REQUESTS}


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "params"), REQUESTS, ids=[f"{m}-{i}" for i, (m, _) in enumerate(REQUESTS)])
async def test_an_answer_has_the_specified_shape(method, params, specification):
    result = await FakeNode().result(method, *params)
    if method in specification:
        check(specification, method, without_ours(result))


@pytest.mark.asyncio
async def test_pooled_transactions_have_the_specified_shape_in_txpool_content(specification):
    node = FakeNode()
    for transaction in (sign_transaction(6), sign_transaction(7, type=0), sign_transaction(8, type=1)):
        await node.result("eth_sendRawTransaction", hexed(transaction.raw))
    waiting = sign_transaction(50)
    node.pool.waiting[waiting.hash] = waiting
    check(specification, "txpool_content", await node.result("txpool_content"))
    for method in ("txpool_status", "txpool_contentFrom"):
        params = [hexed(waiting.sender)] if method.endswith("From") else []
        result = await node.result(method, *params)
        check(specification, method, result)
    assert await node.result("txpool_status") == {"pending": "0x3", "queued": "0x1"}


@pytest.mark.asyncio
async def test_filter_changes_have_the_specified_shape(specification):
    node = FakeNode()
    filters = [
        await node.result("eth_newFilter", {}),
        await node.result("eth_newBlockFilter"),
        await node.result("eth_newPendingTransactionFilter"),
    ]
    transaction = sign_transaction(6)
    node.commit([transaction], [outcome(transaction, logs=[log()])])
    node.hub._filters.admitted([transaction.hash])
    for filter_id in filters:
        changes = await node.result("eth_getFilterChanges", filter_id)
        assert len(changes) == 1
        check(specification, "eth_getFilterChanges", changes)
    check(specification, "eth_getFilterLogs", await node.result("eth_getFilterLogs", filters[0]))


@pytest.mark.asyncio
async def test_the_progress_of_a_node_that_catches_up_has_the_specified_shape(specification):
    node = FakeNode()
    node.info.syncing = SyncProgress(starting=1, current=20, highest=300)
    result = await node.result("eth_syncing")
    assert result == {"startingBlock": "0x1", "currentBlock": "0x14", "highestBlock": "0x12c"}
    check(specification, "eth_syncing", result)


@pytest.mark.asyncio
async def test_a_receipt_without_our_field_is_exactly_as_specified(specification):
    node = FakeNode(RpcConfig(receipt_lane=False))
    for transaction in node.chain.blocks[2].transactions:
        check(
            specification,
            "eth_getTransactionReceipt",
            await node.result("eth_getTransactionReceipt", hexed(transaction.hash)),
        )
