"""RLP: one encoding for each value, and no bytes that break the decoder."""

from __future__ import annotations

import pytest
import rlp as reference
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.types import rlp

ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=30)


@given(ITEMS)
def test_encoding_equals_the_reference_and_decodes_to_itself(item):
    encoded = rlp.encode(item)
    assert encoded == reference.encode(item)
    assert rlp.decode(encoded, max_depth=64) == item


@given(st.binary(max_size=120))
def test_any_bytes_are_decoded_like_the_reference_or_refused(data):
    try:
        expected = reference.decode(data, strict=True)
    except reference.exceptions.DecodingError:
        with pytest.raises(DecodingError):
            rlp.decode(data, max_depth=64)
    else:
        assert rlp.decode(data, max_depth=64) == expected


@given(st.integers(0, 2**256 - 1))
def test_integers_round_trip(value):
    assert rlp.as_int(rlp.decode(rlp.encode_int(value))) == value
    assert rlp.encode_int(value) == reference.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        "8100",
        "817f",
        "b800",
        "b80161",
        "b90001" + "00",
        "c2",
        "f800",
        "f90000",
        "8080",
        "bf" + "ff" * 8,
        "ff" + "ff" * 8,
    ],
)
def test_forms_that_are_not_canonical_are_refused(data):
    with pytest.raises(DecodingError):
        rlp.decode(bytes.fromhex(data))


def test_nesting_is_bounded():
    deep = b"\xc0"
    for _ in range(40):
        deep = rlp.encode_list([deep])
    with pytest.raises(DecodingError, match="nested too deeply"):
        rlp.decode(deep)
    bomb = bytes([0xF9, 0xFF, 0xFF]) * 30_000
    with pytest.raises(DecodingError):
        rlp.decode(bomb)


def test_integers_with_leading_zeros_or_too_many_bits_are_refused():
    with pytest.raises(DecodingError, match="leading zeros"):
        rlp.as_int(b"\x00\x01")
    with pytest.raises(DecodingError, match="64 bits"):
        rlp.as_int(b"\x01" + bytes(8), bits=64)


@given(
    st.lists(st.integers(0, 2**256 - 1), max_size=5),
    st.binary(max_size=70),
    ITEMS.filter(lambda i: isinstance(i, list)),
)
def test_readers_find_what_decoding_finds(integers, data, items):
    parts = [rlp.encode_int(value) for value in integers]
    raw = b"".join([*parts, rlp.encode(data), rlp.encode(items)])
    values, position = rlp.read_ints(raw, 0, len(integers))
    assert values == integers
    assert position == sum(map(len, parts)) == sum(map(rlp.int_size, integers))
    found, position = rlp.read_bytes(raw, position)
    assert found == data
    start, stop = rlp.read_list(raw, position)
    assert stop == len(raw)
    assert raw[start:stop] == b"".join(map(rlp.encode, items))


@given(st.binary(max_size=45))
def test_reading_any_bytes_gives_what_decoding_gives_or_is_refused(data):
    try:
        (value,), end = rlp.read_ints(data, 0, 1)
    except DecodingError:
        with pytest.raises(DecodingError):
            rlp.as_int(rlp.decode(first_item(data)))
    else:
        assert rlp.as_int(rlp.decode(data[:end])) == value
    try:
        found, end = rlp.read_bytes(data, 0)
    except DecodingError:
        with pytest.raises(DecodingError):
            rlp.as_bytes(rlp.decode(first_item(data)))
    else:
        assert rlp.decode(data[:end]) == found


def first_item(data):
    """Return the encoding of the first item by the reference, or the data where there is none."""
    try:
        return data[: reference.codec.consume_length_prefix(data, 0)[3]]
    except (reference.exceptions.DecodingError, IndexError):
        return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "before an integer"),
        ("00", "leading zeros"),
        ("8101", "needless prefix"),
        ("817f", "needless prefix"),
        ("820001", "leading zeros"),
        ("81", "before an integer"),
        ("82ff", "inside an integer"),
        ("a1" + "ff" * 33, "at most 256 bits"),
        ("b838" + "ff" * 56, "at most 256 bits"),
        ("c0", "at most 256 bits"),
    ],
)
def test_other_bytes_are_no_integer(data, reason):
    with pytest.raises(DecodingError, match=reason):
        rlp.read_ints(bytes.fromhex(data), 0, 1)


@pytest.mark.parametrize(
    ("data", "reason"), [("", "expected"), ("c0", "expected"), ("82ff", "inside"), ("8101", "small byte")]
)
def test_other_bytes_are_no_string(data, reason):
    with pytest.raises(DecodingError, match=reason):
        rlp.read_bytes(bytes.fromhex(data), 0)


@pytest.mark.parametrize(
    ("data", "reason"), [("", "expected"), ("80", "expected"), ("c1", "inside"), ("f800", "long form")]
)
def test_other_bytes_are_no_list(data, reason):
    with pytest.raises(DecodingError, match=reason):
        rlp.read_list(bytes.fromhex(data), 0)


def test_a_depth_of_zero_allows_bytes_only():
    assert rlp.decode(b"\x83abc", max_depth=0) == b"abc"
    with pytest.raises(DecodingError, match="nested too deeply"):
        rlp.decode(b"\xc0", max_depth=0)
    assert rlp.decode(b"\xc1\xc0", max_depth=2) == [[]]
    with pytest.raises(DecodingError, match="nested too deeply"):
        rlp.decode(b"\xc1\xc0", max_depth=1)


def test_a_list_or_bytes_where_the_other_is_expected_is_refused():
    for check, item in ((rlp.as_bytes, []), (rlp.as_list, b""), (rlp.as_int, [])):
        with pytest.raises(DecodingError, match="expected"):
            check(item)
    with pytest.raises(DecodingError, match="2 bytes are expected, not 3"):
        rlp.as_bytes(b"abc", size=2)
    with pytest.raises(DecodingError, match="2 items are expected, not 1"):
        rlp.as_list([b""], length=2)


def to_item(value):
    if isinstance(value, list):
        return [to_item(entry) for entry in value]
    if isinstance(value, str):
        return rlp.int_to_bytes(int(value[1:])) if value.startswith("#") else value.encode()
    return rlp.int_to_bytes(value)


def test_official_rlp_vectors(basic_tests):
    count = 0
    for name, cases in basic_tests("RLPTests").items():
        for case in cases.values():
            data = bytes.fromhex(case["out"].removeprefix("0x"))
            if case["in"] == "INVALID":
                with pytest.raises(DecodingError):
                    rlp.decode(data, max_depth=1024)
            else:
                item = rlp.decode(data, max_depth=1024)
                assert rlp.encode(item) == data, name
                if case["in"] != "VALID":
                    assert item == to_item(case["in"])
            count += 1
    assert count > 50
