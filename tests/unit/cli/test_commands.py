"""The commands that need no running node, as a user types them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cybermiles.cli.main import main

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


@pytest.fixture
def cmt(tmp_path):
    """Run `cmt` with the test's home; return (exit code, stdout, stderr)."""

    def run(*arguments, stdin=None, home=True):
        if home:
            arguments = (*arguments, "--home", str(tmp_path / "home"))
        result = CliRunner().invoke(main, arguments, input=stdin, env={"CMT_HOME": None})
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text("correct horse\nsecond line\n")
    return str(path)


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("command", list(commands(main)), ids=" ".join)
def test_every_verbs_help_shows_an_example(command):
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert f"cmt {' '.join(command)}" in result.output.split("Example", 1)[1]


@pytest.mark.parametrize("command", list(commands(main)), ids=" ".join)
def test_every_verb_answers_in_json_but_the_one_that_prints_a_script(command):
    output = CliRunner().invoke(main, [*command, "--help"]).output
    assert ("--json" in output) == (command != ("completion",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tx", "status", "0x12"), "TRANSACTION_HASH"),
        (("account", "export", "0x12"), "ADDRESS"),
        (("nonsense",), "No such command"),
    ],
)
def test_a_wrong_argument_is_wrong_usage(cmt, arguments, message):
    code, _, err = cmt(*arguments, home=False)
    assert code == 2
    assert message in err


def test_files_that_are_no_text_and_places_that_are_no_homes_are_one_line_of_error(cmt, password, tmp_path):
    binary, key = tmp_path / "binary", tmp_path / "key"
    binary.write_bytes(b"\xc7\xff")
    key.write_text(KEY)
    for code, arguments in (
        (78, ("account", "import", str(binary), "--password-file", password)),
        (78, ("account", "import", str(key), "--password-file", str(binary))),
        (78, ("init", "--genesis", str(binary))),
        (1, ("init", "--home", str(key / "below a file"))),
    ):
        got, _, err = cmt(*arguments, home="--home" not in arguments)
        assert (got, err.count("\n"), err.startswith("Error: ")) == (code, 1, True), err


def test_the_help_documents_the_exit_codes():
    output = CliRunner().invoke(main, ["--help"]).output
    for code in ("0 ", "1 ", "2 ", "70", "74", "78"):
        assert f"\n    {code}" in output


def test_version_names_what_decides_consensus(cmt):
    code, out, _ = cmt("version", "--json", home=False)
    assert code == 0
    assert set(json.loads(out)) == {"cybermiles", "python", "py-evm"}


def test_init_writes_a_home_once(cmt, tmp_path):
    code, out, _ = cmt("init", "--json")
    assert code == 0
    data = json.loads(out)
    home = tmp_path / "home"
    assert {p.name for p in home.iterdir()} >= {"config.toml", "genesis.json", "keys", "keystore"}
    assert (home / "keys" / "validator.json").stat().st_mode & 0o777 == 0o600
    document = json.loads((home / "genesis.json").read_text())
    assert len(document["validators"]) == 1
    assert data["chain_id"] == 181818
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file()}
    code, _, err = cmt("init")
    assert code == 78
    assert "belongs to a chain already" in err
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == before


def test_init_of_mainnet_uses_its_document_unchanged(cmt, tmp_path):
    code, out, _ = cmt("init", "--network", "mainnet", "--json")
    assert code == 0
    checked = CliRunner().invoke(main, ["genesis", "hash", str(tmp_path / "home" / "genesis.json"), "--json"])
    shipped = CliRunner().invoke(main, ["genesis", "hash", "genesis/mainnet.json", "--json"])
    assert json.loads(checked.stdout) == json.loads(shipped.stdout)
    assert json.loads(out)["genesis_hash"] == json.loads(shipped.stdout)["genesis_hash"]


