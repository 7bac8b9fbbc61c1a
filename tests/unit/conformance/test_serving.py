"""What is special in answers about a foreign chain: forks in headers and receipts, ommers, fees, the pool."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp as rlp_library

from cybermiles.conformance.gas_market import next_base_fee
from cybermiles.conformance.genesis import read_genesis
from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction import DYNAMIC_FEE
from cybermiles.types.transaction_codec import UnsignedTransaction
from cybermiles.vm.ethereum import EthereumFork
from tests.fakes.foreign import COINBASE, KEY, OMMER_COINBASE, OMMER_HEIGHT, RECIPIENT, SENDER, STORE, init_code

LATER = {
    "baseFeePerGas": 19,
    "withdrawalsRoot": 23,
    "withdrawals": 23,
    "blobGasUsed": 25,
    "excessBlobGas": 25,
    "parentBeaconBlockRoot": 25,
    "requestsHash": 27,
}
"""Field of a block to the first height that has it."""


def signed(nonce, *, key=KEY, chain_id=1, **fields):
    defaults = {
        "type": DYNAMIC_FEE, "max_fee_per_gas": 10 * GWEI, "max_priority_fee_per_gas": GWEI, "gas_limit": 21_000,
        "to": RECIPIENT,
    }  # fmt: skip
    return "0x" + UnsignedTransaction(chain_id=chain_id, nonce=nonce, **(defaults | fields)).sign(key).raw.hex()


@pytest.mark.parametrize("height", range(1, 29))
def test_a_block_shows_the_fields_its_fork_has(ask, mined, height):
    block, _ = ask("eth_getBlockByNumber", hex(height), True)
    assert {name for name in LATER if name in block} == {name for name, first in LATER.items() if height >= first}
    assert block["hash"] == "0x" + mined[2][height - 1].hash.hex()
    raw, _ = ask("debug_getRawBlock", hex(height))
    assert raw == "0x" + rlp_library.encode(mined[2][height - 1]).hex()
    assert int(block["size"], 16) == len(raw) // 2 - 1
    header, _ = ask("debug_getRawHeader", hex(height))
    assert "0x" + keccak256(bytes.fromhex(header[2:])).hex() == block["hash"]
    assert (int(block["difficulty"], 16) > 0) == (height <= 20)
    withdrawals = block.get("withdrawals", [])
    assert [(int(entry["index"], 16), entry["amount"]) for entry in withdrawals] == [
        (height, "0xb"),
        (height + 1, "0x0"),
    ][: len(withdrawals)]


def test_receipts_have_a_root_before_byzantium_and_a_status_after_it(ask, mined):
    for height in range(1, 29):
        receipts, _ = ask("eth_getBlockReceipts", hex(height))
        assert all(("root" in receipt) == (height < 9) == ("status" not in receipt) for receipt in receipts)
        assert not any("cmtLane" in receipt for receipt in receipts)


def test_what_is_served_is_described(ask):
    described, error = ask("rpc_discover")
    assert error is None
    names = [method["name"] for method in described["methods"]]
    assert {"eth_config", "eth_simulateV1", "rpc_discover"} <= set(names)
    assert len(set(names)) == len(names)


def test_ommers_are_counted_and_shown(ask):
    count, _ = ask("eth_getUncleCountByBlockNumber", hex(OMMER_HEIGHT))
    assert count == "0x1"
    ommer, _ = ask("eth_getUncleByBlockNumberAndIndex", hex(OMMER_HEIGHT), "0x0")
    block, _ = ask("eth_getBlockByNumber", hex(OMMER_HEIGHT), False)
    assert ommer["miner"] == "0x" + OMMER_COINBASE.hex()
    assert block["uncles"] == [ommer["hash"]]
    assert ask("eth_getUncleByBlockHashAndIndex", block["hash"], "0x0")[0] == ommer
    assert ask("eth_getUncleByBlockNumberAndIndex", hex(OMMER_HEIGHT), "0x1")[0] is None
    assert ask("eth_getUncleByBlockNumberAndIndex", "0x1", "0x0")[0] is None


def test_fee_history_is_what_blocks_paid(ask, mined):
    history, _ = ask("eth_feeHistory", "0x4", "latest", [0, 50, 100])
    headers = [block.header for block in mined[2][-4:]]
    assert history["baseFeePerGas"][:-1] == [hex(header.base_fee_per_gas) for header in headers]
    assert history["gasUsedRatio"] == [header.gas_used / header.gas_limit for header in headers]
    assert history["reward"] == [["0x3", "0x3", "0x3"]] * 4
    assert history["baseFeePerGas"][-1] == ask("eth_baseFee")[0]
    old, _ = ask("eth_feeHistory", "0x1", "0x5", [50])
    assert (old["baseFeePerGas"], old["reward"]) == (["0x0", "0x0"], [[hex(10 * GWEI)]])
    assert ask("eth_feeHistory", "0x1", "latest", [50, 20])[1]["code"] == -32000
    assert ask("eth_feeHistory", "0x1", "0xfff", [])[1]["code"] == -32000


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [(10**9, 5_000_000, 10**9), (10**9, 10_000_000, 1_125_000_000), (10**9, 0, 875_000_000), (7, 5_000_001, 8)],
)
def test_the_base_fee_moves_as_eip_1559_says(mined, base_fee, gas_used, expected):
    header = mined_header(mined, base_fee_per_gas=base_fee, gas_used=gas_used, gas_limit=10_000_000)
    assert next_base_fee(header, EthereumFork.LONDON) == expected


def mined_header(mined, **fields):
    return replace(read_genesis(mined[0]).header, **fields)


def test_advice_is_the_base_fee_and_a_tip(ask):
    tip, _ = ask("eth_maxPriorityFeePerGas")
    price, _ = ask("eth_gasPrice")
    head, _ = ask("eth_getBlockByNumber", "latest", False)
    assert tip == hex(10 * GWEI), (
        "of 60 samples 30 are 3 wei, 30 the gas price of blocks before London; the 36th counts"
    )
    assert int(price, 16) == 10 * GWEI + int(head["baseFeePerGas"], 16)


def test_a_transaction_is_filled_with_ethereums_fees(ask):
    head, _ = ask("eth_getBlockByNumber", "latest", False)
    call = {"from": "0x" + SENDER.hex(), "to": "0x" + RECIPIENT.hex(), "value": "0x1"}
    filled, _ = ask("eth_fillTransaction", call)
    tip = int(ask("eth_maxPriorityFeePerGas")[0], 16)
    assert int(filled["tx"]["maxPriorityFeePerGas"], 16) == tip
    assert int(filled["tx"]["maxFeePerGas"], 16) == tip + 2 * int(head["baseFeePerGas"], 16)
    capped, _ = ask("eth_fillTransaction", call | {"maxFeePerGas": hex(10 * GWEI), "maxPriorityFeePerGas": "0x2"})
    assert (capped["tx"]["maxFeePerGas"], capped["tx"]["maxPriorityFeePerGas"]) == (hex(10 * GWEI), "0x2")


def test_a_call_finds_the_base_fee_where_it_names_a_price(ask):
    basefee = {"from": "0x" + SENDER.hex(), "input": "0x4860005260206000f3"}
    head, _ = ask("eth_getBlockByNumber", "latest", False)
    assert int(ask("eth_call", basefee, "latest")[0], 16) == 0
    priced = basefee | {"gas": "0xffff", "maxFeePerGas": hex(10 * GWEI), "maxPriorityFeePerGas": "0x1"}
    assert int(ask("eth_call", priced, "latest")[0], 16) == int(head["baseFeePerGas"], 16)
    assert ask("eth_call", priced | {"maxFeePerGas": "0x1"}, "latest")[1]["code"] == -32000
    poor = priced | {"from": "0x" + "99" * 20}
    assert "insufficient funds" in ask("eth_call", poor, "latest")[1]["message"]


def test_code_of_an_old_block_runs_under_the_rules_of_then(ask):
    """SHL is invalid before Constantinople."""
    shift = {"input": "0x600160021b60005260206000f3", "gas": "0xffff"}
    assert ask("eth_call", shift, "0x9")[1]["message"] == "invalid opcode"
    assert int(ask("eth_call", shift, "0xb")[0], 16) == 4


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (signed(0), -32000, "nonce too low"),
        (signed(10_000, chain_id=5), -32000, "invalid chain id"),
        (signed(10_000, gas_limit=20_000), -32000, "intrinsic gas too low"),
        (signed(10_000, value=10**30), -32000, "insufficient funds"),
        (signed(10_000, max_priority_fee_per_gas=0), -32000, "transaction underpriced"),
        (signed(10_000, gas_limit=2**40), -32000, "exceeds block gas limit"),
        (signed(10_000, key=b"\x77" * 32), -32000, "insufficient funds"),
        ("0x03c0", -32000, ""),
    ],
)
def test_the_pool_refuses_what_geths_would(ask, raw, code, message):
    result, error = ask("eth_sendRawTransaction", raw)
    assert (result, error["code"]) == (None, code)
    assert message in error["message"]


def test_the_pool_keeps_what_it_took(ask):
    sender = "0x" + address_of(KEY).hex()
    nonce = int(ask("eth_getTransactionCount", sender, "latest")[0], 16)
    tx_hash, _ = ask("eth_sendRawTransaction", signed(nonce))
    waiting, _ = ask("eth_sendRawTransaction", signed(nonce + 2, data=b"x", gas_limit=30_000))
    shown, _ = ask("eth_getTransactionByHash", tx_hash)
    assert (shown["blockHash"], shown["from"]) == (None, sender)
    assert ask("eth_sendRawTransaction", signed(nonce))[1]["message"] == "already known"
    assert ask("eth_getTransactionCount", sender, "pending")[0] == hex(nonce + 1)
    assert ask("txpool_status")[0] == {"pending": "0x1", "queued": "0x1"}
    assert ask("eth_getTransactionReceipt", waiting)[0] is None


def test_what_only_cybermiles_has_is_not_served(ask):
    assert ask("cmt_params")[1]["code"] == -32601
    assert ask("eth_getBlockByNumber", "pending", False)[0] is None
    for tag in ("latest", "safe", "finalized"):
        assert ask("eth_getBlockByNumber", tag, False)[0]["number"] == "0x1c"


def test_logs_of_a_foreign_chain_are_found(ask):
    topic = "0x" + (7).to_bytes(32).hex()
    logs, _ = ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [topic]})
    assert len(logs) == 27 * 3
    assert {log["blockNumber"] for log in logs} == {hex(height) for height in range(2, 29)}


def test_an_estimate_is_enough_and_a_coinbase_is_paid(ask):
    call = {"from": "0x" + SENDER.hex(), "input": "0x" + init_code(STORE).hex()}
    gas, _ = ask("eth_estimateGas", call)
    assert ask("eth_call", call | {"gas": gas}, "latest")[1] is None
    assert int(ask("eth_getBalance", "0x" + COINBASE.hex(), "latest")[0], 16) > 0
