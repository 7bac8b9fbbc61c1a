"""The transaction reader against independent ones: eth-account, and the schema of each type in the rlp library."""

from __future__ import annotations

import random
from collections import Counter

import eth_account
import pytest
import rlp as reference
from eth_keys.exceptions import BadSignature
from hypothesis import given, settings
from hypothesis import strategies as st
from rlp.sedes import BigEndianInt, Binary, CountableList, List, binary

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import HALF_N, N
from cybermiles.errors import InvalidSignature, InvalidTransaction
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.transaction import Authorization, Transaction, signing_payload
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from tests.unit.types.transactions import KEY, SAMPLES, TO, body_of, sample, v_of, wire_bytes

SENDER = bytes.fromhex(eth_account.Account.from_key(KEY).address[2:])


class StrictInt(BigEndianInt):
    """The library's own reads an empty list as 0 and crashes on other lists."""

    def deserialize(self, serial):
        return super().deserialize(binary.deserialize(serial))


INT = StrictInt()
RECIPIENT = Binary.fixed_length(20, allow_empty=True)
ADDRESS = Binary.fixed_length(20)
ACCESSES = CountableList(List([ADDRESS, CountableList(Binary.fixed_length(32))]))
AUTHORIZATIONS = CountableList(List([INT, ADDRESS, *[INT] * 4]))
SCHEMAS = {
    0: List([INT, INT, INT, RECIPIENT, INT, binary, INT, INT, INT]),
    1: List([INT, INT, INT, INT, RECIPIENT, INT, binary, ACCESSES, INT, INT, INT]),
    2: List([INT, INT, INT, INT, INT, RECIPIENT, INT, binary, ACCESSES, INT, INT, INT]),
    4: List([INT, INT, INT, INT, INT, ADDRESS, INT, binary, ACCESSES, AUTHORIZATIONS, INT, INT, INT]),
}
U64_FIELDS = {0: (0, 2), 1: (0, 1, 3), 2: (0, 1, 4), 4: (0, 1, 4)}
"""Positions of chain id, nonce and gas limit."""


def reference_accepts(raw: bytes) -> bool:
    """Say by the schema and the rules of the EIPs whether `raw` is a transaction."""
    kind = 0 if raw and raw[0] >= 0xC0 else (raw[0] if raw else -1)
    if kind not in SCHEMAS:
        return False
    try:
        fields = reference.decode(raw if kind == 0 else raw[1:], SCHEMAS[kind], strict=True)
    except (reference.exceptions.DecodingError, reference.exceptions.DeserializationError):
        return False
    integers = [field for field in fields if isinstance(field, int)]
    v, r, s = fields[-3:]
    if kind == 0:
        valid_v = v in (27, 28) or 35 <= v < 35 + 2 * 2**64
        integers.remove(v)
    else:
        valid_v = v in (0, 1)
    if kind == 4:
        tuples = fields[9]
        if not tuples or any(t[0] >= 2**256 or t[2] >= 2**64 or t[3] >= 256 or max(t[4:]) >= 2**256 for t in tuples):
            return False
    bounded = all(fields[at] < 2**64 for at in U64_FIELDS[kind]) and all(value < 2**256 for value in integers)
    return bounded and valid_v and 0 < r < N and 0 < s <= HALF_N


PIECES = [
    b"",
    b"\x00",
    b"\x01",
    b"\x00\x01",
    b"\x7f",
    b"\x80",
    b"\xff" * 8,
    b"\x01" * 9,
    b"\x11" * 19,
    b"\x11" * 20,
    b"\x11" * 21,
]
PIECES += [
    b"\xff" * 32,
    b"\x01" * 33,
    N.to_bytes(32),
    (N - 1).to_bytes(32),
    HALF_N.to_bytes(32),
    (HALF_N + 1).to_bytes(32),
]
PIECES += [
    b"\x1b",
    b"\x1c",
    b"\x22",
    b"\x23",
    b"\x02",
    [],
    [b""],
    [[]],
    [[TO, []]],
    [[TO, [b"\x01" * 32]]],
    [[TO, [b"\x01" * 31]]],
    [[TO]],
]
PIECES += [
    [[b"\x12", TO, b"", b"", b"\x05", b"\x06"]],
    [[b"\x12", TO, b"", b"\x01\x00", b"\x05", b"\x06"]],
    [[b"", TO, b"\x01" * 9, b"", b"", b""]],
]


def mutated_bytes(rng, raw):
    """Change, remove, insert or cut bytes."""
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(raw)) if rng.random() < 0.5 else min(len(raw) - 1, rng.randrange(12))
        match rng.randrange(5):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at] = (raw[at] + rng.choice((-1, 1))) & 0xFF
            case 2 if len(raw) > 1:
                del raw[at]
            case 3:
                raw.insert(at, rng.choice((0, 0x80, 0x81, 0xC0, 0xB8, 0xF8, rng.randrange(256))))
            case _:
                del raw[max(1, len(raw) - rng.randint(1, 40)) :]
    return bytes(raw)


