"""The current state as plain records, account by account and word by word.

The trie answers for every root but needs several reads a question; the flat state answers for the
head only, with one. The executor reads its parent's state here; RPC reads older states through
`TrieStateReader` by root.

A `StateReader` must not change while it is used. `FlatStateReader` keeps that promise by refusing:
it is bound to a generation, and when a commit has begun since, every read raises `StateMoved`. The
order is

    begin (generation odd) ─► write batch ─► finish (generation even, caches updated)

and a reader compares generations after it has its value, so a value of the new state can never pass
for one of the old. The caches are filled by readers of any thread; filling is skipped when a commit
intervened, or a value of the old state would stay in the cache for ever.
"""

from __future__ import annotations

from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING

from cybermiles.errors import StorageError
from cybermiles.storage.cache import AgingCache
from cybermiles.storage.schema import (
    ACCOUNT,
    FLAT,
    decode_account,
    encode_account,
    encode_height,
    slot_key,
    slot_range,
)
from cybermiles.types.rlp import int_to_bytes

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.state.reader import RootUpdate, StateChanges
    from cybermiles.state.trie import CodeReader
    from cybermiles.types.account import Account
    from cybermiles.types.primitives import Address, Hash32

CACHED_ACCOUNTS = 1 << 16
CACHED_WORDS = 1 << 17


class StateMoved(StorageError):
    """The head moved on; take a new reader. Not a fault of the disk."""


class _Missing(Enum):
    """Tells "not in the cache" from "known to be absent"."""

    MISSING = 0


_MISSING = _Missing.MISSING


class FlatState:
    """The current state, whichever block that is, and the way to move it on."""

    def __init__(self, store: KeyValueReader, codes: CodeReader) -> None:
        self._store = store
        self._codes = codes
        self._lock = Lock()
        self._generation = 0
        self._accounts: AgingCache[Address, Account | None] = AgingCache(CACHED_ACCOUNTS // 2)
        self._words: AgingCache[tuple[Address, int], int] = AgingCache(CACHED_WORDS // 2)

    @property
    def generation(self) -> int:
        """Number of begun and finished commits; odd while one is in progress."""
        return self._generation

    def reader(self) -> FlatStateReader:
        """Return a reader of the state as it is now. Raises StateMoved during a commit."""
        generation = self._generation
        if generation & 1:
            raise StateMoved("a block is being committed; read again when it is done")
        return FlatStateReader(self, generation)

    def account(self, address: Address) -> Account | None:
        """Return the account as it is now; two calls may answer for different heads."""
        account = self._accounts.get(address, _MISSING)
        if account is _MISSING:
            generation = self._generation
            data = self._store.get(ACCOUNT + address)
            account = None if data is None else decode_account(data)
            with self._lock:
                if generation == self._generation:
                    self._accounts.put(address, account)
        return account

    def storage(self, address: Address, slot: int) -> int:
        """Return the word as it is now; two calls may answer for different heads."""
        key = (address, slot)
        word = self._words.get(key, _MISSING)
        if word is _MISSING:
            generation = self._generation
            word = int.from_bytes(self._store.get(slot_key(address, slot)) or b"")
            with self._lock:
                if generation == self._generation:
                    self._words.put(key, word)
        return word

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash. Raises StorageError when it is missing."""
        return self._codes.code(code_hash)

    def records(self, height: int, changes: StateChanges, update: RootUpdate) -> dict[bytes, bytes | None]:
        """Return the entries that move the flat state on by a block's changes."""
        records: dict[bytes, bytes | None] = {}
        for address in changes.wiped:
            for key, _ in self._store.iterate(*slot_range(address)):
                records[key] = None
        for address, slots in changes.storage.items():
            for slot, word in slots.items():
                records[slot_key(address, slot)] = int_to_bytes(word) if word else None
        for address, account in update.accounts.items():
            records[ACCOUNT + address] = None if account is None else encode_account(account)
        records[FLAT] = encode_height(height) + update.root
        return records

    def begin_commit(self) -> None:
        """End the life of all readers, before the batch is written."""
        self._generation |= 1

    def finish_commit(self, changes: StateChanges, update: RootUpdate) -> None:
        """Bring the caches up to date, after the batch was written."""
        with self._lock:
            if changes.wiped:
                self._words = AgingCache(CACHED_WORDS // 2)
            words = {
                (address, slot): word for address, slots in changes.storage.items() for slot, word in slots.items()
            }
            self._words.put_all(words, len(words))
            self._accounts.put_all(update.accounts, len(update.accounts))
            self._generation += 1


class FlatStateReader:
    """`StateReader` of the head at the moment it was made.

    Every read after the next commit has begun raises StateMoved.
    """

    __slots__ = ("_flat", "_generation")

    def __init__(self, flat: FlatState, generation: int) -> None:
        self._flat = flat
        self._generation = generation

    def account(self, address: Address) -> Account | None:
        """Return the account, or None where there is none."""
        account = self._flat.account(address)
        if self._flat.generation != self._generation:
            raise self._moved()
        return account

    def storage(self, address: Address, slot: int) -> int:
        """Return the word at `slot`, 0 where none is stored."""
        word = self._flat.storage(address, slot)
        if self._flat.generation != self._generation:
            raise self._moved()
        return word

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash; code never changes."""
        return self._flat.code(code_hash)

    def _moved(self) -> StateMoved:
        return StateMoved("a block was committed since this reader was made; take a new one")
