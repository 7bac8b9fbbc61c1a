"""Typed reading of documents: times, amounts, hex and checksums, each with its edges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.fees import decimal
from cybermiles.chain.reading import Field, checksum, format_time, nearest, parse_time
from cybermiles.errors import ConfigError
from cybermiles.types.primitives import WEI_PER_CMT

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z."""


@given(st.integers(0, LAST_SECOND))
def test_times_are_read_and_written_as_the_standard_library_does(seconds):
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert parse_time(text) == seconds
    assert format_time(seconds) == text


@pytest.mark.parametrize("year", [1970, 1972, 1999, 2000, 2024, 2027, 2100, 2400])
@pytest.mark.parametrize("month", range(1, 13))
def test_the_first_and_last_day_of_every_month_are_right(year, month):
    first = datetime(year, month, 1, tzinfo=UTC)
    next_month = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    for seconds in (int(first.timestamp()), int(next_month.timestamp()) - 1):
        assert parse_time(format_time(seconds)) == seconds
        assert format_time(seconds) == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-01-01T00:00:00z",
        "2027-01-01 00:00:00Z",
        "2027-01-01T00:00:00+00:00",
        "2027-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2027-04-31T00:00:00Z",
        "2027-00-01T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-01-00T00:00:00Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:60:00Z",
        "2027-01-01T00:00:60Z",
        "1969-12-31T23:59:59Z",
        "2027-1 -01T00:00:00Z",
        "٢027-01-01T00:00:00Z",
    ],
)
def test_anything_else_is_no_time(text):
    assert parse_time(text) is None
    with pytest.raises(ConfigError, match="at: .*2026-01-01T00:00:00Z"):
        Field(text, "at").time()


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0", 0),
        ("1", WEI_PER_CMT),
        ("0.000000000000000001", 1),
        ("0.250", WEI_PER_CMT // 4),
        ("999999999999999999.999999999999999999", 10**36 - 1),
    ],
)
def test_amounts_are_exact(text, wei):
    assert Field(text, "amount").cmt() == wei


@given(st.integers(0, 10**36 - 1))
def test_written_amounts_read_back(wei):
    assert Field(decimal(wei, WEI_PER_CMT), "amount").cmt() == wei


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "5.",
        "1.",
        "01",
        "+1",
        "-1",
        "1,5",
        "1e3",
        "1_000",
        " 1",
        "0x1",
        "1.0000000000000000001",
        "1" * 19,
        "١",
    ],
)
def test_anything_else_is_no_amount(text):
    with pytest.raises(ConfigError, match="amount: "):
        Field(text, "amount").cmt()


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_checksums_are_those_of_eip_55(address):
    raw = bytes.fromhex(address[2:])
    assert checksum(raw) == address
    assert Field(address, "to").address() == raw
    assert Field(address.lower(), "to").address() == raw
    assert Field("0x" + address[2:].upper(), "to").address() == raw
    with pytest.raises(ConfigError, match=address):
        Field("0x" + address[2:].swapcase(), "to").address()


@pytest.mark.parametrize(
    "text", ["", "0x", "00" * 20, "0X" + "00" * 20, "0x" + "00" * 19, "0x" + "0g" * 20, "0x" + "00" * 21]
)
def test_anything_else_is_no_address(text):
    with pytest.raises(ConfigError, match="40 hex digits"):
        Field(text, "to").address()


def test_a_hint_names_the_nearest_key_or_all_of_them():
    assert nearest("chainid", ("name", "chain_id")) == 'did you mean "chain_id"?'
    assert nearest("zzz", ("name", "chain_id")) == "valid: name, chain_id"
    assert nearest("n" * 10**7, ("name",)) == "valid: name"


def test_a_long_wrong_value_is_shown_in_part():
    with pytest.raises(ConfigError) as caught:
        Field("x" * 10**6, "amount").cmt()
    assert len(str(caught.value)) < 200
