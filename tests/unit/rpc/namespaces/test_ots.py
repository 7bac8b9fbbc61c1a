"""What Otterscan asks for, on real blocks: calls inside, pages, searches within their bound, creators."""

from __future__ import annotations

import pickle

import pytest

from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.jsonrpc import METHOD_NOT_FOUND
from tests.factories import ADDRESSES, KEYS, PAID, sign
from tests.fakes.rpc import FakeNode, hexed
from tests.fakes.sources import InlineExecutor, MemorySource

A, B, C = (hexed(address) for address in ADDRESSES[:3])
SENDS_ON = "6000600060006000" + "6001" + "73" + B[2:] + "61ffff" + "f1"
"""Sends one wei to B."""
MAKES = "600060006000f0"
"""Creates an empty contract."""
MAKES_CODE = "7f" + "60016000f3".ljust(64, "0") + "60005260056000" + "6000f0"
"""Creates a contract whose code is one zero byte."""
HASHES = "600060006000600060025afa"
"""Calls the SHA-256 precompile."""
ENDS = "73" + C[2:] + "ff"
"""Destroys itself in favour of C."""
FAILS = "60016000526020" + "6000fd"


def initcode(runtime):
    code = bytes.fromhex(runtime)
    return bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code


class Source(MemorySource):
    """With what blocks are shown by."""

    def __init__(self):
        super().__init__()
        self.system, self.minted, self.base = {}, {}, 0

    def block_size(self, height):
        return 1_000 + height

    def advance(self, *arguments, **more):
        block, outcome = super().advance(*arguments, **more)
        self.system[block.height] = outcome.system_logs
        self.minted[block.height] = outcome.minted
        return block, outcome

    def system_logs(self, height):
        return self.system.get(height, ())

    def header(self, height):
        return None if 0 < height < self.base else super().header(height)


def node_on(source, **limits):
    node = FakeNode(chain=source, limits=RpcLimits(**limits))
    node.executor.run = InlineExecutor(source).run
    return node


def deploy(source, number, runtime):
    transaction = sign(
        KEYS[number], source.memory.nonce(ADDRESSES[number]), to=None, data=initcode(runtime), gas=400_000
    )
    _, outcome = source.advance([transaction])
    return outcome.transactions[0].contract_address, transaction


@pytest.fixture(scope="module")
def source():
    """Contracts in blocks 1 to 3, calls of them in block 4, transfers in 5 and 8, empty blocks between."""
    made = Source()
    made.moves, made.creation = deploy(made, 3, HASHES + SENDS_ON + MAKES + ENDS)
    made.maker, _ = deploy(made, 3, MAKES_CODE + "00")
    made.failing, _ = deploy(made, 3, SENDS_ON + FAILS)
    made.advance(
        [
            sign(KEYS[4], 0, to=made.moves, value=5, gas=300_000),
            sign(KEYS[5], 0, to=made.failing, value=5, gas=300_000),
            sign(KEYS[6], 0, to=made.maker, gas=300_000),
        ]
    )
    made.advance([sign(KEYS[0], 0, to=ADDRESSES[1]), sign(KEYS[1], 0, to=ADDRESSES[0], price=PAID)])
    made.advance()
    made.advance()
    made.advance([sign(KEYS[2], 0, to=ADDRESSES[0])])
    made.advance()
    return made


@pytest.fixture
def node(source):
    return node_on(source)


def tx(source, height, index=0):
    return hexed(source.block(height).transactions[index].hash)


@pytest.mark.asyncio
async def test_operations_are_coins_and_contracts_inside_of_a_transaction_that_stayed(node, source):
    moves = hexed(source.moves)
    operations = await node.result("ots_getInternalOperations", tx(source, 4))
    assert [(entry["type"], entry["from"], entry["value"]) for entry in operations] == [
        (0, moves, "0x1"),
        (2, moves, "0x0"),
        (1, moves, "0x4"),
    ]
    assert (operations[0]["to"], operations[2]["to"]) == (B, C)
    assert await node.result("ots_getInternalOperations", tx(source, 4, 1)) == []
    assert await node.result("ots_getInternalOperations", tx(source, 5)) == []


