"""The methods for developers against the real process, and that what they did outlives it."""

from __future__ import annotations

import json
import socket

import pytest
from web3 import Web3

from tests.e2e.conftest import KEYS, Devnet, artifact

pytestmark = pytest.mark.e2e
SOMEBODY = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20
ETHER = hex(10**18)


@pytest.fixture
def node(home):
    net = Devnet(home).start()
    yield net
    assert net.stop() == 0


def latest(node):
    return node.rpc("eth_getBlockByNumber", "latest", False)


def test_blocks_are_made_when_they_are_asked_for(node):
    before = node.height()
    node.rpc("evm_mine")
    assert node.height() > before
    before = node.height()
    node.rpc("anvil_mine", "0x14", 60)
    assert node.height() >= before + 20
    times = [int(node.rpc("eth_getBlockByNumber", hex(before + n), False)["timestamp"], 16) for n in (1, 20)]
    assert times[1] - times[0] >= 18 * 60
    with pytest.raises(RuntimeError, match="rpc.dev_mine_max_blocks"):
        node.rpc("hardhat_mine", 257)


def test_time_is_moved_and_goes_on_after_a_restart(node):
    start = int(latest(node)["timestamp"], 16)
    node.rpc("evm_setNextBlockTimestamp", start + 1_000)
    node.rpc("evm_mine")
    assert int(latest(node)["timestamp"], 16) == start + 1_000
    node.rpc("evm_mine", {"timestamp": start + 2_000})
    assert int(latest(node)["timestamp"], 16) == start + 2_000
    assert node.rpc("evm_increaseTime", 86_400) >= 86_400
    node.rpc("evm_mine")
    moved = int(latest(node)["timestamp"], 16)
    assert moved >= start + 88_400
    with pytest.raises(RuntimeError, match="not after the last block's"):
        node.rpc("evm_setNextBlockTimestamp", start)
    height = node.height()
    assert node.stop() == 0
    node.start()
    node.wait_for(lambda: node.height() > height)
    assert int(latest(node)["timestamp"], 16) > moved


def test_edits_and_impersonated_transactions_are_in_blocks_that_are_executed_again(node):
    """kill -9 and a restart find the same state; a trace replays the blocks."""
    code = "0x" + "5b" * 20_000
    for method, *values in (
        ("anvil_setBalance", ETHER),
        ("hardhat_setNonce", "0x5"),
        ("anvil_setCode", code),
        ("hardhat_setStorageAt", "0x1", "0x" + "2a".rjust(64, "0")),
    ):
        assert node.rpc(method, SOMEBODY, *values) is True
    with pytest.raises(RuntimeError, match="anvil_impersonateAccount"):
        node.rpc("eth_sendTransaction", {"from": SOMEBODY, "to": OTHER, "value": "0x1"})
    assert node.rpc("anvil_impersonateAccount", SOMEBODY) is True
    assert node.rpc("eth_accounts") == [SOMEBODY]
    sent = node.rpc("eth_sendTransaction", {"from": SOMEBODY, "to": OTHER, "value": "0x7"})
    node.rpc("evm_mine")
    node.wait_for(lambda: node.rpc("eth_getTransactionReceipt", sent))
    receipt = node.rpc("eth_getTransactionReceipt", sent)
    assert (receipt["from"], receipt["status"]) == (SOMEBODY, "0x1")
    assert node.rpc("hardhat_stopImpersonatingAccount", SOMEBODY) is True
    assert node.rpc("ots_traceTransaction", sent)[0]["from"] == SOMEBODY
    edits = node.rpc("ots_searchTransactionsBefore", "0x0000000000000000000000000000000000434dde", 0, 25)["txs"]
    assert edits
    assert node.rpc("ots_traceTransaction", edits[0]["hash"])[0]["input"] == edits[0]["input"]
    node.kill()
    node.start()
    assert node.rpc("eth_getBalance", SOMEBODY, "latest") == hex(10**18 - 7)
    assert node.rpc("eth_getTransactionCount", SOMEBODY, "latest") == "0x6"
    assert node.rpc("eth_getCode", SOMEBODY, "latest") == code
    assert int(node.rpc("eth_getStorageAt", SOMEBODY, "0x1", "latest"), 16) == 42
    assert int(node.rpc("eth_getBalance", OTHER, "latest"), 16) == 7
    with pytest.raises(RuntimeError, match="their books would be wrong"):
        node.rpc("anvil_setBalance", "0x0000000000000000000000000000000000434d01", "0x1")
    with pytest.raises(RuntimeError, match="cannot be impersonated"):
        node.rpc("anvil_impersonateAccount", "0x0000000000000000000000000000000000434d01")


