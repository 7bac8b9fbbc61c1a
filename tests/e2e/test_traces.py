"""Traces of the real process: what its blocks did, and that tracing a heavy one leaves the blocks alone."""

from __future__ import annotations

import pytest
from web3 import Web3

from tests.e2e.conftest import KEYS, Devnet, with_fast_blocks
from tests.e2e.test_clients import deploy, transact

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    home = with_fast_blocks(tmp_path_factory.mktemp("traces") / "home")
    (home / "config.toml").write_text('[rpc]\nnamespaces = ["eth", "net", "web3", "debug"]\n')
    running = Devnet(home).start()
    yield running
    assert running.stop() == 0


def test_what_blocks_did_can_be_seen(net):
    w3 = Web3(Web3.HTTPProvider(net.url))
    account = w3.eth.account.from_key(KEYS[0])
    token, created = deploy(w3, account, "LoyaltyToken", "Loyal", "LOY", 10**24)
    receipt = transact(w3, account, token.functions.transfer("0x" + "22" * 20, 5))
    tx_hash = receipt["transactionHash"].to_0x_hex()
    calls = net.rpc("debug_traceTransaction", tx_hash, {"tracer": "callTracer", "tracerConfig": {"withLog": True}})
    assert calls["to"] == token.address.lower()
    assert int(calls["gasUsed"], 16) == receipt["gasUsed"]
    assert [entry["topics"] for entry in calls["logs"]] == [
        [topic.to_0x_hex() for topic in receipt["logs"][0]["topics"]]
    ]
    steps = net.rpc("debug_traceTransaction", tx_hash, {"enableMemory": True})["structLogs"]
    assert {"SLOAD", "SSTORE", "LOG3"} <= {step["op"] for step in steps}
    deployment = net.rpc("debug_traceTransaction", created["transactionHash"].to_0x_hex(), {"tracer": "callTracer"})
    assert (deployment["type"], deployment["output"]) == ("CREATE", w3.eth.get_code(token.address).to_0x_hex())
    block = net.rpc("debug_traceBlockByNumber", hex(receipt["blockNumber"]), {"tracer": "callTracer"})
    assert [entry["txHash"] for entry in block] == [tx_hash]
    balance = token.encode_abi("balanceOf", ["0x" + "22" * 20])
    call = net.rpc("debug_traceCall", {"to": token.address, "data": balance}, "latest", {"tracer": "callTracer"})
    assert int(call["output"], 16) == 5
    diff = net.rpc("debug_traceTransaction", tx_hash, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})
    assert diff["post"][token.address.lower()]["storage"]
    slots = net.rpc("debug_storageRangeAt", hex(receipt["blockNumber"]), 1, token.address, "0x", 100)["storage"]
    assert any(int(entry["value"], 16) == 5 for entry in slots.values())


def test_a_failed_transaction_says_why(net):
    w3 = Web3(Web3.HTTPProvider(net.url))
    account = w3.eth.account.from_key(KEYS[1])
    probe, _ = deploy(w3, account, "Probe")
    built = probe.functions.revertWithReason().build_transaction(
        {"from": account.address, "gas": 100_000, "gasPrice": 0, "nonce": 1, "chainId": 181818}
    )
    tx_hash = w3.eth.send_raw_transaction(account.sign_transaction(built).raw_transaction)
    assert w3.eth.wait_for_transaction_receipt(tx_hash, poll_latency=0.1)["status"] == 0
    trace = net.rpc("debug_traceTransaction", tx_hash.to_0x_hex(), {"tracer": "callTracer"})
    assert (trace["error"], trace["revertReason"]) == ("execution reverted", "out of stock")


def test_endless_steps_are_bounded_and_blocks_go_on(net):
    """A call that loops until its compute units are used up: far more steps than an answer holds."""
    before = net.height()
    with pytest.raises(RuntimeError, match="rpc.response_max_bytes"):
        net.rpc("debug_traceCall", {"data": "0x5b600056", "gas": "0xfffff0"}, "latest", {})
    few = net.rpc("debug_traceCall", {"data": "0x5b600056", "gas": "0xfffff0"}, "latest", {"limit": 10})
    assert (len(few["structLogs"]), few["failed"]) == (10, True)
    net.wait_for(lambda: net.height() > before + 1)
