"""Blocks in parts: every part is proven on arrival, whatever order they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.merkle import root_and_proofs
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.part_set import (
    MAX_PARTS,
    PART_BYTES,
    Part,
    PartSet,
    PartsHeader,
    decode_part,
    decode_parts_header,
    split,
)
from cybermiles.types.primitives import Hash32

VALUE = b"".join(number.to_bytes(4) for number in range(PART_BYTES // 2)) + b"the rest"


@pytest.fixture
def whole():
    return split(VALUE)


@pytest.mark.parametrize(
    ("size", "total"),
    [(1, 1), (PART_BYTES - 1, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2), (2 * PART_BYTES, 2), (2 * PART_BYTES + 1, 3)],
)
def test_a_value_is_cut_into_full_parts_and_a_rest(size, total):
    parts = split(bytes(size))
    assert parts.is_complete
    assert parts.header.total == total
    assert parts.value() == bytes(size)
    assert [len(parts.part(index).payload) for index in range(total - 1)] == [PART_BYTES] * (total - 1)


@given(st.permutations(range(3)))
def test_parts_come_in_any_order_and_twice(order):
    whole = split(VALUE)
    parts, bits = PartSet(whole.header), 0
    for index in order:
        assert parts.part(index) is None
        assert parts.add(whole.part(index))
        assert not parts.add(whole.part(index))
        bits |= 1 << index
        assert parts.bits == bits
    assert parts.is_complete
    assert parts.value() == VALUE


def test_the_same_value_has_the_same_parts(whole):
    assert split(VALUE).header == whole.header
    assert split(VALUE + b"!").header != whole.header


def test_a_value_is_not_assembled_before_its_last_part(whole):
    parts = PartSet(whole.header)
    parts.add(whole.part(1))
    assert not parts.is_complete
    with pytest.raises(ValueError, match="1 of 3 parts are here"):
        parts.value()


def test_parts_that_prove_nothing(whole):
    parts, part, last = PartSet(whole.header), whole.part(0), whole.part(2)
    for broken in (
        Part(0, bytes(PART_BYTES), part.proof),
        Part(1, part.payload, part.proof),
        Part(3, part.payload, part.proof),
        Part(-1, part.payload, part.proof),
        Part(0, part.payload, part.proof[:1]),
        Part(0, part.payload, ()),
        Part(2, last.payload + b"!", last.proof),
    ):
        with pytest.raises(ProtocolViolation, match="does not belong"):
            parts.add(broken)
    assert parts.bits == 0


def test_parts_of_the_wrong_size_even_under_a_right_root():
    for payloads in ((b"short", b"rest"), (bytes(PART_BYTES), b""), (bytes(PART_BYTES), bytes(PART_BYTES + 1))):
        root, proofs = root_and_proofs(payloads)
        parts = PartSet(PartsHeader(2, Hash32(root)))
        wrong = 0 if len(payloads[0]) != PART_BYTES else 1
        with pytest.raises(ProtocolViolation, match="bytes"):
            parts.add(Part(wrong, payloads[wrong], proofs[wrong]))


@pytest.mark.parametrize("total", [0, MAX_PARTS + 1])
def test_an_impossible_number_of_parts(total):
    with pytest.raises(ProtocolViolation, match=f"a block of {total} parts"):
        PartSet(PartsHeader(total, Hash32(bytes(32))))
    with pytest.raises(DecodingError, match=f"a block of {total} parts"):
        decode_parts_header(PartsHeader(total, Hash32(bytes(32))).to_item())


def test_encodings_come_back(whole):
    assert decode_parts_header(rlp.decode(rlp.encode(whole.header.to_item()))) == whole.header
    for index in range(3):
        part = whole.part(index)
        assert decode_part(rlp.decode(rlp.encode(part.to_item()))) == part


@pytest.mark.parametrize(
    "broken",
    [
        Part(0, b"", ()),
        Part(0, bytes(PART_BYTES + 1), ()),
        Part(0, b"x", (bytes(32),) * 11),
        Part(0, b"x", (bytes(31),)),
        Part(2**32, b"x", ()),
    ],
)
def test_parts_larger_than_any_are_refused_while_decoding(broken):
    with pytest.raises(DecodingError):
        decode_part(broken.to_item())


def test_the_largest_block_has_the_longest_proofs():
    root, proofs = root_and_proofs([bytes((number % 256,)) for number in range(MAX_PARTS)])
    assert max(map(len, proofs)) == 10
    assert decode_part(Part(MAX_PARTS - 1, b"x", proofs[-1]).to_item()).proof == proofs[-1]
