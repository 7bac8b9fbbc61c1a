"""Leaves of a trie from a key on: the same as all of them without those before, and without their nodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.trie import update_trie
from cybermiles.state.walk import leaves
from cybermiles.types.primitives import EMPTY_TRIE_ROOT

OWNER = b"\x0a" * 20


class CountingNodes:
    """A trie of the hashed numbers below a count, and how many nodes were read."""

    def __init__(self, count):
        self.items = {keccak256(number.to_bytes(32)): b"\x01" * (1 + number % 40) for number in range(count)}
        self.known, self.read = {}, 0
        update = update_trie(self, OWNER, EMPTY_TRIE_ROOT, self.items)
        self.root, self.known, self.read = update.root, update.new, 0

    def node(self, _owner, node_hash):
        self.read += 1
        return self.known[node_hash]


@given(st.integers(0, 60), st.binary(max_size=32))
def test_leaves_begin_at_the_first_key_that_is_asked_for(count, start):
    nodes = CountingNodes(count)
    expected = sorted((key, value) for key, value in nodes.items.items() if key >= start)
    assert list(leaves(nodes, OWNER, nodes.root, start)) == expected


@given(st.integers(0, 59))
def test_a_key_itself_is_among_those_from_it_on(number):
    nodes = CountingNodes(60)
    key = keccak256(number.to_bytes(32))
    assert next(leaves(nodes, OWNER, nodes.root, key))[0] == key


def test_what_lies_before_is_not_read():
    nodes = CountingNodes(2_000)
    assert len(dict(leaves(nodes, OWNER, nodes.root))) == 2_000
    everything, nodes.read = nodes.read, 0
    last = max(nodes.items)
    assert [key for key, _ in leaves(nodes, OWNER, nodes.root, last)] == [last]
    assert nodes.read * 10 < everything
