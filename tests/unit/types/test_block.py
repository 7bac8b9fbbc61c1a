"""Blocks: canonical bytes, the commitment in the header, and bytes that are no block."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.block import (
    MAX_CONSENSUS_BYTES,
    MAX_EVIDENCE_BYTES,
    MAX_HEADER_BYTES,
    Block,
    ConsensusData,
    decode_block,
)
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.header import Header
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.transaction_codec import UnsignedTransaction

KEY = bytes(31) + b"\x07"
CONSENSUS = ConsensusData(
    proposer=b"\x01" * 20,
    validators_hash=Hash32(b"\x02" * 32),
    next_validators_hash=Hash32(b"\x03" * 32),
    last_commit=Commit(6, 1, Hash32(b"\x04" * 32), (b"\x05" * 64, None, b"\x06" * 64)),
    evidence=(b"proof", b""),
    parameters_hash=Hash32(b"\x07" * 32),
    app_version=1,
)
HEADER = Header(
    parent_hash=Hash32(b"\x11" * 32),
    coinbase=Address(b"\x12" * 20),
    state_root=Hash32(b"\x13" * 32),
    transactions_root=Hash32(b"\x14" * 32),
    receipts_root=Hash32(b"\x15" * 32),
    logs_bloom=bytes(256),
    height=7,
    gas_limit=200_000_000,
    gas_used=21_000,
    timestamp=1_700_000_000,
    extra_data=CONSENSUS.commitment,
    prev_randao=Hash32(b"\x16" * 32),
)


def transaction(kind, nonce):
    return UnsignedTransaction(
        type=kind,
        chain_id=18,
        nonce=nonce,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        gas_limit=21_000,
        to=Address(b"\x22" * 20),
    ).sign(KEY)


BLOCK = Block(HEADER, tuple(transaction(kind, nonce) for nonce, kind in enumerate((0, 1, 2))), CONSENSUS)
RAW = BLOCK.encode()
LIMIT = len(RAW)


def items():
    return rlp.decode(RAW)


def test_a_block_round_trips():
    decoded = decode_block(RAW, max_bytes=LIMIT)
    assert decoded == BLOCK
    assert decoded.encode() == RAW
    assert decoded.hash == HEADER.hash
    assert decoded.height == 7


def test_a_block_without_transactions_and_signatures_round_trips():
    block = Block(HEADER, (), dataclasses.replace(CONSENSUS, last_commit=EMPTY_COMMIT, evidence=()))
    assert decode_block(block.encode(), max_bytes=2_000) == block


def test_the_bytes_are_the_rlp_of_header_transactions_and_consensus_fields():
    header, transactions, consensus = items()
    assert keccak256(rlp.encode(header)) == BLOCK.hash
    assert transactions == [tx.raw for tx in BLOCK.transactions]
    assert consensus == CONSENSUS.to_item()


def test_the_commitment_is_the_hash_of_the_fields():
    expected = [
        CONSENSUS.proposer,
        CONSENSUS.validators_hash,
        CONSENSUS.next_validators_hash,
        keccak256(rlp.encode([b"\x06", b"\x01", b"\x04" * 32, [b"\x05" * 64, b"", b"\x06" * 64]])),
        keccak256(rlp.encode([b"proof", b""])),
        CONSENSUS.parameters_hash,
        b"\x01",
    ]
    assert CONSENSUS.commitment == keccak256(rlp.encode(expected))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proposer", bytes(20)),
        ("validators_hash", bytes(32)),
        ("next_validators_hash", bytes(32)),
        ("last_commit", EMPTY_COMMIT),
        ("last_commit", Commit(6, 1, Hash32(b"\x04" * 32), (b"\x05" * 64, b"\x06" * 64, None))),
        ("evidence", ()),
        ("evidence", (b"", b"proof")),
        ("parameters_hash", bytes(32)),
        ("app_version", 2),
    ],
)
def test_the_commitment_covers_every_field(name, value):
    assert dataclasses.replace(CONSENSUS, **{name: value}).commitment != CONSENSUS.commitment


def test_a_block_over_the_limit_is_refused_before_it_is_decoded():
    with pytest.raises(DecodingError, match=f"{LIMIT} bytes, {LIMIT - 1} are allowed"):
        decode_block(RAW, max_bytes=LIMIT - 1)
    with pytest.raises(DecodingError, match="are allowed"):
        decode_block(bytes(10), max_bytes=9)


@pytest.mark.parametrize("raw", [b"", b"\xc0", b"\x80", RAW + b"\x00", RAW[:-1], b"\x00" + RAW])
def test_other_bytes_are_no_block(raw):
    with pytest.raises(DecodingError):
        decode_block(raw, max_bytes=LIMIT + 1)


def replaced(position, value):
    parts = items()
    parts[position] = value
    return rlp.encode(parts)


def consensus_with(position, value):
    return replaced(2, [value if at == position else item for at, item in enumerate(CONSENSUS.to_item())])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (replaced(0, b""), "a list is expected"),
        (replaced(0, []), "21 items"),
        (replaced(0, [b"\x01" * MAX_HEADER_BYTES]), "a part of"),
        (replaced(1, b""), "a list is expected"),
        (replaced(1, [BLOCK.transactions[0].raw, b"\x02\xc0"]), "transaction 1"),
        (replaced(1, [b""]), "transaction 0"),
        (replaced(1, [[]]), "bytes are expected"),
        (replaced(2, b""), "a list is expected"),
        (replaced(2, []), "7 items"),
        (replaced(2, [b"\x01" * MAX_CONSENSUS_BYTES]), "a part of"),
        (rlp.encode([*items(), b""]), "three items"),
        (rlp.encode(items()[:2]), "a list is expected"),
        (consensus_with(0, b"\x01" * 19), "20 bytes"),
        (consensus_with(1, b""), "32 bytes"),
        (consensus_with(2, b"\x01" * 33), "32 bytes"),
        (consensus_with(3, []), "4 items"),
        (consensus_with(4, b""), "a list is expected"),
        (consensus_with(4, [[]]), "bytes are expected"),
        (consensus_with(4, [b"\x01" * (MAX_EVIDENCE_BYTES // 2)] * 2 + [b"\x01"]), "bytes of evidence"),
        (consensus_with(4, [[[[b""]]]]), "nested too deeply"),
        (consensus_with(5, b"\x01" * 31), "32 bytes"),
        (consensus_with(6, b"\x00"), "leading zeros"),
        (consensus_with(6, b"\x01" * 9), "64 bits"),
    ],
)
def test_a_wrong_part_is_refused_with_its_reason(raw, reason):
    with pytest.raises(DecodingError, match=reason):
        decode_block(raw, max_bytes=1 << 20)


def test_a_transaction_that_runs_over_the_end_of_the_list_is_refused():
    """The list says one byte less than its only transaction has; the byte then stands where the next part starts."""
    header, _, consensus = (rlp.encode(item) for item in items())
    raw = rlp.encode_bytes(BLOCK.transactions[0].raw)
    short = rlp.encode_list([raw[:-1]]) + raw[-1:]
    with pytest.raises(DecodingError, match="ends after the list"):
        decode_block(rlp.encode_list([header, short, consensus]), max_bytes=1 << 20)


def test_as_much_evidence_as_allowed_is_accepted():
    assert decode_block(consensus_with(4, [b"\x01" * (MAX_EVIDENCE_BYTES // 2)] * 2), max_bytes=1 << 20)


def test_millions_of_empty_lists_are_refused_by_their_size_or_at_the_first():
    lists = rlp.encode_list([b"\xc0" * 4_000_000])
    header, transactions, consensus = (rlp.encode(item) for item in items())
    for parts, reason in (
        ([b"\xc0" * 4_000_000], "three items"),
        ([lists, transactions, consensus], "a part of"),
        ([header, lists, consensus], "bytes are expected"),
        ([header, transactions, lists], "a part of"),
    ):
        with pytest.raises(DecodingError, match=reason):
            decode_block(rlp.encode_list(parts), max_bytes=1 << 24)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_decoding_error(data):
    for raw in (data, rlp.encode_list([HEADER.encode(), data])):
        with pytest.raises(DecodingError):
            decode_block(raw, max_bytes=10_000)


def test_a_mutated_block_is_canonical_or_refused():
    rng = random.Random(31)
    accepted = 0
    for _ in range(3_000):
        raw = bytearray(RAW)
        for _ in range(rng.randint(1, 2)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            block = decode_block(bytes(raw), max_bytes=LIMIT)
        except DecodingError:
            continue
        accepted += 1
        assert block.encode() == bytes(raw)
    assert accepted > 300
