"""`cmt attach`: what --exec answers, and what is said where an extra is missing."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from cybermiles.cli.attach import INSTALL, run
from cybermiles.cli.main import main
from cybermiles.cli.output import CommandError
from tests.fakes.rpc_server import FakeRpc, serving

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.fixture(scope="module")
def url():
    class Node(FakeRpc):
        def rpc_discover(self):
            return {"methods": [{"name": "cmt_params"}, {"name": "eth_call"}, {"name": "cmt_supply"}]}

        def web3_clientVersion(self):  # noqa: N802
            return "fake"

    with serving(Node()) as url:
        yield url


def attach(url, *arguments, stdin=None):
    result = CliRunner().invoke(main, ["attach", "--rpc", url, *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", 2),
        ("x = 3", None),
        ("import math; math.sqrt(4)", 2.0),
        ("cmt.params()['min_gas_price']", "2000000000"),
        ("staking.address", "0x0000000000000000000000000000000000434d01"),
        ("[c.address[-2:] for c in (slashing, gov, vesting, fees)]", ["03", "04", "05", "06"]),
        ("{'a': b'\\x01', 'b': (1, None)}", {"a": "0x01", "b": [1, None]}),
        ("w3.eth.chain_id", 181818),
        ("sorted(dir(cmt))", ["params", "supply"]),
        (f"unlock('{ALICE}')", ALICE),
    ],
)
def test_the_value_of_the_last_expression_is_the_answer(url, code, value):
    status, out, err = attach(url, "--exec", code, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"result": value}


def test_codes_run_one_after_the_other(url):
    assert attach(url, "--exec", "x = 'a'", "--exec", "x * 3") == (0, "aaa\n", "")
    assert attach(url, "--exec", "x = 'a'") == (0, "", "")


@pytest.mark.parametrize(
    ("code", "message"),
    [("1 +", "invalid syntax"), ("1 / 0", "ZeroDivisionError: division by zero"), ("cmt.nothing()", "nothing")],
)
def test_what_fails_ends_with_its_reason(url, code, message):
    with pytest.raises(CommandError, match=message):
        from cybermiles.cli.attach import Methods

        class Refusing:
            def __getattr__(self, name):
                def call():
                    raise CommandError(f"{name} is not there")

                return call

        run(code, {"cmt": Refusing(), "Methods": Methods})


@pytest.mark.parametrize("code", ["{b'a': 1}", "x = []; x.append(x); x"])
def test_a_value_that_json_has_no_form_for_is_shown_as_python_has_it_or_refused(url, code):
    status, out, err = attach(url, "--exec", code)
    assert (status, err) == (0, "")
    assert out in {"{b'a': 1}\n", "[[...]]\n"}
    status, out, err = attach(url, "--exec", code, "--json")
    assert status == 1
    assert "the value has no form in JSON" in out + err


def test_json_needs_code(url):
    code, _, err = attach(url, "--json")
    assert code == 2
    assert "--exec" in err


def test_without_web3_it_says_how_to_install_it(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "web3", None)
    assert attach(url, "--exec", "1") == (1, "", f"Error: cmt attach needs web3, which is not installed: {INSTALL}\n")


def test_an_account_without_a_key_is_said(url):
    code, _, err = attach(url, "--exec", "unlock('0x" + "12" * 20 + "')", "--password-file", __file__)
    assert code == 1
    assert "no key for 0x1212" in err


def test_without_a_node_it_says_what_to_do():
    code, _, err = attach("http://127.0.0.1:1", "--exec", "1")
    assert code == 1
    assert "cmt devnet" in err
