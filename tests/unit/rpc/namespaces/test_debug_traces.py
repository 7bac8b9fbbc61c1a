"""The debug namespace's traces over real blocks: what is asked for, where it is refused, and that it is bounded."""

from __future__ import annotations

import pickle

import pytest

from cybermiles.chain.predeploys import FEES, STAKING
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jsonrpc import RESPONSE_TOO_LARGE, SERVER_ERROR
from cybermiles.rpc.traces.jobs import StorageRange, TraceBlock, TraceCall, TraceTransaction
from cybermiles.rpc.traces.options import parse_trace_options
from cybermiles.state.trie import slot_key
from cybermiles.vm.backend import CallMessage
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.fees_contract import BUY, FAIL, SHOP, ShopChain, sponsored
from tests.fakes.rpc import FakeNode, hexed
from tests.fakes.sources import InlineExecutor, MemorySource

CALLS = {"tracer": "callTracer"}
DIFF = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}


def node_on(source, **limits):
    node = FakeNode(chain=source, limits=RpcLimits(**limits))
    node.executor.run = InlineExecutor(source).run
    return node


@pytest.fixture(scope="module")
def source():
    """A block with a transaction in each lane, the last one to a contract."""
    made = MemorySource(ShopChain().open())
    shop = sign(KEYS[3], 0, to=SHOP, data=BUY, gas=600_000, price=PAID)
    made.advance([sign(KEYS[2], 0, to=ADDRESSES[9], value=7), sponsored(KEYS[1]), shop, sponsored(KEYS[4], data=FAIL)])
    made.advance()
    return made


@pytest.fixture
def node(source):
    return node_on(source)


def transactions(source):
    return source.block(source.head_height() - 1).transactions


@pytest.mark.asyncio
async def test_a_transaction_is_traced_by_its_hash(node, source):
    for index, transaction in enumerate(transactions(source)):
        trace = await node.result("debug_traceTransaction", hexed(transaction.hash), CALLS)
        outcome = source.outcomes(source.head_height() - 1)[index]
        assert trace["gasUsed"] == hex(outcome.gas_used)
        assert trace.get("error") == outcome.failure
        steps = await node.result("debug_traceTransaction", hexed(transaction.hash))
        assert (steps["gas"], steps["failed"]) == (outcome.gas_used, outcome.failure is not None)


@pytest.mark.asyncio
async def test_a_block_is_traced_by_number_and_by_hash(node, source):
    height = source.head_height() - 1
    by_number = await node.result("debug_traceBlockByNumber", hex(height), CALLS)
    by_hash = await node.result("debug_traceBlockByHash", hexed(source.header(height).hash), CALLS)
    raw = await node.result("debug_getRawBlock", hex(height))
    assert by_number == by_hash == await node.result("debug_traceBlock", raw, CALLS)
    assert [entry["txHash"] for entry in by_number] == [hexed(t.hash) for t in transactions(source)]
    for entry in by_number:
        assert entry["result"] == await node.result("debug_traceTransaction", entry["txHash"], CALLS)
    assert await node.result("debug_traceBlockByNumber", "latest", CALLS) == []


@pytest.mark.asyncio
async def test_what_a_sponsor_and_the_fee_pot_pay_is_a_difference_of_state(node, source):
    sponsored_one, paid = transactions(source)[1], transactions(source)[2]
    by_sponsor = await node.result("debug_traceTransaction", hexed(sponsored_one.hash), DIFF)
    assert {hexed(FEES), hexed(STAKING), hexed(ADDRESSES[1])} <= set(by_sponsor["post"])
    assert by_sponsor["post"][hexed(FEES)]["storage"]
    assert by_sponsor["post"][hexed(ADDRESSES[1])] == {"nonce": 1}
    by_user = await node.result("debug_traceTransaction", hexed(paid.hash), DIFF)
    outcome = source.outcomes(source.head_height() - 1)[2]
    fee = outcome.gas_used * outcome.effective_gas_price
    moved = [
        int(by_user["post"][hexed(who)]["balance"], 16) - int(by_user["pre"][hexed(who)]["balance"], 16)
        for who in (ADDRESSES[3], STAKING)
    ]
    assert moved == [-fee, fee]


