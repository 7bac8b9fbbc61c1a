"""Tries against the reference implementation `trie` and against Ethereum's own vectors."""

from __future__ import annotations

import json
import lzma
import os
import tarfile
from functools import lru_cache
from pathlib import Path

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.trie import find, ordered_root, update_trie
from cybermiles.state.walk import leaves, walk
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Hash32
from tests.fakes.state import MemoryNodes

VECTORS = Path(os.environ.get("CMT_VECTORS", Path(__file__).parents[3] / ".." / "shared" / "vectors"))
BASIC_TESTS = VECTORS / "ethereum" / "basic_tests.tar.xz"
OWNER = b"\x0f" * 20

hashed_keys = st.integers(0, 40).map(lambda number: keccak256(bytes([number])))
"""Keys of a secure trie: all of one length."""
crowded_keys = st.lists(st.sampled_from(b"\x00\x01\x10\x11"), min_size=3, max_size=3).map(bytes)
"""Keys with long common prefixes, for extensions and collapsing branches."""
ragged_keys = st.lists(st.sampled_from(b"\x00\x01\x10\x11"), max_size=3).map(bytes)
"""Keys that are prefixes of each other, for values in branches."""
values = st.one_of(st.none(), st.binary(min_size=1, max_size=3), st.binary(min_size=33, max_size=60))


def batches(keys: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[dict[bytes, bytes | None]]]:
    return st.lists(st.dictionaries(keys, values, max_size=12), max_size=8)


class Oracle:
    """The reference trie, and the nodes reachable from its root."""

    def __init__(self) -> None:
        self.trie = HexaryTrie({}, prune=True)
        self.items: dict[bytes, bytes] = {}

    def apply(self, batch: dict[bytes, bytes | None]) -> Hash32:
        for key, value in batch.items():
            if value is None:
                self.items.pop(key, None)
                self.trie.delete(key)
            else:
                self.items[key] = value
                self.trie.set(key, value)
        return self.trie.root_hash


def check(script: list[dict[bytes, bytes | None]], *, bookkeeping: bool) -> None:
    """Apply the batches here and there; after each compare everything that can be seen."""
    nodes, root, oracle = MemoryNodes(), EMPTY_TRIE_ROOT, Oracle()
    for batch in script:
        update = update_trie(nodes, OWNER, root, batch)
        assert update.root == oracle.apply(batch)
        for node_hash, node in update.new.items():
            assert keccak256(node) == node_hash
        if bookkeeping:
            assert not set(update.new) & {key for _, key in nodes.nodes}
            for node_hash in update.stale:
                del nodes.nodes[OWNER, node_hash]
        nodes.nodes.update(((OWNER, key), node) for key, node in update.new.items())
        root = update.root
        if bookkeeping:
            assert {(OWNER, key): node for key, node in walk(nodes, OWNER, root)} == nodes.nodes
        assert dict(leaves(nodes, OWNER, root)) == oracle.items
        for key in batch:
            assert find(nodes, OWNER, root, key) == oracle.items.get(key)


@settings(max_examples=150, deadline=None)
@given(batches(hashed_keys))
def test_batches_of_hashed_keys_give_the_root_and_exactly_the_nodes_of_the_trie(
    script: list[dict[bytes, bytes | None]],
) -> None:
    check(script, bookkeeping=True)


@settings(max_examples=150, deadline=None)
@given(batches(crowded_keys))
def test_batches_of_crowded_keys_give_the_reference_root(
    script: list[dict[bytes, bytes | None]],
) -> None:
    check(script, bookkeeping=False)


@settings(max_examples=150, deadline=None)
@given(batches(ragged_keys))
def test_keys_may_be_prefixes_of_each_other(script: list[dict[bytes, bytes | None]]) -> None:
    check(script, bookkeeping=False)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(crowded_keys, st.booleans(), max_size=12), max_size=8))
def test_bookkeeping_is_exact_where_subtries_are_distinct_but_branches_collapse_often(
    script: list[dict[bytes, bool]],
) -> None:
    """The value repeats the key, as a suffix of a hashed key would tell nodes apart."""
    check(
        [{key: key * 20 if put else None for key, put in batch.items()} for batch in script],
        bookkeeping=True,
    )


