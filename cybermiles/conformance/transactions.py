"""Blob transactions (EIP-4844), which this node's own chain refuses and a foreign one has; all others as everywhere.

In blocks a blob transaction is its fields. On its way to the pool it carries its blobs, commitments and proofs
beside them, from Osaka behind a version byte (EIP-7594). What is not checked is whether the proofs hold: nothing here
ever uses a blob.
"""

from __future__ import annotations

from cybermiles.crypto.kzg import versioned_hash
from cybermiles.crypto.secp256k1 import HALF_N, N
from cybermiles.errors import DecodingError, InvalidSignature, MalformedTransaction
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.transaction import BLOB, AccessList, Transaction
from cybermiles.types.transaction_codec import decode_transaction

_BLOB_BYTES = 131_072
_FIELDS = 14


def decode_foreign_transaction(raw: bytes) -> Transaction:
    """Return a transaction as it stands in a block. Raises InvalidTransaction."""
    if raw[:1] != bytes((BLOB,)):
        return decode_transaction(raw)
    try:
        return _blob(rlp.decode(raw[1:]))
    except DecodingError as error:
        raise MalformedTransaction(str(error)) from error


def decode_submitted_transaction(raw: bytes) -> Transaction:
    """Return a transaction as it is sent to the pool. Raises InvalidTransaction."""
    if raw[:1] != bytes((BLOB,)):
        return decode_transaction(raw)
    try:
        parts = rlp.as_list(rlp.decode(raw[1:]))
        if parts and isinstance(parts[0], bytes):
            raise MalformedTransaction("missing blobs: a blob transaction is sent together with them")
        if len(parts) not in (4, 5):
            raise DecodingError(f"a blob transaction is sent in 4 or 5 parts, not {len(parts)}")
        transaction = _blob(parts[0])
        _check_sidecar(transaction, parts[1:] if len(parts) == 4 else parts[2:])
    except DecodingError as error:
        raise MalformedTransaction(str(error)) from error
    return transaction


def _check_sidecar(transaction: Transaction, parts: list[rlp.Item]) -> None:
    blobs = [rlp.as_bytes(blob, size=_BLOB_BYTES) for blob in rlp.as_list(parts[0])]
    commitments = [rlp.as_bytes(commitment, size=48) for commitment in rlp.as_list(parts[1])]
    hashes = transaction.blob_versioned_hashes
    if not len(blobs) == len(commitments) == len(hashes):
        raise MalformedTransaction(f"invalid number of {len(blobs)} blobs compared to {len(hashes)} blob hashes")
    for position, (commitment, expected) in enumerate(zip(commitments, hashes, strict=True)):
        if versioned_hash(commitment) != expected:
            raise MalformedTransaction(f"blob {position}: computed hash mismatches transaction one")


def _blob(item: rlp.Item) -> Transaction:
    fields = rlp.as_list(item, length=_FIELDS)
    chain_id, nonce, tip, cap, gas_limit = (rlp.as_int(value) for value in fields[:5])
    y_parity, r, s = (rlp.as_int(value) for value in fields[11:])
    if (chain_id | nonce | gas_limit) >> 64:
        raise MalformedTransaction("chain id, nonce or gas limit over 64 bits")
    if y_parity > 1 or not 0 < r < N or not 0 < s <= HALF_N:
        raise InvalidSignature("invalid transaction v, r, s values")
    return Transaction(
        type=BLOB,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=cap,
        gas_limit=gas_limit,
        to=Address(rlp.as_bytes(fields[5], size=20)),
        value=rlp.as_int(fields[6]),
        data=rlp.as_bytes(fields[7]),
        access_list=_access_list(fields[8]),
        max_fee_per_blob_gas=rlp.as_int(fields[9]),
        blob_versioned_hashes=tuple(Hash32(rlp.as_bytes(value, size=32)) for value in rlp.as_list(fields[10])),
        y_parity=y_parity,
        r=r,
        s=s,
        raw=bytes((BLOB,)) + rlp.encode(fields),
    )


def _access_list(item: rlp.Item) -> AccessList:
    entries = []
    for entry in rlp.as_list(item):
        address, slots = rlp.as_list(entry, length=2)
        keys = tuple(int.from_bytes(rlp.as_bytes(slot, size=32)) for slot in rlp.as_list(slots))
        entries.append((Address(rlp.as_bytes(address, size=20)), keys))
    return tuple(entries)
