"""`evm_snapshot` and `evm_revert` against the real process, as a test suite uses them."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from web3 import Web3

from cybermiles.node.rollback import MARK
from tests.e2e.conftest import KEYS, Devnet
from tests.e2e.test_clients import deploy, transact

pytestmark = pytest.mark.e2e
CYCLES = 50
SOMEBODY = "0x" + "22" * 20
OTHER = "0x" + "33" * 20
ADVANCE_MIB = 24
"""What the process may grow over all cycles: LevelDB's buffers fill meanwhile."""


@pytest.fixture
def node(home):
    home.mkdir()
    (home / "config.toml").write_text('[rpc]\nnamespaces = ["eth", "net", "web3", "txpool", "cmt", "ots", "debug"]\n')
    net = Devnet(home).start()
    yield net
    assert net.stop() == 0
    assert "internal error" not in net.output()
    assert "rpc_handler_failed" not in net.output()
    assert "call_failed" not in net.output()  # what copies into the metrics


class Chain:
    """A deployed token and who sends."""

    def __init__(self, node):
        self.node = node
        self.w3 = Web3(Web3.HTTPProvider(node.url))
        self.account = self.w3.eth.account.from_key(KEYS[0])
        self.token, _ = deploy(self.w3, self.account, "LoyaltyToken", "Loyal", "LOY", 10**24)

    def transfer(self, value, to=SOMEBODY):
        return transact(self.w3, self.account, self.token.functions.transfer(to, value))

    def balance(self, of=SOMEBODY):
        return self.token.functions.balanceOf(of).call()

    def nonce(self):
        return self.w3.eth.get_transaction_count(self.account.address)


def test_everything_is_as_at_the_snapshot_and_the_chain_goes_on(node):
    chain = Chain(node)
    rpc = node.rpc
    kept = chain.transfer(5)
    snapshot = rpc("evm_snapshot")
    assert snapshot == "0x1"
    height, nonce = node.height(), chain.nonce()
    head = rpc("eth_getBlockByNumber", hex(height), False)
    coins = rpc("eth_getBalance", OTHER, "latest")
    filters = [
        rpc("eth_newFilter", {"address": chain.token.address}),
        rpc("eth_newBlockFilter"),
    ]
    rpc("anvil_impersonateAccount", OTHER)
    rpc("anvil_setBalance", OTHER, "0x64")
    undone = chain.transfer(7)
    deployed, _ = deploy(chain.w3, chain.account, "LoyaltyToken", "Other", "OTH", 1)
    undone_hash, undone_height = undone["transactionHash"].to_0x_hex(), undone["blockNumber"]
    old_block = rpc("eth_getBlockByNumber", hex(undone_height), False)["hash"]
    assert rpc("debug_traceTransaction", undone_hash, {"tracer": "callTracer"})["to"] == chain.token.address.lower()
    assert len(rpc("eth_getFilterChanges", filters[0])) == 1
    rpc("eth_getFilterChanges", filters[1])
    rpc("evm_increaseTime", 86_400)
    rpc("evm_mine")

    assert rpc("evm_revert", snapshot) is True

    assert number_of(node, "cmt_consensus_latest_block_height") < undone_height
    assert rpc("eth_getBlockByNumber", hex(height), False) == head
    assert int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) < int(head["timestamp"], 16) + 3_600
    assert chain.nonce() == nonce
    assert chain.balance() == 5
    assert rpc("eth_getBalance", OTHER, "latest") == coins
    assert rpc("eth_accounts") == []
    assert rpc("eth_getTransactionReceipt", undone_hash) is None
    assert rpc("eth_getTransactionByHash", undone_hash) is None
    assert rpc("eth_getBlockByHash", old_block, False) is None
    assert rpc("eth_getCode", deployed.address, "latest") == "0x"
    assert rpc("eth_getTransactionReceipt", kept["transactionHash"].to_0x_hex())["blockNumber"] == hex(
        kept["blockNumber"]
    )
    logs = rpc("eth_getLogs", {"fromBlock": "0x0", "address": chain.token.address})
    assert undone_hash not in {log["transactionHash"] for log in logs}
    with pytest.raises(RuntimeError, match="not found"):
        rpc("debug_traceTransaction", undone_hash, {})
    assert rpc("evm_revert", snapshot) is False

    again = chain.transfer(9)
    new_hash = again["transactionHash"].to_0x_hex()
    assert again["blockNumber"] > height
    while node.height() < undone_height:
        rpc("evm_mine")
    assert rpc("eth_getBlockByNumber", hex(undone_height), False)["hash"] != old_block
    assert chain.balance() == 14
    assert [log["transactionHash"] for log in rpc("eth_getFilterChanges", filters[0])] == [new_hash]
    assert len(rpc("eth_getFilterChanges", filters[1])) >= again["blockNumber"] - height
    trace = rpc("debug_traceTransaction", new_hash, {"tracer": "callTracer"})
    assert int(trace["gasUsed"], 16) == again["gasUsed"]
    storage = rpc("debug_storageRangeAt", again["blockHash"].to_0x_hex(), 0, chain.token.address, "0x00", 100)
    assert 5 in {int(entry["value"], 16) for entry in storage["storage"].values()}  # before the block's transaction
    history = rpc("eth_feeHistory", "0x10", "latest", [50])
    assert int(history["oldestBlock"], 16) + len(history["gasUsedRatio"]) == node.height() + 1
    found = rpc("ots_searchTransactionsBefore", chain.account.address, 0, 25)["txs"]
    assert undone_hash not in {transaction["hash"] for transaction in found}
    assert int(rpc("cmt_consensusState")["height"], 16) > height
    assert number_of(node, "cmt_consensus_latest_block_height") > height
    status = subprocess.run(
        [sys.executable, "-m", "cybermiles", "node", "status", "--rpc", node.url], capture_output=True, text=True
    )
    assert status.returncode == 0, status.stderr


