"""`cmt tx` and `cmt contract` as a user runs them, against a real devnet."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import CONTRACTS
from tests.unit.rpc.verification.samples import DOCUMENT, SOURCES, VERSION, metadata

pytestmark = pytest.mark.e2e

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def cmt(devnet, *arguments):
    """Return (exit code, document or text, stderr)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CMT_")}
    command = [sys.executable, "-m", "cybermiles", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | {"CMT_RPC": devnet.url})
    return (
        done.returncode,
        json.loads(done.stdout) if "--json" in arguments and done.stdout else done.stdout,
        done.stderr,
    )


@pytest.fixture(scope="module")
def signing(tmp_path_factory):
    return "--from", ALICE, "--home", tmp_path_factory.mktemp("wallet"), "--json"


def test_coins_are_sent_and_the_transaction_is_followed(devnet, signing):
    receiver = "0x" + "51" * 20
    code, sent, _ = cmt(devnet, "tx", "send", "--to", receiver, "--value", "1.25", *signing)
    assert (code, sent["fee"], sent["lane"]) == (0, "0", "free")
    assert int(devnet.rpc("eth_getBalance", receiver, "latest"), 16) == 125 * 10**16
    code, status, _ = cmt(devnet, "tx", "status", sent["transaction"], "--json")
    assert (code, status["status"], status["succeeded"]) == (0, "included", True)
    code, unsigned, _ = cmt(devnet, "tx", "send", "--to", receiver, "--value", "1", "--dry-run", *signing)
    assert (code, int(unsigned["value"], 16), unsigned["to"].lower()) == (0, 10**18, receiver)


def test_a_contract_is_deployed_asked_called_and_its_refusal_is_explained(devnet, signing):
    abi = CONTRACTS / "Probe.json"
    code, deployed, err = cmt(devnet, "contract", "deploy", abi, *signing)
    assert (code, err) == (0, "")
    address = deployed["contract"]
    assert devnet.rpc("eth_getCode", address, "latest") != "0x"
    names = {entry["name"] for entry in json.loads(abi.read_text())["abi"] if entry["type"] == "function"}
    code, _, err = cmt(devnet, "contract", "call", address, "nothing", "--abi", abi)
    assert code == 1
    assert all(name in err for name in names)
    assert cmt(devnet, "contract", "call", "0x" + "52" * 20, "f() returns (uint256)")[0] == 1


def test_a_deployed_vault_is_asked_fails_in_words_and_is_verified_by_metadata(devnet, signing, tmp_path):
    for source in SOURCES.glob("*.sol"):
        (tmp_path / source.name).write_text(source.read_text())
    found = DOCUMENT["contracts"]["Vault"]
    path = tmp_path / "out" / "Vault.sol" / "Vault.json"
    path.parent.mkdir(parents=True)
    code = "0x" + found["evm"]["bytecode"]["object"]
    path.write_text(json.dumps({"abi": found["abi"], "bytecode": {"object": code}, "rawMetadata": metadata()}))
    code, deployed, err = cmt(devnet, "contract", "deploy", path, "2500", "vault", *signing)
    assert (code, err) == (0, "")
    address = deployed["contract"]
    ask = ("contract", "call", address)
    assert cmt(devnet, *ask, "fee", "--abi", path, "--json")[1]["results"] == ["2500"]
    assert cmt(devnet, *ask, "owner() returns (address)", "--json")[1]["results"] == [ALICE]
    assert cmt(devnet, *ask, "name()(string)")[1] == "vault\n"
    assert cmt(devnet, *ask, "close", "17", "--abi", path)[2] == "Error: Closed(until 17)\n"
    code, _, err = cmt(devnet, "tx", "send", "--to", address, "--call", "close(uint256)", "17", *signing)
    assert code == 1
    code, _, err = cmt(
        devnet, "tx", "send", "--to", address, "--call", "close(uint256)", "17", "--gas", 90_000, *signing
    )
    assert code == 1
    failed = err.split()[1]
    assert "Closed(until 17)" in cmt(devnet, "tx", "status", failed, "--abi", path)[1]
    verify = ("contract", "verify", address, path, "2500", "vault", "--json")
    code, verdict, err = cmt(devnet, *verify)
    assert (code, err, verdict["match"]) == (0, "", "metadata")
    assert "nothing was compiled" in verdict["message"]
    assert cmt(devnet, *verify)[1]["match"] == "metadata"
    code, _, err = cmt(devnet, "contract", "verify", "0x" + "53" * 20, path, "2500", "vault")
    assert code == 1
    assert "Unable to locate ContractCode" in err
    assert VERSION in json.loads(metadata())["compiler"]["version"]


def test_where_no_node_answers_the_command_says_what_to_do(devnet):
    code, _, err = cmt(devnet, "contract", "call", BOB, "f()", "--rpc", "http://127.0.0.1:1")
    assert code == 1
    assert "cmt devnet" in err
