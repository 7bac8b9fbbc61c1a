"""Configuration: precedence, origins, and errors that name the nearest key."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core.timeouts import Timeouts
from cybermiles.errors import ConfigError
from cybermiles.node.config import default_values, load_config
from cybermiles.p2p.config import P2PConfig


def write(home, text):
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(text)


def origin(config, key):
    return next((s.value, s.origin) for s in config.settings if s.key == key)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_preset_over_the_default(tmp_path):
    layers = [
        ("default", 8545),
        (str(tmp_path / "config.toml"), 1),
        ("environment CMT_RPC__PORT", 2),
        ("flag", 3),
    ]
    assert origin(load_config(tmp_path, {}, {}), "rpc.port") == (8545, "default")
    write(tmp_path, "[rpc]\nport = 1\n")
    for depth in (1, 2, 3):
        environment = {"CMT_RPC__PORT": "2"} if depth >= 2 else {}
        flags = {"rpc.port": 3} if depth >= 3 else {}
        config = load_config(tmp_path, flags, environment)
        name, value = layers[depth]
        assert config.rpc.port == value
        assert origin(config, "rpc.port")[1] == name


def test_effective_values_have_their_types_wherever_they_come_from(tmp_path):
    environment = {"CMT_RPC__PORT": "2", "CMT_CONSENSUS__CREATE_EMPTY_BLOCKS": "false", "CMT_MEMPOOL__MAX_FREE": "3"}
    config = load_config(tmp_path, {}, environment)
    shown = {setting.key: setting.value for setting in config.settings if "environment" in setting.origin}
    assert shown == {"rpc.port": 2, "consensus.create_empty_blocks": False, "mempool.max_free": 3}
    assert (config.rpc.port, config.consensus.create_empty_blocks, config.mempool.max_free) == tuple(
        shown[key] for key in ("rpc.port", "consensus.create_empty_blocks", "mempool.max_free")
    )


def test_the_network_preset_is_used_where_nothing_else_speaks(tmp_path):
    config = load_config(tmp_path, {"node.network": "devnet"}, {})
    value, where = origin(config, "rpc.cors_origins")
    assert where == "network preset devnet"
    assert config.rpc.cors_origins == value
    assert load_config(tmp_path, {"node.network": "mainnet"}, {}).rpc.cors_origins == ()


def test_flags_that_were_not_given_do_not_count(tmp_path):
    assert load_config(tmp_path, {"rpc.port": None}, {}).rpc.port == 8545


def test_lists_and_limits_reach_their_packages(tmp_path):
    write(tmp_path, '[rpc]\nvhosts = ["a", "b"]\nbatch_max_items = 7\n[mempool]\nmax_free = 9\n')
    config = load_config(tmp_path, {}, {"CMT_RPC__NAMESPACES": "eth, net"})
    assert config.rpc.vhosts == ("a", "b")
    assert config.rpc.namespaces == ("eth", "net")
    assert config.rpc.limits.batch_max_items == 7
    assert config.mempool.max_free == 9


@pytest.mark.parametrize(
    ("toml", "environment", "message"),
    [
        ("[rpc]\nprt = 1", {}, "unknown key rpc.prt; did you mean rpc.port"),
        ("[mempol]\nmax_free = 1", {}, "unknown key mempol.max_free; did you mean mempool.max_free"),
        ("", {"CMT_RPC__PROT": "1"}, "environment variable CMT_RPC__PROT: unknown key rpc.prot; did you mean rpc.port"),
        ("port = 1", {}, "port stands outside a section"),
        ("[rpc\n", {}, "not TOML"),
        ("[rpc]\nport = 99999", {}, "rpc.port = 99999"),
        ("", {"CMT_RPC__PORT": "many"}, r"rpc.port = 'many' \(environment CMT_RPC__PORT\)"),
        ("[mempool]\nmax_free = -1", {}, "mempool.max_free = -1.*non-negative integer"),
        ("[mempool]\nmax_free = 1.5", {}, "mempool.max_free = 1.5.*non-negative integer"),
        ('[node]\nnetwork = "manet"', {}, "node.network = 'manet'"),
        ('[log]\nformat = "xml"', {}, "log.format = 'xml'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_its_origin(tmp_path, toml, environment, message):
    write(tmp_path, toml)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path, {}, environment)


def test_variables_without_a_section_are_other_programs_business(tmp_path):
    load_config(tmp_path, {}, {"CMT_HOME": "/x", "CMT_VECTORS": "/y", "PATH": "/z"})


def test_every_key_has_a_default(tmp_path):
    keys = {setting.key for setting in load_config(tmp_path, {}, {}).settings}
    assert keys == set(default_values())
    assert len(keys) > 40


PEER = f"{'ab' * 20}@node1.example:26656"


def test_the_network_and_its_limits_reach_the_p2p_package(tmp_path):
    write(
        tmp_path,
        f'[p2p]\nlisten_host = "10.0.0.1"\nlisten_port = 1\nexternal_address = "[2001:db8::1]:2"\n'
        f'moniker = "carol"\npersistent_peers = ["{PEER}"]\nprivate_ids = ["{"CD" * 20}"]\npex = false\nmax_inbound = 7\n',
    )
    config = load_config(tmp_path, {}, {"CMT_P2P__SEEDS": f"{PEER}, {PEER}"})
    assert (config.p2p.listen_host, config.p2p.listen_port, config.p2p.moniker) == ("10.0.0.1", 1, "carol")
    assert str(config.p2p.external_address) == "[2001:db8::1]:2"
    assert [str(peer) for peer in config.p2p.persistent_peers] == [PEER]
    assert len(config.p2p.seeds) == 2
    assert config.p2p.private_ids == ("cd" * 20,)
    assert config.p2p.max_inbound == 7
    assert not config.p2p.pex
    assert config.p2p_enabled


def test_nothing_said_about_the_network_is_its_packages_defaults(tmp_path):
    assert load_config(tmp_path, {"node.network": "mainnet"}, {}).p2p == P2PConfig()


def test_a_devnet_is_reached_from_this_machine_only(tmp_path):
    p2p = load_config(tmp_path, {"node.network": "devnet"}, {}).p2p
    assert (p2p.listen_host, p2p.allow_private_addresses) == ("127.0.0.1", True)


def test_waiting_times_reach_the_engine(tmp_path):
    assert load_config(tmp_path, {}, {}).timeouts == Timeouts()
    write(tmp_path, "[consensus]\ntimeout_propose_ms = 11\ntimeout_cap_ms = 12\nrebroadcast_ms = 1300\n")
    config = load_config(tmp_path, {}, {})
    assert config.timeouts == Timeouts(propose_ms=11, cap_ms=12)
    assert config.consensus.rebroadcast_ms == 1300


def test_a_growth_or_a_number_of_peers_may_be_nothing(tmp_path):
    flags = {"consensus.timeout_propose_delta_ms": 0, "p2p.max_inbound": 0}
    config = load_config(tmp_path, flags, {})
    assert (config.timeouts.propose_delta_ms, config.p2p.max_inbound) == (0, 0)


def test_metrics_have_a_listener_of_their_own_only_when_asked_for(tmp_path):
    assert load_config(tmp_path, {}, {}).metrics_listen is None
    listen = load_config(tmp_path, {"metrics.listen": "127.0.0.1:26660"}, {}).metrics_listen
    assert (listen.host, listen.port) == ("127.0.0.1", 26660)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"p2p.persistent_peers": ("node1.example:26656",)}, r"p2p.persistent_peers \(flag\): .*no node id"),
        ({"p2p.seeds": ("ab@h:1",)}, r"p2p.seeds \(flag\): .*cmt node show-id"),
        ({"p2p.private_ids": ("xyz",)}, r"p2p.private_ids \(flag\)"),
        ({"p2p.external_address": "host"}, r"p2p.external_address \(flag\): .*host:port"),
        ({"p2p.moniker": "ä"}, "p2p.moniker = 'ä'"),
        ({"p2p.max_inbound": -1}, "p2p.max_inbound = -1.*non-negative"),
        ({"metrics.listen": "9090"}, r"metrics.listen \(flag\): .*host:port"),
        ({"consensus.timeout_propose_ms": 1.5}, "consensus.timeout_propose_ms = 1.5"),
        ({"consensus.timeout_precommit_ms": 0}, r"consensus.timeout_precommit_ms = 0 \(flag\): must be .*over 0"),
        ({"consensus.timeout_cap_ms": 0}, "consensus.timeout_cap_ms = 0"),
        ({"p2p.dial_interval_ms": 0}, "p2p.dial_interval_ms = 0"),
        ({"p2p.receive_bytes_per_second": 0}, "p2p.receive_bytes_per_second = 0"),
    ],
)
def test_wrong_addresses_and_times_are_refused_with_their_origin(tmp_path, flags, message):
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path, flags, {})
