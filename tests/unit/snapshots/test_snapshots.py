"""Snapshots: made from a frozen view, restored into an equal state, and refused where anything is not what was proven."""

from __future__ import annotations

import dataclasses
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, DecodingError, ProtocolViolation
from cybermiles.node.chain_view import ChainView
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.logs import LogQuery, resolve_range
from cybermiles.snapshots.export import Export
from cybermiles.snapshots.format import MAX_RAW_BYTES, Manifest, decode_manifest, pack, unpack
from cybermiles.snapshots.rebuild import rebuild
from cybermiles.snapshots.restore import Restore
from cybermiles.snapshots.shelf import Shelf
from cybermiles.state.kv import MemoryStore
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB
from cybermiles.storage.recovery import check_store, verify_state
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32
from tests.factories import commit_of
from tests.fakes.snapshots import StoredChain

HEIGHT = 6


@pytest.fixture(scope="module")
def chain():
    chain = StoredChain(MemoryStore())
    chain.live(HEIGHT)
    chain.records = list(Export(chain.database.store, chain.document.params).records())
    chain.at_height = dict(chain.database.store.iterate(b"", b"\xff" * 80))
    chain.advance()
    chain.advance()
    return chain


def restored(chain, records, **proof):
    store = MemoryStore()
    restore = Restore(store, chain.proof(HEIGHT)._replace(**proof))
    restore.take(records)
    return store, restore.finish()


# Format


@given(st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=300))), st.integers(1, 1000))
def test_chunks_give_the_records_back(records, target):
    assert [record for chunk in pack(records, target) for record in unpack(chunk)] == records


@given(st.binary(max_size=100))
def test_garbage_is_no_chunk(raw):
    with pytest.raises(DecodingError):
        list(unpack(raw))


@pytest.mark.parametrize(
    "chunk",
    [
        zlib.compress(b"\x00\x05\x00\x00\x00\x00abc"),
        zlib.compress(b"\x00\x01\x00"),
        zlib.compress(b"") + b"more",
        zlib.compress(b"\x00\x01\x00\x00\x00\x00a")[:-2],
    ],
)
def test_a_torn_chunk_is_refused(chunk):
    with pytest.raises(DecodingError):
        list(unpack(chunk))


def test_a_small_chunk_cannot_become_a_large_one():
    bomb = zlib.compress(bytes(MAX_RAW_BYTES + 1))
    assert len(bomb) < 100_000
    with pytest.raises(DecodingError, match="more than"):
        list(unpack(bomb))


def test_a_manifest_round_trips():
    manifest = Manifest(7, Hash32(b"\x01" * 32), (Hash32(b"\x02" * 32),))
    assert decode_manifest(manifest.encode()) == manifest
    assert manifest.id == keccak256(manifest.encode())


@pytest.mark.parametrize("chunks", [(), (b"\x02" * 31,)])
def test_a_manifest_has_chunks_with_hashes(chunks):
    with pytest.raises(DecodingError):
        decode_manifest(Manifest(7, Hash32(b"\x01" * 32), chunks).encode())


def test_another_format_is_refused():
    raw = Manifest(7, Hash32(b"\x01" * 32), (Hash32(b"\x02" * 32),)).encode()
    with pytest.raises(DecodingError, match="format 2"):
        decode_manifest(raw.replace(b"\x01\x07", b"\x02\x07", 1))


# Round trip


def test_the_restored_store_is_a_whole_chain_from_its_height_on(chain):
    store, head = restored(chain, chain.records)
    assert head.height == HEIGHT
    database = Database(store)
    assert check_store(database) == head
    totals = verify_state(database)
    assert totals.accounts > 300
    assert totals.words > 2
    for height in range(1, HEIGHT + 3):
        assert database.validators.validators(height) == chain.memory.validators(height)
    assert database.blocks.base == HEIGHT
    assert database.chain.oldest_state == HEIGHT
    assert database.blocks.header(1) == chain.blocks[1][0].header
    (proof,) = chain.blocks[3][0].consensus.evidence
    assert database.evidence.committed_at(Hash32(keccak256(proof))) == 3


def test_the_restored_node_goes_on(chain):
    """The same next blocks make the same state, flat and in the trie, as where they were executed first."""
    store, _ = restored(chain, chain.records)
    database = Database(store)
    other = StoredChain(MemoryStore())
    other.live(HEIGHT)
    for _ in range(3):
        block, outcome = other.memory.advance()
        members = other.memory.validators(block.height)
        database.commit(block, outcome, commit_of(other.memory.chain, members, block.height, block.hash))
    verify_state(database)
    assert database.chain.head.state_root == other.memory.head.state_root


