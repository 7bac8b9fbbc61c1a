"""cast, forge create and forge script against the real process.

`forge verify-contract` asks a server of the compiler's makers for a list before it speaks to any verifier, so it has no
test without a network; Hardhat's, which speaks to the same address of the node, has one.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import KEYS
from tests.tools.conftest import HERE

pytestmark = pytest.mark.e2e
KEY = ("--private-key", KEYS[0])
OTHER = "0x" + "ab" * 20


@pytest.fixture(scope="module")
def counter(forge, devnet):
    """A Counter that `forge create` deployed."""
    sources = ("src/Counter.sol:Counter", "--use", HERE / "solc.cjs", "--rpc-url", devnet.url)
    out = forge.run("create", *sources, *KEY, "--broadcast", "--json", "--constructor-args", 7)
    return json.loads(out[out.index("{") :])["deployedTo"]


@pytest.fixture(scope="module")
def sent(cast, counter):
    return json.loads(cast.run("send", counter, "add(uint256)", 3, *KEY, "--json"))


def test_cast_reads_the_chain(cast, devnet):
    assert cast.run("chain-id") == "181818"
    assert int(cast.run("block-number")) >= 0
    block = json.loads(cast.run("block", "latest", "--json"))
    assert block["hash"] == devnet.rpc("eth_getBlockByNumber", block["number"], False)["hash"]
    assert cast.run("client").startswith("anvil-compatible cybermiles/")
    assert (cast.run("gas-price"), cast.run("base-fee")) == ("0", "0")
    assert cast.run("rpc", "txpool_status")


def test_cast_sends_every_type_and_nothing_is_charged(cast):
    for number, options in ((0, ("--legacy",)), (2, ())):
        receipt = json.loads(cast.run("send", OTHER, "--value", "1gwei", *options, *KEY, "--json"))
        assert (receipt["status"], receipt["effectiveGasPrice"], int(receipt["type"], 16)) == ("0x1", "0x0", number)
    assert cast.run("balance", OTHER) == str(2 * 10**9)
    assert cast.run("estimate", OTHER, "--value", "1", "--from", cast.run("wallet", "address", *KEY)) == "21000"


def test_cast_calls_and_reads_a_contract(cast, counter):
    assert cast.run("call", counter, "count()(uint256)", "--block", "latest") in ("7", "10")
    assert cast.run("code", counter).startswith("0x6080")
    assert int(cast.run("storage", counter, 0), 16) in (7, 10)
    assert json.loads(cast.run("proof", counter, 0))["storageProof"][0]["key"]
    assert int(cast.run("estimate", counter, "add(uint256)", 5)) < 60_000
    assert cast.run("access-list", counter, "add(uint256)", 5)


def test_cast_decodes_refusals(cast, counter):
    reason = cast.attempt("call", counter, "refuse()")
    assert reason.returncode != 0
    assert "out of stock" in reason.stderr
    custom = cast.attempt("call", counter, "add(uint256)", 101)
    assert "execution reverted" in custom.stderr
    assert cast.run("sig", "TooMuch(uint256,uint256)")[2:] in custom.stderr


def test_cast_finds_what_was_sent(cast, counter, sent):
    transaction = sent["transactionHash"]
    assert cast.run("receipt", transaction, "status") == "true"
    assert cast.run("tx", transaction, "input").startswith(cast.run("sig", "add(uint256)"))
    logs = json.loads(cast.run("logs", "--address", counter, "--from-block", int(sent["blockNumber"], 16), "--json"))
    assert [log["transactionHash"] for log in logs] == [transaction]


def test_cast_replays_a_transaction(cast, sent):
    out = cast.run("run", sent["transactionHash"])
    assert "Transaction successfully executed" in out
    assert f"Gas used: {int(sent['gasUsed'], 16)}" in out


def test_cast_delegates_an_account(cast, counter):
    key = ("--private-key", KEYS[3])
    account = cast.run("wallet", "address", *key)
    receipt = json.loads(cast.run("send", account, "--auth", counter, *key, "--json"))
    assert receipt["type"] == "0x4"
    assert cast.run("code", account) == "0xef0100" + counter[2:].lower()


def test_forge_script_broadcasts_its_transactions(cast, forge, devnet):
    script = ("script/Deploy.s.sol:Deploy", "--use", HERE / "solc.cjs", "--rpc-url", devnet.url)
    forge.run("script", *script, *KEY, "--broadcast", "--slow")
    run = json.loads((forge.directory / "broadcast/Deploy.s.sol/181818/run-latest.json").read_text())
    assert [receipt["status"] for receipt in run["receipts"]] == ["0x1", "0x1"]
    assert cast.run("call", run["transactions"][0]["contractAddress"], "count()(uint256)") == "42"
