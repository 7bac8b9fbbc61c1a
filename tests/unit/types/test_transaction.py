"""Transactions: the decoder against eth-account, the official vectors, and bytes that are no transaction."""

from __future__ import annotations

import eth_account
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.reading import checksum
from cybermiles.crypto.secp256k1 import N
from cybermiles.errors import (
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidSignature,
    InvalidTransaction,
    MalformedTransaction,
    NonceOverflow,
    OversizedTransaction,
    TipAboveFeeCap,
    UnprotectedTransaction,
    UnsupportedTransactionType,
    WrongChainId,
)
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, ChainId
from cybermiles.types.transaction import Authorization, Transaction, check_chain_id, recover_senders
from cybermiles.types.transaction_codec import MAX_TRANSACTION_BYTES, UnsignedTransaction, decode_transaction
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.validity import check_static, gas_needed, max_cost_of_gas

KEY = bytes(31) + b"\x07"
TO = Address(b"\x22" * 20)
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
U64 = st.integers(0, 2**64 - 2)
U256 = st.integers(0, 2**256 - 1)


@st.composite
def unsigned(draw):
    kind = draw(st.sampled_from([0, 1, 2, 4]))
    cap = draw(U256)
    slots = st.lists(U256, max_size=3).map(tuple)
    accesses = st.lists(st.tuples(ADDRESSES, slots), max_size=3).map(tuple)
    auth = st.builds(
        Authorization, U256, ADDRESSES, U64, st.integers(0, 1), st.integers(1, N - 1), st.integers(1, N - 1)
    )
    return UnsignedTransaction(
        type=kind,
        chain_id=draw(st.integers(1, 2**53)) if kind or draw(st.booleans()) else None,
        nonce=draw(U64),
        max_fee_per_gas=cap,
        max_priority_fee_per_gas=cap if kind < 2 else draw(U256),
        gas_limit=draw(U64),
        to=draw(ADDRESSES) if kind == 4 else draw(st.one_of(st.none(), ADDRESSES)),
        value=draw(U256),
        data=draw(st.binary(max_size=100)),
        access_list=draw(accesses) if kind else (),
        authorizations=draw(st.lists(auth, min_size=1, max_size=2).map(tuple)) if kind == 4 else (),
    )


def fields(tx):
    return {name: getattr(tx, name) for name in Transaction.__slots__ if name != "_sender"}


@settings(max_examples=150, deadline=None)
@given(unsigned(), st.integers(1, N - 1).map(lambda key: key.to_bytes(32)))
def test_signing_and_decoding_are_inverse(draft, key):
    signed = draft.sign(key)
    decoded = decode_transaction(signed.raw)
    assert fields(decoded) == fields(signed)
    assert decoded.sender == signed.sender == bytes.fromhex(eth_account.Account.from_key(key).address[2:])


def reference_dict(draft):
    tx = {"nonce": draft.nonce, "gas": draft.gas_limit, "value": draft.value, "data": draft.data}
    if draft.to is not None:
        tx["to"] = draft.to
    if draft.chain_id is not None:
        tx["chainId"] = draft.chain_id
    if draft.type < 2:
        tx["gasPrice"] = draft.max_fee_per_gas
    else:
        tx |= {"maxFeePerGas": draft.max_fee_per_gas, "maxPriorityFeePerGas": draft.max_priority_fee_per_gas}
    if draft.type:
        tx["type"] = draft.type
        tx["accessList"] = [
            {"address": checksum(a), "storageKeys": ["0x" + s.to_bytes(32).hex() for s in slots]}
            for a, slots in draft.access_list
        ]
    return tx


@settings(max_examples=60, deadline=None)
@given(unsigned().filter(lambda d: d.type != 4))
def test_signed_bytes_equal_eth_accounts(draft):
    expected = eth_account.Account.sign_transaction(reference_dict(draft), KEY)
    signed = draft.sign(KEY)
    assert signed.raw == bytes(expected.raw_transaction)
    assert signed.hash == bytes(expected.hash)


def test_an_authorization_recovers_its_authority():
    account = eth_account.Account.from_key(KEY)
    signed = account.sign_authorization({"chainId": 18, "address": TO, "nonce": 5})
    ours = Authorization(18, TO, 5, signed.y_parity, signed.r, signed.s)
    assert ours.authority() == bytes.fromhex(account.address[2:])
    assert Authorization(18, TO, 5, 0, 0, 1).authority() is None


def sample(**changes):
    draft = {
        "chain_id": 18,
        "nonce": 1,
        "max_fee_per_gas": 9,
        "max_priority_fee_per_gas": 3,
        "gas_limit": 21000,
        "to": TO,
    }
    return UnsignedTransaction(**draft | changes).sign(KEY)


