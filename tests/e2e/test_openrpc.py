"""Answers of the real process, against the specification of Ethereum's JSON-RPC and against the node's own description."""

from __future__ import annotations

import json
import lzma

import pytest
from eth_account import Account
from eth_utils import to_checksum_address

from tests.e2e.conftest import KEYS, Devnet, artifact, with_fast_blocks

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks answers against the specification")
pytestmark = pytest.mark.e2e

GWEI = 10**9
FEES = {"maxFeePerGas": 2 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}
EXCEPTIONS = {
    "cmtLane": "a receipt's field of this chain, which `rpc.receipt_lane` turns off",
}
"""Fields that the specification does not know, each with its reason."""
EMPTY = {
    "eth_getFilterChanges": "no hashes, and no logs: `[]` is two of the alternatives of which one should fit",
}
"""Methods whose empty answer the specification does not allow by mistake, each with what it is."""
NOT_SERVED = {
    "eth_coinbase": "the node has no account",
    "eth_getBlockAccessList": "blocks carry no access lists",
    "eth_sign": "the node holds no keys",
    "eth_signTransaction": "the node holds no keys",
}
"""Methods of the specification that answer -32601, each with its reason."""

DEVNET_ONLY = {"eth_sendTransaction": "for accounts that are impersonated; elsewhere the node holds no keys"}
"""Methods of the specification that a network for development has."""


