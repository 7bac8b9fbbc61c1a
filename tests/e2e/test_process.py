"""The process itself: restarts, kill -9, hostile input, wrong files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from web3 import Web3

from tests.e2e.conftest import KEYS, Devnet

pytestmark = pytest.mark.e2e


def transfer(net, nonce, key=KEYS[0], value=1):
    account = Web3().eth.account.from_key(key)
    signed = account.sign_transaction(
        {
            "to": "0x" + "33" * 20,
            "value": value,
            "gas": 21_000,
            "gasPrice": 2 * 10**9,
            "nonce": nonce,
            "chainId": 181818,
        }
    )
    return net.rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())


def wait_for_receipt(net, tx_hash):
    net.wait_for(lambda: net.rpc("eth_getTransactionReceipt", tx_hash) is not None)
    return net.rpc("eth_getTransactionReceipt", tx_hash)


def cmt(*arguments):
    return subprocess.run([sys.executable, "-m", "cybermiles", *arguments], capture_output=True, text=True)


def test_state_survives_restarts_and_sigterm_stops_cleanly(home):
    net = Devnet(home).start()
    receipt = wait_for_receipt(net, transfer(net, 0, value=10**18))
    block = net.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
    assert net.stop() == 0
    net.start()
    assert net.rpc("eth_getBlockByNumber", receipt["blockNumber"], False) == block
    assert int(net.rpc("eth_getBalance", "0x" + "33" * 20, "latest"), 16) == 10**18
    height = net.height()
    net.wait_for(lambda: net.height() > height)
    assert net.stop() == 0


def test_kill_9_under_load_loses_no_block_that_was_seen(home):
    net = Devnet(home).start()
    nonce, seen = 0, {}
    for _ in range(6):
        for _ in range(40):
            transfer(net, nonce)
            nonce += 1
        height = net.height()
        net.wait_for(lambda: net.height() > height)
        for number in range(len(seen), net.height() + 1):
            seen[number] = net.rpc("eth_getBlockByNumber", hex(number), False)
        net.kill()
        net.start()
        assert net.height() >= max(seen)
        for number in list(seen)[-3:]:
            assert net.rpc("eth_getBlockByNumber", hex(number), False) == seen[number]
        nonce = int(net.rpc("eth_getTransactionCount", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "latest"), 16)
    height = net.height()
    net.wait_for(lambda: net.height() > height)
    assert net.stop() == 0


def test_without_empty_blocks_a_transaction_still_gets_a_block(home):
    net = Devnet(home, "--no-empty-blocks").start()
    assert net.height() == 0
    receipt = wait_for_receipt(net, transfer(net, 0))
    assert receipt["blockNumber"] == "0x1"
    wait_for_receipt(net, transfer(net, 1))
    assert net.height() == 2
    assert net.stop() == 0


def test_an_ephemeral_devnet_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "cybermiles", "devnet", "--ephemeral", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path / "nowhere")},
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("JSON-RPC"):
            break
    assert any("private key 0xac0974be" in line for line in lines)
    assert len(list(tmp_path.glob("cmt-devnet-*"))) == 1
    process.terminate()
    assert process.wait() == 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_hostile_requests_get_errors_and_the_node_lives(devnet):
    import urllib.error

    bombs = [
        b"[" * 99_000 + b"]" * 99_000,
        b'{"a":' * 90_000 + b"1" + b"}" * 90_000,
        b"\xff\xfe",
        b"",
        b"[]",
        b"x" * 2_000_000,
        b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x' + b"f" * 900_000 + b'"]}',
        b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x' + b"f9ffff" * 40_000 + b'"]}',
        b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[1e400]}',
    ]
    for bomb in bombs:
        try:
            answer = devnet.post(bomb)
        except urllib.error.HTTPError as error:
            assert error.code in (400, 413)
        else:
            assert "error" in answer
    assert devnet.height() >= 0
    assert devnet.process.poll() is None


def test_a_second_node_on_the_same_home_is_refused(devnet):
    result = cmt("devnet", "--home", str(devnet.home), "--port", "0")
    assert result.returncode == 78
    assert f"process id {devnet.process.pid}" in result.stderr


def test_a_taken_port_is_refused(devnet):
    result = cmt("devnet", "--ephemeral", "--port", str(devnet.port))
    assert result.returncode == 78
    assert "JSON-RPC cannot listen" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_chains_genesis_is_refused_with_both_hashes(home):
    net = Devnet(home).start()
    assert net.stop() == 0
    document = json.loads((home / "genesis.json").read_text())
    document["name"] = "another chain"
    (home / "genesis.json").write_text(json.dumps(document))
    result = cmt("node", "start", "--home", str(home))
    assert result.returncode in (74, 78)
    assert "genesis" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_lost_signer_state_is_refused(home):
    net = Devnet(home).start()
    assert net.stop() == 0
    (home / "keys" / "validator_state.json").unlink()
    result = cmt("node", "start", "--home", str(home))
    assert result.returncode == 78
    assert "signer state" in result.stderr


def test_status_and_transaction_status_speak(devnet):
    status = json.loads(cmt("node", "status", "--rpc", devnet.url, "--json").stdout)
    assert status["chain_id"] == 181818
    tx_hash = transfer(devnet, 5, key=KEYS[3])
    queued = cmt("tx", "status", tx_hash, "--rpc", devnet.url)
    assert queued.stdout.startswith("queued")
    account = Web3().eth.account.from_key(KEYS[3])
    refused = account.sign_transaction(
        {"to": account.address, "value": 0, "gas": 600_000, "gasPrice": 1, "nonce": 0, "chainId": 181818}
    )
    with pytest.raises(RuntimeError, match="over the free limit"):
        devnet.rpc("eth_sendRawTransaction", "0x" + refused.raw_transaction.hex())
    reason = cmt("tx", "status", "0x" + refused.hash.hex(), "--rpc", devnet.url)
    assert "over the free limit" in reason.stdout
    unknown = cmt("tx", "status", "0x" + "00" * 32, "--rpc", devnet.url)
    assert unknown.returncode == 1
    nobody = cmt("node", "status", "--rpc", "http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "start one with `cmt devnet`" in nobody.stderr
