"""Committed state and trie nodes in dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import StorageError
from cybermiles.types.account import Account
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address, Hash32

if TYPE_CHECKING:
    from cybermiles.state.reader import RootUpdate, StateChanges


@dataclass
class MemoryNodes:
    """`NodeReader` over a dictionary."""

    nodes: dict[tuple[bytes, Hash32], bytes] = field(default_factory=dict)

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        try:
            return self.nodes[owner, node_hash]
        except KeyError:
            raise StorageError(f"no node {owner.hex()}/{node_hash.hex()}") from None

    def apply(self, update: RootUpdate) -> None:
        """Store new nodes and drop stale ones, as a store that keeps one root would."""
        for key in update.stale:
            del self.nodes[key]
        for key, node in update.nodes.items():
            assert key not in self.nodes
            self.nodes[key] = node


@dataclass
class MemoryState:
    """`StateReader` over dictionaries; counts storage reads."""

    accounts: dict[Address, Account] = field(default_factory=dict)
    words: dict[Address, dict[int, int]] = field(default_factory=dict)
    codes: dict[Hash32, bytes] = field(default_factory=dict)
    storage_reads: int = 0

    def account(self, address: Address) -> Account | None:
        return self.accounts.get(address)

    def storage(self, address: Address, slot: int) -> int:
        self.storage_reads += 1
        return self.words.get(address, {}).get(slot, 0)

    def code(self, code_hash: Hash32) -> bytes:
        try:
            return self.codes[code_hash]
        except KeyError:
            raise StorageError(f"no code {code_hash.hex()}") from None

    def put(
        self,
        address: Address,
        *,
        nonce: int = 0,
        balance: int = 0,
        code: bytes = b"",
        words: dict[int, int] | None = None,
    ) -> None:
        """Add an account; with words it gets a made-up storage root."""
        code_hash = Hash32(keccak256(code)) if code else EMPTY_CODE_HASH
        self.codes[code_hash] = code
        root = Hash32(b"\x11" * 32) if words else EMPTY_TRIE_ROOT
        self.accounts[address] = Account(nonce, balance, root, code_hash)
        self.words[address] = dict(words or {})

    def apply(self, changes: StateChanges, update: RootUpdate) -> None:
        """Move on to the state after a block."""
        for address in changes.wiped:
            self.words.pop(address, None)
        for address, slots in changes.storage.items():
            words = self.words.setdefault(address, {})
            words.update(slots)
            for slot in [slot for slot, word in words.items() if not word]:
                del words[slot]
        for address, account in update.accounts.items():
            if account is None:
                self.accounts.pop(address, None)
                self.words.pop(address, None)
            else:
                self.accounts[address] = account
        self.codes.update(changes.codes)
