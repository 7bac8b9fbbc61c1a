"""What is posted: read, or refused with what it must be."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.rpc.verification.submission import Refused, parse_submission, source_hashes
from tests.unit.rpc.verification.samples import ADDRESS, ARGUMENTS, DOCUMENT, VERSION, form, metadata

INPUT = DOCUMENT["input"]


def source(**changes):
    return orjson.dumps(INPUT | changes).decode()


def test_a_submission_is_what_the_tools_post():
    found = parse_submission(form())
    assert (found.address, found.path, found.name, found.compiler) == (ADDRESS, "Vault.sol", "Vault", VERSION)
    assert (found.arguments, found.metadata) == (ARGUMENTS, None)
    assert found.source["sources"] == INPUT["sources"]


@pytest.mark.parametrize(
    "changes",
    [
        {"constructorArguements": None, "constructorArguments": "0x" + ARGUMENTS.hex()},
        {"sourceCode": "{" + source() + "}"},
        {"contractname": "Vault"},
    ],
)
def test_tools_write_it_in_several_ways(changes):
    assert parse_submission(form(**changes)) == parse_submission(form())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v0.8.30+commit.73712a01", VERSION),
        (VERSION, VERSION),
        ("0.8.30", "0.8.30"),
        (VERSION + ".Emscripten.clang", VERSION),
    ],
)
def test_compiler_versions(text, version):
    assert parse_submission(form(compilerversion=text)).compiler == version


def test_settings_that_start_programs_or_choose_output_are_dropped():
    settings = INPUT["settings"] | {"modelChecker": {"engine": "chc"}, "stopAfter": "parsing"}
    kept = parse_submission(form(sourceCode=source(settings=settings))).source["settings"]
    assert kept == {name: value for name, value in INPUT["settings"].items() if name != "outputSelection"}


def test_hashes_of_sources_are_those_in_the_metadata():
    expected = {path: unit["keccak256"] for path, unit in orjson.loads(metadata())["sources"].items()}
    assert source_hashes(parse_submission(form()).source) == expected


DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codeformat": "vyper-json"}, "solidity-standard-json-input"),
        ({"codeformat": None}, "solidity-standard-json-input"),
        ({"contractaddress": "0x12"}, "contractaddress"),
        ({"contractname": ""}, "Token"),
        ({"contractname": "Vault.sol:a b"}, "Token"),
        ({"contractname": "Nothing"}, "0 sources have a contract Nothing"),
        ({"compilerversion": "latest"}, "0.8.30"),
        ({"compilerversion": "../../bin/sh"}, "0.8.30"),
        ({"constructorArguements": "0xzz"}, "hexadecimal"),
        ({"sourceCode": "contract A {}"}, "standard JSON"),
        ({"sourceCode": "[]"}, "Solidity"),
        ({"sourceCode": source(language="Yul")}, "Solidity"),
        ({"sourceCode": source(sources={})}, "1 to 1000 sources"),
        ({"sourceCode": source(settings=[])}, "settings"),
        ({"sourceCode": source(sources={"a.sol": {"urls": ["file.txt"]}})}, "not fetched"),
        ({"sourceCode": source(sources={"a.sol": "contract A {}"})}, "not fetched"),
        ({"sourceCode": source()[:-1] + f',"settings":{{"a":{DEEP}}}}}'}, "nested too deep"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(Refused, match=message):
        parse_submission(form(**changes))


NAMES = (
    "codeformat",
    "contractaddress",
    "contractname",
    "compilerversion",
    "constructorArguements",
    "sourceCode",
    "metadata",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["language", "sources", "settings", "content", "a.sol"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=40)), JSON)
def test_whatever_is_posted_is_taken_or_refused(changes, value):
    for posted in (
        form(**changes),
        form(sourceCode=json.dumps(value)),
        form(sourceCode=json.dumps({"language": "Solidity", "sources": value})),
    ):
        try:
            assert parse_submission(posted).source["language"] == "Solidity"
        except Refused as refusal:
            assert str(refusal)
