"""`eth_simulateV1` on a real state: what calls do to one another, what refuses them, how blocks are linked."""

from __future__ import annotations

import json
import lzma
import pickle

import pytest

from cybermiles.chain.predeploys import FEES, STAKING
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.rpc.config import RpcLimits
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.rpc import OTHER_KEY, FakeNode, authorization, hexed
from tests.fakes.sources import InlineExecutor, MemorySource

A, B, C = (hexed(address) for address in ADDRESSES[:3])
POOR = "0x" + "77" * 20
CODE = "0x" + "66" * 20
TRANSFERS = "0x" + "ee" * 20
NUMBER = "0x4360005260206000f3"
"""Returns block.number."""
HASH_OF_PARENT = "0x6001430340" + "60005260206000f3"
COUNTER = "0x600054600101" + "8060005560005260206000f3"
"""Adds one to slot 0 and returns it."""
EMITS = "0x60006000a0" + "00"
REVERTS = "0x60016000526020600060006000fd"
LOOPS = "0x5b600056"
SENDS_ON = "0x" + "60006000600060006001" + "73" + B[2:] + "61ffff" + "f1" + "00"
"""Sends one wei to B."""
WORD = "0x{:064x}".format


@pytest.fixture(scope="module")
def source():
    made = MemorySource()
    made.advance([sign(KEYS[5], 0, to=ADDRESSES[9], value=7)])
    made.advance()
    return made


def node_on(source, **limits):
    node = FakeNode(chain=source, limits=RpcLimits(**limits))
    node.executor.run = InlineExecutor(source).run
    return node


@pytest.fixture
def node(source):
    return node_on(source)


def with_code(code, *calls, **more):
    entry = {"stateOverrides": {CODE: {"code": code}}, "calls": [{"from": A, "to": CODE, **call} for call in calls]}
    return {"blockStateCalls": [entry], **more}


def words(blocks):
    return [[call["returnData"] for call in block["calls"]] for block in blocks]


@pytest.mark.asyncio
async def test_what_one_call_changes_the_next_one_sees_within_and_across_blocks(node, source):
    first = with_code(COUNTER, {}, {})["blockStateCalls"][0]
    second = {"calls": [{"to": CODE}]}
    blocks = await node.result("eth_simulateV1", {"blockStateCalls": [first, second, second]})
    assert words(blocks) == [[WORD(1), WORD(2)], [WORD(3)], [WORD(4)]]
    assert await node.result("eth_getCode", CODE, "latest") == "0x"
    heads = [source.header(source.head_height()).hash.hex(), *(block["hash"][2:] for block in blocks)]
    assert [block["parentHash"][2:] for block in blocks] == heads[:-1]
    assert len({block["stateRoot"] for block in blocks}) == 3
    assert [int(block["gasUsed"], 16) for block in blocks] == [
        sum(int(call["gasUsed"], 16) for call in block["calls"]) for block in blocks
    ]


@pytest.mark.asyncio
async def test_blocks_have_numbers_times_and_hashes_and_gaps_are_filled(node, source):
    head = source.header(source.head_height())
    later = head.height + 4
    entry = with_code(NUMBER, {})["blockStateCalls"][0]
    jump = {
        "blockOverrides": {"number": hex(later), "time": hex(head.timestamp + 99), "feeRecipient": B},
        "calls": [{"to": CODE}],
    }
    parent = {"stateOverrides": {CODE: {"code": HASH_OF_PARENT}}, "calls": [{"to": CODE}]}
    blocks = await node.result("eth_simulateV1", {"blockStateCalls": [entry, jump, parent]})
    assert [int(block["number"], 16) for block in blocks] == list(range(head.height + 1, head.height + 6))
    assert [len(block["calls"]) for block in blocks] == [1, 0, 0, 1, 1]
    assert blocks[0]["calls"][0]["returnData"] == WORD(head.height + 1)
    assert blocks[3]["calls"][0]["returnData"] == WORD(later)
    assert (blocks[3]["timestamp"], blocks[3]["miner"]) == (hex(head.timestamp + 99), B)
    assert blocks[4]["calls"][0]["returnData"] == blocks[3]["hash"] == blocks[4]["parentHash"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "gas", "expected"),
    [
        (REVERTS, "0x186a0", {"code": 3, "message": "execution reverted", "data": "0x"}),
        (LOOPS, "0x186a0", {"code": -32015, "message": "out of gas"}),
        ("0xfe", "0x186a0", {"code": -32015, "message": "invalid opcode"}),
    ],
)
async def test_a_failing_call_is_an_answer_and_leaves_nothing_but_its_gas(node, code, gas, expected):
    ask = with_code(code, {"gas": gas}, {"to": B, "value": "0x1"})
    (block,) = await node.result("eth_simulateV1", ask)
    failed, fine = block["calls"]
    assert (failed["status"], failed["error"], failed["logs"]) == ("0x0", expected, [])
    assert (fine["status"], "error" in fine) == ("0x1", False)


