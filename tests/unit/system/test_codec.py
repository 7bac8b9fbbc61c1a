"""The ABI codec against eth-abi, and against bytes of every kind: one meaning has one encoding, the rest is refused."""

from __future__ import annotations

import eth_abi
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cybermiles.errors import ConfigError
from cybermiles.system.abi import parse_abi
from cybermiles.system.codec import EncodingError, MalformedData
from cybermiles.types.primitives import Address

WORD = 32


def function(*parameters, enums=None):
    """Return an ABI function with these parameters as inputs and outputs."""
    entry = {
        "type": "function", "name": "f", "inputs": list(parameters), "outputs": list(parameters),
        "stateMutability": "nonpayable",
    }  # fmt: skip
    return parse_abi("Test", [entry], enums or {}).functions["f"]


def parameter(kind, components=None):
    found = {"name": "x", "type": kind, "internalType": kind}
    return found | {"components": components} if components is not None else found


def canonical(of):
    if not of["type"].startswith("tuple"):
        return of["type"]
    return f"({','.join(map(canonical, of['components']))}){of['type'][5:]}"


ELEMENTARY = st.one_of(
    st.integers(1, 32).map(lambda n: (f"uint{8 * n}", st.integers(0, 2 ** (8 * n) - 1))),
    st.integers(1, 32).map(lambda n: (f"int{8 * n}", st.integers(-(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1))),
    st.integers(1, 32).map(lambda n: (f"bytes{n}", st.binary(min_size=n, max_size=n))),
    st.just(("address", st.binary(min_size=20, max_size=20))),
    st.just(("bool", st.booleans())),
    st.just(("bytes", st.binary(max_size=70))),
    st.just(("string", st.text(max_size=40))),
).map(lambda pair: (parameter(pair[0]), pair[1]))


def tuples(parts):
    return st.tuples(*[values for _, values in parts])


def compound(inner):
    def array(part, size):
        of, values = part
        length = {} if size is None else {"min_size": size, "max_size": size}
        suffix = "[]" if size is None else f"[{size}]"
        return {**of, "type": of["type"] + suffix, "internalType": of["internalType"] + suffix}, st.lists(
            values, **({"max_size": 3} | length)
        ).map(tuple)

    return st.one_of(
        st.tuples(inner, st.sampled_from([None, 1, 2])).map(lambda pair: array(*pair)),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda parts: (parameter("tuple", [of for of, _ in parts]), tuples(parts))
        ),
    )


TYPES = st.recursive(ELEMENTARY, compound, max_leaves=5)
CASES = st.lists(TYPES, max_size=4).flatmap(lambda parts: st.tuples(st.just([of for of, _ in parts]), tuples(parts)))


def plain(value):
    """Addresses as bytes; eth-abi answers with hex text."""
    if isinstance(value, str) and value.startswith("0x") and len(value) == 42:
        return bytes.fromhex(value[2:])
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


@settings(max_examples=300, deadline=None)
@given(CASES)
def test_encoding_is_eth_abis_and_decoding_its_inverse(case):
    parameters, values = case
    f = function(*parameters)
    encoded = eth_abi.encode(list(map(canonical, parameters)), values)
    assert f.encode_call(*values) == f.selector + encoded
    assert f.decode_arguments(f.selector + encoded) == values
    assert f.decode_arguments(f.selector + encoded + b"mark of a wallet") == values


@settings(max_examples=300, deadline=None)
@given(CASES, st.data())
def test_truncated_or_changed_bytes_are_refused_or_mean_what_they_encode(case, data):
    parameters, values = case
    f = function(*parameters)
    encoded = bytearray(f.inputs.encode(values))
    if not encoded:
        return
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(MalformedData):
        f.inputs.decode(bytes(encoded[:cut]), 0)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = data.draw(st.sampled_from([0, 1, 2, 0x20, 0x7F, 0x80, 0xC3, 0xFF]))
    check_canonical(f, parameters, bytes(encoded))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TYPES, min_size=1, max_size=3),
    st.lists(
        st.one_of(
            st.sampled_from([0, 1, 2, 31, 32, 64, 96, 128, 2**31, 2**63, 2**64, 2**255, 2**256 - 1]),
            st.integers(0, 2**256 - 1),
        ).map(lambda n: n.to_bytes(32)),
        max_size=12,
    ),
    st.binary(max_size=40),
)
def test_any_bytes_are_refused_or_mean_what_they_encode(parts, words, rest):
    parameters = [of for of, _ in parts]
    check_canonical(function(*parameters), parameters, b"".join(words) + rest)


def check_canonical(f, parameters, data):
    try:
        values, end = f.inputs.decode(data, 0)
    except MalformedData:
        return
    assert f.inputs.encode(values) == data[:end]
    assert plain(eth_abi.decode(list(map(canonical, parameters)), data)) == plain(values)


def word(number):
    return number.to_bytes(32)