@pytest.mark.asyncio
async def test_differences_of_all_transactions_lead_to_the_state_after_them(source):
    """What each one says it leaves is what the next one finds, up to the stored state."""
    height = source.head_height() - 1
    known = {}
    for entry in await node_on(source).result("debug_traceBlockByNumber", hex(height), DIFF):
        for address, account in entry["result"]["pre"].items():
            assert {**account, **known.get(address, {})} == account
        for address, account in entry["result"]["post"].items():
            known.setdefault(address, {}).update({k: v for k, v in account.items() if k in ("balance", "nonce")})
    state = source.state(height)
    for address in (a for a in known if a not in (hexed(STAKING), hexed(FEES))):
        account = state.account(bytes.fromhex(address[2:]))
        assert int(known[address].get("balance", hex(account.balance)), 16) == account.balance
        assert known[address].get("nonce", account.nonce) == account.nonce


@pytest.mark.asyncio
async def test_a_call_is_traced_with_overrides_and_in_the_middle_of_a_block(node, source):
    height = hex(source.head_height() - 1)
    nonce_of_2 = {"from": hexed(ADDRESSES[2]), "to": hexed(SHOP), "data": hexed(BUY)}
    pre = [
        await node.result("debug_traceCall", nonce_of_2, height, {"tracer": "prestateTracer", "txIndex": index})
        for index in ("0x0", 1)
    ]
    assert [trace[hexed(ADDRESSES[2])].get("nonce", 0) for trace in pre] == [0, 1]
    number = {"to": hexed(ADDRESSES[8]), "data": "0x"}
    code = {hexed(ADDRESSES[8]): {"code": "0x435f5260205ff3"}}
    options = {**CALLS, "stateOverrides": code, "blockOverrides": {"number": "0x99"}}
    trace = await node.result("debug_traceCall", number, "latest", options)
    assert int(trace["output"], 16) == 0x99
    assert trace["gas"] == hex(RpcLimits().call_gas_max)


@pytest.mark.asyncio
async def test_storage_is_listed_in_the_middle_of_a_block_and_in_pages(node, source):
    height = source.head_height() - 1
    everything = await node.result("debug_storageRangeAt", hex(height), 4, hexed(FEES), "0x", 1000)
    assert everything["nextKey"] is None
    assert list(everything["storage"]) == sorted(everything["storage"])
    state = source.state(height)
    named = {entry["key"]: entry["value"] for entry in everything["storage"].values() if entry["key"] is not None}
    assert named
    assert int(named.pop(hexed(bytes(32))), 16) != state.storage(FEES, 0), (
        "the end of the block notes the free lane there"
    )
    for slot, value in named.items():
        assert state.storage(FEES, int(slot, 16)) == int(value, 16)
        assert hexed(slot_key(int(slot, 16))) in everything["storage"]
    paged, start = {}, "0x"
    while start is not None:
        page = await node.result("debug_storageRangeAt", hex(height), 4, hexed(FEES), start, 3)
        assert len(page["storage"]) <= 3
        paged |= page["storage"]
        start = page["nextKey"]
    assert {key: entry["value"] for key, entry in paged.items()} == {
        key: entry["value"] for key, entry in everything["storage"].items()
    }
    before = await node.result("debug_storageRangeAt", hex(height), 0, hexed(FEES), "0x", 1000)
    assert before["storage"] != everything["storage"]
    assert await node.result("debug_storageRangeAt", hex(height), 0, hexed(ADDRESSES[77]), "0x", 5) == {
        "storage": {},
        "nextKey": None,
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("debug_traceTransaction", ["0x" + "11" * 32], "transaction not found"),
        ("debug_traceBlockByNumber", ["0x0"], "genesis is not traceable"),
        ("debug_traceBlockByNumber", ["0x999"], "block #2457 not found"),
        ("debug_traceBlockByHash", ["0x" + "11" * 32], "block 0x1111"),
        ("debug_traceBlock", ["0xc1c0"], "not found"),
        ("debug_traceCall", [{}, "pending"], "tracing on top of pending is not supported"),
        ("debug_traceCall", [{}, "latest", {"txIndex": "0x1"}], "transaction index 1 out of range"),
        ("debug_storageRangeAt", ["0x1", 5, "0x" + "00" * 20, "0x", 1], "transaction index 5 out of range"),
        ("debug_traceCall", [{"gas": "0x1"}, "latest"], "tracing failed: intrinsic gas too low"),
        ("debug_traceBlockByNumber", ["pending"], "tracing the pending block is not supported"),
        ("debug_storageRangeAt", ["0x999", 0, "0x" + "00" * 20, "0x", 1], "header not found"),
    ],
)
async def test_what_is_not_there_is_refused_as_geth_refuses_it(node, method, params, message):
    error = await node.error(method, *params)
    assert error["code"] == SERVER_ERROR
    assert message in error["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("debug_traceTransaction", ["0x" + "11" * 32, {"tracer": "{}"}]),
        ("debug_traceCall", [{}, "latest", {"stateOverrides": 5}]),
        *[("debug_traceBlock", [raw]) for raw in ("0x", "0xc0ff", "0x80", "0xc180", "0x" + "c0" * 40)],
        ("debug_storageRangeAt", ["0x1", 0, "0x" + "00" * 20, "0x" + "00" * 33, 1]),
        ("debug_storageRangeAt", ["0x1", 0, "0x" + "00" * 20, "0x", 100_000]),
    ],
)
async def test_wrong_arguments_are_named(node, method, params):
    assert (await node.error(method, *params))["code"] == -32602