def number_of(node, metric):
    connection = http.client.HTTPConnection("127.0.0.1", node.port)
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read().decode()
    connection.close()
    return float(re.search(rf"^{metric} (\S+)$", answer, re.MULTILINE)[1])


def test_connections_and_subscriptions_outlive_a_revert(node):
    listener = socket.socket(socket.AF_UNIX)
    listener.connect(str(node.home / "cmt.ipc"))
    stream = listener.makefile("rwb")

    def ask(method, *params):
        stream.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
        stream.flush()
        while "method" in (message := json.loads(stream.readline())):
            heads.append(message["params"]["result"])
        return message["result"]

    heads = []
    ask("eth_subscribe", "newHeads")
    kept = http.client.HTTPConnection("127.0.0.1", node.port)
    kept.connect()
    used = kept.sock
    snapshot = ask("evm_snapshot")
    ask("anvil_mine", 2)
    ask("evm_revert", snapshot)
    ask("anvil_mine", 3)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []})
    kept.request("POST", "/", body, {"Content-Type": "application/json"})
    height = int(json.loads(kept.getresponse().read())["result"], 16)
    assert kept.sock is used
    while not heads or int(heads[-1]["number"], 16) < height:
        heads.append(json.loads(stream.readline())["params"]["result"])
    numbers = [int(head["number"], 16) for head in heads]
    assert any(later <= earlier for earlier, later in zip(numbers, numbers[1:], strict=False))
    newest = {int(head["number"], 16): head["hash"] for head in heads}
    for number, block_hash in newest.items():
        block = node.rpc("eth_getBlockByNumber", hex(number), False)
        assert block["hash"] == block_hash
    listener.close()
    kept.close()


def test_kill_after_a_revert_and_a_restart_find_the_chain_of_the_snapshot(node):
    chain = Chain(node)
    chain.transfer(5)
    snapshot = node.rpc("evm_snapshot")
    height = node.height()
    undone = chain.transfer(7)
    node.rpc("evm_revert", snapshot)
    again = node.rpc("evm_snapshot")
    node.kill()
    node.start()
    assert chain.balance() == 5
    assert node.rpc("eth_getTransactionReceipt", undone["transactionHash"].to_0x_hex()) is None
    assert node.rpc("evm_revert", again) is False
    chain.transfer(2)
    assert chain.balance() == 7
    assert node.height() > height


def test_what_a_kill_interrupts_is_finished_by_the_next_start(node):
    """Killed as soon as the mark is there that a revert has begun, or has answered before that was seen."""
    mark = node.home / "data" / MARK
    for _ in range(4):
        node.rpc("anvil_setBalance", OTHER, "0x5")
        request = {"jsonrpc": "2.0", "id": 1, "method": "evm_revert", "params": [node.rpc("evm_snapshot")]}
        node.rpc("anvil_setBalance", OTHER, "0x7")
        node.rpc("evm_mine")
        connection = http.client.HTTPConnection("127.0.0.1", node.port)
        connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
        while not mark.exists() and not select.select([connection.sock], [], [], 0)[0]:
            pass
        node.kill()
        connection.close()
        node.start()
        assert not mark.exists()
        assert node.rpc("eth_getBalance", OTHER, "latest") in {"0x5", "0x7"}
        before = node.height()
        node.rpc("evm_mine")
        assert node.height() > before