def resigned(raw, position, value):
    """Replace one field of a type 2 transaction's RLP."""
    items = rlp.decode(raw[1:])
    items[position] = value
    return raw[:1] + rlp.encode(items)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", MalformedTransaction),
        (b"\x03" + b"\xc0", UnsupportedTransactionType),
        (b"\x05\xc0", UnsupportedTransactionType),
        (b"\x7f\xc0", UnsupportedTransactionType),
        (b"\x80", UnsupportedTransactionType),
        (b"\xc0", MalformedTransaction),
        (b"\x02\xc0", MalformedTransaction),
        (sample().raw + b"\x00", MalformedTransaction),
        (resigned(sample().raw, 5, b"\x01" * 19), MalformedTransaction),
        (resigned(sample().raw, 1, b"\x00\x01"), MalformedTransaction),
        (resigned(sample().raw, 1, b"\x01" + bytes(8)), MalformedTransaction),
        (resigned(sample().raw, 6, b"\x01" + bytes(32)), MalformedTransaction),
        (resigned(sample().raw, 9, b"\x02"), InvalidSignature),
        (resigned(sample().raw, 10, b""), InvalidSignature),
        (resigned(sample().raw, 10, N.to_bytes(32)), InvalidSignature),
        (resigned(sample().raw, 11, (N - 1).to_bytes(32)), InvalidSignature),
        (bytes(MAX_TRANSACTION_BYTES + 1), OversizedTransaction),
    ],
)
def test_wrong_bytes_are_refused_with_their_error(raw, error):
    with pytest.raises(error):
        decode_transaction(raw)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_invalid_transaction(data):
    for prefix in (b"", b"\x01", b"\x02", b"\x04"):
        try:
            decode_transaction(prefix + data)
        except InvalidTransaction:
            pass


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_transaction_is_another_one_or_none(data):
    raw = bytearray(sample(data=b"hello", access_list=((TO, (1, 2)),)).raw)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_transaction(bytes(raw))
    except InvalidTransaction:
        return
    assert decoded.raw == bytes(raw)


def test_the_chain_id_is_checked():
    check_chain_id(sample(), 18, allow_unprotected=False)
    with pytest.raises(WrongChainId, match="have 18 want 19"):
        check_chain_id(sample(), 19, allow_unprotected=True)
    unprotected = sample(type=0, chain_id=None)
    check_chain_id(unprotected, 18, allow_unprotected=True)
    with pytest.raises(UnprotectedTransaction, match="replay-protected"):
        check_chain_id(unprotected, 18, allow_unprotected=False)


def test_senders_are_recovered_in_batches_and_remembered():
    batch = [decode_transaction(sample(nonce=n).raw) for n in range(5)]
    recover_senders(batch)
    assert all(tx.has_sender for tx in batch)
    assert {tx.sender for tx in batch} == {sample().sender}


FORK_ORDER = (
    "Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "Constantinople", "ConstantinopleFix", "Istanbul",
    "Berlin", "London", "Merge", "Paris", "Shanghai", "Cancun", "Prague",
)  # fmt: skip


REASONS = {
    "INVALID_CHAINID": (WrongChainId, InvalidSignature, MalformedTransaction),
    "INVALID_SIGNATURE_VRS": (InvalidSignature, MalformedTransaction),
    "EC_RECOVERY_FAIL": (InvalidSignature,),
    "INTRINSIC_GAS_TOO_LOW": (IntrinsicGasTooLow,),
    "INITCODE_SIZE_EXCEEDED": (InitcodeTooLarge,),
    "NONCE_TOO_BIG": (NonceOverflow,),
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2": (TipAboveFeeCap,),
    "GASLIMIT_PRICE_PRODUCT_OVERFLOW": (InsufficientFunds,),
    "TYPE_NOT_SUPPORTED": (UnsupportedTransactionType, MalformedTransaction),
    "RLP_ERROR_EOF": (UnsupportedTransactionType,),
    "RLP_INVALID_HEADER": (UnsupportedTransactionType,),
}
"""What our refusal may be called, by the vector's exception; the encoding's own faults are MalformedTransaction."""


def test_official_transaction_vectors(basic_tests):
    """None is left out: a vector is valid exactly where decoding and the newest fork's static checks accept it.

    Of the 160 refusals 126 come from decoding and recovery, the others from chain id 1 and the stateless checks.
    """
    count = 0
    for name, cases in basic_tests("TransactionTests").items():
        for case in cases.values():
            newest = case["result"][max(case["result"], key=FORK_ORDER.index)]
            expected = newest.get("exception")
            raw = bytes.fromhex(case["txbytes"].removeprefix("0x"))
            try:
                tx = checked_as_ethereum(raw)
            except InvalidTransaction as error:
                assert expected is not None, (name, error)
                reasons = REASONS.get(expected.removeprefix("TransactionException."), (MalformedTransaction,))
                assert isinstance(error, reasons), (name, expected, error)
            else:
                assert expected is None, (name, expected)
                assert tx.sender.hex() == newest["sender"].removeprefix("0x"), name
                assert tx.hash.hex() == newest["hash"].removeprefix("0x"), name
                assert gas_needed(tx, Fork.CANCUN)[0] == int(newest["intrinsicGas"], 16), name
            count += 1
    assert count == 210


def checked_as_ethereum(raw):
    tx = decode_transaction(raw)
    tx.sender  # noqa: B018  (raises where no key recovers)
    if tx.chain_id is not None:
        check_chain_id(tx, 1, allow_unprotected=False)
    check_static(tx, ethereum_rules(Fork.CANCUN, ChainId(1)), 2**64)
    if max_cost_of_gas(tx) >= 2**256:
        raise InsufficientFunds("no balance covers it")
    return tx