OFFSET = word(32)
REFUSED = {
    "no head": ("uint256", b""),
    "a head cut short": ("uint256", bytes(31)),
    "dirty bits over uint8": ("uint8", word(256)),
    "dirty bits over int8": ("int8", word(128)),
    "an int8 without its sign": ("int8", word(255)),
    "dirty bits over an address": ("address", word(1 << 160)),
    "the highest bit over an address": ("address", word(1 << 255)),
    "dirty bits behind bytes4": ("bytes4", b"\x01\x02\x03\x04" + bytes(27) + b"\x01"),
    "bool 2": ("bool", word(2)),
    "bool with a high bit": ("bool", word((1 << 255) | 1)),
    "an offset into the head": ("bytes", word(0) + word(0)),
    "an offset past a gap": ("bytes", word(64) + word(0) + word(0)),
    "an offset that is not a multiple of 32": ("bytes", word(33) + bytes(33)),
    "a huge offset": ("bytes", word(2**256 - 1)),
    "an offset that overflows": ("bytes", word(2**256 - 32) + word(0)),
    "no length": ("bytes", OFFSET),
    "a length cut short": ("bytes", OFFSET + bytes(31)),
    "a length over the data": ("bytes", OFFSET + word(33) + bytes(32)),
    "a huge length": ("bytes", OFFSET + word(2**256 - 1) + bytes(32)),
    "no padding": ("bytes", OFFSET + word(1) + b"a"),
    "dirty padding": ("bytes", OFFSET + word(1) + b"a" + bytes(30) + b"\x01"),
    "an overlong form in text": ("string", OFFSET + word(2) + b"\xc0\x80".ljust(32, b"\x00")),
    "a surrogate in text": ("string", OFFSET + word(3) + b"\xed\xa0\x80".ljust(32, b"\x00")),
    "a lone byte in text": ("string", OFFSET + word(1) + b"\xff".ljust(32, b"\x00")),
    "more items than data": ("uint256[]", OFFSET + word(2) + word(1)),
    "a huge number of items": ("uint256[]", OFFSET + word(2**256 - 1)),
    "no number of items": ("uint256[]", OFFSET),
    "a huge number of arrays": ("uint256[][]", OFFSET + word(2**200) + word(32)),
    "arrays that share their data": ("uint256[][]", OFFSET + word(2) + word(64) + word(64) + word(0)),
    "a fixed array cut short": ("uint256[2]", word(1)),
}


@pytest.mark.parametrize(("kind", "data"), REFUSED.values(), ids=REFUSED)
def test_malformed_arguments_are_refused(kind, data):
    with pytest.raises(MalformedData):
        function(parameter(kind)).inputs.decode(data, 0)


def test_nested_arrays_do_not_unfold_into_more_than_they_are():
    """Ten levels whose offsets all point back would be 10^10 items in a lenient decoder."""
    level = word(10) + b"".join(word(320) for _ in range(10))
    with pytest.raises(MalformedData):
        function(parameter("uint256" + "[]" * 10)).inputs.decode(OFFSET + level * 10 + word(0), 0)


def test_an_enum_names_a_member_also_inside_arrays_and_structs():
    enums = {"I.Choice": ["None", "Yes", "No"]}
    choice = {"name": "c", "type": "uint8", "internalType": "enum I.Choice"}
    choices = {"name": "c", "type": "uint8[]", "internalType": "enum I.Choice[]"}
    struct = parameter("tuple", [choice])
    for of, good, bad in (
        (choice, word(2), word(3)),
        (choices, OFFSET + word(1) + word(2), OFFSET + word(1) + word(3)),
        (struct, word(2), word(3)),
    ):
        f = function(of, enums=enums)
        f.inputs.decode(good, 0)
        with pytest.raises(MalformedData):
            f.inputs.decode(bad, 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", "1"), ("int8", 128), ("int8", b""), ("bool", 1), ("address", "0x12"),
        ("address", bytes(19)), ("bytes4", bytes(5)), ("bytes", "text"), ("string", b"bytes"), ("string", "\ud800"),
        ("uint8[]", 5), ("uint8[]", b"\x01"), ("uint8[2]", (1,)),
    ],
)  # fmt: skip
def test_a_value_of_another_type_cannot_be_encoded(kind, value):
    with pytest.raises(EncodingError):
        function(parameter(kind)).encode_call(value)


def test_a_struct_needs_all_its_fields():
    f = function(parameter("tuple", [parameter("uint8"), parameter("bool")]))
    for value in ((1,), [1, True], (1, True, 2), 5):
        with pytest.raises(EncodingError):
            f.encode_call(value)
    with pytest.raises(EncodingError):
        f.encode_call()


@pytest.mark.parametrize("kind", ["function", "fixed128x18", "uint8[0]", "Uint8", ""])
def test_an_unknown_type_is_refused_when_the_abi_is_read(kind):
    with pytest.raises(ConfigError):
        function(parameter(kind))


def test_outputs_are_none_a_value_or_a_tuple():
    one, two, none = function(parameter("uint8")), function(parameter("uint8"), parameter("bool")), function()
    assert one.encode_output(5) == word(5)
    assert one.decode_output(word(5)) == (5,)
    assert two.encode_output((5, True)) == word(5) + word(1)
    assert none.encode_output(None) == b""
    for f, wrong in ((one, (5,)), (one, None), (two, 5), (two, (5,)), (two, None), (none, 5)):
        with pytest.raises(EncodingError):
            f.encode_output(wrong)


@example(Address(bytes(20)))
@given(st.binary(min_size=20, max_size=20))
def test_addresses_come_back_as_they_went(address):
    f = function(parameter("address"))
    assert f.decode_arguments(f.encode_call(address)) == (address,)
