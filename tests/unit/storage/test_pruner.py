"""Pruning deletes exactly what no retained root reaches."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.kv import MemoryStore
from cybermiles.state.trie import decode_account
from cybermiles.state.walk import leaves, walk
from cybermiles.storage import pruner as pruning
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import check_store, verify_state
from tests.fakes.blocks import ADDRESSES, append, genesis

actions = st.tuples(
    st.sampled_from(["balance", "balance", "store", "store", "code", "delete"]),
    st.integers(0, 20),
    st.integers(0, 8),
    st.sampled_from([0, 1, 2]),
)
START = [("balance", number, 0, 1) for number in range(8)] + [("store", 9, slot, 1) for slot in range(20)]


def stored_nodes(store) -> set[bytes]:
    return {key for prefix in (b"n", b"o") for key, _ in store.iterate(prefix, prefix + b"\xff" * 60)}


def reachable_nodes(database: Database, heights) -> set[bytes]:
    """Walk the tries of the heights, reading from disk and not from the cache."""
    fresh = Database(database.store)
    found = set()
    for height in heights:
        root = fresh.blocks.header(height).state_root
        found |= {schema.node_key(b"", key) for key, _ in walk(fresh.nodes, b"", root)}
        owners = {
            address: decode_account(value).storage_root
            for key, value in leaves(fresh.nodes, b"", root)
            for address in [owner_of(key)]
        }
        for owner, storage_root in owners.items():
            found |= {schema.node_key(owner, key) for key, _ in walk(fresh.nodes, owner, storage_root)}
    return found


def owner_of(hashed: bytes) -> bytes:
    return next(address for address in ADDRESSES if keccak256(address) == hashed)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(actions, max_size=8), min_size=4, max_size=14),
    st.integers(2, 4),
    st.lists(st.booleans(), min_size=14, max_size=14),
)
def test_exactly_the_nodes_of_retained_roots_stay(script, retain: int, prune_after) -> None:
    """Also when pruning lags behind and words flip back to values whose nodes are already stale."""
    store = MemoryStore()
    database = Database(store, keep_states=retain)
    database.commit_genesis(genesis(START))
    pruner = database._pruner
    for block_actions, now in zip(script, prune_after, strict=False):
        append_unpruned(database, block_actions)
        if now:
            pruner.step(3)
        head = database.chain.head.height
        kept = range(max(database.chain.oldest_state, head - retain + 1), head + 1)
        assert reachable_nodes(database, kept) <= stored_nodes(store)
    pruner.run()
    head = database.chain.head.height
    assert database.chain.oldest_state == max(0, head - retain + 1)
    assert stored_nodes(store) == reachable_nodes(database, range(database.chain.oldest_state, head + 1))
    assert pruner.step() == 0
    verify_state(Database(store))
    check_store(Database(store))


def append_unpruned(database: Database, block_actions) -> None:
    """Commit without the step of pruning that `Database.commit` takes."""
    append(Unpruned(database), block_actions)


class Unpruned:
    def __init__(self, database: Database) -> None:
        self.__dict__.update(database.__dict__)
        self.commit = database._committer.commit_block


def test_a_node_that_came_back_survives_the_record_of_its_first_death() -> None:
    store = MemoryStore()
    database = Database(store, keep_states=2)
    database.commit_genesis(genesis(START))
    values = [1, 2, 1, 1, 1, 1, 2, 1]
    for value in values:
        append(database, [("balance", 1, 0, value), ("store", 9, 3, value)])
        for height in range(max(0, database.chain.oldest_state), database.chain.head.height + 1):
            reachable_nodes(database, [height])
    assert stored_nodes(store) == reachable_nodes(database, [7, 8])


def test_the_archive_profile_keeps_every_state() -> None:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis(START))
    for value in range(2, 12):
        append(database, [("balance", 1, 0, value)])
    assert stored_nodes(store) == reachable_nodes(database, range(11))
    assert database.chain.oldest_state == 0


def test_a_pruned_height_has_no_state_and_the_rest_has() -> None:
    database = Database(MemoryStore(), keep_states=3)
    database.commit_genesis(genesis(START))
    for value in range(2, 12):
        append(database, [("balance", 1, 0, value)])
    assert database.chain.oldest_state == 8
    assert database.state_at(7) is None
    assert database.blocks.block(7) is not None
    for height in (8, 9, 10):
        assert database.state_at(height) is not None


def test_an_archive_can_be_pruned_later() -> None:
    store = MemoryStore()
    archive = Database(store)
    archive.commit_genesis(genesis(START))
    for value in range(2, 12):
        append(archive, [("balance", 1, 0, value)])
    pruned = Database(store, keep_states=2)
    assert pruned._pruner.run() > 0
    assert stored_nodes(store) == reachable_nodes(pruned, [9, 10])


def test_pruning_keeps_up_with_blocks_larger_than_a_step(monkeypatch) -> None:
    monkeypatch.setattr(pruning, "NODES_PER_STEP", 1)
    store = MemoryStore()
    database = Database(store, keep_states=2)
    database.commit_genesis(genesis(START))
    for value in range(2, 20):
        append(database, [("balance", number, 0, value) for number in range(20)])
    lists = list(store.iterate(schema.STALE, schema.STALE + b"\xff" * 9))
    assert len(lists) <= 2


def test_the_disk_space_of_pruned_states_is_given_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "NODES_PER_COMPACTION", 50)
    monkeypatch.setattr(pruning, "SLICES", 8)
    sizes = {}
    for retain in (0, 2):
        path = tmp_path / str(retain)
        with LevelDB(path, LevelDBOptions(write_buffer_bytes=64 * 1024)) as store:
            database = Database(store, keep_states=retain, compactor=store)
            database.commit_genesis(genesis(START))
            for value in range(2, 150):
                append(database, [("balance", number, 0, value) for number in range(12)])
            if retain:
                database._pruner.run()
                database._pruner.compact_all()
            else:
                store.compact(b"", b"\xff")
            nodes = stored_nodes(store)
        sizes[retain] = (len(nodes), sum(file.stat().st_size for file in path.glob("*.ldb")))
    assert sizes[2][0] * 10 < sizes[0][0]
    assert sizes[2][1] * 2 < sizes[0][1]
