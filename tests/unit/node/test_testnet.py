"""Homes of a network: one chain, distinct keys and ports, and settings with which the nodes find each other."""

from __future__ import annotations

import pytest

from cybermiles.chain.networks import network_genesis
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.errors import ConfigError
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.testnet import STAKE, NetworkPlan, create_testnet, find_homes, operator_key
from cybermiles.types.primitives import WEI_PER_CMT

TEMPLATE = network_genesis("devnet")


def plan(validators=4, **options):
    return NetworkPlan(template=TEMPLATE, validators=validators, **options)


def test_every_node_has_its_own_keys_and_the_one_document(tmp_path):
    document, nodes = create_testnet(tmp_path / "net", plan())
    homes = find_homes(tmp_path / "net")
    assert [home.home.name for home in homes] == ["node0", "node1", "node2", "node3"]
    assert {home.load_genesis().hash for home in homes} == {document.hash}
    assert len({home.load_or_create_node_key().id for home in homes}) == 4
    assert len({node.validator.consensus_key for node in nodes}) == 4
    assert [(v.name, v.validator) for v in document.validators] == [(node.name, node.validator) for node in nodes]
    assert len({v.validator.operator for v in document.validators}) == 4
    assert {v.validator.power for v in document.validators} == {480}, "12 % of 4 000 000 CMT each"
    assert {v.stake for v in document.validators} == {STAKE}
    for home in homes:
        assert (home.home / "keys" / "node.json").stat().st_mode & 0o777 == 0o600
        assert home.validator_state.exists()


def test_on_one_machine_ports_are_distinct_and_everybody_knows_everybody(tmp_path):
    _, nodes = create_testnet(tmp_path, plan(rpc_port=1000, p2p_port=2000, create_empty_blocks=False))
    configs = [load_config(node.home, environment={}) for node in nodes]
    assert [config.rpc.port for config in configs] == [1000, 1001, 1002, 1003]
    assert [(config.p2p.listen_host, config.p2p.listen_port) for config in configs] == [
        ("127.0.0.1", port) for port in (2000, 2001, 2002, 2003)
    ]
    assert [node.rpc_url for node in nodes][3] == "http://127.0.0.1:1003"
    for node, config in zip(nodes, configs, strict=True):
        assert set(config.p2p.persistent_peers) == {other.address for other in nodes} - {node.address}
        assert config.p2p.moniker == node.name
        assert config.p2p.allow_private_addresses
        assert not config.consensus.create_empty_blocks
        assert node.address.id == DataDir(node.home).load_or_create_node_key().id


@pytest.mark.parametrize(
    ("hosts", "allowed"),
    [
        (("10.0.0.1", "10.0.0.2"), True),
        (("a.example", "9.9.9.9"), True),
        (("9.9.9.9", "8.8.8.8"), False),
    ],
)
def test_on_the_internet_nobody_can_make_nodes_dial_into_their_own_network(tmp_path, hosts, allowed):
    _, nodes = create_testnet(tmp_path, plan(2, hosts=hosts))
    assert {load_config(node.home, {}, {}).p2p.allow_private_addresses for node in nodes} == {allowed}


def test_with_hosts_every_node_listens_on_all_addresses_at_the_same_port(tmp_path):
    _, nodes = create_testnet(tmp_path, plan(2, hosts=("a.example", "10.0.0.2")))
    configs = [load_config(node.home, environment={}) for node in nodes]
    assert {(c.p2p.listen_host, c.p2p.listen_port, c.rpc.host, c.rpc.port) for c in configs} == {
        ("0.0.0.0", 26656, "127.0.0.1", 8545)
    }
    assert [str(config.p2p.external_address) for config in configs] == ["a.example:26656", "10.0.0.2:26656"]
    assert [str(peer.endpoint) for peer in configs[0].p2p.persistent_peers] == ["10.0.0.2:26656"]


def test_more_validators_than_accounts_get_operators_whose_keys_everybody_knows(tmp_path):
    document, nodes = create_testnet(tmp_path, plan(12))
    operators = [entry.validator.operator for entry in document.validators]
    assert operators == [node.validator.operator for node in nodes]
    assert len(set(operators)) == 12
    assert operators[10:] == [address_of(operator_key(10)), address_of(operator_key(11))]
    accounts = document.accounts()
    assert sum(account.balance for account in accounts.values()) == document.supply
    assert accounts[operators[11]].balance == 100_000 * WEI_PER_CMT
    assert [home.home.name for home in find_homes(tmp_path)][-2:] == ["node10", "node11"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plan(0), "1 to 100 validators"),
        (plan(101), "1 to 100 validators"),
        (plan(3, hosts=("a", "b")), "2 hosts are named for 3"),
        (plan(2, p2p_port=65_535), "node1 would listen at a port over"),
        (plan(2, rpc_port=65_535), "node1 would listen at a port over"),
        (plan(1, hosts=("not a host",)), "neither an IP address nor a host name"),
    ],
)
def test_an_impossible_plan_is_refused(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        create_testnet(tmp_path / "net", wrong)
    assert not (tmp_path / "net").exists()


def test_a_directory_in_use_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        create_testnet(tmp_path, plan())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_home_is_not_found(tmp_path):
    for name in ("node0", "nodes", "node-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "node0" / "genesis.json").write_text("{}")
    (tmp_path / "node1").mkdir()
    assert [home.home.name for home in find_homes(tmp_path)] == ["node0"]
    assert find_homes(tmp_path / "missing") == ()
