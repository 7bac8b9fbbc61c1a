"""Settings of JSON-RPC that are refused together."""

import pytest

from cybermiles.errors import ConfigError
from cybermiles.node.config import load_config

TOKEN = "0123456789abcdef0123456789abcdef"


def loaded(home, network="mainnet", **rpc):
    return load_config(home, {"node.network": network} | {f"rpc.{key}": value for key, value in rpc.items()}, {}).rpc


def token_file(home, text=TOKEN, mode=0o600):
    path = home / "token"
    path.write_text(text)
    path.chmod(mode)
    return "token"


def test_the_defaults_serve_this_machine_and_no_private_namespace(tmp_path):
    config = loaded(tmp_path)
    assert (config.host, config.token, config.ipc_path) == ("127.0.0.1", "", tmp_path / "cmt.ipc")
    assert not {"debug", "admin"} & set(config.namespaces)
    assert loaded(tmp_path, ipc=False).ipc_path is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "node.example", ""])
@pytest.mark.parametrize("network", ["devnet", "mainnet"])
def test_an_open_address_needs_the_names_it_is_reached_by(tmp_path, host, network):
    with pytest.raises(ConfigError, match=r"rpc\.host .*rpc\.vhosts"):
        loaded(tmp_path, network, host=host)
    assert loaded(tmp_path, network, host=host, vhosts=("node.example",)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_a_loopback_address_needs_none(tmp_path, host):
    assert loaded(tmp_path, host=host).host == host


@pytest.mark.parametrize("key", ["namespaces", "websocket_namespaces"])
@pytest.mark.parametrize("private", ["debug", "admin"])
def test_private_namespaces_over_tcp_need_a_token(tmp_path, key, private):
    with pytest.raises(ConfigError, match=f"{private}.*rpc.token_file"):
        loaded(tmp_path, **{key: ("eth", private)})
    config = loaded(tmp_path, token_file=token_file(tmp_path), **{key: ("eth", private)})
    assert config.token == TOKEN


def test_a_devnet_that_only_this_machine_reaches_needs_no_token(tmp_path):
    assert loaded(tmp_path, "devnet", namespaces=("eth", "debug")).token == ""
    with pytest.raises(ConfigError, match="rpc.token_file"):
        loaded(tmp_path, "devnet", namespaces=("eth", "debug"), host="0.0.0.0", vhosts=("x",))


@pytest.mark.parametrize(
    ("text", "mode", "what"),
    [
        ("short", 0o600, "32 characters"),
        (TOKEN + " " + TOKEN, 0o600, "one word"),
        ("é" * 40, 0o600, "ASCII"),
        (TOKEN, 0o640, "chmod 600"),
        (TOKEN, 0o604, "chmod 600"),
    ],
)
def test_a_weak_token_or_one_that_others_can_read_is_refused(tmp_path, text, mode, what):
    with pytest.raises(ConfigError, match=f"rpc.token_file.*{what}"):
        loaded(tmp_path, token_file=token_file(tmp_path, text, mode))


def test_a_token_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="rpc.token_file: .*missing"):
        loaded(tmp_path, token_file="missing")


@pytest.mark.parametrize(("key", "value"), [("trusted_proxies", ("proxy",)), ("method_rates", ("eth_call",))])
def test_lists_that_cannot_be_read_are_refused_at_once(tmp_path, key, value):
    with pytest.raises(ConfigError, match=f"rpc.{key}"):
        loaded(tmp_path, **{key: value})
