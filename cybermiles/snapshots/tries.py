"""Builds the tries of a whole state from its flat records, in batches of bounded size, and keeps both.

Accounts come first and name the roots of their storage; words follow, account by account. A storage trie is compared
with the root its account names as soon as its words end, the account trie with the state root at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.state.trie import ACCOUNT_TRIE, encode_account_value, slot_key, update_trie
from cybermiles.storage.nodes import NodeStore
from cybermiles.storage.schema import ACCOUNT, CODE, decode_account, encode_account, encode_node, node_key
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address, Hash32
from cybermiles.types.rlp import encode_int

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueStore

BATCH = 20_000
"""Leaves put into a trie at once: some 30 MB."""
_ACCOUNT_KEY, _SLOT_KEY, _CODE_KEY = 21, 53, 33


class WrongState(ProtocolViolation):
    """The records do not make the state that a header commits to."""


class TrieBuilder:
    """Takes accounts, words and codes in the order of their keys."""

    def __init__(self, store: KeyValueStore, height: int) -> None:
        self._store = store
        self._height = height
        self._nodes = NodeStore(store)
        self._root = EMPTY_TRIE_ROOT
        self._leaves: dict[bytes, bytes | None] = {}
        self._flat: dict[bytes, bytes | None] = {}
        self._balances = 0
        self._codes: dict[Hash32, bool] = {}
        """Whether the code was delivered."""
        self._with_storage = 0
        self._last = b""
        self._owner = b""
        self._storage_root = EMPTY_TRIE_ROOT

    def account(self, key: bytes, value: bytes) -> None:
        """Take a flat account. Raises WrongState, DecodingError."""
        account = decode_account(value)
        if len(key) != _ACCOUNT_KEY or encode_account(account) != value:
            raise DecodingError("an account is not in its canonical form")
        self._follow(key)
        self._flat[key] = value
        self._leaves[keccak256(key[1:])] = encode_account_value(account)
        self._balances += account.balance
        self._with_storage += account.storage_root != EMPTY_TRIE_ROOT
        if account.code_hash != EMPTY_CODE_HASH:
            self._codes.setdefault(account.code_hash, False)
        if len(self._leaves) >= BATCH:
            self._apply()

    def word(self, key: bytes, value: bytes) -> None:
        """Take a storage word. Raises WrongState, DecodingError."""
        if len(key) != _SLOT_KEY or not 1 <= len(value) <= 32 or not value[0]:
            raise DecodingError("a word is not in its canonical form")
        self._follow(key)
        owner = key[1:21]
        if owner != self._owner:
            self._end_owner()
            self._owner = owner
        self._flat[key] = value
        self._leaves[slot_key(int.from_bytes(key[21:]))] = encode_int(int.from_bytes(value))
        if len(self._leaves) >= BATCH:
            self._apply()

    def code(self, key: bytes, value: bytes) -> None:
        """Take a contract's code. Raises WrongState."""
        code_hash = Hash32(keccak256(value))
        if key != CODE + code_hash or code_hash not in self._codes:
            raise WrongState("a code has another hash than its key says, or belongs to no account")
        self._codes[code_hash] = True
        self._flat[key] = value
        if len(self._flat) >= BATCH:
            self._write({})

    def finish(self, state_root: Hash32) -> int:
        """Check that this is the state with that root and return the sum of its balances. Raises WrongState."""
        self._end_owner()
        if self._root != state_root:
            raise WrongState(f"the state has root 0x{self._root.hex()}, the header says 0x{state_root.hex()}")
        if self._with_storage:
            raise WrongState(f"the storage of {self._with_storage} accounts is missing")
        missing = [code_hash for code_hash, is_there in self._codes.items() if not is_there]
        if missing:
            raise WrongState(f"{len(missing)} codes are missing, 0x{missing[0].hex()} for one")
        return self._balances

    def _follow(self, key: bytes) -> None:
        if key <= self._last:
            raise WrongState("accounts and words are not in the order of their keys")
        self._last = key

    def _end_owner(self) -> None:
        """Compare the finished storage trie with what its account says; before the first one, end the accounts."""
        self._apply()
        if not self._owner:
            return
        raw = self._store.get(ACCOUNT + self._owner)
        if raw is None or decode_account(raw).storage_root != self._storage_root:
            raise WrongState(f"the storage of {Address(self._owner).hex()} is not what its account commits to")
        self._with_storage -= 1
        self._storage_root = EMPTY_TRIE_ROOT
        self._owner = b""

    def _apply(self) -> None:
        """Put the waiting leaves into the current trie."""
        nodes: dict[bytes, bytes | None] = {}
        if self._leaves:
            owner = self._owner or ACCOUNT_TRIE
            root = self._storage_root if self._owner else self._root
            update = update_trie(self._nodes, owner, root, self._leaves)
            nodes.update((node_key(owner, key), None) for key in update.stale)
            nodes.update((node_key(owner, key), encode_node(self._height, node)) for key, node in update.new.items())
            if self._owner:
                self._storage_root = update.root
            else:
                self._root = update.root
            self._leaves = {}
        self._write(nodes)

    def _write(self, nodes: dict[bytes, bytes | None]) -> None:
        self._store.write(self._flat | nodes, sync=False)
        self._flat = {}