def test_fifty_cycles_leave_the_process_as_it_was(node):
    """Threads, open files, worker processes and memory."""
    chain = Chain(node)

    def cycle():
        snapshot = node.rpc("evm_snapshot")
        node.rpc("anvil_setStorageAt", chain.token.address, "0x40", "0x" + "07".rjust(64, "0"))
        node.rpc("anvil_mine", 2)
        assert chain.balance() == 0
        assert node.rpc("evm_revert", snapshot) is True
        assert int(node.rpc("eth_getStorageAt", chain.token.address, "0x40", "latest"), 16) == 0

    for _ in range(5):
        cycle()
    before = Process(node.process.pid)
    for _ in range(CYCLES):
        cycle()
    after = Process(node.process.pid)
    assert (after.threads, after.files, after.children) == (before.threads, before.files, before.children)
    assert after.mebibytes <= before.mebibytes + ADVANCE_MIB


class Process:
    """What the system knows of a process now."""

    def __init__(self, pid):
        root = Path(f"/proc/{pid}")
        self.threads = len(list((root / "task").iterdir()))
        files = [str(entry.readlink()) for entry in (root / "fd").iterdir()]
        self.files = sum("/data/" not in name and not name.startswith("socket:") for name in files)
        self.children = (root / "task" / str(pid) / "children").read_text().split()
        self.mebibytes = int((root / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def test_requests_during_a_revert_are_answered(node):
    """With what was or what is, or with an error that says so; the fixture looks for internal errors in the log."""
    chain = Chain(node)
    account = chain.account.address
    questions = [
        ("eth_blockNumber",),
        ("eth_getBlockByNumber", "latest", True),
        ("eth_getBalance", account, "latest"),
        ("eth_call", {"to": chain.token.address, "data": "0x18160ddd"}, "latest"),
        ("eth_estimateGas", {"from": account, "to": OTHER, "value": "0x1"}),
        ("eth_getLogs", {"fromBlock": "0x0", "address": chain.token.address}),
        ("eth_feeHistory", "0x5", "latest", [50]),
        ("debug_traceBlockByNumber", "latest", {"tracer": "callTracer"}),
        ("eth_getProof", account, ["0x0"], "latest"),
        ("ots_searchTransactionsBefore", account, 0, 25),
        ("cmt_consensusState",),
        ("txpool_content",),
        ("evm_mine",),
        ("anvil_setBalance", OTHER, "0x5"),
    ]
    codes = []

    def keep_asking(question, done):
        while not done:
            answer = node.post(
                json.dumps({"jsonrpc": "2.0", "id": 1, "method": question[0], "params": question[1:]}).encode()
            )
            codes.append(answer.get("error", {}).get("code"))

    done = []
    with ThreadPoolExecutor(len(questions)) as pool:
        asking = [pool.submit(keep_asking, question, done) for question in questions]
        for _ in range(15):
            snapshot = node.rpc("evm_snapshot")
            node.rpc("evm_mine")
            assert node.rpc("evm_revert", snapshot) is True
        done.append(True)
        for task in asking:
            task.result()
    assert codes.count(None) > len(codes) // 2
    assert -32603 not in codes
    chain.transfer(3)
    assert chain.balance() == 3


def test_the_console_is_printed_after_a_revert_too(node):
    chain = Chain(node)
    contract, _ = deploy(chain.w3, chain.account, "Talker")
    snapshot = node.rpc("evm_snapshot")
    transact(chain.w3, chain.account, contract.functions.say(41))
    node.rpc("evm_revert", snapshot)
    transact(chain.w3, chain.account, contract.functions.say(42))
    node.wait_for(lambda: "count is 42" in node.output())


def test_a_reset_is_to_the_genesis_block_and_to_no_other_chain(node):
    chain = Chain(node)
    genesis = node.rpc("eth_getBlockByNumber", "0x0", False)
    with pytest.raises(RuntimeError, match="it forks no other"):
        node.rpc("hardhat_reset", {"forking": {"jsonRpcUrl": "http://localhost"}})
    assert node.rpc("hardhat_reset") is True
    assert node.rpc("eth_getBlockByNumber", "0x0", False) == genesis
    assert chain.nonce() == 0
    assert node.rpc("anvil_reset", {}) is True
    deploy(chain.w3, chain.account, "LoyaltyToken", "Loyal", "LOY", 10**24)
