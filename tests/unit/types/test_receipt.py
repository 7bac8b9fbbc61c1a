"""Receipts and blooms against py-evm's."""

from __future__ import annotations

import pytest
from eth.rlp.logs import Log as ReferenceLog
from eth.rlp.receipts import Receipt as ReferenceReceipt
from eth_bloom import BloomFilter
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.receipt import EMPTY_BLOOM, Log, Receipt, bloom_bits, decode_logs, encode_logs, logs_bloom

ADDRESS = Address(b"\x11" * 20)
TOPIC = Hash32(b"\x22" * 32)
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
TOPICS = st.binary(min_size=32, max_size=32).map(Hash32)
LOGS = st.lists(
    st.builds(Log, ADDRESSES, st.lists(TOPICS, max_size=4).map(tuple), st.binary(max_size=80)), max_size=4
).map(tuple)


@given(st.sampled_from([0, 1, 2, 4]), st.booleans(), st.integers(0, 2**64 - 1), LOGS)
def test_a_receipt_is_encoded_as_py_evm_does(kind, succeeded, gas, logs):
    reference_logs = [ReferenceLog(log.address, [int.from_bytes(t) for t in log.topics], log.data) for log in logs]
    reference = ReferenceReceipt(b"\x01" if succeeded else b"", gas, reference_logs)
    receipt = Receipt(kind, succeeded, gas, logs, logs_bloom(logs))
    prefix = bytes((kind,)) if kind else b""
    assert receipt.encode() == prefix + reference.encode()
    assert int.from_bytes(receipt.bloom) == reference.bloom


@given(LOGS)
def test_the_bloom_equals_the_reference_and_holds_every_element(logs):
    bloom = logs_bloom(logs)
    elements = [element for log in logs for element in (log.address, *log.topics)]
    assert bloom == int(BloomFilter.from_iterable(elements)).to_bytes(256)
    bits = int.from_bytes(bloom)
    assert all(bits & bloom_bits(element) == bloom_bits(element) for element in elements)


def test_no_logs_have_the_empty_bloom():
    assert logs_bloom(()) == EMPTY_BLOOM == bytes(256)
    assert encode_logs(()) == b"\xc0"


@given(LOGS)
def test_logs_round_trip(logs):
    assert decode_logs(rlp.decode(encode_logs(logs))) == logs


@pytest.mark.parametrize(
    "item",
    [
        b"",
        [b""],
        [[]],
        [[ADDRESS, [TOPIC]]],
        [[ADDRESS, [TOPIC], b"", b""]],
        [[ADDRESS[1:], [TOPIC], b""]],
        [[ADDRESS, [TOPIC[1:]], b""]],
        [[ADDRESS, TOPIC, b""]],
        [[ADDRESS, [TOPIC], []]],
    ],
)
def test_other_items_are_no_logs(item):
    with pytest.raises(DecodingError):
        decode_logs(item)