def test_an_update_without_effect_creates_and_drops_nothing() -> None:
    nodes = MemoryNodes()
    items = {keccak256(bytes([n])): b"value %d" % n for n in range(20)}
    first = update_trie(nodes, OWNER, EMPTY_TRIE_ROOT, items)
    nodes.nodes.update(((OWNER, key), node) for key, node in first.new.items())
    absent = {keccak256(b"absent %d" % n): None for n in range(20)}
    for batch in ({}, items, absent, items | absent):
        assert update_trie(nodes, OWNER, first.root, batch) == (first.root, {}, [])


def test_deleting_everything_leaves_the_empty_root() -> None:
    nodes = MemoryNodes()
    items = {keccak256(bytes([n])): b"value" for n in range(20)}
    full = update_trie(nodes, OWNER, EMPTY_TRIE_ROOT, items)
    nodes.nodes.update(((OWNER, key), node) for key, node in full.new.items())
    empty = update_trie(nodes, OWNER, full.root, dict.fromkeys(items))
    assert (empty.root, empty.new) == (EMPTY_TRIE_ROOT, {})
    assert sorted(empty.stale) == sorted(full.new)


def test_nodes_that_are_created_again_are_neither_new_nor_stale() -> None:
    """Two leaves that change places keep their bytes; only the branch above them is another."""
    nodes, one, other = MemoryNodes(), b"1" * 40, b"2" * 40
    first = update_trie(nodes, OWNER, EMPTY_TRIE_ROOT, {b"\x1a": one, b"\x2a": other})
    nodes.nodes.update(((OWNER, key), node) for key, node in first.new.items())
    second = update_trie(nodes, OWNER, first.root, {b"\x1a": other, b"\x2a": one})
    assert list(second.new) == [second.root]
    assert second.stale == [first.root]


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 127, 128, 129, 255, 256, 257, 300])
def test_ordered_root_is_the_root_of_the_trie_by_index(count: int) -> None:
    items = [bytes([1 + index % 200]) * (1 + index % 70) for index in range(count)]
    reference = HexaryTrie({})
    for index, item in enumerate(items):
        reference[rlp.encode(index)] = item
    assert ordered_root(items) == reference.root_hash


@pytest.mark.parametrize("count", [*range(3, 300, 7), 4095, 4096, 4097, 4369, 65_535, 65_536, 65_537, 65_553])
def test_ordered_root_is_what_putting_the_items_in_one_by_one_gives(count: int) -> None:
    items = [bytes([1 + index % 200]) * (1 + index * 11 % 301) for index in range(count)]
    by_key = {rlp.encode(index): item for index, item in enumerate(items)}
    assert ordered_root(items) == update_trie(MemoryNodes(), OWNER, EMPTY_TRIE_ROOT, by_key).root


@lru_cache(maxsize=1)
def official_tests() -> dict[str, dict[str, dict[str, object]]]:
    if not BASIC_TESTS.exists():
        return {}
    found = {}
    with lzma.open(BASIC_TESTS) as packed, tarfile.open(fileobj=packed) as archive:
        for member in archive:
            name = Path(member.name)
            if name.parent.name == "TrieTests" and "nextprev" not in name.name:
                stream = archive.extractfile(member)
                assert stream is not None
                found[name.stem] = json.load(stream)
    return found


def as_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


@pytest.mark.parametrize(
    "name",
    [
        "trietest",
        "trieanyorder",
        "trietest_secureTrie",
        "trieanyorder_secureTrie",
        "hex_encoded_securetrie_test",
    ],
)
def test_official_trie_vectors(name: str) -> None:
    if not BASIC_TESTS.exists():
        pytest.skip(f"no vectors at {BASIC_TESTS}")
    secure = "secure" in name
    for case in official_tests()[name].values():
        steps = case["in"]
        pairs = list(steps.items()) if isinstance(steps, dict) else steps
        nodes, root = MemoryNodes(), EMPTY_TRIE_ROOT
        batch: dict[bytes, bytes | None] = {}
        for key_text, value_text in pairs:
            key = as_bytes(key_text)
            key = keccak256(key) if secure else key
            value = None if value_text is None else as_bytes(value_text)
            batch[key] = value
            update = update_trie(nodes, b"", root, {key: value})
            nodes.nodes.update(((b"", node_hash), node) for node_hash, node in update.new.items())
            root = update.root
        at_once = update_trie(MemoryNodes(), b"", EMPTY_TRIE_ROOT, batch)
        assert "0x" + root.hex() == "0x" + at_once.root.hex() == case["root"]
