"""What is pushed to whom."""

import asyncio

import orjson
import pytest

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.ports import SyncProgress
from cybermiles.rpc.serializers import Serializer
from cybermiles.rpc.subscriptions import Kind
from cybermiles.types.events import BlockCommitted, TransactionDropped, TransactionsAdmitted
from tests.fakes.rpc import CONTRACT, STRANGER, TOPIC, FakeNode, hexed, log, outcome, sign_transaction


class Peer:
    def __init__(self):
        self.messages = []

    def push(self, payload):
        self.messages.append(orjson.loads(payload))

    def results(self, subscription):
        return [m["params"]["result"] for m in self.messages if m["params"]["subscription"] == subscription]


async def subscribe(node, peer, *params):
    own = await node.result("eth_subscribe", *params, connection=peer)
    node.hub.activate(own)
    return own


async def publish_block(node, transactions=(), outcomes=()):
    block = node.chain.add(transactions, outcomes)
    await node.hub.publish(BlockCommitted(block, tuple(o.receipt.logs for o in outcomes)))
    return block


@pytest.mark.asyncio
async def test_new_heads_are_headers_without_transactions():
    node, peer = FakeNode(), Peer()
    own = await subscribe(node, peer, "newHeads")
    block = await publish_block(node)
    (head,) = peer.results(own)
    assert head["hash"] == hexed(block.hash)
    assert "transactions" not in head
    assert peer.messages[0]["method"] == "eth_subscription"


@pytest.mark.asyncio
async def test_logs_are_matched_and_one_message_each_with_their_index_in_the_block():
    node, peer = FakeNode(), Peer()
    everything = await subscribe(node, peer, "logs")
    some = await subscribe(node, peer, "logs", {"address": hexed(CONTRACT), "topics": [hexed(TOPIC)]})
    transactions = [sign_transaction(nonce) for nonce in range(2)]
    outcomes = [
        outcome(transactions[0], logs=[log(), log(TOPIC, address=STRANGER)]),
        outcome(transactions[1], logs=[log(TOPIC)]),
    ]
    block = await publish_block(node, transactions, outcomes)
    assert [entry["logIndex"] for entry in peer.results(everything)] == ["0x0", "0x1", "0x2"]
    (found,) = peer.results(some)
    assert (found["logIndex"], found["transactionHash"]) == ("0x2", hexed(transactions[1].hash))
    assert peer.results(everything) == await node.result("eth_getLogs", {"blockHash": hexed(block.hash)})


@pytest.mark.asyncio
async def test_falling_behind_and_having_caught_up_are_told_once_each():
    node, peer = FakeNode(), Peer()
    own = await subscribe(node, peer, "syncing")
    for progress in (None, SyncProgress(1, 20, 300), SyncProgress(1, 21, 300), None, None):
        node.info.syncing = progress
        await publish_block(node)
    status = {"startingBlock": "0x1", "currentBlock": "0x14", "highestBlock": "0x12c"}
    assert peer.results(own) == [{"syncing": True, "status": status}, False]


@pytest.mark.asyncio
async def test_pending_transactions_are_hashes_or_whole():
    node, peer = FakeNode(), Peer()
    hashes = await subscribe(node, peer, "newPendingTransactions")
    whole = await subscribe(node, peer, "newPendingTransactions", True)
    transaction, other = sign_transaction(6), sign_transaction(7)
    await node.hub.publish(TransactionsAdmitted((transaction, other)))
    await node.hub.publish(TransactionDropped(transaction.hash, "replaced"))
    assert peer.results(hashes) == [hexed(transaction.hash), hexed(other.hash)]
    assert [entry["hash"] for entry in peer.results(whole)] == [hexed(transaction.hash), hexed(other.hash)]


@pytest.mark.asyncio
async def test_nothing_is_sent_before_the_subscriber_knows_its_id():
    node, peer = FakeNode(), Peer()
    own = await node.result("eth_subscribe", "newHeads", connection=peer)
    await publish_block(node)
    assert peer.messages == []
    node.hub.activate(own)
    await publish_block(node)
    assert len(peer.messages) == 1


@pytest.mark.asyncio
async def test_a_subscription_ends_by_its_own_connection_only():
    node, peer, other = FakeNode(), Peer(), Peer()
    own = await subscribe(node, peer, "newHeads")
    assert await node.result("eth_unsubscribe", own, connection=other) is False
    assert await node.result("eth_unsubscribe", own, connection=peer) is True
    assert await node.result("eth_unsubscribe", own, connection=peer) is False
    await publish_block(node)
    assert peer.messages == []


