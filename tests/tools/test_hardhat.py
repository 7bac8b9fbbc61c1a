"""A Hardhat project that deploys to and tests against the real process."""

from __future__ import annotations

import json
import urllib.request

import pytest

pytestmark = pytest.mark.e2e


def test_a_script_deploys(hardhat, devnet):
    out = json.loads(hardhat.run("run", "scripts/deploy.mjs", "--no-compile").splitlines()[-1])
    assert out["count"] == "42"
    assert devnet.rpc("eth_getCode", out["address"], "latest").startswith("0x6080")


def test_the_project_s_own_tests_pass(hardhat):
    out = hardhat.run("test", "nodejs", "--no-compile")
    assert "7 passing" in out


def test_hardhat_verifies_sources_at_the_node(hardhat, devnet):
    address = json.loads(hardhat.run("run", "scripts/deploy.mjs", "--no-compile").splitlines()[-1])["address"]
    out = hardhat.run("verify", "etherscan", "--network", "devnet", address, "40")
    assert "verified" in out
    with urllib.request.urlopen(f"{devnet.url}/api?module=contract&action=getsourcecode&address={address}") as answer:
        (source,) = json.load(answer)["result"]
    assert (source["ContractName"], source["MatchType"]) == ("Counter", "full")
