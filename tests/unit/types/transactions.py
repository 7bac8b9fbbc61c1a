"""Signed transactions of every type, and their taking apart."""

from __future__ import annotations

from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.transaction import Authorization
from cybermiles.types.transaction_codec import UnsignedTransaction

KEY = bytes(31) + b"\x07"
TO = Address(b"\x22" * 20)


def sample(kind, **changes):
    draft = {
        "type": kind,
        "chain_id": 18,
        "nonce": 300,
        "max_fee_per_gas": 2 * 10**9,
        "max_priority_fee_per_gas": 2 * 10**9,
        "gas_limit": 90_000,
        "to": TO,
        "value": 10**18,
        "data": b"hello world",
        "access_list": ((TO, (1, 2**255)), (TO, ())) if kind else (),
        "authorizations": (Authorization(18, TO, 1, 0, 5, 6), Authorization(0, TO, 0, 1, 2**255, 7))
        if kind == 4
        else (),
    }
    return UnsignedTransaction(**draft | changes).sign(KEY)


SAMPLES = [
    *(sample(kind) for kind in (0, 1, 2, 4)),
    sample(0, chain_id=None),
    sample(0, chain_id=2**64 - 1),
    sample(2, to=None, access_list=()),
    sample(2, data=bytes(60)),
]


def wire_bytes(kind, body):
    return (bytes((kind,)) if kind else b"") + rlp.encode(body)


def body_of(transaction):
    return rlp.decode(transaction.raw[1 if transaction.type else 0 :])


def v_of(transaction, y_parity):
    if transaction.type:
        return y_parity
    return 27 + y_parity if transaction.chain_id is None else transaction.chain_id * 2 + 35 + y_parity
