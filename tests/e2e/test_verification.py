"""Sources verified at the real node's `/api`, recompiled by the real solc."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
from web3 import Web3

from tests.e2e.conftest import KEYS, Devnet
from tests.unit.rpc.verification.samples import DOCUMENT, SOURCES, VERSION, metadata

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["compiles", "compares metadata"])
def node(request, tmp_path_factory):
    """A devnet with and without a compiler; `node.vault` is a deployed contract."""
    home = tmp_path_factory.mktemp("verification") / "home"
    home.mkdir()
    if request.param == "compiles":
        directory = request.getfixturevalue("node_directory")
        command = json.dumps([shutil.which("node"), str(directory / "solc.mjs")])
        (home / "config.toml").write_text(f"[verify]\nsolc = {command}\n")
    node = Devnet(home).start()
    node.compiles = request.param == "compiles"
    node.constructor, node.vault = deploy(node)
    yield node
    assert node.stop() == 0


def deploy(node):
    w3 = Web3(Web3.HTTPProvider(node.url))
    account = w3.eth.account.from_key(KEYS[0])
    found = DOCUMENT["contracts"]["Vault"]
    contract = w3.eth.contract(abi=found["abi"], bytecode=found["evm"]["bytecode"]["object"])
    built = contract.constructor(2_500, "vault").build_transaction(
        {"from": account.address, "nonce": w3.eth.get_transaction_count(account.address)}
    )
    sent = w3.eth.send_raw_transaction(account.sign_transaction(built).raw_transaction)
    receipt = w3.eth.wait_for_transaction_receipt(sent, poll_latency=0.1)
    return contract.constructor(2_500, "vault").data_in_transaction[-256:], receipt["contractAddress"]


def ask(node, form=None, **query):
    query = {"module": "contract", "chainid": "181818"} | query
    body = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{node.url}/api?{urllib.parse.urlencode(query)}", body) as response:
        return json.load(response)


def verify(node, **changes):
    form = {
        "codeformat": "solidity-standard-json-input",
        "contractaddress": node.vault,
        "contractname": "Vault.sol:Vault",
        "compilerversion": f"v{VERSION}",
        "constructorArguements": node.constructor,
        "sourceCode": json.dumps(DOCUMENT["input"]),
        "metadata": metadata(),
    }
    submitted = ask(node, form | changes, action="verifysourcecode")
    if submitted["status"] != "1":
        return submitted
    while (answer := ask(node, action="checkverifystatus", guid=submitted["result"]))["result"] == "Pending in queue":
        time.sleep(0.05)
    return answer


def test_wrong_sources_fail_right_ones_pass_and_survive_a_restart(node):
    broken = json.loads(json.dumps(DOCUMENT["input"]))
    vault = broken["sources"]["Vault.sol"]
    vault["content"] = vault["content"].replace("amount.without(fee)", "fee.without(amount)")
    assert verify(node, sourceCode=json.dumps(broken))["result"].startswith("Fail - Unable to verify: ")
    assert ask(node, action="getabi", address=node.vault)["result"] == "Contract source code not verified"
    answer = verify(node)
    assert answer["result"] == "Pass - Verified"
    assert node.stop() == 0
    node.start()
    found = ask(node, action="getsourcecode", address=node.vault)
    assert found["result"][0]["MatchType"] == ("full" if node.compiles else "metadata")
    assert found["result"][0]["ConstructorArgumentsChecked"] == ("1" if node.compiles else "0")
    assert (found["message"] == "OK") == node.compiles
    assert verify(node)["result"] == "Contract source code already verified"


def test_other_networks_serve_no_api(home):
    node = Devnet(home)
    home.mkdir()
    (home / "config.toml").write_text("[verify]\nenabled = false\n")
    node.start()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(node, action="getabi", address="0x" + "12" * 20)
    assert node.stop() == 0


def test_the_samples_are_what_the_compiler_says(node_directory):
    answer = subprocess.run(
        ["node", str(node_directory / "solc.mjs")],
        input=json.dumps(DOCUMENT["input"]),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout)["contracts"]
    assert found["Vault.sol"]["Vault"]["metadata"] == metadata()
    assert {path.name for path in SOURCES.glob("*.sol")} == set(DOCUMENT["input"]["sources"])
