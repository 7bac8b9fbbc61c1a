"""QUANTITY and DATA: what the execution API allows, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.quantities import (
    encode_checksummed,
    encode_data,
    encode_word,
    parse_address,
    parse_bool,
    parse_count,
    parse_data,
    parse_hash,
    parse_list,
    parse_quantity,
    parse_slot,
    parse_uint64,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x0", 0), ("0x1", 1), ("0xfF", 255), ("0x" + "f" * 64, 2**256 - 1)],
)
def test_a_quantity_is_a_number_without_leading_zeros(text, value):
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0x", 'hex string "0x"'),
        ("0x00", "leading zero"),
        ("0x01", "leading zero"),
        ("1", "without 0x prefix"),
        ("", "empty hex string"),
        ("0X1", "without 0x prefix"),
        ("0xg", "invalid hex string"),
        ("0x-1", "invalid hex string"),
        ("0x1_0", "invalid hex string"),
        ("0x 1", "invalid hex string"),
        ("0x１", "invalid hex string"),
        ("0x1" + "0" * 64, "> 256 bits"),
        (1, "a hex string is expected"),
        (1.0, "a hex string is expected"),
        (None, "a hex string is expected"),
        (True, "a hex string is expected"),
        ([], "a hex string is expected"),
        ({}, "a hex string is expected"),
    ],
)
def test_anything_else_is_no_quantity(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_quantity(text)


def test_a_height_has_at_most_64_bits():
    assert parse_uint64("0x" + "f" * 16) == 2**64 - 1
    with pytest.raises(ValueError, match="> 64 bits"):
        parse_uint64("0x1" + "0" * 16)


def test_a_count_may_be_a_json_integer():
    assert parse_count(10) == parse_count("0xa") == 10
    for wrong in (-1, 1.0, True, 2**64, "10"):
        with pytest.raises(ValueError):
            parse_count(wrong)


@pytest.mark.parametrize(("text", "data"), [("0x", b""), ("0x00", b"\0"), ("0xAbcd", b"\xab\xcd")])
def test_data_has_two_digits_a_byte(text, data):
    assert parse_data(text) == data


@pytest.mark.parametrize("text", ["", "00", "0x0", "0xgg", "0x0 1 ", "0x  ", "0x00\n0", 0, None, b"0x00"])
def test_anything_else_is_no_data(text):
    with pytest.raises(ValueError):
        parse_data(text)


def test_addresses_and_hashes_have_their_length():
    assert parse_address("0x" + "Ab" * 20) == b"\xab" * 20
    assert parse_hash("0x" + "ab" * 32) == b"\xab" * 32
    for wrong in ("0x" + "ab" * 19, "0x" + "ab" * 21, "0x" + "a" * 39, "ab" * 20, "0x" + "zz" * 20):
        with pytest.raises(ValueError):
            parse_address(wrong)
    with pytest.raises(ValueError, match="hex string has length 62, want 64"):
        parse_hash("0x" + "ab" * 31)


@pytest.mark.parametrize(
    ("text", "slot"),
    [("0x0", (0, 1)), ("0x00", (0, 1)), ("0x", (0, 0)), ("0x" + "0" * 63 + "1", (1, 32)), ("0x100", (256, 2))],
)
def test_a_storage_key_may_have_any_leading_zeros(text, slot):
    assert parse_slot(text) == slot


@pytest.mark.parametrize("text", ["0x" + "0" * 65, "0xasdf", "0x0_0"])
def test_a_wrong_storage_key_has_geths_code(text):
    with pytest.raises(RpcError, match="unable to decode storage key") as caught:
        parse_slot(text)
    assert caught.value.code == -32000


def test_only_true_and_false_are_booleans():
    assert parse_bool(True) is True
    for wrong in (1, 0, "true", None):
        with pytest.raises(ValueError):
            parse_bool(wrong)


def test_a_list_is_bounded_and_names_the_key_of_its_bound():
    assert parse_list(["0x1", "0x2"], parse_quantity, limit=2, key="k") == (1, 2)
    with pytest.raises(ValueError, match=r"3 elements, at most 2 are allowed \(rpc.k\)"):
        parse_list(["0x1"] * 3, parse_quantity, limit=2, key="rpc.k")
    with pytest.raises(ValueError, match="an array"):
        parse_list("0x1", parse_quantity, limit=2, key="k")


def test_checksummed_addresses_are_those_of_the_standard():
    for text in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert encode_checksummed(parse_address(text)) == text


@given(st.binary(max_size=80), st.integers(0, 2**256 - 1))
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_is_parsed_back(data, number):
    assert parse_data(encode_data(data)) == data
    assert parse_quantity(hex(number)) == number
    assert parse_slot(encode_word(number)) == (number, 32)
