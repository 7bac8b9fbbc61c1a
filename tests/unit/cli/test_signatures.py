"""Functions and values as people type them, compared with eth-abi."""

from __future__ import annotations

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.cli.output import CommandError
from cybermiles.cli.signatures import (
    encode_arguments,
    function_of,
    parse_amount,
    parse_function,
    read_results,
    type_of,
)

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.mark.parametrize(
    ("text", "signature", "results"),
    [
        ("totalSupply()", "totalSupply()", []),
        ("transfer(address,uint256)", "transfer(address,uint256)", []),
        ("function transfer(address to, uint amount) external returns (bool)", "transfer(address,uint256)", ["bool"]),
        ("balanceOf(address)(uint256)", "balanceOf(address)", ["uint256"]),
        (
            "f(uint256[], bytes32[2][]) view returns (string memory, int)",
            "f(uint256[],bytes32[2][])",
            ["string", "int256"],
        ),
        (
            "f((uint256,(address,bytes)[])[2] calldata x) returns ((bool,bool))",
            "f((uint256,(address,bytes)[])[2])",
            ["(bool,bool)"],
        ),
        ("f(tuple(uint8 a) x)", "f((uint8))", []),
    ],
)
def test_functions(text, signature, results):
    entry = parse_function(text)
    assert f"{entry['name']}({','.join(map(type_of, entry['inputs']))})" == signature
    assert [type_of(result) for result in entry["outputs"]] == results
    assert len(function_of(entry).selector) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "f(",
        "f(uint256",
        "f(uint256))",
        "f(uint256,)",
        "f(,)",
        "f((uint256)",
        "f(Uint)",
        "f() returns",
        "f() returns (",
        "1f()",
    ],
)
def test_what_is_no_function(text):
    with pytest.raises(CommandError, match="is not a function"):
        parse_function(text)


@pytest.mark.parametrize("kind", ["f(uint7x)", "f(fixed)", "f(uint256[0])"])
def test_types_that_there_are_not(kind):
    with pytest.raises(CommandError):
        function_of(parse_function(kind))


@pytest.mark.parametrize(
    ("kinds", "texts", "values"),
    [
        (["address", "bool", "uint8", "int16"], [ALICE, "true", "0xff", "-5"], [ALICE, True, 255, -5]),
        (["bytes", "bytes4", "string"], ["0x", "0x01020304", "a, (b]"], [b"", b"\x01\x02\x03\x04", "a, (b]"]),
        (["uint256[]", "uint256[2]"], ["[]", "[1, 2]"], [[], [1, 2]]),
        (["string[]"], ['["a,b", c, ""]'], [["a,b", "c", ""]]),
        (["(uint256,string)[]"], ['[(1,"x)"),(2,y)]'], [[(1, "x)"), (2, "y")]]),
        (["uint256", "uint256"], ["1.5cmt", "2gwei"], [15 * 10**17, 2 * 10**9]),
    ],
)
def test_values(kinds, texts, values):
    entry = parse_function(f"f({','.join(kinds)})")
    assert encode_arguments(entry, texts) == eth_abi.encode(kinds, values)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("address", "0x12", "argument 1 of f"),
        ("address owner", ALICE.lower().replace("f", "F"), "owner of f"),
        ("bool", "yes", "neither true nor false"),
        ("uint8", "256", "0 … 255"),
        ("uint256", "-1", "0 …"),
        ("uint256", "ten", "not an amount"),
        ("bytes", "12", "0x and hex digits"),
        ("bytes4", "0x12", "not 4 bytes"),
        ("uint256[]", "1,2", r"is no uint256\[\]"),
        ("uint256[2]", "[1]", "must be 2"),
        ("(uint256,bool)", "(1)", "1 values"),
        ("string[]", '["a]', "not closed"),
    ],
)
def test_values_that_are_refused(kind, text, message):
    with pytest.raises(CommandError, match=message):
        encode_arguments(parse_function(f"f({kind})"), [text])


def test_the_number_of_arguments_is_said():
    with pytest.raises(CommandError, match="takes 1 arguments, not 2"):
        encode_arguments(parse_function("f(bool)"), ["true", "true"])


@pytest.mark.parametrize(
    ("text", "unit", "wei"),
    [
        ("1", "wei", 1),
        ("1.5", "cmt", 15 * 10**17),
        ("1.5 gwei", "cmt", 15 * 10**8),
        ("1e18", "wei", 10**18),
        ("0.5e3wei", "cmt", 500),
        ("2ETHER", "wei", 2 * 10**18),
    ],
)
def test_amounts(text, unit, wei):
    assert parse_amount(text, unit) == wei


@pytest.mark.parametrize(
    ("text", "unit"),
    [("0.5", "wei"), ("1.0000000000000000001", "cmt"), ("1 finney", "wei"), ("", "cmt"), ("1,5", "cmt"), (".5", "cmt")],
)
def test_amounts_that_are_none(text, unit):
    with pytest.raises(ValueError, match="wei|amount"):
        parse_amount(text, unit)


def test_results_are_json():
    entry = parse_function(
        "f() returns (uint8, uint256, int256, address, bytes, (uint64 a, string b)[], (uint64,bool))"
    )
    data = eth_abi.encode(
        ["uint8", "uint256", "int256", "address", "bytes", "(uint64,string)[]", "(uint64,bool)"],
        [7, 2**200, -3, ALICE, b"\x01", [(1, "x")], (5, True)],
    )
    assert read_results(entry, data) == [7, str(2**200), "-3", ALICE, "0x01", [{"a": 1, "b": "x"}], [5, True]]
    with pytest.raises(CommandError, match="is not"):
        read_results(entry, b"\x01")


@given(st.lists(st.integers(-(2**255), 2**255 - 1)), st.binary(), st.booleans())
def test_what_is_shown_can_be_typed_again(numbers, data, flag):
    entry = parse_function("f(int256[],bytes,bool)")
    texts = [f"[{','.join(map(str, numbers))}]", "0x" + data.hex(), str(flag).lower()]
    assert encode_arguments(entry, texts) == eth_abi.encode(["int256[]", "bytes", "bool"], [numbers, data, flag])


@given(
    st.text(alphabet='f(),[]"0123456789abcdeuintrs \\', max_size=30),
    st.sampled_from(["uint8", "(bool,string)[]", "bytes4[2]", "string[]"]),
)
def test_whatever_is_typed_is_read_or_refused(text, kind):
    for attempt in (
        lambda: function_of(parse_function(text)),
        lambda: encode_arguments(parse_function(f"f({kind})"), [text]),
    ):
        try:
            attempt()
        except CommandError as refusal:
            assert str(refusal)
