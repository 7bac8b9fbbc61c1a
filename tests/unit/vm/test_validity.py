"""What must hold before the first opcode runs: every check at its boundary, and geth's words for it."""

from __future__ import annotations

import pytest

from cybermiles.errors import (
    FeeCapTooLow,
    GasLimitExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    NonceOverflow,
    NonceTooHigh,
    NonceTooLow,
    SenderHasCode,
    TipAboveFeeCap,
    UnsupportedTransactionType,
)
from cybermiles.types.transaction import BLOB
from cybermiles.vm.rules import ChainRules, Fork
from cybermiles.vm.validity import (
    MAX_INITCODE_BYTES,
    MAX_TRANSACTION_GAS,
    check_stateful,
    check_static,
    floor_gas,
    intrinsic_gas,
)
from tests.factories import ADDRESSES, KEYS, PAID, sign

RULES = ChainRules(fork=Fork.OSAKA, chain_id=181818)
BLOCK_GAS = 200_000_000


@pytest.mark.parametrize(
    ("data", "creates", "access", "authorizations", "gas"),
    [
        (b"", False, (), 0, 21_000),
        (b"", True, (), 0, 53_000),
        (b"\x00\x01", False, (), 0, 21_020),
        (b"\x01" * 33, True, (), 0, 53_000 + 33 * 16 + 2 * 2),
        (b"", False, ((b"a" * 20, (1, 2)), (b"b" * 20, ())), 0, 21_000 + 2 * 2_400 + 2 * 1_900),
        (b"", False, (), 2, 71_000),
    ],
)
def test_intrinsic_gas_is_the_sum_of_its_parts(data, creates, access, authorizations, gas):
    assert intrinsic_gas(data, creates=creates, access_list=access, authorizations=authorizations) == gas


def test_the_calldata_floor_counts_tokens_from_prague():
    assert floor_gas(b"\x00\x01", Fork.PRAGUE) == 21_000 + 10 * 5
    assert floor_gas(b"\x00\x01", Fork.CANCUN) == 0


@pytest.mark.parametrize(
    ("tx", "error", "phrase"),
    [
        (sign(KEYS[0], 0, gas=20_999), IntrinsicGasTooLow, "intrinsic gas too low: have 20999, want 21000"),
        (sign(KEYS[0], 0, gas=22_000, data=b"\x01" * 100), IntrinsicGasTooLow, "have 22000, want 25000"),
        (sign(KEYS[0], 0, gas=MAX_TRANSACTION_GAS + 1), GasLimitExceeded, "transaction gas limit too high"),
        (sign(KEYS[0], 2**64 - 1), NonceOverflow, "nonce has max value"),
        (sign(KEYS[0], 0, price=5, tip=6), TipAboveFeeCap, "max priority fee per gas higher than max fee per gas"),
        (
            sign(KEYS[0], 0, to=None, gas=10_000_000, data=bytes(MAX_INITCODE_BYTES + 1)),
            InitcodeTooLarge,
            "max initcode size exceeded",
        ),
    ],
)
def test_static_checks_refuse_with_geths_phrases(tx, error, phrase):
    with pytest.raises(error, match=phrase):
        check_static(tx, RULES, BLOCK_GAS)


def test_the_limits_themselves_are_allowed():
    check_static(sign(KEYS[0], 0, gas=MAX_TRANSACTION_GAS), RULES, BLOCK_GAS)
    check_static(sign(KEYS[0], 2**64 - 2, gas=21_000, price=5, tip=5), RULES, BLOCK_GAS)
    check_static(sign(KEYS[0], 0, to=None, gas=10_000_000, data=bytes(MAX_INITCODE_BYTES)), RULES, BLOCK_GAS)


def test_more_gas_than_a_block_has_is_refused():
    with pytest.raises(GasLimitExceeded, match="exceeds block gas limit"):
        check_static(sign(KEYS[0], 0, gas=30_000), RULES, 29_999)


def test_blobs_are_refused_on_this_chain():
    tx = sign(KEYS[0], 0)
    tx.type = BLOB
    with pytest.raises(UnsupportedTransactionType):
        check_static(tx, RULES, BLOCK_GAS)


def stateful(tx, **account):
    values = {"nonce": 0, "balance": 10**20, "code": b"", "base_fee": 0}
    check_stateful(tx, **values | account)


def test_the_senders_account_must_allow_it():
    tx = sign(KEYS[0], 3, value=5, gas=100_000, price=PAID)
    cost = 5 + 100_000 * PAID
    stateful(tx, nonce=3, balance=cost)
    with pytest.raises(NonceTooLow, match="nonce too low: next nonce 4, tx nonce 3"):
        stateful(tx, nonce=4)
    with pytest.raises(NonceTooHigh, match="nonce too high: next nonce 2, tx nonce 3"):
        stateful(tx, nonce=2)
    with pytest.raises(InsufficientFunds) as caught:
        stateful(tx, nonce=3, balance=cost - 1)
    assert str(caught.value) == (
        f"insufficient funds for gas * price + value: address 0x{ADDRESSES[0].hex()} have {cost - 1} want {cost}"
    )
    with pytest.raises(SenderHasCode, match="sender not an eoa"):
        stateful(tx, nonce=3, code=b"\x60")
    stateful(tx, nonce=3, code=b"\xef\x01\x00" + bytes(20))
    with pytest.raises(FeeCapTooLow, match="max fee per gas less than block base fee"):
        stateful(tx, nonce=3, base_fee=PAID + 1)


def test_in_the_free_lane_the_balance_must_cover_the_value_only():
    tx = sign(KEYS[0], 0, value=5, gas=100_000, price=PAID)
    stateful(tx, balance=5, free=True)
    with pytest.raises(InsufficientFunds):
        stateful(tx, balance=4, free=True)
