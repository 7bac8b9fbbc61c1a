"""The account record."""

from __future__ import annotations

import pytest

from cybermiles.crypto.hashing import keccak256
from cybermiles.types import primitives, rlp
from cybermiles.types.account import EMPTY_ACCOUNT


def test_constants_are_the_hashes_they_name():
    assert keccak256(b"") == primitives.EMPTY_CODE_HASH
    assert keccak256(rlp.encode(b"")) == primitives.EMPTY_TRIE_ROOT
    assert keccak256(rlp.encode([])) == primitives.EMPTY_OMMERS_HASH


@pytest.mark.parametrize(
    ("changes", "empty"),
    [
        ({}, True),
        ({"nonce": 1}, False),
        ({"balance": 1}, False),
        ({"code_hash": bytes(32)}, False),
        ({"storage_root": bytes(32)}, True),
    ],
)
def test_an_account_is_empty_without_nonce_balance_and_code(changes, empty):
    """EIP-161: storage does not count."""
    assert EMPTY_ACCOUNT._replace(**changes).is_empty is empty
