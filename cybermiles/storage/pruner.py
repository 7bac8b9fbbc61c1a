"""Delete trie nodes that no retained state root uses, and give their disk space back.

Each block recorded which nodes it made stale: nodes of its parent's state that its own does not
use. Once no root below that block is retained, they can go. That needs no reference counts, because
(owner, hash) names one place in one trie; but a node may have come back since at the same place.
Then it was written again, with the height of its second birth, and is spared:

    birth 10 ── used ── stale 20      birth 30 (written again) ── used ── stale 40
                           │                                                 │
       list of 20: birth 30 ≥ 20, keep           list of 40: birth 30 < 40, delete

Work is done in steps between blocks, under the committer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cybermiles.storage.schema import (
    ACCOUNT_NODE,
    OLDEST_STATE,
    STALE,
    STORAGE_NODE,
    at_height,
    decode_stale,
    encode_height,
    height_in,
    height_range,
    node_key,
)

if TYPE_CHECKING:
    from threading import Lock

    from cybermiles.state.kv import KeyValueStore
    from cybermiles.storage.chain_store import ChainStore
    from cybermiles.storage.nodes import NodeStore
    from cybermiles.types.primitives import Hash32

MINIMUM_RETAINED = 2
"""State roots a node needs: the head's, and its parent's for blocks that are executed again."""
NODES_PER_STEP = 4096
"""Nodes looked at in one step, if one block did not make more: some 50 ms."""
NODES_PER_COMPACTION = 16_384
"""Nodes deleted before the next slice of the key space is compacted."""
SLICES = 256


class Compactor(Protocol):
    """A store that can give back what deleted keys occupied."""

    def compact(self, start: bytes, stop: bytes) -> None:
        """Rewrite the tables of a key range."""
        ...


class Pruner:
    """Keeps the states of the last `retain` blocks."""

    def __init__(
        self,
        store: KeyValueStore,
        chain: ChainStore,
        nodes: NodeStore,
        lock: Lock,
        *,
        retain: int,
        compactor: Compactor | None = None,
    ) -> None:
        self._store = store
        self._chain = chain
        self._nodes = nodes
        self._lock = lock
        self._retain = max(retain, MINIMUM_RETAINED)
        self._compactor = compactor
        self._deleted_since_compaction = 0
        self._slice = 0
        self.held_from: int | None = None
        """No state is pruned from this height on."""

    def step(self, enough: int = NODES_PER_STEP) -> int:
        """Look at stale nodes, `enough` or a whole block's, and return how many; 0: nothing to do.

        Called after each commit this keeps up with the chain, as one block's list is done for each
        block that adds one. Raises StorageError.
        """
        with self._lock:
            batch: dict[bytes, bytes | None] = {}
            looked_at = 0
            head = self._chain.head
            oldest = 0 if head is None else head.height - self._retain + 1
            if self.held_from is not None:
                oldest = min(oldest, self.held_from)
            if oldest <= 0:
                return 0
            for key, value in self._store.iterate(*height_range(STALE, 0, oldest)):
                stale = decode_stale(value)
                self._delete(height_in(key), stale, batch)
                batch[key] = None
                looked_at += len(stale)
                if looked_at >= enough:
                    break
            if oldest > self._chain.oldest_state:
                batch[OLDEST_STATE] = encode_height(oldest)
            if batch:
                self._store.write(batch, sync=False)
        self._compact_when_due()
        return looked_at

    def run(self) -> int:
        """Take steps until nothing is left to do; return how many nodes were looked at."""
        total = 0
        while looked_at := self.step():
            total += looked_at
        return total

    def compact_all(self) -> None:
        """Compact everything that pruning deletes from, for maintenance while the node is stopped."""
        if self._compactor is not None:
            for prefix in (ACCOUNT_NODE, STORAGE_NODE, STALE):
                self._compactor.compact(prefix, prefix + b"\xff" * 64)

    def _delete(self, height: int, stale: list[tuple[bytes, Hash32]], batch: dict[bytes, bytes | None]) -> None:
        for owner, node_hash in stale:
            birth = self._nodes.birth(owner, node_hash)
            if birth is not None and birth < height:
                batch[node_key(owner, node_hash)] = None
                self._deleted_since_compaction += 1

    def _compact_when_due(self) -> None:
        if self._compactor is None or self._deleted_since_compaction < NODES_PER_COMPACTION:
            return
        self._deleted_since_compaction = 0
        first = bytes((self._slice,))
        for prefix in (ACCOUNT_NODE, STORAGE_NODE):
            self._compactor.compact(prefix + first, prefix + first + b"\xff" * 64)
        self._slice = (self._slice + 1) % SLICES
        if self._slice == 0:
            self._compactor.compact(STALE, at_height(STALE, self._chain.oldest_state))