def test_two_nodes_make_the_same_snapshot(chain):
    store, _ = restored(chain, chain.records)
    again = {**dict(store.iterate(b"", b"\xff"))}
    other = StoredChain(MemoryStore())
    other.live(HEIGHT)
    assert list(Export(other.database.store, other.document.params).records()) == chain.records
    flat = {key: value for key, value in chain.records if key[:1] in (schema.ACCOUNT, schema.SLOT, schema.CODE)}
    assert flat.items() <= again.items()


def test_a_restored_node_makes_no_snapshot_before_it_has_the_history(chain):
    store, _ = restored(chain, chain.records)
    with pytest.raises(ConfigError, match="no block 5"):
        list(Export(store, chain.document.params).records())


def test_history_ends_where_evidence_expires(monkeypatch):
    monkeypatch.setattr("cybermiles.snapshots.export.MIN_HISTORY", 2)
    params = ChainParams(evidence_max_age_blocks=3, evidence_max_age_seconds=4)
    chain = StoredChain(MemoryStore(), params=params)
    chain.live(9)
    records = list(Export(chain.database.store, params).records())
    heights = [schema.height_in(key) for key, _ in records if key[:1] == schema.HEADER]
    assert heights == [9, 8, 7, 6, 5, 4], "the first that is more than 3 blocks and more than 4 s old is the last"


def test_there_is_no_snapshot_of_block_0():
    with pytest.raises(ConfigError, match="no block"):
        Export(StoredChain(MemoryStore()).database.store, ChainParams())


# Lies. Every record but those that no header covers is changed, dropped and doubled.

PROVEN = {
    "header": schema.HEADER,
    "validators": schema.VALIDATORS,
    "evidence": schema.COMMITTED_EVIDENCE,
    "account": schema.ACCOUNT,
    "word": schema.SLOT,
    "code": schema.CODE,
    "block": schema.BLOCK,
    "rotation": schema.ROTATION,
    "supply": schema.SUPPLY,
}


def refused(chain, records, **proof):
    with pytest.raises(ProtocolViolation):
        restored(chain, records, **proof)