@pytest.mark.asyncio
async def test_a_closed_connection_is_forgotten_and_others_are_not():
    node, peer, other = FakeNode(), Peer(), Peer()
    for who in (peer, other):
        for kind in Kind:
            await subscribe(node, who, kind.value)
    node.hub.drop(peer)
    await publish_block(node)
    assert len(node.hub) == len(Kind)
    assert peer.messages == []
    assert len(other.messages) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (["newBlocks"], -32602, 'no "newBlocks" subscription in eth namespace'),
        ([1], -32602, 'no "1" subscription in eth namespace'),
        ([], -32602, "missing value for required argument 0"),
        (["logs", {"address": "0x1"}], -32602, "invalid argument 1: address.0"),
        (["newPendingTransactions", "yes"], -32602, "invalid argument 1: a boolean"),
    ],
)
async def test_a_wrong_subscription_is_refused(params, code, message):
    error = await FakeNode().error("eth_subscribe", *params, connection=Peer())
    assert error["code"] == code
    assert error["message"].startswith(message)


@pytest.mark.asyncio
async def test_subscribing_needs_a_connection():
    for method, params in (("eth_subscribe", ["newHeads"]), ("eth_unsubscribe", ["0x1"])):
        error = await FakeNode().error(method, *params)
        assert error["code"] == -32601
        assert error["message"].startswith("notifications not supported")


@pytest.mark.asyncio
async def test_subscriptions_of_a_connection_are_bounded():
    node, peer = FakeNode(limits=RpcLimits(subscriptions_per_connection_max=2)), Peer()
    for _ in range(2):
        await subscribe(node, peer, "newHeads")
    error = await node.error("eth_subscribe", "logs", connection=peer)
    assert (error["code"], "rpc.subscriptions_per_connection_max" in error["message"]) == (-32005, True)
    await subscribe(node, Peer(), "newHeads")
    node = FakeNode(limits=RpcLimits(subscriptions_max=1))
    await subscribe(node, Peer(), "newHeads")
    error = await node.error("eth_subscribe", "logs", connection=Peer())
    assert (error["code"], "rpc.subscriptions_max" in error["message"]) == (-32005, True)


@pytest.mark.asyncio
async def test_a_subscription_that_ends_while_a_block_is_published_gets_nothing_more():
    node, peer, other = FakeNode(), Peer(), Peer()
    await subscribe(node, peer, "logs")
    await subscribe(node, other, "logs", {"topics": [hexed(TOPIC)]})
    transaction = sign_transaction(0)
    many = outcome(transaction, logs=[log(TOPIC)] * 100)
    publishing = asyncio.ensure_future(publish_block(node, [transaction], [many]))
    await asyncio.sleep(0)
    node.hub.drop(other)
    await publishing
    assert (len(peer.messages), other.messages) == (100, [])


@pytest.mark.asyncio
async def test_who_reads_a_busy_blocks_logs_has_time_to():
    node, peer, most_at_once = FakeNode(), Peer(), 0
    await subscribe(node, peer, "logs")
    transaction = sign_transaction(0)
    many = outcome(transaction, logs=[log(TOPIC)] * 3_000)
    publishing = asyncio.ensure_future(publish_block(node, [transaction], [many]))
    read = 0
    while not publishing.done():
        await asyncio.sleep(0)
        most_at_once, read = max(most_at_once, len(peer.messages) - read), len(peer.messages)
    assert read == 3_000
    assert most_at_once <= 2 * 64


@pytest.mark.asyncio
async def test_equal_log_queries_are_rendered_once(monkeypatch):
    node, peers, rendered = FakeNode(), [Peer() for _ in range(3)], []
    render = Serializer.logs
    monkeypatch.setattr(Serializer, "logs", lambda *arguments: rendered.append(1) or render(*arguments))
    for peer in peers:
        await subscribe(node, peer, "logs", {"address": hexed(CONTRACT)})
    transaction = sign_transaction(0)
    await publish_block(node, [transaction], [outcome(transaction, logs=[log(TOPIC)])])
    assert [len(peer.messages) for peer in peers] == [1, 1, 1]
    assert len(rendered) == 1