@pytest.mark.asyncio
async def test_a_trace_is_the_calls_in_order_with_depths_and_no_precompiles(node, source):
    entries = await node.result("ots_traceTransaction", tx(source, 4))
    assert [(entry["type"], entry["depth"]) for entry in entries] == [
        ("CALL", 0),
        ("CALL", 1),
        ("CREATE", 1),
        ("SELFDESTRUCT", 1),
    ]
    assert entries[0] == {
        "type": "CALL",
        "depth": 0,
        "from": hexed(ADDRESSES[4]),
        "to": hexed(source.moves),
        "value": "0x5",
        "input": "0x",
        "output": "0x",
    }


@pytest.mark.asyncio
async def test_an_error_is_the_revert_data(node, source):
    assert await node.result("ots_getTransactionError", tx(source, 4, 1)) == "0x" + "1".rjust(64, "0")
    assert await node.result("ots_getTransactionError", tx(source, 5)) == "0x"
    for method in ("ots_getTransactionError", "ots_traceTransaction", "ots_getInternalOperations"):
        assert (await node.error(method, "0x" + "11" * 32))["message"] == "transaction not found"


@pytest.mark.asyncio
async def test_a_header_tells_otterscan_that_it_may_ask(node, source):
    assert (await node.result("erigon_getHeaderByNumber", 4))["hash"] == hexed(source.header(4).hash)
    assert await node.result("erigon_getHeaderByNumber", 99) is None
    without = FakeNode(RpcConfig(port=0))
    assert (await without.error("erigon_getHeaderByNumber", 4))["code"] == METHOD_NOT_FOUND


@pytest.mark.asyncio
async def test_code_is_seen_at_a_block(node, source):
    moves = hexed(source.moves)
    assert [await node.result("ots_hasCode", moves, hex(height)) for height in (0, 1)] == [False, True]
    assert not await node.result("ots_hasCode", A)


@pytest.mark.asyncio
async def test_details_are_of_the_block_its_fees_and_its_mint(node, source):
    details = await node.result("ots_getBlockDetails", 5)
    header = source.header(5)
    assert details == await node.result("ots_getBlockDetailsByHash", hexed(header.hash))
    minted = hex(source.minted[5])
    assert source.minted[5] > 0
    assert details["issuance"] == {"blockReward": minted, "uncleReward": "0x0", "issuance": minted}
    assert details["totalFees"] == "0x0"
    block = details["block"]
    assert (block["number"], block["hash"], block["transactionCount"]) == ("0x5", hexed(header.hash), 2)
    assert (block["logsBloom"], "transactions" in block) == (None, False)
    assert (await node.error("ots_getBlockDetails", 99))["message"] == "header not found"
    assert (await node.result("ots_getBlockDetails", 0))["issuance"]["issuance"] == "0x0"


@pytest.mark.asyncio
@pytest.mark.parametrize(("page", "indices"), [(0, [1, 2]), (1, [0]), (2, [])])
async def test_pages_of_a_block_go_from_its_end_to_its_begin(node, source, page, indices):
    answer = await node.result("ots_getBlockTransactions", 4, page, 2)
    hashes = [tx(source, 4, index) for index in indices]
    shown = answer["fullblock"]
    assert (shown["transactionCount"], [entry["hash"] for entry in shown["transactions"]]) == (3, hashes)
    assert [receipt["transactionHash"] for receipt in answer["receipts"]] == hashes
    assert all(receipt["logs"] is receipt["logsBloom"] is None for receipt in answer["receipts"])
    assert all(len(entry["input"]) <= 10 for entry in shown["transactions"])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("search", "found", "first", "last"),
    [
        (("Before", 0, 10), [(8, 0), (5, 1), (5, 0)], True, True),
        (("Before", 0, 1), [(8, 0)], True, False),
        (("Before", 8, 1), [(5, 1), (5, 0)], False, False),
        (("Before", 5, 1), [], False, True),
        (("Before", 99, 1), [(8, 0)], False, False),
        (("After", 0, 1), [(5, 1), (5, 0)], False, True),
        (("After", 5, 10), [(8, 0)], True, False),
        (("After", 8, 10), [], True, False),
    ],
)
async def test_an_address_is_searched_in_pages_newest_first(node, source, search, found, first, last):
    method, start, size = search
    answer = await node.result(f"ots_searchTransactions{method}", A, start, size)
    hashes = [tx(source, height, index) for height, index in found]
    assert [entry["hash"] for entry in answer["txs"]] == hashes
    assert [receipt["transactionHash"] for receipt in answer["receipts"]] == hashes
    assert [receipt["timestamp"] for receipt in answer["receipts"]] == [
        hex(source.header(height).timestamp) for height, _ in found
    ]
    assert (answer["firstPage"], answer["lastPage"]) == (first, last)