@pytest.mark.parametrize("kind", PROVEN)
def test_a_missing_record_is_noticed(chain, kind):
    places = [place for place, (key, _) in enumerate(chain.records) if key.startswith(PROVEN[kind])]
    for place in {places[0], places[len(places) // 2]}:
        if kind == "header" and place == places[-1]:
            continue
        refused(chain, chain.records[:place] + chain.records[place + 1 :])


@pytest.mark.parametrize("kind", PROVEN)
@pytest.mark.parametrize("part", ["value", "key"])
def test_a_changed_record_is_noticed(chain, kind, part):
    places = [place for place, (key, _) in enumerate(chain.records) if key.startswith(PROVEN[kind])]
    for place in {places[0], places[len(places) // 2], places[-1]}:
        key, value = chain.records[place]
        if part == "value" and kind == "rotation":
            continue  # its priorities are in no header
        changed = (key, value[:-1] + bytes([value[-1] ^ 1])) if part == "value" else (key[:-1] + b"\x77", value)
        refused(chain, [*chain.records[:place], changed, *chain.records[place + 1 :]])


def test_an_invented_account_is_noticed(chain):
    place = next(place for place, (key, _) in enumerate(chain.records) if key[:1] == schema.ACCOUNT)
    key, value = chain.records[place]
    invented = (key[:1] + b"\x00" * 20, value)
    refused(chain, [*chain.records[:place], invented, *chain.records[place:]])


def test_other_chains_records_are_refused(chain):
    refused(chain, [*chain.records, (schema.HEAD, b"x" * 72)])


def replaced(chain, key, value):
    assert any(key == other for other, _ in chain.records)
    return [(k, value if k == key else v) for k, v in chain.records]


def test_consensus_fields_that_the_header_does_not_commit_to_are_refused(chain):
    key = schema.at_height(schema.HEADER, 2)
    digest = dataclasses.replace(chain.blocks[2][0].consensus.digest, app_version=77)
    refused(chain, replaced(chain, key, rlp.encode([chain.blocks[2][0].header.encode(), digest.to_item()])))


@pytest.mark.parametrize("change", [(1, -1, 0), (0, 1, 0), (0, 0, 1), (-1, 1, 0)])
def test_a_supply_that_is_not_the_sum_of_balances_or_not_the_genesis_is_refused(chain, change):
    genesis, minted, burnt = chain.memory.document.supply, chain.memory.minted, chain.memory.burnt
    supply = [genesis + change[0], minted + change[1], burnt + change[2]]
    refused(chain, replaced(chain, schema.SUPPLY, rlp.encode([rlp.int_to_bytes(amount) for amount in supply])))


def test_a_commit_that_does_not_decide_the_block_is_refused(chain):
    commit = chain.proof(HEIGHT).commit
    first, *others = commit.signatures
    for wrong in (
        dataclasses.replace(commit, signatures=(first[:-1] + bytes([first[-1] ^ 1]), *others)),
        dataclasses.replace(commit, signatures=(first, *[None] * len(others))),
        dataclasses.replace(commit, height=HEIGHT + 1),
        chain.proof(HEIGHT - 1).commit,
    ):
        refused(chain, chain.records, commit=wrong)


def test_a_commit_among_the_records_is_refused(chain):
    key = schema.at_height(schema.COMMIT, HEIGHT)
    refused(chain, [*chain.records, (key, chain.database.store.get(key))])


def test_nodes_that_hold_different_commits_make_the_same_snapshot(chain):
    """Each node keeps the signatures that it saw first; who has a snapshot must not depend on that."""
    other, commit = MemoryStore(), chain.blocks[HEIGHT][1]
    for key, value in chain.at_height.items():
        other.write({key: value}, sync=False)
    fewer = dataclasses.replace(commit, signatures=(None, *commit.signatures[1:]))
    other.write({schema.at_height(schema.COMMIT, HEIGHT): rlp.encode(fewer.to_item())}, sync=False)
    assert list(Export(other, chain.document.params).records()) == chain.records


def test_the_body_of_another_block_is_refused(chain):
    refused(chain, replaced(chain, schema.at_height(schema.BLOCK, HEIGHT), chain.blocks[HEIGHT - 1][0].encode()))


def test_a_doubled_word_is_refused(chain):
    place = next(place for place, (key, _) in enumerate(chain.records) if key[:1] == schema.SLOT)
    refused(chain, [*chain.records[: place + 1], *chain.records[place:]])


def test_storage_that_is_missing_altogether_is_refused(chain):
    refused(chain, [record for record in chain.records if record[0][:1] != schema.SLOT])


def test_an_account_in_another_than_the_canonical_form_is_refused(chain):
    """A leading zero of the balance changes the flat state and not the trie."""
    key, value = next(r for r in chain.records if r[0][:1] == schema.ACCOUNT and r[1][0] == 0)
    refused(chain, replaced(chain, key, value[:9] + b"\x00" + value[9:]))


@pytest.mark.parametrize("prefix", [schema.HEADER, schema.VALIDATORS, schema.COMMITTED_EVIDENCE])
def test_a_record_is_bounded_before_it_is_decoded(chain, prefix):
    with pytest.raises(ProtocolViolation, match="bytes"):
        restored(chain, [(prefix + bytes(8), b"\x80" * 1_000_000)])


def test_the_snapshot_of_another_height_is_refused(chain):
    other = StoredChain(MemoryStore())
    other.live(HEIGHT - 1)
    refused(chain, list(Export(other.database.store, other.document.params).records()))


def test_a_rotation_of_other_validators_is_refused(chain):
    key = schema.at_height(schema.ROTATION, HEIGHT + 2)
    other = StoredChain(MemoryStore(), powers=(1, 2))
    value = other.database.store.get(schema.at_height(schema.ROTATION, 2))
    refused(chain, [(k, value if k == key else v) for k, v in chain.records])


# On disk


def test_frozen_views_stand_still(tmp_path):
    with LevelDB(tmp_path / "db") as db:
        db.write({b"a": b"1", b"b": b"2"}, sync=False)
        view = db.frozen()
        db.write({b"a": None, b"c": b"3"}, sync=False)
        assert view.get(b"a") == b"1"
        assert list(view.iterate(b"", b"z")) == [(b"a", b"1"), (b"b", b"2")]
        assert [key for key, _ in view.iterate(b"", b"z", reverse=True)] == [b"b", b"a"]
        view.close()
        assert db.get(b"a") is None


@pytest.fixture
def shelf(tmp_path, chain, monkeypatch):
    monkeypatch.setattr("cybermiles.snapshots.format.CHUNK_TARGET", 4096)
    monkeypatch.setattr("cybermiles.snapshots.shelf.pack", lambda records: pack(records, 4096))
    store = MemoryStore()
    other = StoredChain(store)
    other.live(HEIGHT)
    shelf = Shelf(tmp_path / "snapshots")
    shelf.create(Export(store, other.document.params))
    return shelf


def test_a_store_is_rebuilt_and_takes_its_place(shelf, chain, tmp_path):
    (manifest,) = shelf.list()
    assert len(manifest.chunks) > 3
    seen = []
    head = rebuild(shelf, manifest, chain.proof(HEIGHT), tmp_path / "chain", seen.append)
    assert seen == list(range(1, len(manifest.chunks) + 1))
    with LevelDB(tmp_path / "chain") as store:
        assert Database(store).chain.head == head
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain", "snapshots"]


def test_a_refused_snapshot_leaves_no_store(shelf, chain, tmp_path):
    (manifest,) = shelf.list()
    proof = chain.proof(HEIGHT)
    wrong = proof._replace(successor=chain.light_block(HEIGHT + 2))
    with pytest.raises(ProtocolViolation):
        rebuild(shelf, manifest, wrong, tmp_path / "chain")
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots"]


def test_a_store_that_was_left_half_restored_does_not_matter(shelf, chain, tmp_path):
    (manifest,) = shelf.list()
    with LevelDB(tmp_path / "chain.restoring") as store:
        store.write({b"a" + b"\x01" * 20: b"left over"}, sync=False)
    rebuild(shelf, manifest, chain.proof(HEIGHT), tmp_path / "chain")
    with LevelDB(tmp_path / "chain") as store:
        verify_state(Database(store))


def test_a_store_that_exists_is_not_replaced(shelf, chain, tmp_path):
    (tmp_path / "chain").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        rebuild(shelf, shelf.list()[0], chain.proof(HEIGHT), tmp_path / "chain")


def test_chunks_are_known_by_their_bytes(shelf):
    (manifest,) = shelf.list()
    assert shelf.has_chunk(manifest, 0)
    shelf.add_chunk(manifest.height, 0, b"other")
    assert not shelf.has_chunk(manifest, 0)
    assert not shelf.has_chunk(manifest, len(manifest.chunks) - 1) or shelf.size(manifest) > 0
    assert shelf.chunk(manifest.height, 10_000) is None


def test_only_the_newest_are_kept(shelf):
    (manifest,) = shelf.list()
    for height in (9, 12):
        shelf.add_manifest(dataclasses.replace(manifest, height=height))
    shelf.add_chunk(15, 0, b"unfinished")
    assert [m.height for m in shelf.list()] == [12, 9, HEIGHT]
    shelf.keep(2)
    assert [m.height for m in shelf.list()] == [12, 9]
    assert shelf.chunk(15, 0) is None


def test_an_interrupted_export_leaves_nothing(tmp_path, chain):
    shelf = Shelf(tmp_path)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        shelf.create(Export(chain.database.store, chain.document.params), stop)
    assert not list(tmp_path.iterdir())


# What RPC says of what is not there


@pytest.fixture
def view(chain):
    store, _ = restored(chain, chain.records)
    return ChainView(Database(store), chain.document.chain_id, chain.document.params, tuple)


def test_blocks_below_the_snapshot_are_not_there(view, chain):
    assert view.header(HEIGHT - 1) is None
    assert view.header(HEIGHT) == chain.blocks[HEIGHT][0].header
    assert view.header(0) == chain.genesis.header
    assert view.height_of(chain.blocks[HEIGHT - 1][0].hash) is None
    assert view.height_of(chain.blocks[HEIGHT][0].hash) == HEIGHT
    assert view.height_of(chain.genesis.header.hash) == 0


@pytest.mark.parametrize("first", [0, 1, HEIGHT - 1])
def test_a_log_query_that_reaches_below_is_an_error(view, first):
    with pytest.raises(RpcError, match="pruned history unavailable"):
        resolve_range(view, LogQuery(first=first, last=HEIGHT), RpcLimits())


def test_a_log_query_from_the_snapshot_on_is_answered(view):
    assert resolve_range(view, LogQuery(first=HEIGHT, last=HEIGHT), RpcLimits()) == (HEIGHT, HEIGHT)
    assert resolve_range(view, LogQuery(first=0, last=0), RpcLimits()) == (0, 0)
