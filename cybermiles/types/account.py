"""One account of the world state, as the Yellow Paper's section 4.1 defines it."""

from __future__ import annotations

from typing import NamedTuple

from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Hash32


class Account(NamedTuple):
    """What the state trie stores below keccak256(address)."""

    nonce: int
    """Transactions sent, or contracts created."""
    balance: int
    """Wei."""
    storage_root: Hash32
    """Root of the account's storage trie."""
    code_hash: Hash32
    """keccak256 of the code."""

    @property
    def is_empty(self) -> bool:
        """Nonce 0, balance 0 and no code: dead in the sense of EIP-161."""
        return self.nonce == 0 and self.balance == 0 and self.code_hash == EMPTY_CODE_HASH


EMPTY_ACCOUNT = Account(0, 0, EMPTY_TRIE_ROOT, EMPTY_CODE_HASH)
