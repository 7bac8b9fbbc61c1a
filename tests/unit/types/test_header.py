"""The header is Ethereum's: same bytes and hash as py-evm's Prague header."""

from __future__ import annotations

import dataclasses

import pytest
import rlp as reference
from eth.vm.forks.prague.blocks import PragueBlockHeader
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.block import MAX_HEADER_BYTES
from cybermiles.types.header import Header, decode_header
from cybermiles.types.primitives import Address, Hash32

U64 = st.integers(0, 2**64 - 1)
HASHES = st.binary(min_size=32, max_size=32).map(Hash32)
HEADERS = st.builds(
    Header,
    parent_hash=HASHES,
    coinbase=st.binary(min_size=20, max_size=20).map(Address),
    state_root=HASHES,
    transactions_root=HASHES,
    receipts_root=HASHES,
    logs_bloom=st.binary(min_size=256, max_size=256) | st.just(bytes(256)) | st.just(bytes(255) + b"\x01"),
    height=U64,
    gas_limit=U64,
    gas_used=U64,
    timestamp=U64,
    extra_data=st.binary(min_size=32, max_size=32),
    prev_randao=HASHES,
)
HEADER = Header(
    parent_hash=Hash32(b"\x01" * 32),
    coinbase=Address(b"\x02" * 20),
    state_root=Hash32(b"\x03" * 32),
    transactions_root=Hash32(b"\x04" * 32),
    receipts_root=Hash32(b"\x05" * 32),
    logs_bloom=b"\x06" * 256,
    height=2**64 - 1,
    gas_limit=2**64 - 1,
    gas_used=2**64 - 1,
    timestamp=2**64 - 1,
    extra_data=b"\x07" * 32,
    prev_randao=Hash32(b"\x08" * 32),
)


@given(HEADERS)
def test_a_header_is_encoded_and_hashed_as_py_evm_does(header):
    other = PragueBlockHeader(
        difficulty=0,
        block_number=header.height,
        gas_limit=header.gas_limit,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        parent_hash=header.parent_hash,
        state_root=header.state_root,
        transaction_root=header.transactions_root,
        receipt_root=header.receipts_root,
        bloom=int.from_bytes(header.logs_bloom),
        gas_used=header.gas_used,
        extra_data=header.extra_data,
        mix_hash=header.prev_randao,
        nonce=bytes(8),
        requests_hash=bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    )
    raw = header.encode()
    assert raw == reference.encode(other)
    assert header.hash == other.hash
    assert decode_header(rlp.decode(raw)) == header


def test_the_largest_header_is_within_the_bound():
    assert len(HEADER.encode()) == 662 <= MAX_HEADER_BYTES


def test_the_hash_is_computed_once():
    header = dataclasses.replace(HEADER)
    assert header.hash is header.hash
    assert header == HEADER


FIXED = {
    1: b"\x01" * 32,
    7: b"\x01",
    14: b"\x01" * 8,
    15: b"\x01",
    16: bytes(32),
    17: b"\x01",
    18: b"\x01",
    19: b"\x01" * 32,
    20: bytes(32),
}


@pytest.mark.parametrize(("position", "value"), FIXED.items())
def test_another_value_in_a_fixed_field_is_refused(position, value):
    fields = rlp.decode(HEADER.encode())
    fields[position] = value
    with pytest.raises(DecodingError, match="fixes"):
        decode_header(fields)


WRONG = [
    (at, b"\x01" * size)
    for at, size in [
        (0, 31),
        (2, 21),
        (3, 33),
        (4, 31),
        (5, 31),
        (6, 255),
        (8, 9),
        (9, 9),
        (10, 9),
        (11, 9),
        (12, 31),
        (13, 31),
    ]
]
WRONG += [(8, b"\x00\x01"), (11, b"\x00"), (0, []), (7, []), (8, [])]


@pytest.mark.parametrize(("position", "value"), WRONG)
def test_a_field_of_wrong_size_or_form_is_refused(position, value):
    fields = rlp.decode(HEADER.encode())
    fields[position] = value
    with pytest.raises(DecodingError):
        decode_header(fields)


@pytest.mark.parametrize("count", [0, 15, 20, 22])
def test_another_number_of_fields_is_refused(count):
    fields = (rlp.decode(HEADER.encode()) + [b""])[:count]
    with pytest.raises(DecodingError, match="21 items"):
        decode_header(fields)
