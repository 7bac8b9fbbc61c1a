"""Genesis documents: the shipped ones are right, and every mistake is named with its path."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.genesis import Allocation, GenesisDocument, GenesisValidator, parse_genesis
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import (
    CREATE2_DEPLOYER,
    HISTORY_CODE,
    HISTORY_CONTRACT,
    MULTICALL3,
    STAKING,
    SYSTEM_CONTRACTS,
    VESTING,
)
from cybermiles.chain.reading import MAX_DOCUMENT_BYTES, checksum
from cybermiles.chain.writing import format_genesis
from cybermiles.errors import ConfigError
from cybermiles.execution.genesis import genesis_block
from cybermiles.types.primitives import WEI_PER_CMT, Address, Wei
from cybermiles.types.rotation import MAX_VALIDATORS
from cybermiles.types.validator import Validator

HASHES = {
    "mainnet": "86e18db9a93d3c7cc3a3d85364805ea290fb27b4e021b46a74e08be452105ec9",
    "testnet": "dd5b3d5a22e0b9e9b13e29b0f28d2ff33ad73b8bc61f883066cbf57479f0086c",
    "devnet": "6c84f5f87953fd197ae2be1d2243ac2ebe3740d4effb290ddc87dcd0f6867451",
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
    sums = dict.fromkeys((a.label for a in document.allocations), 0)
    for allocation in document.allocations:
        sums[allocation.label] += allocation.amount
    assert sums == {"token contribution": 700 * million, "reserve for end users": 100 * million}
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
    assert later.state_root != header.state_root, "staking knows since when coins are minted"


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
        (["parameters", "free_compute_units_per_transaction"], "500001 CU", "must not be over"),
        (["supply_cmt"], ..., 'the key "supply_cmt" is missing'),
        (["supply_cmt"], "999999999", "1000000000000000000 wei|too many"),
        (["supply_cmt"], 1000000000, "genesis.supply_cmt: the bare number 1000000000 must be a decimal string"),
        (["supply_cmt"], 1e9, "genesis.supply_cmt: the bare number 1000000000.0"),
        (["supply_cmt"], float("nan"), "genesis.supply_cmt: the bare number NaN"),
        (["allow_unprotected"], 1, "genesis.allow_unprotected: the bare number 1 must be true or false"),
        (["allocations", 1], 5, r"genesis.allocations\[1\]: the bare number 5 must be an object"),
        (["chain_id"], "0", "genesis.chain_id.*from 1 to"),
        (["chain_id"], "018", "genesis.chain_id.*decimal integer"),
        (["chain_id"], [1.5], "genesis.chain_id.*decimal string"),
        (["parameters", "free_gas_limit"], "9" * 5000 + " gas", "genesis.parameters: free_gas_limit.*decimal integer"),
        (["parameters", "inflation_rate"], "1/" + "9" * 5000 + " per year", "inflation_rate.*ratio"),
        (["validators", 0, "power"], str(2**60), r"genesis.validators\[0\].power.*to 1152921504606846975"),
        (["allocations", 0, "address"], "0x" + "00" * 20, r"genesis.allocations\[0\].address.*never be spent"),
        (["allocations", 0, "address"], "0x" + "00" * 18 + "0100", r"genesis.allocations\[0\].address.*never be spent"),
        (["allocations", 0, "address"], "0x" + VESTING.hex(), r"genesis.allocations\[0\].address.*never be spent"),
        (["vesting", 1, "holder"], "0x" + MULTICALL3.hex(), r"genesis.vesting\[1\].holder.*never be spent"),
        (["\ud800" * 90], "", "unknown key"),
        (["allocations", 0, "amount_cmt"], "700000000.0000000000000000001", "18 decimal places"),
        (["allocations", 0, "amount_cmt"], "-5", r"genesis.allocations\[0\].amount_cmt"),
        (["allocations", 0, "amount_cmt"], "698999999", "too few"),
        (["allocations", 1, "address"], "0x1234", r"genesis.allocations\[1\].address.*40 hex digits"),
        (["vesting", 0, "end"], "2026-13-01T00:00:00Z", r"genesis.vesting\[0\].end.*UTC time"),
        (["vesting", 0, "end"], "2020-01-01T00:00:00Z", "the end must be after the start"),
        (["vesting", 0, "end"], document()["vesting"][0]["start"], "the end must be after the start"),
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


def test_powers_whose_sum_is_too_large_are_refused():
    root = document()
    root["validators"][0] |= {"power": str(2**60 - 1), "stake_cmt": "0"}
    assert parse_genesis(json.dumps(root)).validator_set.total_power == 2**60 - 1
    root["validators"].append(root["validators"][0] | {"consensus_key": "0x" + "11" * 32, "power": "1"})
    with pytest.raises(ConfigError, match="genesis.validators: the powers sum to"):
        parse_genesis(json.dumps(root))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{\n  "name"', '{\n  "name": "x",\n  "name"', 'genesis: the key "name" stands twice'),
        ('"power"', '"power": "1", "power"', r'genesis.validators\[0\]: the key "power" stands twice'),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_the_path_of_its_object(old, new, message):
    text = format_genesis(network_genesis("mainnet"))
    assert old in text
    with pytest.raises(ConfigError, match=message):
        parse_genesis(text.replace(old, new, 1))


def test_a_document_is_utf8_text_of_bounded_size():
    text = format_genesis(network_genesis("mainnet"))
    assert parse_genesis(text.encode()) == parse_genesis(text)
    with pytest.raises(ConfigError, match="not UTF-8"):
        parse_genesis(text.encode("utf-16"))
    with pytest.raises(ConfigError, match="larger than"):
        parse_genesis(text + " " * MAX_DOCUMENT_BYTES)


def test_a_document_that_does_not_add_up_cannot_be_built():
    document = network_genesis("mainnet")
    with pytest.raises(ConfigError, match="too few"):
        dataclasses.replace(document, allocations=document.allocations[1:])
    with pytest.raises(ConfigError, match="max_supply"):
        dataclasses.replace(document, params=ChainParams(max_supply=10**26))


def test_vesting_moves_with_the_start_of_the_chain():
    document = network_genesis("mainnet")
    later = document.with_timestamp(document.timestamp + 1000)
    assert [g.start - later.timestamp for g in later.vesting] == [
        g.start - document.timestamp for g in document.vesting
    ]
    assert [g.end - g.start for g in later.vesting] == [g.end - g.start for g in document.vesting]


MILLION = 10**6 * WEI_PER_CMT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stake_cmt": "999.5"}, "validators\\[0\\].stake_cmt: .* has 1000000000000000000000 wei at least"),
        ({"stake_cmt": "1000001"}, "validators\\[0\\].stake_cmt: the operator's allocations are"),
        ({"stake_cap_cmt": "10000001"}, "validators\\[0\\].stake_cap_cmt: the stake must be 1/10 of the cap"),
        ({"stake_cap_cmt": "999999"}, "validators\\[0\\].stake_cap_cmt: .* from the stake to max_supply"),
        ({"comp_rate": "0/1"}, "validators\\[0\\].comp_rate: 0 must be over 0 and under 1"),
        ({"comp_rate": "1/1"}, "validators\\[0\\].comp_rate: 1 must be over 0 and under 1"),
        ({"comp_rate": "0.2"}, "validators\\[0\\].comp_rate: .* must be a ratio"),
        ({"comp_rate": "1/0"}, "validators\\[0\\].comp_rate: .* must be a ratio"),
        ({"power": "121"}, "validators\\[0\\].power: 121 must be 120"),
    ],
)
def test_a_founder_that_stakes_has_the_coins_and_the_votes_they_give(change, message):
    root = document()
    root["validators"][0] |= change
    with pytest.raises(ConfigError, match=message):
        parse_genesis(json.dumps(root))


def test_founders_stake_all_or_none_each_from_its_own_account():
    root = document()
    key = {"consensus_key": "0x" + "11" * 32}
    root["validators"].append(root["validators"][0] | key | {"stake_cmt": "0", "stake_cap_cmt": "0"})
    with pytest.raises(ConfigError, match=r"validators\[1\].stake_cmt: 0 wei"):
        parse_genesis(json.dumps(root))
    root["validators"][1] = root["validators"][0] | key
    with pytest.raises(ConfigError, match=r"validators\[1\].operator: an account has one candidacy only"):
        parse_genesis(json.dumps(root))


def test_stake_leaves_the_operators_balance_for_the_staking_contract():
    document = network_genesis("mainnet")
    (founder,) = document.validators
    accounts = document.accounts()
    assert accounts[STAKING].balance == founder.stake == MILLION
    assert accounts[founder.validator.operator].balance == 0


def test_every_part_of_the_document_changes_its_hash():
    document = network_genesis("mainnet")
    first, founders, second = document.allocations
    moved = (
        dataclasses.replace(first, amount=first.amount + 1),
        founders,
        dataclasses.replace(second, amount=second.amount - 1),
    )
    grant, other = document.vesting
    (validator,) = document.validators
    unpaid = dataclasses.replace(validator, stake=0)
    weaker = dataclasses.replace(validator.validator, power=119)
    variants = [
        document,
        dataclasses.replace(document, name="other"),
        dataclasses.replace(document, chain_id=20),
        dataclasses.replace(document, timestamp=document.timestamp + 1),
        dataclasses.replace(document, allow_unprotected=True),
        dataclasses.replace(document, params=ChainParams(min_gas_price=3)),
        dataclasses.replace(document, allocations=moved),
        dataclasses.replace(document, allocations=(dataclasses.replace(first, label="other"), founders, second)),
        dataclasses.replace(document, foundation=Address(b"\x77" * 20)),
        dataclasses.replace(document, vesting=(dataclasses.replace(grant, end=grant.end + 1), other)),
        dataclasses.replace(document, vesting=(dataclasses.replace(grant, start=grant.start + 1), other)),
        dataclasses.replace(document, vesting=(dataclasses.replace(grant, holder=first.address), other)),
        document.with_validators([]),
        document.with_validators([dataclasses.replace(validator, name="other")]),
        document.with_validators([unpaid]),
        document.with_validators(
            [dataclasses.replace(unpaid, validator=dataclasses.replace(validator.validator, power=2))]
        ),
        document.with_validators(
            [dataclasses.replace(validator, stake=validator.stake - 1, stake_cap=MILLION, validator=weaker)]
        ),
        document.with_validators([dataclasses.replace(validator, stake_cap=validator.stake_cap - 1)]),
        document.with_validators([dataclasses.replace(validator, comp_rate=Fraction(1, 4))]),
    ]
    assert len({variant.hash for variant in variants}) == len(variants)


def test_layout_and_order_of_keys_do_not_change_the_hash():
    document = network_genesis("mainnet")
    shuffled = json.dumps(json.loads(format_genesis(document)), sort_keys=True, separators=(",", ":"))
    assert parse_genesis(shuffled).hash == document.hash


def test_coins_of_one_holder_in_several_allocations_add_up():
    document = network_genesis("devnet")
    first = document.allocations[0]
    once = document.accounts()[first.address].balance
    assert once == first.amount
    doubled = dataclasses.replace(
        document,
        supply=Wei(document.supply + 5),
        allocations=(*document.allocations, Allocation("more", first.address, Wei(5))),
    )
    assert doubled.accounts()[first.address].balance == once + 5


def test_devnet_funds_the_ten_accounts_of_the_well_known_test_mnemonic():
    document = network_genesis("devnet")
    Account.enable_unaudited_hdwallet_features()
    mnemonic = "test test test test test test test test test test test junk"
    accounts = [Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}") for index in range(10)]
    assert [checksum(allocation.address) for allocation in document.allocations] == [a.address for a in accounts]
    assert document.allow_unprotected
    assert document.validators == ()
    assert document.vesting == ()


def test_an_unknown_network_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match='did you mean "mainnet"'):
        network_genesis("mainet")


def test_brackets_inside_strings_are_not_nesting():
    root = document()
    root["allocations"][0]["label"] = '[[[[[[[[[[{{{{{{{{{{"\\'
    assert parse_genesis(json.dumps(root)).allocations[0].label == '[[[[[[[[[[{{{{{{{{{{"\\'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
paths = st.sampled_from(
    [[key] for key in document()]
    + [["validators", 0, key] for key in document()["validators"][0]]
    + [["allocations", 0, key] for key in document()["allocations"][0]]
    + [["vesting", 0, key] for key in document()["vesting"][0]]
    + [["parameters", key] for key in document()["parameters"]]
)


@settings(max_examples=150, deadline=None)
@given(paths, json_values)
def test_any_value_in_any_place_gives_a_document_or_a_config_error(path, value):
    try:
        assert isinstance(parse_genesis(changed(path, value)), GenesisDocument)
    except ConfigError as error:
        assert str(error).startswith("genesis")  # noqa: PT017


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ 1.eE-tn', max_size=60))
def test_any_text_gives_a_config_error(source):
    with pytest.raises(ConfigError):
        parse_genesis(source)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "nul",
        '{"a": 1.5}',
        '{"a": "1", "a": "2"}',
        "[" * 99_000,
        '"' * 99_001,
        '\\"' * 99_000,
        "\ufeff{}",
    ],
)
def test_texts_that_are_no_document_are_refused(text):
    with pytest.raises(ConfigError):
        parse_genesis(text)


def test_a_set_of_more_validators_than_a_commit_can_carry_is_refused():
    document = network_genesis("devnet")
    key = (0).to_bytes(32)
    founders = [
        GenesisValidator("v", Validator(n.to_bytes(32), Address(key[:20]), 1)) for n in range(MAX_VALIDATORS + 1)
    ]
    assert len(document.with_validators(founders[1:]).validator_set.validators) == MAX_VALIDATORS
    with pytest.raises(ConfigError, match="3001 are named, but a set has 3000 at most"):
        document.with_validators(founders)