@pytest.mark.asyncio
async def test_movements_of_coins_are_logs_where_they_are_asked_for(node):
    plain = await node.result("eth_simulateV1", with_code(SENDS_ON, {"value": "0x5"}))
    assert plain[0]["calls"][0]["logs"] == []
    ask = with_code(SENDS_ON, {"value": "0x5"}, {"value": "0x2"}, traceTransfers=True)
    (block,) = await node.result("eth_simulateV1", ask)
    logs = [log for call in block["calls"] for log in call["logs"]]
    assert [(log["address"], int(log["data"], 16), int(log["logIndex"], 16)) for log in logs] == [
        (TRANSFERS, 5, 0),
        (TRANSFERS, 1, 1),
        (TRANSFERS, 2, 2),
        (TRANSFERS, 1, 3),
    ]
    assert logs[1]["topics"][1:] == ["0x" + party[2:].rjust(64, "0") for party in (CODE, B)]
    assert {log["blockHash"] for log in logs} == {block["hash"]}
    assert [log["transactionHash"] for log in logs[::2]] == block["transactions"]


@pytest.mark.asyncio
async def test_movements_that_a_failure_undid_are_no_logs(node):
    reverting = "0x" + "55" * 20
    code = "0x" + "60006000600060006003" + "73" + reverting[2:] + "61ffff" + "f1" + SENDS_ON[2:]
    ask = with_code(code, {"value": "0x5"}, {"to": reverting, "value": "0x5"}, traceTransfers=True)
    ask["blockStateCalls"][0]["stateOverrides"][reverting] = {"code": REVERTS}
    (block,) = await node.result("eth_simulateV1", ask)
    caught, failed = block["calls"]
    assert [(int(log["data"], 16), log["topics"][2][-40:]) for log in caught["logs"]] == [(5, CODE[2:]), (1, B[2:])]
    assert (failed["status"], failed["logs"]) == ("0x0", [])


@pytest.mark.asyncio
async def test_transactions_are_shown_in_full_where_they_are_asked_for(node):
    ask = with_code(EMITS, {"nonce": "0x0", "gas": "0xc350"}, returnFullTransactions=True)
    (block,) = await node.result("eth_simulateV1", ask)
    (shown,) = block["transactions"]
    assert (shown["from"], shown["to"], shown["gas"], shown["nonce"], shown["type"]) == (
        A,
        CODE,
        "0xc350",
        "0x0",
        "0x2",
    )
    assert (shown["r"], shown["s"], shown["blockHash"]) == ("0x0", "0x0", block["hash"])
    assert len(block["calls"][0]["logs"]) == 1


@pytest.mark.asyncio
async def test_without_validation_nobody_pays_for_gas_and_no_nonce_counts(node):
    call = {"from": POOR, "to": CODE, "nonce": "0x63", "maxFeePerGas": hex(10**12)}
    (block,) = await node.result("eth_simulateV1", with_code(COUNTER, call, call))
    assert words([block]) == [[WORD(1), WORD(2)]]