def test_blocks_are_made_on_demand_without_empty_blocks(home):
    node = Devnet(home, "--no-empty-blocks").start()
    before = node.height()
    node.rpc("evm_mine")
    assert node.height() == before + 1
    assert node.stop() == 0


@pytest.mark.parametrize("named", [False, True])
def test_strangers_do_not_edit_the_chain_unless_the_configuration_says_so(home, named):
    home.mkdir()
    namespaces = ["eth", "net", "web3", *(["evm"] if named else [])]
    (home / "config.toml").write_text(f'[rpc]\nvhosts = ["127.0.0.1"]\nnamespaces = {json.dumps(namespaces)}\n')
    node = Devnet(home, "--host", "0.0.0.0").start()
    before = node.height()
    if named:
        node.rpc("evm_mine")
        assert node.height() > before
    else:
        for method in ("evm_mine", "evm_snapshot"):
            with pytest.raises(RuntimeError, match=r"-32601.*rpc\.namespaces"):
                node.rpc(method)
        with pytest.raises(RuntimeError, match="holds no keys"):
            node.rpc("eth_sendTransaction", {"from": SOMEBODY, "to": OTHER})
    with pytest.raises(RuntimeError, match=r"-32601.*rpc\.namespaces"):
        node.rpc("anvil_setBalance", SOMEBODY, "0x1")
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(str(home / "cmt.ipc"))
        request = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setBalance", "params": [SOMEBODY, "0x5"]}
        own.sendall(json.dumps(request).encode())
        assert json.loads(own.makefile("rb").readline())["result"] is True
    assert node.rpc("eth_getBalance", SOMEBODY, "latest") == "0x5"
    assert node.stop() == 0


def test_solidity_s_console_is_printed_once_with_the_transaction(node):
    """Also what was said before a revert; once, although the block is built, checked and replayed."""
    talker = artifact("Talker")
    w3 = Web3(Web3.HTTPProvider(node.url))
    account = w3.eth.account.from_key(KEYS[0])

    def send(call, **fields):
        transaction = {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address), **fields}
        signed = account.sign_transaction(call.build_transaction(transaction))
        node.rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        return w3.eth.wait_for_transaction_receipt(signed.hash, poll_latency=0.1)

    deployed = send(w3.eth.contract(abi=talker["abi"], bytecode=talker["bytecode"]).constructor())
    contract = w3.eth.contract(deployed["contractAddress"], abi=talker["abi"])
    said = send(contract.functions.say(7))
    reverted = send(contract.functions.sayAndRevert(), gas=100_000)
    assert (said["status"], reverted["status"]) == (1, 0)
    lines = (
        (f"deployed by {account.address.lower()}", deployed),
        ("count is 7", said),
        ("before the revert", reverted),
    )
    node.wait_for(lambda: lines[-1][0] in node.output())
    for text, receipt in lines:
        (printed,) = [line for line in printed_of(node, '"tx":') if text in line]
        assert receipt["transactionHash"].to_0x_hex() in printed


def printed_of(node, key):
    return [line for line in node.output().splitlines() if "console.log" in line and key in line]


def test_the_console_is_printed_of_calls_and_estimates_too(node):
    """Also where they revert or come with the code that speaks; nothing is printed before any code speaks."""
    talker = artifact("Talker")
    w3 = Web3(Web3.HTTPProvider(node.url))
    account = w3.eth.account.from_key(KEYS[0])
    node.rpc("eth_call", {"to": OTHER, "data": "0x"}, "latest")
    creation = {"from": account.address, "data": talker["bytecode"]}
    node.rpc("eth_call", creation, "latest")
    (line,) = printed_of(node, '"call": "eth_call"')
    assert f"deployed by {account.address.lower()}" in line
    node.rpc("anvil_setCode", OTHER, node.rpc("eth_call", creation, "latest"))
    node.wait_for(lambda: node.rpc("eth_getCode", OTHER, "latest") != "0x")
    talk = w3.eth.contract(Web3.to_checksum_address(OTHER), abi=talker["abi"])
    say = {"from": account.address, "to": OTHER, "data": talk.encode_abi("say", [5])}
    gas = node.rpc("eth_estimateGas", say)
    (line,) = printed_of(node, '"call": "eth_estimateGas"')
    assert "count is 5" in line
    assert OTHER in line
    with pytest.raises(RuntimeError, match="said"):
        node.rpc("eth_call", say | {"data": talk.encode_abi("sayAndRevert"), "gas": gas}, "latest")
    assert "before the revert" in printed_of(node, '"call": "eth_call"')[-1]
    before = len(printed_of(node, "call"))
    with pytest.raises(RuntimeError, match="insufficient"):
        node.rpc("eth_call", say | {"value": hex(10**40)}, "latest")
    assert len(printed_of(node, "call")) == before
