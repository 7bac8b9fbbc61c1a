"""cmt genesis: documents written, checked and hashed from the command line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cybermiles.chain.genesis import parse_genesis
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.writing import format_genesis
from cybermiles.cli.genesis import genesis
from cybermiles.execution.genesis import genesis_block

KEY = "0x" + "11" * 32
OPERATOR = "0x" + "22" * 20
EXIT_CONFIG = 78


def run(*arguments, code=0):
    result = CliRunner().invoke(genesis, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "genesis.json"


@pytest.fixture(params=NETWORKS)
def network_file(request, file):
    file.write_text(format_genesis(network_genesis(request.param)))
    return file


def test_check_shows_the_sums_and_says_ok(file):
    file.write_text(format_genesis(network_genesis("mainnet")))
    assert run("check", file).stdout.splitlines() == [
        "CyberMiles, chain id 18, from 2027-01-01T00:00:00Z",
        " 700000000 CMT  token contribution",
        " 100000000 CMT  reserve for end users",
        " 100000000 CMT  5miles (vesting)",
        " 100000000 CMT  team and partners (vesting)",
        "1000000000 CMT  supply",
        "1 founding validator",
        "OK",
    ]
    assert run_json("check", file) == {
        "name": "CyberMiles",
        "chain_id": 18,
        "genesis_time": "2027-01-01T00:00:00Z",
        "supply_cmt": "1000000000",
        "allocations": {"token contribution": "700000000", "reserve for end users": "100000000"},
        "vesting": {"5miles": "100000000", "team and partners": "100000000"},
        "validators": 1,
    }


def test_check_adds_up_allocations_of_one_label(file):
    accounts = [f"--allocation=crowd:0x{n:040x}:0.5" for n in range(0x1000, 0x1003)]
    run("new", file, *accounts)
    assert run_json("check", file)["allocations"] == {"crowd": "1.5"}
    lines = run("check", file).stdout.splitlines()
    assert lines[1:3] == ["1.5 CMT  crowd", "1.5 CMT  supply"]
    assert "0 founding validators: a template, no chain yet" in lines


def test_hash_prints_what_block_zero_commits_to(network_file):
    document = parse_genesis(network_file.read_text())
    header = genesis_block(document).header
    hashes = run_json("hash", network_file)
    assert hashes == {
        "genesis_hash": "0x" + document.hash.hex(),
        "block_hash": "0x" + header.hash.hex(),
        "state_root": "0x" + header.state_root.hex(),
    }
    assert all(value in run("hash", network_file).stdout for value in hashes.values())


def test_new_fills_a_template_with_what_the_options_say(file):
    answer = run_json(
        "new", file, "--network=testnet", "--chain-id=4242", "--name=my chain", "--time=2026-05-06T07:08:09Z",
        f"--validator={KEY}:{OPERATOR}:300000", f"--validator=0x{'33' * 32}:0x{'44' * 20}:1000",
        f"--allocation=treasury:{OPERATOR}:1000000", f"--allocation=other:0x{'44' * 20}:1000", "--allocation=change:0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266:0.25",
    )  # fmt: skip
    document = parse_genesis(file.read_bytes())
    assert answer == {"file": str(file), "genesis_hash": "0x" + document.hash.hex()}
    assert (document.name, document.chain_id, document.timestamp) == ("my chain", 4242, 1_778_051_289)
    assert [entry.validator.power for entry in document.validators] == [36, 1], "12 % of 301 000 CMT, and a unit"
    assert [entry.stake_cap for entry in document.validators] == [3 * 10**24, 10**22], "as much as the stake allows"
    assert [(a.label, a.amount) for a in document.allocations] == [
        ("treasury", 10**24), ("other", 10**21), ("change", 10**18 // 4),
    ]  # fmt: skip
    assert document.supply == 10**24 + 10**21 + 10**18 // 4
    assert document.vesting == ()
    assert not document.allow_unprotected


def test_new_keeps_the_templates_coins_but_none_of_its_validators(file):
    run("new", file, "--network", "mainnet", "--time", "2030-01-01T00:00:00Z")
    document, template = parse_genesis(file.read_bytes()), network_genesis("mainnet")
    assert document.allocations == template.allocations
    assert document.validators == ()
    assert [g.start - document.timestamp for g in document.vesting] == [
        g.start - template.timestamp for g in template.vesting
    ]


def test_new_warns_where_the_coins_belong_to_everybody(file, tmp_path):
    assert "public knowledge" in run("new", file).stdout
    assert "public knowledge" not in run("new", tmp_path / "other.json", f"--allocation=me:{OPERATOR}:1").stdout


def test_new_overwrites_nothing(file):
    file.write_text("precious")
    assert "exists; choose another name" in run("new", file, code=1).stderr
    assert file.read_text() == "precious"


def test_new_says_where_it_cannot_write(tmp_path):
    assert "cannot be written: No such file" in run("new", tmp_path / "missing" / "genesis.json", code=1).stderr


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        ("--time=tomorrow", EXIT_CONFIG, "--time: "),
        ("--name=", EXIT_CONFIG, "--name: "),
        ("--chain-id=0", 2, "--chain-id"),
        ("--network=mainet", 2, "--network"),
        (f"--validator={KEY}", 1, "must be KEY:OPERATOR"),
        (f"--validator=0x11:{OPERATOR}", EXIT_CONFIG, "--validator KEY: "),
        (f"--validator={KEY}:0x22", EXIT_CONFIG, "--validator OPERATOR: "),
        (f"--validator={KEY}:{OPERATOR}:-1", EXIT_CONFIG, "--validator STAKE: "),
        (f"--allocation={OPERATOR}:5", 1, "must be LABEL:ADDRESS:CMT"),
        (f"--allocation=a:{OPERATOR}:-5", EXIT_CONFIG, "--allocation CMT: "),
        ("--allocation=a:0x5:5", EXIT_CONFIG, "--allocation ADDRESS: "),
        (f"--allocation=:{OPERATOR}:5", EXIT_CONFIG, "--allocation LABEL: "),
        (f"--allocation=a:0x{'00' * 20}:5", EXIT_CONFIG, "genesis.allocations[0].address: "),
        (f"--allocation=a:{OPERATOR}:10000000001", EXIT_CONFIG, "max_supply"),
    ],
)
def test_new_refuses_what_no_chain_can_start_from_and_writes_nothing(file, option, code, message):
    assert message in run("new", file, option, code=code).stderr
    assert not file.exists()


@pytest.mark.parametrize("verb", ["check", "hash"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"names": "x"}', 'genesis: unknown key "names"; did you mean "name"?'),
    ],
)
def test_a_wrong_document_is_one_line_of_error_and_an_exit_code(file, verb, content, message):
    file.write_bytes(content)
    result = run(verb, file, code=EXIT_CONFIG)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_missing_file_is_wrong_usage(file):
    assert "does not exist" in run("check", file, code=2).stderr