PAYING = {"maxFeePerGas": hex(PAID), "maxPriorityFeePerGas": hex(PAID), "gas": "0x186a0"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ({"nonce": "0x5", **PAYING}, -38011, "nonce too high"),
        ({"from": hexed(ADDRESSES[5]), "nonce": "0x0", **PAYING}, -38010, "nonce too low"),
        ({"gas": "0x1000"}, -38013, "intrinsic gas too low"),
        ({"from": POOR, **PAYING, "value": "0x1"}, -38014, "insufficient funds for gas * price + value"),
        ({"gas": "0xbebc201"}, -38015, "block gas limit reached"),
        ({"from": CODE, **PAYING}, -38024, "sender not an eoa"),
        ({"to": None, "data": "0x" + "00" * 49_153, **PAYING, "gas": "0xf42400"}, -38025, "max initcode size exceeded"),
        ({"gas": "0xf4240"}, -38012, "2 gwei"),
    ],
)
async def test_with_validation_a_call_that_no_block_may_hold_refuses_the_whole_request(node, call, code, words):
    error = await node.error("eth_simulateV1", with_code(COUNTER, call, validation=True))
    assert error["code"] == code
    assert words in error["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize("validate", [False, True])
async def test_authorizations_are_applied(node, source, validate):
    signed = authorization(source.memory.nonce(address_of(OTHER_KEY)), address=bytes.fromhex(CODE[2:]))
    entry = {
        "chainId": hex(signed.chain_id),
        "address": hexed(signed.address),
        "nonce": hex(signed.nonce),
        "yParity": hex(signed.y_parity),
        "r": hex(signed.r),
        "s": hex(signed.s),
    }
    account = hexed(address_of(OTHER_KEY))
    call = {"to": account, "authorizationList": [entry], "gas": "0x30d40"}
    (block,) = await node.result("eth_simulateV1", with_code(COUNTER, call, validation=validate))
    assert words([block]) == [[WORD(1)]]


@pytest.mark.asyncio
async def test_with_validation_lanes_are_taken_and_fees_are_paid(node):
    free, paid = {"from": A, "to": CODE, "gas": "0x186a0"}, {"from": B, "to": CODE, **PAYING, "gas": "0xf4240"}
    balance = "0x73" + B[2:] + "3160005260206000f3"
    ask = with_code(COUNTER, free, paid, validation=True)
    ask["blockStateCalls"].append(
        {"stateOverrides": {CODE: {"code": balance}}, "calls": [{"from": C, "to": CODE, "gas": "0x186a0"}]}
    )
    first, second = await node.result("eth_simulateV1", ask)
    spent = int(await node.result("eth_getBalance", B, "latest"), 16) - int(second["calls"][0]["returnData"], 16)
    assert spent == int(first["calls"][1]["gasUsed"], 16) * PAID
    error = await node.error("eth_simulateV1", with_code(COUNTER, free, free, validation=True))
    assert (error["code"], error["message"]) == (-38015, "no free slot in this block")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("blocks", "code", "words"),
    [
        ([{"blockOverrides": {"number": "0x2"}}], -38020, "block numbers must be in order: 2 <= 2"),
        ([{"blockOverrides": {"time": "0x1"}}], -38021, "block timestamps must be in order: 1 <= "),
        ([{"blockOverrides": {"number": "0x1000"}}], -38026, "rpc.simulate_max_blocks"),
        ([{}] * 257, -38026, "rpc.simulate_max_blocks"),
        ([{"calls": [{}] * 1_001}], -38026, "rpc.simulate_max_calls"),
        ([], -32602, "empty input"),
        ([{"blockOverrides": {"withdrawals": [{}]}}], -32602, "no withdrawals"),
        ([{"blockOverrides": {"gasLimit": "0x0"}}], -32602, "gasLimit: block_gas_limit is 0, but must be between"),
        ([{"blockOverrides": {"gasLimit": hex(2**64 - 1)}}], -32602, "gasLimit: block_gas_limit is"),
        ([{"stateOverrides": {hexed(STAKING): {"balance": "0x0"}}}], -32602, "system contracts cannot be replaced"),
        ([{"calls": [{"from": hexed(STAKING), "to": A, "value": "0x1"}]}], -32602, "send no transactions"),
        ([{"stateOverrides": {hexed(FEES): {"stateDiff": {}}}}], -32602, "system contracts cannot be replaced"),
        ([{"calls": [{"gas": "1"}]}], -32602, "blockStateCalls.0.calls.0: gas: hex string without 0x prefix"),
        ([{"calls": [{"chainId": "0x1"}]}], -32602, "chainId does not match"),
        ([{"calls": {}}], -32602, "an array is expected"),
    ],
)
async def test_a_request_out_of_bounds_or_order_is_refused_in_words(node, blocks, code, words):
    error = await node.error("eth_simulateV1", {"blockStateCalls": blocks})
    assert (error["code"], words in error["message"]) == (code, True), error


@pytest.mark.asyncio
async def test_all_calls_together_are_bounded(source):
    loop = {"gas": "0xf42400"}
    error = await node_on(source, simulate_gas_max=10**12).error("eth_simulateV1", with_code(LOOPS, *[loop] * 60))
    assert (error["code"], "used up the compute units" in error["message"]) == (-38026, True)
    error = await node_on(source, simulate_gas_max=50_000).error("eth_simulateV1", with_code(COUNTER, {}, {}, {}))
    assert (error["code"], "used up the gas" in error["message"]) == (-38026, True)
    error = await node_on(source, response_max_bytes=2_000).error("eth_simulateV1", {"blockStateCalls": [{}] * 3})
    assert (error["code"], "rpc.response_max_bytes" in error["message"]) == (-32003, True)


@pytest.mark.asyncio
async def test_the_job_and_its_answer_can_be_pickled(node):
    jobs = []
    run = node.executor.run
    node.executor.run = lambda job: (jobs.append(job), run(job))[1]
    expected = await node.result("eth_simulateV1", with_code(COUNTER, {}))
    assert json.loads((await run(pickle.loads(pickle.dumps(jobs[0])))).data) == expected


@pytest.mark.asyncio
async def test_the_answer_has_the_specified_shape(node, vectors):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks answers against the specification")
    document = json.loads(lzma.open(vectors / "rpc" / "openrpc.json.xz").read())
    schema = next(method["result"]["schema"] for method in document["methods"] if method["name"] == "eth_simulateV1")
    for full in (False, True):
        ask = with_code(COUNTER, {}, {"to": None, "data": "0x00"}, traceTransfers=True, returnFullTransactions=full)
        jsonschema.Draft202012Validator(schema).validate(await node.result("eth_simulateV1", ask))