def without_ours(value):
    if isinstance(value, dict):
        return {key: without_ours(entry) for key, entry in value.items() if key not in EXCEPTIONS}
    return [without_ours(entry) for entry in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def specification(vectors):
    """Schemas of results by method."""
    document = json.loads(lzma.open(vectors / "rpc" / "openrpc.json.xz").read())
    return {method["name"]: method["result"]["schema"] for method in document["methods"] if "result" in method}


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A node with a token contract and transactions of types 0, 1 and 2."""
    running = Devnet(with_fast_blocks(tmp_path_factory.mktemp("openrpc") / "home")).start()
    signer = Account.from_key(KEYS[0])
    chain_id = int(running.rpc("eth_chainId"), 16)

    def send(nonce, **fields):
        signed = signer.sign_transaction({"chainId": chain_id, "nonce": nonce, "gas": 100_000, "value": 0, **fields})
        return running.rpc("eth_sendRawTransactionSync", "0x" + bytes(signed.raw_transaction).hex())

    token = artifact("LoyaltyToken")
    words = [3 * 32, 5 * 32, 10**20]
    data = token["bytecode"] + "".join(f"{word:064x}" for word in words) + 2 * (f"{1:064x}" + "54".ljust(64, "0"))
    created = send(0, data=data, gas=2_000_000, **FEES)
    assert created["status"] == "0x1", created
    running.contract = to_checksum_address(created["contractAddress"])
    transfer = "0xa9059cbb" + "5e".rjust(64, "0") + f"{7:064x}"
    running.receipts = [
        created,
        send(1, to=Account.from_key(KEYS[1]).address, gasPrice=0),
        send(2, to=running.contract, data=transfer, **FEES),
        send(3, to=running.contract, data=transfer, gasPrice=0, accessList=[]),
        send(4, to=running.contract, data="0xffffffff", **FEES),
    ]
    yield running
    assert running.stop() == 0


def problems(schema, value):
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def requests(net):
    sender, contract = Account.from_key(KEYS[0]).address, net.contract
    first, last = net.receipts[0], net.receipts[-1]
    number, block_hash, tx = last["blockNumber"], last["blockHash"], last["transactionHash"]
    call = {"from": sender, "to": contract, "data": "0x18160ddd"}
    simulated = {"blockStateCalls": [{"calls": [call, {"from": sender, "to": contract, "value": "0x0"}]}]}
    watched = {"fromBlock": "0x0", "address": contract}
    filters = [net.rpc("eth_newFilter", watched), net.rpc("eth_newBlockFilter")]
    return [
        *[
            (name, [])
            for name in ("eth_accounts", "eth_baseFee", "eth_blobBaseFee", "eth_blockNumber", "eth_capabilities")
        ],
        *[
            (name, [])
            for name in ("eth_chainId", "eth_config", "eth_gasPrice", "eth_maxPriorityFeePerGas", "eth_syncing")
        ],
        *[
            ("eth_getBlockByNumber", [at, full])
            for at in (number, "latest", "earliest", "0xffffff")
            for full in (True, False)
        ],
        ("eth_getBlockByHash", [block_hash, True]),
        *[("eth_getBlockReceipts", [receipt["blockNumber"]]) for receipt in net.receipts],
        ("eth_getBlockReceipts", ["0xffffff"]),
        ("eth_getBlockTransactionCountByHash", [block_hash]),
        ("eth_getBlockTransactionCountByNumber", [number]),
        *[("eth_getTransactionByHash", [receipt["transactionHash"]]) for receipt in net.receipts],
        *[("eth_getTransactionReceipt", [receipt["transactionHash"]]) for receipt in net.receipts],
        *[(f"eth_getTransaction{name}", ["0x" + "00" * 32]) for name in ("ByHash", "Receipt")],
        ("eth_getTransactionByBlockHashAndIndex", [block_hash, "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", [number, "0x0"]),
        ("eth_getTransactionCount", [sender, "latest"]),
        ("eth_getBalance", [sender, "latest"]),
        ("eth_getCode", [contract, "latest"]),
        ("eth_getStorageAt", [contract, "0x2", "latest"]),
        ("eth_getStorageValues", [{contract: ["0x" + "00" * 31 + "02"]}, "latest"]),
        ("eth_getProof", [contract, ["0x2"], "latest"]),
        ("eth_call", [call, "latest"]),
        ("eth_estimateGas", [call]),
        ("eth_createAccessList", [call, "latest"]),
        ("eth_simulateV1", [simulated, "latest"]),
        ("eth_simulateV1", [{**simulated, "returnFullTransactions": True, "traceTransfers": True}, "latest"]),
        ("eth_fillTransaction", [call]),
        ("eth_feeHistory", ["0x4", "latest", [10, 90]]),
        ("eth_getLogs", [watched]),
        ("eth_newFilter", [watched]),
        ("eth_newBlockFilter", []),
        ("eth_newPendingTransactionFilter", []),
        *[("eth_getFilterChanges", [filter_id]) for filter_id in filters],
        ("eth_getFilterLogs", [filters[0]]),
        ("eth_uninstallFilter", [filters[1]]),
        ("eth_sendRawTransaction", [None]),
        ("net_version", []),
        ("txpool_status", []),
        ("txpool_content", []),
        ("txpool_contentFrom", [sender]),
        ("eth_getTransactionReceipt", [first["transactionHash"]]),
        ("eth_getTransactionByHash", [tx]),
    ]


def test_every_method_of_the_specification_is_asked_or_has_a_reason_not_to_be_served(net, specification):
    asked = {name for name, _ in requests(net)}
    specified = {name for name in specification if name.partition("_")[0] in {"eth", "net", "txpool"}}
    assert asked == specified - NOT_SERVED.keys() - DEVNET_ONLY.keys()
    for name in NOT_SERVED:
        with pytest.raises(RuntimeError, match="-32601"):
            net.rpc(name)


def test_answers_have_the_shape_of_the_specification_and_of_the_nodes_own_description(net, specification):
    described = net.rpc("rpc_discover")
    own = {method["name"]: method["result"]["schema"] for method in described["methods"]}
    signer, nonce = Account.from_key(KEYS[2]), 0
    for name, params in requests(net):
        if params == [None]:
            fields = {"chainId": int(net.rpc("eth_chainId"), 16), "gas": 21_000, "gasPrice": 0, "value": 1}
            signed = signer.sign_transaction({**fields, "nonce": nonce, "to": Account.from_key(KEYS[3]).address})
            params = ["0x" + bytes(signed.raw_transaction).hex()]
        answer = net.rpc(name, *params)
        vague = not answer and name in EMPTY
        for schema, value in (
            ({} if vague else specification[name], without_ours(answer)),
            ({**own[name], "components": described["components"]}, answer),
        ):
            errors = problems(schema, value)
            assert not errors, (name, params, answer, errors)


def test_otterscan_finds_what_it_asks_for(net):
    created, transfer = net.receipts[0], net.receipts[2]
    sender, height = created["from"], int(transfer["blockNumber"], 16)
    assert net.rpc("erigon_getHeaderByNumber", height)["hash"] == transfer["blockHash"]
    assert net.rpc("ots_getApiLevel") == 8
    details = net.rpc("ots_getBlockDetails", height)
    assert details["block"]["transactionCount"] == 1
    assert int(details["issuance"]["issuance"], 16) > 0
    page = net.rpc("ots_getBlockTransactions", height, 0, 10)
    assert page["fullblock"]["transactions"][0]["input"] == "0xa9059cbb"
    found = net.rpc("ots_searchTransactionsBefore", sender, 0, 25)
    assert [entry["hash"] for entry in found["txs"]] == [receipt["transactionHash"] for receipt in net.receipts[::-1]]
    assert (found["firstPage"], found["lastPage"]) == (True, True)
    assert net.rpc("ots_getTransactionBySenderAndNonce", sender, 2) == transfer["transactionHash"]
    creator = {"hash": created["transactionHash"], "creator": sender}
    assert net.rpc("ots_getContractCreator", created["contractAddress"]) == creator
    (call,) = net.rpc("ots_traceTransaction", transfer["transactionHash"])
    assert (call["type"], call["from"], call["to"]) == ("CALL", sender, created["contractAddress"])
    assert net.rpc("ots_getInternalOperations", transfer["transactionHash"]) == []
