"""Visit every node of a trie: to drop a whole storage trie, to verify a store, to test pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.state.nodes import BRANCH_ITEMS, HASH_ITEM, NOTHING, payload, split, unpack_path
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.state.reader import NodeReader


def walk(nodes: NodeReader, owner: bytes, root: Hash32) -> Iterator[tuple[Hash32, bytes]]:
    """Yield (hash, RLP) of every stored node of one trie, parents first.

    Raises StorageError when a node is missing.
    """
    stack = [] if root == EMPTY_TRIE_ROOT else [root]
    while stack:
        key = stack.pop()
        node = nodes.node(owner, key)
        yield key, node
        stack.extend(_children(node))


def leaves(nodes: NodeReader, owner: bytes, root: Hash32, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) of one trie with keys of whole bytes, in key order, from the first key at or after `start`.

    Raises StorageError when a node is missing.
    """
    if root == EMPTY_TRIE_ROOT:
        return
    first = start.hex()
    stack = [("", nodes.node(owner, root))]
    while stack:
        path, node = stack.pop()
        parts = split(node)
        if len(parts) == BRANCH_ITEMS:
            if parts[-1] != NOTHING and path >= first:
                yield bytes.fromhex(path), payload(parts[-1])
            below = [(f"{path}{index:x}", part) for index, part in enumerate(parts[:-1])]
        else:
            rest, is_leaf = unpack_path(parts[0])
            if is_leaf and path + rest >= first:
                yield bytes.fromhex(path + rest), payload(parts[1])
            if is_leaf:
                continue
            below = [(path + rest, parts[1])]
        for child_path, reference in reversed([child for child in below if child[0] >= first[: len(child[0])]]):
            if reference[0] == HASH_ITEM:
                stack.append((child_path, nodes.node(owner, Hash32(reference[1:]))))
            elif reference != NOTHING:
                stack.append((child_path, reference))


def _children(node: bytes) -> list[Hash32]:
    """Return the hashes a node refers to. An embedded node is too short to hold one."""
    parts = split(node)
    if len(parts) == BRANCH_ITEMS:
        references = parts[:-1]
    elif unpack_path(parts[0])[1]:
        return []
    else:
        references = parts[1:]
    return [Hash32(reference[1:]) for reference in references if reference[0] == HASH_ITEM]