@pytest.mark.asyncio
async def test_a_pruned_state_is_said_to_be_pruned(source):
    source.pruned_below = source.head_height()
    try:
        error = await node_on(source).error("debug_traceBlockByNumber", hex(source.head_height() - 1))
    finally:
        source.pruned_below = 0
    assert "missing trie node" in error["message"]


@pytest.mark.asyncio
async def test_a_trace_over_the_limit_names_the_limits_key(source):
    node = node_on(source, response_max_bytes=3_000)
    height = hex(source.head_height() - 1)
    for method, params in (
        ("debug_traceBlockByNumber", [height]),
        ("debug_traceTransaction", [hexed(transactions(source)[2].hash)]),
        ("debug_traceCall", [{"to": hexed(SHOP), "data": hexed(BUY)}, height]),
    ):
        error = await node.error(method, *params)
        assert error["code"] == RESPONSE_TOO_LARGE
        assert "rpc.response_max_bytes" in error["message"]
    assert (await node.result("debug_traceTransaction", hexed(transactions(source)[2].hash), CALLS))["to"] == hexed(
        SHOP
    )


@pytest.mark.asyncio
async def test_what_a_block_of_nothing_takes_is_counted_too(source):
    """Where the tracer says nothing, the hashes alone are over the limit."""
    node = node_on(source, response_max_bytes=300)
    height = hex(source.head_height() - 1)
    assert (await node.error("debug_traceBlockByNumber", height, {"tracer": "noopTracer"}))[
        "code"
    ] == RESPONSE_TOO_LARGE
    assert await node.result("debug_traceBlockByNumber", "latest", {"tracer": "noopTracer"}) == []


@pytest.mark.asyncio
async def test_there_are_no_bad_blocks(node):
    assert await node.result("debug_getBadBlocks") == []


def test_jobs_and_their_results_cross_processes(source):
    options = parse_trace_options({"tracer": "muxTracer", "tracerConfig": {"callTracer": {}, "prestateTracer": {}}})
    height = source.head_height() - 1
    for job in (
        TraceTransaction(height=height, index=1, options=options, max_bytes=10**6),
        TraceBlock(height=height, options=options, max_bytes=10**6),
        TraceCall(
            message=CallMessage(sender=ADDRESSES[0], to=SHOP, gas=10**6),
            height=height,
            options=options,
            max_bytes=10**6,
        ),
        StorageRange(height=height, transactions=1, address=FEES, start=b"", count=5),
    ):
        again = pickle.loads(pickle.dumps(job))
        assert again == job
        result = pickle.loads(pickle.dumps(again.run(source)))
        assert getattr(result, "data", result) == getattr(job.run(source), "data", job.run(source))
