"""Balances, nonces, code, storage, proofs."""

import pytest
import rlp
from eth_utils import keccak
from trie import HexaryTrie

from cybermiles.rpc.config import RpcLimits
from cybermiles.types.primitives import WEI_PER_CMT
from tests.fakes.rpc import CODE, CONTRACT, OTHER, OTHER_KEY, SENDER, STRANGER, FakeNode, hexed, sign_transaction

A, C, S = hexed(SENDER), hexed(CONTRACT), hexed(STRANGER)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("eth_getBalance", [A], hex(1_000 * WEI_PER_CMT)),
        ("eth_getBalance", [S, "latest"], "0x0"),
        ("eth_getTransactionCount", [A, "0x1"], "0x5"),
        ("eth_getTransactionCount", [S, "earliest"], "0x0"),
        ("eth_getCode", [C, "safe"], hexed(CODE)),
        ("eth_getCode", [A, "latest"], "0x"),
        ("eth_getCode", [S, "latest"], "0x"),
        ("eth_getStorageAt", [C, "0x0", "latest"], "0x" + "00" * 31 + "1c"),
        ("eth_getStorageAt", [C, "0x0001", "latest"], "0x" + "ff" * 32),
        ("eth_getStorageAt", [C, "0x2", "latest"], "0x" + "00" * 32),
        ("eth_getStorageAt", [S, "0x0"], "0x" + "00" * 32),
    ],
)
async def test_state_is_read(method, params, result):
    assert await FakeNode().result(method, *params) == result


@pytest.mark.asyncio
async def test_every_kind_of_block_reference_reads_state():
    node = FakeNode()
    head = hexed(node.chain.headers[-1].hash)
    for reference in ("latest", "0x5", head, {"blockNumber": "0x5"}, {"blockHash": head, "requireCanonical": True}):
        assert await node.result("eth_getTransactionCount", A, reference) == "0x5"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reference", "message"),
    [("0x6", "header not found"), ({"blockHash": "0x" + "11" * 32}, "header for hash not found")],
)
async def test_the_state_of_an_unknown_block_is_an_error(reference, message):
    assert await FakeNode().error("eth_getBalance", A, reference) == {"code": -32000, "message": message}


@pytest.mark.asyncio
async def test_a_pruned_state_is_an_error_that_says_what_there_is():
    node = FakeNode()
    node.chain.pruned_below = 3
    for method, params in (("eth_getBalance", [A, "0x2"]), ("eth_getProof", [A, [], "0x2"])):
        error = await node.error(method, *params)
        assert error == {"code": -32000, "message": "missing trie node: the oldest state is that of 3"}
    assert await node.result("eth_getBalance", A, "0x3")


@pytest.mark.asyncio
async def test_pending_counts_and_balances_include_the_pool():
    node = FakeNode()
    for transaction in (
        sign_transaction(5, value=10),
        sign_transaction(6, value=7, to=STRANGER),
        sign_transaction(0, key=OTHER_KEY, to=SENDER, value=4),
    ):
        await node.result("eth_sendRawTransaction", hexed(transaction.raw))
    assert await node.result("eth_getTransactionCount", A, "pending") == "0x7"
    assert await node.result("eth_getTransactionCount", A, "latest") == "0x5"
    assert await node.result("eth_getTransactionCount", S, "pending") == "0x0"
    assert await node.result("eth_getBalance", A, "pending") == hex(1_000 * WEI_PER_CMT - 13)
    assert await node.result("eth_getBalance", S, "pending") == "0x7"
    assert await node.result("eth_getBalance", hexed(OTHER), "pending") == hex(3 + 10 - 4)
    assert await node.result("eth_getBalance", hexed(OTHER), "latest") == "0x3"


@pytest.mark.asyncio
async def test_a_pool_behind_the_state_does_not_lower_the_count():
    node = FakeNode()
    await node.result("eth_sendRawTransaction", hexed(sign_transaction(2).raw))
    assert await node.result("eth_getTransactionCount", A, "pending") == "0x5"


@pytest.mark.asyncio
async def test_a_wrong_storage_key_has_the_recorded_code():
    for key in ("0xasdf", "0x" + "0" * 65):
        assert (await FakeNode().error("eth_getStorageAt", A, key, "latest"))["code"] == -32000


@pytest.mark.asyncio
async def test_many_words_are_read_at_once():
    result = await FakeNode().result("eth_getStorageValues", {C: ["0x0", "0x3e8"], S: []}, "latest")
    assert result == {C: ["0x" + "00" * 31 + "1c", "0x" + "00" * 31 + "07"], S: []}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "params", "key"),
    [
        ("eth_getProof", [C, ["0x0"] * 3], "rpc.proof_max_slots"),
        ("eth_getStorageValues", [{C: ["0x0"] * 2, S: ["0x0"] * 2}], "rpc.storage_values_max_slots"),
    ],
)
async def test_the_number_of_slots_is_bounded(method, params, key):
    node = FakeNode(limits=RpcLimits(proof_max_slots=2, storage_values_max_slots=3))
    error = await node.error(method, *params)
    assert (error["code"], key in error["message"]) == (-32602, True)


def proven(root, key, nodes):
    """Return what the proof proves, by another implementation."""
    return HexaryTrie.get_from_proof(
        bytes.fromhex(root[2:]), keccak(key), [rlp.decode(bytes.fromhex(node[2:])) for node in nodes]
    )


@pytest.mark.asyncio
async def test_a_proof_convinces_another_implementation():
    node = FakeNode()
    proof = await node.result("eth_getProof", C, ["0x0", "0x" + "00" * 30 + "03e8", "0x7"], "latest")
    root = (await node.result("eth_getBlockByNumber", "latest"))["stateRoot"]
    nonce, balance, storage_root, code_hash = rlp.decode(proven(root, CONTRACT, proof["accountProof"]))
    assert (hex(int.from_bytes(nonce)), hex(int.from_bytes(balance))) == (proof["nonce"], "0x0")
    assert (hexed(storage_root), hexed(code_hash)) == (proof["storageHash"], proof["codeHash"])
    for entry, slot, value in zip(proof["storageProof"], (0, 1000, 7), (28, 7, 0), strict=True):
        word = proven(proof["storageHash"], slot.to_bytes(32), entry["proof"])
        assert (rlp.decode(word) if word else b"") == (value.to_bytes() if value else b"")
        assert entry["value"] == hex(value)
    assert [entry["key"] for entry in proof["storageProof"]] == ["0x0", "0x" + "00" * 30 + "03e8", "0x7"]


@pytest.mark.asyncio
async def test_the_absence_of_an_account_is_proven():
    node = FakeNode()
    proof = await node.result("eth_getProof", S, ["0x0"], "latest")
    root = (await node.result("eth_getBlockByNumber", "latest"))["stateRoot"]
    assert proven(root, STRANGER, proof["accountProof"]) == b""
    assert (proof["nonce"], proof["balance"]) == ("0x0", "0x0")
    assert proof["storageProof"] == [{"key": "0x0", "value": "0x0", "proof": []}]
