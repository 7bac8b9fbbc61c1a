"""Submitting and filling."""

import pytest

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import sign
from cybermiles.types import rlp
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction_codec import decode_transaction
from tests.fakes.rpc import CHAIN_ID, CONTRACT, KEY, OTHER, SENDER, FakeNode, hexed, sign_transaction

CALL = {"from": hexed(SENDER), "to": hexed(CONTRACT), "value": "0x1", "data": "0x0102"}


async def fill(node=None, **fields):
    return (await (node or FakeNode()).result("eth_fillTransaction", CALL | fields))["tx"]


@pytest.mark.asyncio
async def test_a_signed_transaction_reaches_the_pool():
    node = FakeNode()
    transaction = sign_transaction(3)
    assert await node.result("eth_sendRawTransaction", hexed(transaction.raw)) == hexed(transaction.hash)
    assert node.pool.pooled == {transaction.hash: transaction}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        ("0x", -32000, "typed transaction too short"),
        ("0x03c0", -32000, "transaction type not supported: 3"),
        ("0xc0", -32000, "rlp"),
        ("0x0", -32602, "invalid argument 0: hex string of odd length"),
        ("c0", -32602, "invalid argument 0: hex string without 0x prefix"),
        (None, -32602, "missing value for required argument 0"),
    ],
)
async def test_what_is_no_transaction_is_refused(raw, code, message):
    error = await FakeNode().error("eth_sendRawTransaction", raw)
    assert error["code"] == code
    assert message in error["message"]


@pytest.mark.asyncio
async def test_there_is_no_way_to_sign_with_the_servers_keys():
    for method in ("eth_sendTransaction", "eth_sign", "eth_signTransaction", "personal_unlockAccount"):
        assert (await FakeNode().error(method, CALL))["code"] == -32601


@pytest.mark.asyncio
async def test_everything_that_is_missing_is_filled():
    node = FakeNode()
    node.executor.gas = 60_000
    filled = await fill(node)
    assert filled == {
        "type": "0x2",
        "chainId": hex(CHAIN_ID),
        "nonce": "0x5",
        "gas": hex(60_000),
        "gasPrice": "0x0",
        "maxFeePerGas": "0x0",
        "maxPriorityFeePerGas": "0x0",
        "to": hexed(CONTRACT),
        "value": "0x1",
        "input": "0x0102",
        "accessList": [],
        "v": "0x0",
        "r": "0x0",
        "s": "0x0",
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(("gas", "price"), [(500_000, 0), (500_001, 2 * GWEI), (21_000, 0), (10_000_000, 2 * GWEI)])
async def test_the_advice_sees_the_gas_limit(gas, price):
    node = FakeNode()
    node.executor.gas = gas
    for filled in (await fill(node), await fill(node, gas=hex(gas))):
        assert (filled["maxFeePerGas"], filled["maxPriorityFeePerGas"]) == (hex(price), hex(price))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "kind", "cap", "tip"),
    [
        ({"gasPrice": "0x7"}, "0x0", None, None),
        ({"gasPrice": "0x7", "accessList": []}, "0x1", None, None),
        ({"type": "0x0"}, "0x0", None, None),
        ({"type": "0x1"}, "0x1", None, None),
        ({"maxFeePerGas": "0x9"}, "0x2", "0x9", "0x0"),
        ({"maxPriorityFeePerGas": "0x9"}, "0x2", "0x9", "0x9"),
        ({"maxFeePerGas": "0x9", "maxPriorityFeePerGas": "0x3"}, "0x2", "0x9", "0x3"),
        ({"maxFeePerGas": "0x9", "gas": "0x7a121"}, "0x2", "0x9", "0x9"),
        ({"maxPriorityFeePerGas": "0x9", "gas": "0x7a121"}, "0x2", hex(2 * GWEI), "0x9"),
        ({"accessList": []}, "0x2", "0x0", "0x0"),
    ],
)
async def test_given_fees_and_types_are_kept(fields, kind, cap, tip):
    filled = await fill(**fields)
    assert filled["type"] == kind
    assert (filled.get("maxFeePerGas"), filled.get("maxPriorityFeePerGas")) == (cap, tip)
    if "gasPrice" in fields:
        assert filled["gasPrice"] == "0x7"


@pytest.mark.asyncio
async def test_the_nonce_counts_pooled_transactions_and_a_given_one_is_kept():
    node = FakeNode()
    assert (await fill(node, nonce="0x63"))["nonce"] == "0x63"
    await node.result("eth_sendRawTransaction", hexed(sign_transaction(5).raw))
    assert (await fill(node))["nonce"] == "0x6"


@pytest.mark.asyncio
async def test_gas_that_is_given_is_not_estimated_nor_cut():
    node = FakeNode()
    assert (await fill(node, gas="0xffffffff"))["gas"] == "0xffffffff"
    assert node.executor.asked == []


@pytest.mark.asyncio
async def test_a_creation_needs_code():
    error = await FakeNode().error("eth_fillTransaction", {"from": hexed(SENDER)})
    assert error["message"] == "contract creation without any data provided"


@pytest.mark.asyncio
@pytest.mark.parametrize("fields", [{}, {"gasPrice": "0x7"}, {"type": "0x1"}])
async def test_the_raw_form_becomes_valid_once_it_is_signed(fields):
    answer = await FakeNode().result("eth_fillTransaction", CALL | fields)
    raw = bytes.fromhex(answer["raw"][2:])
    kind = int(answer["tx"]["type"], 16)
    items = rlp.decode(raw[1:] if kind else raw)
    assert items[-3:] == [b"", b"", b""]
    unsigned = items[:-3] if kind else [*items[:-3], rlp.int_to_bytes(CHAIN_ID), b"", b""]
    prefix = bytes([kind]) if kind else b""
    y_parity, r, s = sign(keccak256(prefix + rlp.encode(unsigned)), KEY)
    v = y_parity if kind else 35 + 2 * CHAIN_ID + y_parity
    signed = decode_transaction(prefix + rlp.encode([*items[:-3], *map(rlp.int_to_bytes, (v, r, s))]))
    assert signed.sender == SENDER
    assert (signed.nonce, signed.to, signed.data) == (5, CONTRACT, b"\1\2")
    assert signed.to != OTHER