def mutated_structure(rng, raw):
    """Replace, remove, repeat or swap items of the decoded list, at any depth, and encode it again."""
    kind, body = (b"", raw) if raw[0] >= 0xC0 else (raw[:1], raw[1:])
    root = rlp.decode(body)
    items = root
    while (lists := [item for item in items if isinstance(item, list) and item]) and rng.random() < 0.6:
        items = rng.choice(lists)
    at = rng.randrange(len(items))
    match rng.randrange(6):
        case 0:
            del items[at]
        case 1:
            items.insert(at, items[at])
        case 2:
            other = rng.randrange(len(items))
            items[at], items[other] = items[other], items[at]
        case _:
            items[at] = rng.choice(PIECES)
    if rng.random() < 0.1:
        kind = rng.choice((b"", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"))
    return kind + rlp.encode(root)


@pytest.mark.slow
def test_ten_thousand_mutated_transactions_are_accepted_exactly_where_the_schema_accepts_them():
    rng = random.Random(2718)
    verdicts = Counter()
    for number in range(10_000):
        mutate = mutated_structure if number % 2 else mutated_bytes
        raw = mutate(rng, rng.choice(SAMPLES).raw)
        try:
            accepted = decode_transaction(raw)
        except InvalidTransaction:
            accepted = None
        assert (accepted is not None) == reference_accepts(raw), raw.hex()
        if accepted is not None:
            assert accepted.hash == keccak256(raw)
            assert rebuilt_bytes(accepted) == raw
            check_sender(accepted)
        verdicts[mutate.__name__, accepted is not None] += 1
    assert min(verdicts.values()) > 500, verdicts


def check_sender(transaction):
    """Compare with eth-account, which alone refuses an authorization whose y parity is over 1 (EIP-7702: 8 bits)."""
    if any(authorization.y_parity > 1 for authorization in transaction.authorizations):
        return
    try:
        expected = bytes.fromhex(eth_account.Account.recover_transaction(transaction.raw)[2:])
    except BadSignature:
        with pytest.raises(InvalidSignature):
            transaction.sender  # noqa: B018
    else:
        assert transaction.sender == expected


def draft_of(transaction):
    names = [name for name in UnsignedTransaction.__slots__ if name in Transaction.__slots__]
    return UnsignedTransaction(**{name: getattr(transaction, name) for name in names})


def encoded_anew(transaction):
    """Return what was signed, encoded from the fields and not cut out of the wire bytes."""
    return signing_payload(draft_of(transaction)._with_signature(0, 0, 0, b""))


def rebuilt_bytes(transaction):
    """Encode every decoded field once more."""
    fields = rlp.decode(encoded_anew(transaction)[1 if transaction.type else 0 :])
    if transaction.type == 0:
        fields = fields[:6]
    signature = (v_of(transaction, transaction.y_parity), transaction.r, transaction.s)
    return wire_bytes(transaction.type, fields + [rlp.int_to_bytes(value) for value in signature])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_signed_is_the_same_cut_from_the_bytes_as_encoded_anew(data):
    kind = data.draw(st.sampled_from([0, 1, 2, 4]))
    signed = sample(
        kind,
        chain_id=data.draw(st.integers(0, 2**64 - 1)) if kind else data.draw(st.none() | st.integers(0, 2**64 - 1)),
        nonce=data.draw(st.integers(0, 2**64 - 1)),
        data=data.draw(st.binary(max_size=300)),
    )
    r, s = data.draw(st.integers(1, N - 1)), data.draw(st.integers(1, HALF_N))
    body = body_of(signed)
    body[-3:] = [rlp.int_to_bytes(value) for value in (v_of(signed, data.draw(st.integers(0, 1))), r, s)]
    assert signing_payload(decode_transaction(wire_bytes(kind, body))) == encoded_anew(signed)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**64 - 3),
    st.integers(0, 2**256 - 1),
    st.binary(max_size=40),
    st.integers(0, 2**53),
    st.integers(1, 3),
)
def test_set_code_transactions_equal_eth_accounts(nonce, value, data, chain_id, count):
    account = eth_account.Account.from_key(KEY)
    signed = [
        account.sign_authorization({"chainId": chain_id, "address": TO, "nonce": nonce + i}) for i in range(count)
    ]
    expected = account.sign_transaction(
        {
            "type": 4,
            "chainId": chain_id,
            "nonce": nonce,
            "gas": 10**6,
            "maxFeePerGas": 9,
            "maxPriorityFeePerGas": 7,
            "to": TO,
            "value": value,
            "data": data,
            "accessList": [],
            "authorizationList": signed,
        }
    )
    ours = sample(
        4,
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=10**6,
        max_fee_per_gas=9,
        max_priority_fee_per_gas=7,
        value=value,
        data=data,
        access_list=(),
        authorizations=tuple(
            Authorization(a.chain_id, Address(a.address), a.nonce, a.y_parity, a.r, a.s) for a in signed
        ),
    )
    assert ours.raw == bytes(expected.raw_transaction)
    assert ours.hash == bytes(expected.hash)
    assert decode_transaction(ours.raw).sender == SENDER
    assert all(authorization.authority() == SENDER for authorization in ours.authorizations)