@pytest.mark.asyncio
async def test_a_contract_is_found_by_its_creation(node, source):
    answer = await node.result("ots_searchTransactionsAfter", hexed(source.moves), 0, 1)
    assert [entry["hash"] for entry in answer["txs"]] == [hexed(source.creation.hash)]


@pytest.mark.asyncio
async def test_a_search_is_bounded_and_says_where_it_stopped(source):
    node = node_on(source, explorer_scan_max=2)
    assert [entry["blockNumber"] for entry in (await node.result("ots_searchTransactionsBefore", A, 0, 9))["txs"]] == [
        "0x8"
    ]
    error = await node.error("ots_searchTransactionsBefore", A, 8, 9)
    assert (error["code"], "rpc.explorer_scan_max" in error["message"], "block 5 " in error["message"]) == (
        -32005,
        True,
        True,
    )
    for size in (0, 101):
        assert "rpc.explorer_page_max" in (await node.error("ots_searchTransactionsBefore", A, 0, size))["message"]


@pytest.mark.asyncio
async def test_a_search_ends_where_a_node_began_with_a_snapshot(source):
    try:
        source.base = source.pruned_below = 6
        node = node_on(source)
        answer = await node.result("ots_searchTransactionsBefore", A, 0, 9)
        assert ([entry["blockNumber"] for entry in answer["txs"]], answer["lastPage"]) == (["0x8"], False)
        for method, params in (
            ("ots_searchTransactionsBefore", [B, 0, 9]),
            ("ots_getTransactionBySenderAndNonce", [B, 0]),
        ):
            error = await node.error(method, *params)
            assert (error["code"], "began with a snapshot" in error["message"]) == (-32000, True)
    finally:
        source.base = source.pruned_below = 0


@pytest.mark.asyncio
async def test_a_transaction_is_found_by_sender_and_nonce_through_states_or_block_by_block(source):
    sender = hexed(ADDRESSES[3])
    expected = [tx(source, height) for height in (1, 2, 3)] + [None]
    try:
        for pruned_below in (0, 2, 6, 9):
            source.pruned_below = pruned_below
            node = node_on(source)
            found = [await node.result("ots_getTransactionBySenderAndNonce", sender, nonce) for nonce in range(4)]
            assert found == expected, pruned_below
        error = await node_on(source, explorer_scan_max=3).error("ots_getTransactionBySenderAndNonce", sender, 0)
        assert (error["code"], "rpc.explorer_scan_max" in error["message"]) == (-32005, True)
    finally:
        source.pruned_below = 0


@pytest.mark.asyncio
async def test_a_creator_is_found_directly_and_inside_of_a_call(node, source):
    answer = await node.result("ots_getContractCreator", hexed(source.maker))
    assert answer == {"hash": tx(source, 2), "creator": hexed(ADDRESSES[3])}
    calls = await node.result("ots_traceTransaction", tx(source, 4, 2))
    inner = next(entry["to"] for entry in calls if entry["type"] == "CREATE")
    answer = await node.result("ots_getContractCreator", inner)
    assert answer == {"hash": tx(source, 4, 2), "creator": hexed(source.maker)}
    predeployed = "0xca11bde05977b3631167028862be2a173976ca11"
    assert [await node.result("ots_getContractCreator", address) for address in (A, predeployed)] == [None, None]


@pytest.mark.asyncio
async def test_a_creator_older_than_the_states_is_an_error(source):
    try:
        source.pruned_below = 6
        error = await node_on(source).error("ots_getContractCreator", hexed(source.maker))
        assert (error["code"], error["message"].startswith("missing trie node")) == (-32000, True)
    finally:
        source.pruned_below = 0


@pytest.mark.asyncio
async def test_a_large_trace_is_refused_and_jobs_can_be_pickled(source):
    error = await node_on(source, response_max_bytes=500).error("ots_traceTransaction", tx(source, 4))
    assert (error["code"], "rpc.response_max_bytes" in error["message"]) == (-32003, True)
    node, jobs = node_on(source), []
    run = node.executor.run
    node.executor.run = lambda job: (jobs.append(pickle.loads(pickle.dumps(job))), run(jobs[-1]))[1]
    await node.result("ots_searchTransactionsBefore", A, 0, 1)
    await node.result("ots_getBlockTransactions", 4, 0, 1)
    assert len(jobs) == 2
