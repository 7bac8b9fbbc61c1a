"""The transaction reader's own rules: one encoding for each transaction, and bounded work for any bytes."""

from __future__ import annotations

import pytest
import rlp as reference

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import N
from cybermiles.errors import InvalidSignature, InvalidTransaction, MalformedTransaction, UnsupportedTransactionType
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32
from cybermiles.types.transaction import Transaction, recover_senders
from cybermiles.types.transaction_codec import decode_transaction
from tests.unit.types.transactions import SAMPLES, TO, body_of, sample, v_of, wire_bytes


@pytest.mark.parametrize("transaction", SAMPLES, ids=lambda tx: f"type {tx.type} chain {tx.chain_id}")
def test_the_mirrored_signature_is_refused(transaction):
    """(1 - y, r, N - s) recovers the same sender, so accepting it would give the transaction a second hash."""
    body = body_of(transaction)
    body[-3] = rlp.int_to_bytes(v_of(transaction, 1 - transaction.y_parity))
    body[-1] = rlp.int_to_bytes(N - transaction.s)
    mirrored = wire_bytes(transaction.type, body)
    with pytest.raises(InvalidSignature, match="v, r, s"):
        decode_transaction(mirrored)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 34, 35 + 2**65])
def test_a_legacy_v_of_no_chain_is_refused(v):
    body = body_of(SAMPLES[0])
    body[-3] = rlp.int_to_bytes(v)
    with pytest.raises(InvalidTransaction):
        decode_transaction(rlp.encode(body))


@pytest.mark.parametrize(("position", "value"), [(5, b""), (9, [])])
def test_a_set_code_transaction_needs_a_recipient_and_authorizations(position, value):
    body = body_of(sample(4))
    body[position] = value
    with pytest.raises(MalformedTransaction, match="needs a recipient and at least one authorization"):
        decode_transaction(wire_bytes(4, body))


def test_a_hundred_thousand_empty_lists_are_refused_at_the_first():
    """The reader never builds them: this took 47 ms with a decoder that does."""
    body = [rlp.encode(item) for item in body_of(sample(2))]
    body[8] = rlp.encode_list([b"\xc0"] * 130_000)
    with pytest.raises(MalformedTransaction, match="bytes are expected"):
        decode_transaction(b"\x02" + rlp.encode_list(body))


@pytest.mark.parametrize("position", [8, 9])
def test_an_entry_that_runs_over_the_end_of_its_list_is_refused(position):
    """The list says one byte less than its entry has; that byte then stands where the next field starts."""
    body = [rlp.encode(item) for item in body_of(sample(4))]
    entry = rlp.encode(body_of(sample(4))[position][0])
    body[position] = rlp.encode_list([entry[:-1]]) + entry[-1:]
    with pytest.raises(MalformedTransaction, match="ends after the"):
        decode_transaction(b"\x04" + rlp.encode_list(body))


@pytest.mark.parametrize("position", [8, 9])
@pytest.mark.parametrize("extra", [b"\x01", b"\x80", b"\xc0"])
def test_an_entry_with_one_more_item_is_refused(position, extra):
    body = body_of(sample(4))
    body[position][0].append(rlp.decode(extra))
    with pytest.raises(MalformedTransaction, match="an access list entry is|six fields"):
        decode_transaction(wire_bytes(4, body))


def test_a_blob_transaction_exists_for_conformance_tests_only():
    fields = {
        "type": 3,
        "chain_id": 1,
        "nonce": 2,
        "max_fee_per_gas": 9,
        "max_priority_fee_per_gas": 3,
        "gas_limit": 5,
        "to": TO,
        "value": 0,
    }
    hashes = (Hash32(b"\x01" + bytes(31)), Hash32(b"\x01" * 32))
    blob = Transaction(
        **fields, data=b"", y_parity=0, r=0, s=0, raw=b"", max_fee_per_blob_gas=7, blob_versioned_hashes=hashes
    )
    signed = [b"\x01", b"\x02", b"\x03", b"\x09", b"\x05", TO, b"", b"", [], b"\x07", list(hashes)]
    assert blob.signing_hash == keccak256(b"\x03" + reference.encode(signed))
    with pytest.raises(UnsupportedTransactionType, match="not supported: 3"):
        decode_transaction(b"\x03" + rlp.encode([*signed, b"", b"\x01", b"\x01"]))


def test_in_a_batch_who_cannot_be_recovered_stays_unknown():
    body = body_of(SAMPLES[2])
    body[-2] = b"\x05"  # no point of the curve has this x
    lost = decode_transaction(wire_bytes(2, body))
    good = decode_transaction(SAMPLES[2].raw)
    recover_senders([lost, good])
    assert good.has_sender
    assert not lost.has_sender
    with pytest.raises(InvalidSignature):
        lost.sender  # noqa: B018
    recover_senders([])


def test_a_transaction_is_its_bytes():
    first, again, other = decode_transaction(SAMPLES[2].raw), decode_transaction(SAMPLES[2].raw), SAMPLES[3]
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert first != first.raw
    assert repr(first) == f"Transaction(0x{first.hash.hex()})"
    assert first.size == len(first.raw)


@pytest.mark.parametrize(
    ("kind", "cap", "tip", "base_fee", "price"),
    [
        (0, 9, 9, 0, 9),
        (0, 9, 9, 5, 9),
        (1, 9, 9, 5, 9),
        (2, 9, 3, 0, 3),
        (2, 9, 3, 5, 8),
        (2, 9, 3, 8, 9),
        (4, 9, 3, 0, 3),
    ],
)
def test_the_effective_price_follows_the_base_fee(kind, cap, tip, base_fee, price):
    assert sample(kind, max_fee_per_gas=cap, max_priority_fee_per_gas=tip).effective_gas_price(base_fee) == price
