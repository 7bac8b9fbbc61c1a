"""Damage to what is stored is found at start, or at the latest by the full check."""

from __future__ import annotations

import pytest

from cybermiles.errors import ConfigError, StorageError
from cybermiles.state.kv import MemoryStore
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.recovery import HEADERS_CHECKED, check_genesis, check_store, verify_state
from cybermiles.types.primitives import Hash32
from tests.fakes.blocks import ADDRESSES, append, genesis, log

START = [("balance", 1, 0, 5), ("code", 3, 0, 1), *(("store", 3, slot, slot + 1) for slot in range(20))]


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis(START))
    for number in range(3):
        append(database, [("balance", 2, 0, number + 1)], logs=[[log(1)], []])
    return store


def changed(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def head_hash(store: MemoryStore) -> bytes:
    return store.get(schema.HEAD)[8:40]


DAMAGE = {
    "head record cut short": lambda store: (schema.HEAD, store.get(schema.HEAD)[:-1]),
    "head record names another height": lambda store: (schema.HEAD, (2).to_bytes(8) + store.get(schema.HEAD)[8:]),
    "head record names another root": lambda store: (schema.HEAD, store.get(schema.HEAD)[:40] + bytes(32)),
    "header missing": lambda store: (schema.at_height(schema.HEADER, 3), None),
    "header changed": lambda store: (
        schema.at_height(schema.HEADER, 3),
        store.get(schema.at_height(schema.HEADER, 3))[:-700] + store.get(schema.at_height(schema.HEADER, 2))[-700:],
    ),
    "older header missing": lambda store: (schema.at_height(schema.HEADER, 1), None),
    "older header replaced": lambda store: (
        schema.at_height(schema.HEADER, 1),
        store.get(schema.at_height(schema.HEADER, 2)),
    ),
    "block missing": lambda store: (schema.at_height(schema.BLOCK, 3), None),
    "block of another height": lambda store: (
        schema.at_height(schema.BLOCK, 3),
        store.get(schema.at_height(schema.BLOCK, 2)),
    ),
    "block does not decode": lambda store: (
        schema.at_height(schema.BLOCK, 3),
        changed(store.get(schema.at_height(schema.BLOCK, 3))),
    ),
    "receipts missing": lambda store: (schema.at_height(schema.OUTCOMES, 3), None),
    "logs changed": lambda store: (
        schema.at_height(schema.BLOCK_LOGS, 3),
        store.get(schema.at_height(schema.BLOCK_LOGS, 3)).replace(ADDRESSES[1], ADDRESSES[2]),
    ),
    "logs missing": lambda store: (schema.at_height(schema.BLOCK_LOGS, 3), None),
    "commit missing": lambda store: (schema.at_height(schema.COMMIT, 3), None),
    "commit of another block": lambda store: (
        schema.at_height(schema.COMMIT, 3),
        store.get(schema.at_height(schema.COMMIT, 2)),
    ),
    "flat state is another height's": lambda store: (schema.FLAT, (2).to_bytes(8) + store.get(schema.FLAT)[8:]),
    "root node missing": lambda store: (schema.ACCOUNT_NODE + store.get(schema.HEAD)[40:], None),
    "root node changed": lambda store: (
        schema.ACCOUNT_NODE + store.get(schema.HEAD)[40:],
        store.get(schema.ACCOUNT_NODE + store.get(schema.HEAD)[40:])[:-1] + b"\x01",
    ),
    "hash index missing": lambda store: (schema.HEIGHT + head_hash(store), None),
    "another genesis": lambda store: (schema.GENESIS, bytes(32)),
    "a transaction is not indexed": lambda store: (
        next(key for key, value in store.iterate(schema.TRANSACTION, b"u") if value[:8] == (3).to_bytes(8)),
        None,
    ),
    "another layout": lambda store: (schema.SCHEMA, (99).to_bytes(4)),
}


def test_an_undamaged_store_passes(store: MemoryStore) -> None:
    assert check_store(Database(store)).height == 3
    assert verify_state(Database(store)).accounts == 3


def test_an_empty_store_passes() -> None:
    assert check_store(Database(MemoryStore())) is None
    assert verify_state(Database(MemoryStore())).accounts == 0


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_at_start_and_the_message_says_what_to_do(store: MemoryStore, name: str) -> None:
    key, value = DAMAGE[name](store)
    assert store.get(key) != value
    store.write({key: value}, sync=False)
    with pytest.raises(StorageError, match="damaged|sync into a new directory"):
        check_store(Database(store))


STATE_DAMAGE = {
    "account changed": lambda store: (
        schema.ACCOUNT + ADDRESSES[1],
        store.get(schema.ACCOUNT + ADDRESSES[1])[:-1] + b"\x06",
    ),
    "account missing": lambda store: (schema.ACCOUNT + ADDRESSES[1], None),
    "account too many": lambda store: (schema.ACCOUNT + ADDRESSES[30], store.get(schema.ACCOUNT + ADDRESSES[1])),
    "word changed": lambda store: (schema.slot_key(ADDRESSES[3], 1), b"\x09"),
    "word missing": lambda store: (schema.slot_key(ADDRESSES[3], 1), None),
    "word too many": lambda store: (schema.slot_key(ADDRESSES[3], 99), b"\x09"),
    "code changed": lambda store: next((key, b"\xff") for key, _ in store.iterate(schema.CODE, b"l")),
    "node missing": lambda store: next((key, None) for key, _ in store.iterate(schema.STORAGE_NODE, b"p")),
    "node changed": lambda store: next(
        (key, value[:-1] + b"\x77") for key, value in store.iterate(schema.STORAGE_NODE, b"p")
    ),
    "supply wrong": lambda store: (schema.SUPPLY, store.get(schema.SUPPLY)[:-1] + b"\x07"),
}


@pytest.mark.parametrize("name", STATE_DAMAGE)
def test_damage_to_the_state_is_found_by_the_full_check(store: MemoryStore, name: str) -> None:
    key, value = STATE_DAMAGE[name](store)
    assert store.get(key) != value
    store.write({key: value}, sync=False)
    with pytest.raises(StorageError):
        verify_state(Database(store))


def test_a_header_that_is_indexed_under_another_hash_is_an_error(store: MemoryStore) -> None:
    wrong = Hash32(b"\x05" * 32)
    store.write({schema.HEIGHT + wrong: (2).to_bytes(8)}, sync=False)
    with pytest.raises(StorageError, match="damaged"):
        Database(store).blocks.header_by_hash(wrong)


def test_only_the_last_headers_are_followed() -> None:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis(START))
    for _ in range(HEADERS_CHECKED + 3):
        append(database)
    store.write({schema.at_height(schema.HEADER, 2): None}, sync=False)
    assert check_store(Database(store)).height == HEADERS_CHECKED + 3
    store.write({schema.at_height(schema.HEADER, 3): None}, sync=False)
    with pytest.raises(StorageError, match="header 3 is missing"):
        check_store(Database(store))


def test_a_store_of_another_chain_is_refused_as_a_matter_of_configuration(store: MemoryStore) -> None:
    database = Database(store)
    check_genesis(database, database.chain.genesis_hash)
    check_genesis(Database(MemoryStore()), Hash32(bytes(32)))
    with pytest.raises(ConfigError, match="another data directory"):
        check_genesis(database, Hash32(bytes(32)))
