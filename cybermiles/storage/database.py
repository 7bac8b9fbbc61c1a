"""Every store of a node, opened together over one key-value store."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from cybermiles.errors import StorageError
from cybermiles.state.trie import TrieStateReader
from cybermiles.storage.block_store import BlockStore
from cybermiles.storage.chain_store import ChainStore
from cybermiles.storage.code_store import CodeStore
from cybermiles.storage.committer import Committer
from cybermiles.storage.evidence_store import EvidenceStore
from cybermiles.storage.flat_state import FlatState
from cybermiles.storage.log_index import LogIndex
from cybermiles.storage.nodes import NodeStore
from cybermiles.storage.pruner import Pruner
from cybermiles.storage.receipt_store import ReceiptStore
from cybermiles.storage.rollback import KEPT_UNDO
from cybermiles.storage.tx_index import TransactionIndex
from cybermiles.storage.validator_store import ValidatorStore

if TYPE_CHECKING:
    from cybermiles.execution.genesis import GenesisBlock
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.state.kv import KeyValueStore
    from cybermiles.storage.pruner import Compactor
    from cybermiles.types.block import Block
    from cybermiles.types.commit import Commit

NODE_CACHE_BYTES = 64 * 1024 * 1024


class Database:
    """Blocks, receipts, indexes and state of one chain."""

    def __init__(
        self,
        store: KeyValueStore,
        *,
        keep_states: int = 0,
        compactor: Compactor | None = None,
        node_cache_bytes: int = NODE_CACHE_BYTES,
        undoable: int = KEPT_UNDO,
    ) -> None:
        """Open the stores; `keep_states` 0 keeps every state, else the last that many, and so does `undoable`."""
        lock = Lock()
        self.chain = ChainStore(store)
        self.blocks = BlockStore(store)
        self.codes = CodeStore(store)
        self.nodes = NodeStore(store, cache_bytes=node_cache_bytes)
        self.state = FlatState(store, self.codes)
        self.receipts = ReceiptStore(store)
        self.transactions = TransactionIndex(store)
        self.logs = LogIndex(store)
        self.validators = ValidatorStore(store)
        self.evidence = EvidenceStore(store)
        self.store = store
        self._committer = Committer(
            store,
            chain=self.chain,
            blocks=self.blocks,
            state=self.state,
            nodes=self.nodes,
            validators=self.validators,
            lock=lock,
            undoable=undoable,
        )
        self._pruner = (
            Pruner(store, self.chain, self.nodes, lock, retain=keep_states, compactor=compactor)
            if keep_states
            else None
        )

    def commit_genesis(self, genesis: GenesisBlock) -> None:
        """Write block 0 into an empty store, or check that it is the one that is there.

        Raises StorageError where the store belongs to another chain, ConfigError for a template of a document.
        """
        stored = self.chain.genesis_hash
        if stored is None:
            self._committer.commit_genesis(genesis)
        elif stored != genesis.header.hash:
            raise StorageError(
                f"the data directory holds the chain with block 0 {stored.hex()}, but the genesis document "
                f"makes block 0 {genesis.header.hash.hex()}: restore the document, or use another --home"
            )

    def commit(self, block: Block, outcome: BlockOutcome, commit: Commit) -> None:
        """Write a decided block in one synced batch, then prune a bounded amount."""
        self._committer.commit_block(block, outcome, commit)
        if self._pruner is not None:
            self._pruner.step()

    def follow(self) -> None:
        """Read again how far the chain is; for who reads what another process writes."""
        self.chain.follow()
        if self.chain.head is not None:
            self.validators.follow(self.chain.head.height)

    def hold_states(self, first: int | None) -> None:
        """Prune no state from this height on, however many are to be kept; None: no such height."""
        if self._pruner is not None:
            self._pruner.held_from = first

    def state_at(self, height: int) -> TrieStateReader | None:
        """Return the state after a committed block, None where it is pruned or unknown."""
        header = self.blocks.header(height)
        if header is None or height < self.chain.oldest_state:
            return None
        return TrieStateReader(self.nodes, self.codes, header.state_root)
