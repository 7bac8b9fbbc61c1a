"""Genesis documents: the shipped ones are right, and every mistake is named with its path."""

from __future__ import annotations

import json

import pytest

from cybermiles.chain.genesis import parse_genesis
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.predeploys import (
    CREATE2_DEPLOYER,
    HISTORY_CODE,
    HISTORY_CONTRACT,
    MULTICALL3,
    SYSTEM_CONTRACTS,
    VESTING,
)
from cybermiles.chain.writing import format_genesis
from cybermiles.errors import ConfigError
from cybermiles.execution.genesis import genesis_block
from cybermiles.types.primitives import WEI_PER_CMT

HASHES = {
    "mainnet": "3cb7a7fb029c2746b1f4d3c7bbe47488ed1112cbe7064a0766f337f0318d2a26",
    "testnet": "65683cdf73b3985b1b493d5dce95302760e0f4fcb0571fed837e00cfc911c69b",
    "devnet": "0651fee20f3910606ec6020951b02801f7a1fa753aa93d2982e5da3817538eb8",
}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_shipped_documents_have_their_chain_id_hash_and_supply(network):
    document = network_genesis(network)
    assert document.chain_id == NETWORKS[network]
    assert document.hash.hex() == HASHES[network]
    balances = [account.balance for account in document.accounts().values()]
    assert sum(balances) == document.supply == 10**9 * WEI_PER_CMT


@pytest.mark.parametrize("network", NETWORKS)
def test_writing_is_the_inverse_of_reading(network):
    document = network_genesis(network)
    assert parse_genesis(format_genesis(document)) == document


def test_mainnet_is_allocated_as_the_whitepaper_says():
    document = network_genesis("mainnet")
    million = 10**6 * WEI_PER_CMT
    assert {a.label: a.amount // million for a in document.allocations} == {
        "token contribution": 700,
        "reserve for end users": 100,
    }
    assert {g.label: g.amount // million for g in document.vesting} == {"5miles": 100, "team and partners": 100}
    assert {g.end - g.start for g in document.vesting} == {5 * 365 * 86_400 // 2}
    assert document.accounts()[VESTING].balance == 200 * million
    assert not document.allow_unprotected


def test_predeploys_have_code_and_nonce_one():
    accounts = network_genesis("devnet").accounts()
    for address in (MULTICALL3, CREATE2_DEPLOYER, HISTORY_CONTRACT, *SYSTEM_CONTRACTS):
        assert accounts[address].code
        assert accounts[address].nonce == 1
    assert len(SYSTEM_CONTRACTS) == 5
    from eth.vm.forks.prague.constants import HISTORY_STORAGE_CONTRACT_CODE

    assert HISTORY_CODE == HISTORY_STORAGE_CONTRACT_CODE


def test_block_zero_commits_to_the_whole_document():
    document = network_genesis("devnet")
    header = genesis_block(document).header
    assert header.extra_data == document.hash
    assert header.height == 0
    later = genesis_block(document.with_timestamp(document.timestamp + 1)).header
    assert later.hash != header.hash
    assert later.state_root == header.state_root


def test_a_template_without_validators_names_the_remedy():
    with pytest.raises(ConfigError, match="cmt init"):
        network_genesis("devnet").validator_set  # noqa: B018


def document():
    return json.loads(format_genesis(network_genesis("mainnet")))


def changed(path, value):
    """The mainnet document with one field replaced (or removed where the value is ...)."""
    root = node = document()
    *parents, last = path
    for part in parents:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return json.dumps(root)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["chainid"], "18", 'genesis: unknown key "chainid"; did you mean "chain_id"'),
        (["parameters", "free_gas_limits"], "1 gas", 'genesis.parameters: unknown key.*did you mean "free_gas_limit"'),
        (["parameters", "min_gas_price"], "2 gwei", "genesis.parameters.min_gas_price.*2 wei per gas"),
        (["parameters", "inflation_rate"], "8 per year", "inflation_rate is 8, but must be between 0 and 1/5"),
        (["parameters", "inflation_rate"], "8/0 per year", "must be a ratio"),
        (["parameters", "free_gas_limit"], "500001000 gas", "free_gas_limit.*between 21000"),
        (["parameters", "free_compute_units_per_transaction"], "500000 CU", "must not be over"),
        (["supply_cmt"], ..., 'the key "supply_cmt" is missing'),
        (["supply_cmt"], "999999999", "1000000000000000000 wei|too many"),
        (["supply_cmt"], 1000000000, "bare number 1000000000 must be a decimal string"),
        (["allocations", 0, "amount_cmt"], "700000000.0000000000000000001", "18 decimal places"),
        (["allocations", 0, "amount_cmt"], "-5", r"genesis.allocations\[0\].amount_cmt"),
        (["allocations", 0, "amount_cmt"], "699999999", "too few"),
        (["allocations", 1, "address"], "0x1234", r"genesis.allocations\[1\].address.*40 hex digits"),
        (["vesting", 0, "end"], "2026-13-01T00:00:00Z", r"genesis.vesting\[0\].end.*UTC time"),
        (["vesting", 0, "end"], "2020-01-01T00:00:00Z", "the end must be after the start"),
        (["genesis_time"], "2027-01-01", "genesis.genesis_time.*UTC time"),
        (["validators", 0, "power"], "0", r"validators\[0\].power.*from 1"),
        (["validators", 0, "consensus_key"], "0x00", "64 hex digits"),
        (["allow_unprotected"], "yes", "true or false"),
        (["name"], "", "printable ASCII"),
        (["allocations"], {}, "must be a list"),
    ],
)
def test_a_mistake_is_refused_with_the_path_of_the_field(path, value, message):
    with pytest.raises(ConfigError, match=message):
        parse_genesis(changed(path, value))


def test_a_wrong_checksum_is_refused_with_the_right_one():
    address = document()["allocations"][0]["address"]
    wrong = address.swapcase().replace("0X", "0x")
    with pytest.raises(ConfigError, match=address):
        parse_genesis(changed(["allocations", 0, "address"], wrong))


def test_two_validators_with_one_key_are_refused():
    root = document()
    root["validators"].append(root["validators"][0])
    with pytest.raises(ConfigError, match=r"validators\[1\].consensus_key"):
        parse_genesis(json.dumps(root))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "nul", '{"a": 1.5}', '{"a": NaN}', '{"a": "1", "a": "2"}', "[" * 99_000]
)
def test_texts_that_are_no_document_are_refused(text):
    with pytest.raises(ConfigError):
        parse_genesis(text)
