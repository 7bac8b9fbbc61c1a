"""cmt testnet, cmt key, cmt node show-id and rollback: what needs several homes and no running node."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cybermiles.chain.genesis import parse_genesis
from cybermiles.cli.main import main
from cybermiles.consensus.validator_key import load_key
from cybermiles.node.data_dir import DataDir


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments], env={"CMT_HOME": None})
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def net(tmp_path):
    run("testnet", "init", "--validators", 2, "--output", tmp_path / "net")
    return tmp_path / "net"


@pytest.fixture
def home(net):
    return DataDir(net / "node0")


def test_testnet_init_says_where_everything_is(tmp_path):
    data = run_json(
        "testnet", "init", "--validators", 3, "--output", tmp_path / "net", "--chain-id", 4242,
        "--param", "block_interval_ms=250", "--no-empty-blocks",
    )  # fmt: skip
    document = parse_genesis((tmp_path / "net" / "node2" / "genesis.json").read_bytes())
    assert data["genesis_hash"] == "0x" + document.hash.hex()
    assert (data["chain_id"], document.chain_id, document.params.block_interval_ms) == (4242, 4242, 250)
    assert [node["name"] for node in data["nodes"]] == ["node0", "node1", "node2"]
    assert [node["rpc"] for node in data["nodes"]][1] == "http://127.0.0.1:8546"
    assert [node["validator"] for node in data["nodes"]] == [
        "0x" + v.validator.address.hex() for v in document.validators
    ]
    for node in data["nodes"]:
        shown = run_json("node", "show-id", "--home", node["home"])
        assert node["p2p"] == f"{shown['id']}@{shown['listen']}"
    assert "create_empty_blocks = false" in (tmp_path / "net" / "node0" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--validators", "0"), 2, "--validators"),
        (("--param", "block_interval_ms"), 78, "NAME=VALUE"),
        (("--param", "block_interval=1"), 78, "block_interval_ms"),
        (("--param", "block_interval_ms=fast"), 78, "decimal integer"),
        (("--hosts", "a,b"), 78, "2 hosts are named for 4"),
    ],
)
def test_testnet_init_refuses_what_cannot_be(tmp_path, arguments, code, message):
    result = run("testnet", "init", "--output", tmp_path / "net", *arguments, code=code)
    assert message in result.stderr
    assert not (tmp_path / "net").exists()


def test_testnet_init_overwrites_nothing(net):
    before = {path: path.read_bytes() for path in net.rglob("*") if path.is_file()}
    assert "not empty" in run("testnet", "init", "--output", net, code=78).stderr
    assert {path: path.read_bytes() for path in net.rglob("*") if path.is_file()} == before


def test_an_old_home_gets_a_node_key_when_it_is_asked_for(home):
    home.node_key.unlink()
    first = run("node", "show-id", "--home", home.home).stdout
    assert run("node", "show-id", "--home", home.home).stdout == first
    assert len(first.strip()) == 40


def test_key_show_names_the_founder_and_what_was_signed(home):
    data = run_json("key", "show", "--home", home.home)
    key = load_key(home.validator_key)
    assert data == {
        "address": "0x" + key.address.hex(),
        "public_key": "0x" + key.public.hex(),
        "founding_validator": "node0",
        "last_signed": {"height": 0, "round": 0, "step": 0},
        "next_public_key": None,
    }
    assert "private" not in run("key", "show", "--home", home.home).stdout


def test_rotation_prepares_first_and_changes_over_on_demand(home):
    old = load_key(home.validator_key)
    old_state = home.validator_state.read_bytes()
    prepared = run_json("key", "rotate", "--home", home.home)
    assert load_key(home.validator_key) == old, "until it is activated the old key signs"
    assert run_json("key", "show", "--home", home.home)["next_public_key"] == prepared["new_public_key"]
    assert "activate it" in run("key", "rotate", "--home", home.home, code=78).stderr
    activated = run_json("key", "rotate", "--activate", "--home", home.home)
    new = load_key(home.validator_key)
    assert "0x" + new.public.hex() == prepared["new_public_key"] == activated["new_public_key"]
    retired = home.retired_keys / old.address.hex()
    assert load_key(retired / "validator.json") == old
    assert (retired / "validator_state.json").read_bytes() == old_state
    shown = run_json("key", "show", "--home", home.home)
    assert (shown["founding_validator"], shown["next_public_key"]) == (None, None)
    assert "run `cmt key rotate` first" in run("key", "rotate", "--activate", "--home", home.home, code=78).stderr
    for path in (*home.validator_key.parent.rglob("*.json"),):
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_signed_is_bound_to_the_chain_when_it_is_activated(home, net):
    run("key", "rotate", "--home", home.home)
    state = home.next_keys / "validator_state.json"
    state.write_text(state.read_text().replace('"chain_id": 181818', '"chain_id": 19'))
    old = load_key(home.validator_key)
    assert "belongs to chain 19" in run("key", "rotate", "--activate", "--home", home.home, code=78).stderr
    assert load_key(home.validator_key) == old


def test_no_key_is_changed_under_a_running_node(home, tmp_path):
    lock = home.lock()
    for arguments in (
        ("key", "rotate"),
        ("key", "rotate", "--activate"),
        ("key", "export", tmp_path / "bundle"),
        ("node", "rollback", "--yes"),
    ):
        assert "is running in" in run(*arguments, "--home", home.home, code=78).stderr
    run("key", "show", "--home", home.home)
    lock.close()
    assert not (tmp_path / "bundle").exists()


def test_a_validator_moves_with_its_state(home, net, tmp_path):
    state = json.loads(home.validator_state.read_text()) | {"height": 9, "round": 1, "step": 2}
    home.validator_state.write_text(json.dumps(state))
    bundle = tmp_path / "bundle"
    run("key", "export", bundle, "--home", home.home)
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert "exists" in run("key", "export", bundle, "--home", home.home, code=1).stderr
    other = DataDir(net / "node1")
    replaced = load_key(other.validator_key)
    run("key", "import", bundle, "--home", other.home)
    assert load_key(other.validator_key) == load_key(home.validator_key)
    shown = run_json("key", "show", "--home", other.home)
    assert shown["last_signed"] == {"height": 9, "round": 1, "step": 2}
    assert load_key(other.retired_keys / replaced.address.hex() / "validator.json") == replaced


def test_a_validator_of_another_chain_does_not_move_in(home, tmp_path):
    run("key", "export", tmp_path / "bundle", "--home", home.home)
    run("testnet", "init", "--validators", 1, "--output", tmp_path / "other", "--chain-id", 7)
    other = DataDir(tmp_path / "other" / "node0")
    before = load_key(other.validator_key)
    for _ in range(2):
        assert "belongs to chain" in run("key", "import", tmp_path / "bundle", "--home", other.home, code=78).stderr
    assert load_key(other.validator_key) == before
    (tmp_path / "bad").write_text("{}")
    assert 'no "key"' in run("key", "import", tmp_path / "bad", "--home", other.home, code=78).stderr
    assert load_key(other.validator_key) == before


def test_a_node_without_blocks_has_nothing_to_roll_back(home):
    assert "no blocks" in run("node", "rollback", "--yes", "--home", home.home, code=78).stderr
