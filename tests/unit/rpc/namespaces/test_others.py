"""web3, net, txpool, cmt, debug, and which namespaces are served."""

import pytest
import rlp

from cybermiles.chain.params import ChainParams
from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.config import RpcConfig
from cybermiles.rpc.methods import Method
from cybermiles.rpc.ports import TransactionState, TransactionStatus
from cybermiles.rpc.quantities import encode_checksummed
from cybermiles.state.trie import ordered_root
from cybermiles.types.primitives import GWEI
from tests.fakes.rpc import CONTRACT, OTHER, OTHER_KEY, SENDER, FakeNode, hexed, sign_transaction


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("web3_clientVersion", [], "cybermiles/v0/test/python3"),
        ("web3_sha3", ["0x68656c6c6f"], "0x1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8"),
        ("net_version", [], "181818"),
        ("net_listening", [], True),
        ("net_peerCount", [], "0x3"),
    ],
)
async def test_the_node_introduces_itself(method, params, result):
    assert await FakeNode().result(method, *params) == result


@pytest.mark.asyncio
async def test_the_pool_is_shown_by_sender_and_nonce():
    node = FakeNode()
    first, second = sign_transaction(6), sign_transaction(5, max_fee_per_gas=3 * GWEI)
    creation = sign_transaction(0, key=OTHER_KEY, to=None, data=b"\1", value=0)
    for transaction in (first, second, creation):
        await node.result("eth_sendRawTransaction", hexed(transaction.raw))
    waiting = sign_transaction(50)
    node.pool.waiting[waiting.hash] = waiting
    own, other = encode_checksummed(SENDER), encode_checksummed(OTHER)
    assert await node.result("txpool_status") == {"pending": "0x3", "queued": "0x1"}
    content = await node.result("txpool_content")
    assert list(content["pending"][own]) == ["5", "6"]
    assert content["pending"][own]["6"]["hash"] == hexed(first.hash)
    assert list(content["queued"][own]) == ["50"]
    inspect = await node.result("txpool_inspect")
    assert inspect["pending"][own]["5"] == f"{encode_checksummed(OTHER)}: 1 wei + 21000 gas x 3000000000 wei"
    assert inspect["pending"][other]["0"] == "contract creation: 0 wei + 21000 gas x 0 wei"
    assert await node.result("txpool_contentFrom", hexed(SENDER)) == {
        "pending": content["pending"][own],
        "queued": content["queued"][own],
    }
    assert await node.result("txpool_contentFrom", hexed(CONTRACT)) == {"pending": {}, "queued": {}}


@pytest.mark.asyncio
async def test_the_status_of_a_transaction_says_where_it_is():
    node = FakeNode()
    transaction, dropped = sign_transaction(9), sign_transaction(10)
    status = "cmt_transactionStatus"
    assert await node.result(status, hexed(transaction.hash)) == {"status": "unknown"}
    await node.result("eth_sendRawTransaction", hexed(transaction.raw))
    assert await node.result(status, hexed(transaction.hash)) == {"status": "pending"}
    node.pool.statuses[dropped.hash] = TransactionStatus(TransactionState.DROPPED, "replaced")
    assert await node.result(status, hexed(dropped.hash)) == {"status": "dropped", "reason": "replaced"}
    block = node.chain.blocks[4]
    assert await node.result(status, hexed(block.transactions[1].hash)) == {
        "status": "included",
        "blockNumber": "0x4",
        "blockHash": hexed(block.hash),
        "transactionIndex": "0x1",
        "succeeded": False,
        "failure": "execution reverted",
        "output": "0x08c3",
        "lane": "free",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x0",
        "computeUnits": "0x1e",
    }


@pytest.mark.asyncio
async def test_parameters_and_supply_are_exact():
    node = FakeNode()
    params = await node.result("cmt_params")
    assert params == ChainParams().to_strings()
    assert (params["free_gas_limit"], params["inflation_rate"]) == ("500000", "2/25")
    assert await node.result("cmt_supply") == {
        "blockNumber": "0x5",
        "genesis": hex(10**27),
        "minted": hex(5000),
        "burnt": "0x5",
        "total": hex(10**27 + 4995),
    }
    assert (await node.result("cmt_supply", "0x2"))["blockNumber"] == "0x2"


@pytest.mark.asyncio
async def test_raw_encodings_hash_to_what_they_should():
    node = FakeNode()
    block = node.chain.blocks[2]
    header = await node.result("debug_getRawHeader", "0x2")
    assert keccak256(bytes.fromhex(header[2:])) == block.hash
    receipts = await node.result("debug_getRawReceipts", hexed(block.hash))
    assert ordered_root([bytes.fromhex(entry[2:]) for entry in receipts]) == block.header.receipts_root
    transaction = block.transactions[0]
    assert await node.result("debug_getRawTransaction", hexed(transaction.hash)) == hexed(transaction.raw)
    assert await node.result("debug_getRawTransaction", "0x" + "00" * 32) == "0x"
    pooled = sign_transaction(9)
    await node.result("eth_sendRawTransaction", hexed(pooled.raw))
    assert await node.result("debug_getRawTransaction", hexed(pooled.hash)) == hexed(pooled.raw)


@pytest.mark.asyncio
async def test_a_raw_block_is_ethereums_encoding():
    node = FakeNode()
    for number, count in (("0x0", 0), ("0x1", 2), ("0x2", 2)):
        raw = await node.result("debug_getRawBlock", number)
        header, transactions, ommers, withdrawals = rlp.decode(bytes.fromhex(raw[2:]))
        assert (len(header), len(transactions), ommers, withdrawals) == (21, count, [], [])
        assert all(isinstance(tx, list if number == "0x1" else bytes) for tx in transactions)


@pytest.mark.asyncio
async def test_only_configured_namespaces_are_served():
    node = FakeNode(RpcConfig(namespaces=("eth", "web3")))
    assert (await node.error("net_version"))["code"] == -32601
    assert (await node.error("debug_getRawHeader", "0x0"))["code"] == -32601
    assert await node.result("rpc_modules") == {"eth": "1.0", "web3": "1.0"}


@pytest.mark.asyncio
async def test_debug_is_off_by_default():
    assert not any(name.startswith("debug_") for name in FakeNode(RpcConfig()).dispatcher.method_names)


@pytest.mark.asyncio
async def test_other_packages_add_methods_and_replace_ours():
    extra = (
        Method(name="cmt_more", handler=lambda: "more"),
        Method(name="eth_gasPrice", handler=lambda: "0x9"),
        Method(name="other_name", handler=lambda: None),
    )
    node = FakeNode(extra_methods=extra)
    assert await node.result("cmt_more") == "more"
    assert await node.result("eth_gasPrice") == "0x9"
    assert (await node.error("other_name"))["code"] == -32601
