"""docs/staking-and-governance.md does what it says: its Python, JavaScript and Solidity run against a real node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from web3 import Web3

from cybermiles.system.interface import GOVERNANCE_ABI, STAKING_ABI, VESTING_ABI, load_abi
from tests.e2e.conftest import KEYS
from tests.e2e.network.cluster import Cluster

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/staking-and-governance.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"<!-- test: (.+?) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
ABI_FOLDER = ROOT / "cybermiles/system/abi"
SOURCES = ROOT / "cybermiles/system/sol"
PARAMS = ("block_interval_ms=200", "clock_precision_ms=86400000", "gov_notice_seconds=0", "gov_voting_seconds=86400")
COMPILE = """
import { createRequire } from 'node:module';
const solc = createRequire(process.argv[1])('solc');
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
process.stdout.write(solc.compile(chunks.join('')));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One validator whose votes open at once."""
    with Cluster(tmp_path_factory.mktemp("page") / "net", validators=1, params=PARAMS) as cluster:
        cluster.create().start()
        cluster.wait_for_blocks(1)
        yield cluster.nodes[0]


@pytest.fixture(scope="module")
def w3(node):
    return Web3(Web3.HTTPProvider(node.url))


def contract(w3, interface, address):
    return w3.eth.contract(address=address, abi=json.loads((ABI_FOLDER / f"{interface}.json").read_text())["abi"])


def send(w3, key, call, value=0, **fields):
    account = w3.eth.account.from_key(key)
    fields |= {"from": account.address, "value": value, "nonce": w3.eth.get_transaction_count(account.address)}
    signed = account.sign_transaction(call.build_transaction(fields))
    receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.1)
    assert receipt["status"] == 1
    return receipt


def test_the_page_names_every_contract_s_interface():
    assert {STAKING_ABI, GOVERNANCE_ABI, VESTING_ABI} <= set(re.findall(r"`(ICmt\w+)`", PAGE))
    assert set(SNIPPETS) == {"web3.py", "web3.py vote", "ethers", "solidity"}
    assert load_abi(STAKING_ABI).functions["delegate"].selector.hex() == "5c19a95c"


def test_the_python_delegates_and_votes(node, w3, capsys):
    names = {"URL": node.url, "PRIVATE_KEY": KEYS[1]}
    exec(SNIPPETS["web3.py"], names)  # noqa: S102  (the page is ours)
    out = capsys.readouterr().out
    assert "staked 5000000000000000000000 wei in all, for 0 wei per gas" in out
    assert re.search(r"exit 1 pays 1000000000000000000000 wei at \d+", out)
    bond = int(node.rpc("cmt_params")["gov_bond"])
    send(w3, KEYS[2], names["governance"].functions.proposeSignal("title", "reason", 0), bond)
    exec(SNIPPETS["web3.py vote"], names)  # noqa: S102
    voted = re.search(r"voted 1 on 1 with (\d+) wei", capsys.readouterr().out)
    assert 480 * 10**18 <= int(voted[1]) < 481 * 10**18  # one validator's power is 12 % of its stake
    (proposal,) = node.rpc("cmt_queryProposals")["data"]
    assert proposal["YesPower"] == voted[1]


def test_the_javascript_delegates_and_reads_a_refusal(node, node_directory, tmp_path):
    head = f"const URL = '{node.url}', PRIVATE_KEY = '{KEYS[2]}', ABI_FOLDER = '{ABI_FOLDER}';\n"
    (tmp_path / "node_modules").symlink_to(node_directory / "node_modules")
    (tmp_path / "page.mjs").write_text(head + SNIPPETS["ethers"] + "\nprovider.destroy();\n")
    done = subprocess.run(["node", tmp_path / "page.mjs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    staked, refused = done.stdout.split("\n")[:2]
    assert staked == "staked 5000000000000000000000"
    assert refused.startswith("refused: ")


def test_the_contract_delegates_votes_and_catches_refusals(node, w3, node_directory):
    sources = {
        f"{name}.sol": {"content": (SOURCES / f"{name}.sol").read_text()} for name in (STAKING_ABI, GOVERNANCE_ABI)
    }
    question = {
        "language": "Solidity",
        "sources": {**sources, "Pool.sol": {"content": SNIPPETS["solidity"]}},
        "settings": {"outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}}},
    }
    done = subprocess.run(
        ["node", "--input-type=module", "-e", COMPILE, str(node_directory / "x.js")],
        input=json.dumps(question),
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    errors = [error["formattedMessage"] for error in answer.get("errors", ()) if error["severity"] == "error"]
    assert not errors, errors
    pool = answer["contracts"]["Pool.sol"]["Pool"]
    deployed = send(
        w3, KEYS[3], w3.eth.contract(abi=pool["abi"], bytecode=pool["evm"]["bytecode"]["object"]).constructor()
    )
    pool = w3.eth.contract(deployed["contractAddress"], abi=pool["abi"])
    staking = contract(w3, STAKING_ABI, "0x0000000000000000000000000000000000434d01")
    governance = contract(w3, GOVERNANCE_ABI, "0x0000000000000000000000000000000000434d04")
    (validator, *_), *_ = staking.functions.validators(0, 1).call()

    send(w3, KEYS[3], pool.functions.join(validator), 2000 * 10**18, gasPrice=0)
    assert staking.functions.delegation(pool.address, validator).call()[1] == 2000 * 10**18
    assert pool.functions.tryJoin(validator).call({"value": 10**18, "from": deployed["from"]}) == "in"
    assert pool.functions.tryJoin(pool.address).call({"value": 1, "from": deployed["from"]}) == "refused"
    bond = int(node.rpc("cmt_params")["gov_bond"])
    send(w3, KEYS[3], governance.functions.proposeSignal("of the pool", "", 0), bond)
    proposal = governance.functions.proposalCount().call()
    send(w3, KEYS[3], pool.functions.vote(proposal, False), gasPrice=0)
    choice, power, _ = governance.functions.voteOf(proposal, pool.address).call()
    assert choice == 2
    assert 240 * 10**18 <= power < 241 * 10**18
    send(w3, KEYS[3], pool.functions.leave(validator, 2000 * 10**18 // 2), gasPrice=0)
    assert len(staking.functions.exitsOf(pool.address, 0, 10).call()) == 1
