"""Trie nodes on disk, hashed again whenever they are loaded.

A node is stored with the height of the block that wrote it, under its owner and hash (see
`schema`). The cache keeps raw bytes by hash alone: equal hashes mean equal bytes, whoever owns
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import StorageError
from cybermiles.storage.cache import AgingCache
from cybermiles.storage.schema import (
    STALE,
    at_height,
    decode_node,
    encode_node,
    encode_stale,
    node_key,
)

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.state.reader import RootUpdate
    from cybermiles.types.primitives import Hash32

DEFAULT_CACHE_BYTES = 64 << 20
_ENTRY_OVERHEAD = 150
"""Bytes that Python needs for a cache entry beside the node's own."""


class NodeStore:
    """`NodeReader` over the key-value store, at every root that is not pruned."""

    def __init__(self, store: KeyValueReader, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._store = store
        self._cache: AgingCache[Hash32, bytes] = AgingCache(cache_bytes // 2)

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        """Return the node's RLP.

        Raises StorageError when it is missing, because its state was pruned or the store is
        damaged, or when its bytes do not have this hash.
        """
        node = self._cache.get(node_hash, None)
        if node is not None:
            return node
        value = self._store.get(node_key(owner, node_hash))
        if value is None:
            raise StorageError(
                f"trie node {node_hash.hex()} of {owner.hex() or 'the account trie'} is missing: "
                "the state was pruned, or the store is damaged"
            )
        _, node = decode_node(value)
        if keccak256(node) != node_hash:
            raise StorageError(
                f"trie node {node_hash.hex()} of {owner.hex() or 'the account trie'} has wrong "
                "bytes: the store is damaged; restore it from a snapshot or sync into a new directory"
            )
        self._cache.put(node_hash, node, len(node) + _ENTRY_OVERHEAD)
        return node

    def birth(self, owner: bytes, node_hash: Hash32) -> int | None:
        """Return the height that wrote the node last, None when it is not stored."""
        value = self._store.get(node_key(owner, node_hash))
        return None if value is None else decode_node(value)[0]

    def remember(self, update: RootUpdate) -> None:
        """Cache the nodes of a block that was just committed: the next block starts from them."""
        nodes = {node_hash: node for (_, node_hash), node in update.nodes.items()}
        self._cache.put_all(nodes, sum(map(len, nodes.values())) + len(nodes) * _ENTRY_OVERHEAD)


def node_records(height: int, update: RootUpdate) -> dict[bytes, bytes]:
    """Return the entries that a block's new and stale nodes add to its batch."""
    records = {
        node_key(owner, node_hash): encode_node(height, node) for (owner, node_hash), node in update.nodes.items()
    }
    if update.stale:
        records[at_height(STALE, height)] = encode_stale(update.stale)
    return records