def test_accounts_are_imported_listed_and_exported(cmt, password, tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    code, out, _ = cmt("account", "import", str(key_file), "--password-file", password, "--json")
    assert code == 0
    assert json.loads(out)["address"] == ADDRESS
    code, out, _ = cmt("account", "list", "--json")
    (stored,) = json.loads(out)["accounts"]
    assert stored["address"] == ADDRESS
    code, out, _ = cmt("account", "export", ADDRESS, "--password-file", password)
    assert out.strip() == "0x" + KEY
    code, _, err = cmt("account", "import", str(key_file), "--password-file", password)
    assert code == 78
    assert "stored already" in err
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong horse\n")
    code, _, err = cmt("account", "export", ADDRESS, "--password-file", str(wrong))
    assert code == 78
    assert "cannot decrypt" in err
    other = "0x" + "12" * 20
    code, _, err = cmt("account", "export", other, "--password-file", password)
    assert code == 78
    assert "cmt account list" in err


def test_a_new_account_asks_for_the_password_twice(cmt):
    code, out, _ = cmt("account", "new", stdin="long enough\nlong enough\n")
    assert code == 0
    code, _, err = cmt("account", "new", stdin="short\nshort\n")
    assert code == 78
    assert "at least 8" in err


def test_config_show_says_where_values_come_from(cmt, tmp_path):
    cmt("init")
    code, out, _ = cmt("config", "show", "--origin", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["rpc.port"] == {"value": 8545, "origin": str(tmp_path / "home" / "config.toml")}
    assert data["mempool.max_free"]["origin"] == "default"
    code, out, _ = cmt("config", "path")
    assert out.strip() == str(tmp_path / "home" / "config.toml")
    (tmp_path / "home" / "config.toml").write_text("[rpc]\nporte = 1\n")
    code, _, err = cmt("config", "show")
    assert code == 78
    assert "did you mean rpc.port" in err


def test_genesis_new_check_and_hash(cmt, tmp_path):
    path = str(tmp_path / "my.json")
    validator = f"0x{'ab' * 32}:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266:3000"
    code, out, _ = cmt("genesis", "new", path, "--chain-id", "4242", "--validator", validator, "--json", home=False)
    assert code == 0
    written = json.loads(out)["genesis_hash"]
    code, out, _ = cmt("genesis", "check", path, home=False)
    assert out.endswith("OK\n")
    code, out, _ = cmt("genesis", "hash", path, "--json", home=False)
    assert json.loads(out)["genesis_hash"] == written
    code, _, err = cmt("genesis", "new", path, home=False)
    assert code == 1
    assert "exists" in err
    broken = json.loads((tmp_path / "my.json").read_text()) | {"chainid": "1"}
    (tmp_path / "my.json").write_text(json.dumps(broken))
    code, _, err = cmt("genesis", "check", path, home=False)
    assert code == 78
    assert 'genesis: unknown key "chainid"; did you mean "chain_id"' in err
    code, _, err = cmt("genesis", "new", path + "2", "--validator", "0x12:0x34", home=False)
    assert code == 78
    assert "--validator KEY" in err


def test_reset_keeps_keys_and_genesis(cmt, tmp_path):
    cmt("init")
    home = tmp_path / "home"
    (home / "data" / "chain").mkdir(parents=True)
    keep = {p: p.read_bytes() for p in [*home.glob("keys/*"), home / "genesis.json"] if p.suffix == ".json"}
    code, _, _ = cmt("node", "reset", "--yes")
    assert code == 0
    assert not (home / "data").exists()
    assert {p: p.read_bytes() for p in keep} == keep
    code, _, _ = cmt("node", "reset", "--yes", "--with-signer-state")
    assert code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(cmt, shell):
    code, out, _ = cmt("completion", shell, home=False)
    assert code == 0
    assert "_CMT_COMPLETE" in out


def test_starting_without_init_says_what_to_do(cmt):
    code, _, err = cmt("node", "start", "--rpc-port", "0")
    assert code == 78
    assert "cmt init" in err
