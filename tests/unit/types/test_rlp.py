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
