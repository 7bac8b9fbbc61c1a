"""What `console.log` prints, for every type, and that odd calldata cannot break the line or the terminal."""

from __future__ import annotations

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.vm.console import MAX_TEXT, console_text

WHO = "0x" + "ab" * 20


def calldata(signature, *values):
    types = signature[4:-1].split(",") if len(signature) > 5 else []
    types = [{"uint": "uint256", "int": "int256"}.get(name, name) for name in types]
    return keccak256(signature.encode())[:4] + encode(types, values)


@pytest.mark.parametrize(
    ("signature", "values", "text"),
    [
        ("log()", (), ""),
        ("log(string)", ("hello",), "hello"),
        ("log(uint256)", (42,), "42"),
        ("log(uint)", (42,), "42"),
        ("log(int256)", (-1,), "-1"),
        ("log(int)", (-1,), "-1"),
        ("log(bool)", (True,), "true"),
        ("log(address)", (WHO,), WHO),
        ("log(bytes)", (b"\x01\x02",), "0x0102"),
        ("log(bytes32)", (b"\x07" * 32,), "0x" + "07" * 32),
        ("log(bytes4)", (b"\x07" * 4,), "0x07070707"),
        ("log(string,uint256)", ("count", 7), "count 7"),
        ("log(string,uint)", ("count %d of", 7), "count 7 of"),
        ("log(string,string,address,bool)", ("%s: 100%%", "a", WHO, False), f"a: 100% {WHO} false"),
        ("log(uint256,uint256,string,bool)", (1, 2, "%s", True), "1 2 %s true"),
        ("log(string)", ("\x1b[2Jgone",), "\ufffd[2Jgone"),
    ],
)
def test_a_call_says(signature, values, text):
    assert console_text(calldata(signature, *values)) == text


def test_an_unknown_signature_is_shown_as_it_is():
    assert console_text(b"\x01\x02\x03\x04\x05") == "0x0102030405"


@given(st.sampled_from(["log(string)", "log(bytes)", "log(string,string,string,string)"]), st.binary(max_size=300))
def test_any_calldata_gives_a_bounded_line(signature, data):
    assert len(console_text(keccak256(signature.encode())[:4] + data)) <= MAX_TEXT
