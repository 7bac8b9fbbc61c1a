"""The one writer of blocks: everything a block leaves behind goes to disk in one synced batch.

A crash at any point leaves the store at height H or H - 1, complete; there is nothing to replay
between block, receipts, indexes and state, because none of them can be there without the others.

    check ─► flat readers end ─► one batch, fsync ─► caches and head follow

Commits and pruning exclude each other through one lock, since pruning decides by what is stored.
Readers need no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, InvariantViolation, ProtocolViolation
from cybermiles.storage.block_store import block_records, header_records
from cybermiles.storage.chain_store import Head, Supply, chain_records, genesis_records
from cybermiles.storage.code_store import code_records
from cybermiles.storage.evidence_store import evidence_records
from cybermiles.storage.log_index import log_records
from cybermiles.storage.nodes import node_records
from cybermiles.storage.receipt_store import outcome_records
from cybermiles.storage.rollback import KEPT_UNDO, undo_records
from cybermiles.storage.tx_index import transaction_records
from cybermiles.storage.validator_store import AHEAD, first_rotation_records, rotation_records
from cybermiles.types.commit import signed_power
from cybermiles.types.primitives import Wei
from cybermiles.types.rotation import first_rotation

if TYPE_CHECKING:
    from threading import Lock

    from cybermiles.execution.genesis import GenesisBlock
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.state.kv import KeyValueStore
    from cybermiles.state.reader import RootUpdate, StateChanges
    from cybermiles.storage.block_store import BlockStore
    from cybermiles.storage.chain_store import ChainStore
    from cybermiles.storage.flat_state import FlatState
    from cybermiles.storage.nodes import NodeStore
    from cybermiles.storage.validator_store import ValidatorStore
    from cybermiles.types.block import Block
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header


class Committer:
    """Writes blocks in height order."""

    def __init__(  # noqa: PLR0913  (every store that a block changes, by name)
        self,
        store: KeyValueStore,
        *,
        chain: ChainStore,
        blocks: BlockStore,
        state: FlatState,
        nodes: NodeStore,
        validators: ValidatorStore,
        lock: Lock,
        undoable: int = KEPT_UNDO,
    ) -> None:
        """Keep what undoes the last `undoable` blocks, 0: all."""
        self._store = store
        self._chain = chain
        self._blocks = blocks
        self._state = state
        self._nodes = nodes
        self._validators = validators
        self._lock = lock
        self._undoable = undoable

    def commit_genesis(self, genesis: GenesisBlock) -> None:
        """Write block 0. Raises ConfigError for a template, InvariantViolation unless the store is empty."""
        header, update = genesis.header, genesis.root_update
        if genesis.validators is None:
            raise ConfigError("validators: the genesis document names no validator; no chain starts from a template")
        first = first_rotation(genesis.validators)
        with self._lock:
            if self._chain.head is not None:
                raise InvariantViolation("block 0 is committed to a store that has blocks")
            supply = sum(account.balance for account in update.accounts.values() if account)
            batch: dict[bytes, bytes | None] = {}
            batch.update(genesis_records(header.hash))
            batch.update(header_records(header))
            batch.update(first_rotation_records(first))
            self._write(header, Supply(Wei(supply), Wei(0), Wei(0)), genesis.changes, update, batch)
            self._validators.remember(first, 1)
            self._validators.remember(first.following(None), AHEAD)

    def commit_block(self, block: Block, outcome: BlockOutcome, commit: Commit) -> None:
        """Write a decided block, its outcome and the commit that decided it; durable on return.

        Raises InvariantViolation when the block is not the next one or the three do not belong
        together, StorageError when the disk refuses; the node must stop after either.
        """
        header = block.header
        with self._lock:
            self._check(block, outcome, commit)
            genesis, minted, burnt = self._chain.supply
            settled = header.height + AHEAD
            current = self._validators.rotation(settled - 1)
            following = current.following(outcome.validator_updates)
            supply = Supply(genesis, Wei(minted + outcome.minted), Wei(burnt + outcome.burnt))
            batch: dict[bytes, bytes | None] = {}
            batch.update(block_records(block, commit))
            batch.update(outcome_records(header.height, outcome.transactions))
            tx_hashes = [tx.hash for tx in block.transactions]
            batch.update(transaction_records(header.height, tx_hashes))
            batch.update(log_records(header, tx_hashes, outcome.transactions, outcome.system_logs))
            batch.update(evidence_records(header.height, block.consensus.evidence))
            rotations = self._undoable and self._undoable + AHEAD
            batch.update(rotation_records(settled, current, following, kept=rotations))
            self._write(header, supply, outcome.changes, outcome.root_update, batch)
            self._validators.remember(following, settled)
            self._blocks.remember(block)

    def _write(
        self,
        header: Header,
        supply: Supply,
        changes: StateChanges,
        update: RootUpdate,
        batch: dict[bytes, bytes | None],
    ) -> None:
        """Add the state and the head to the batch, write it, and let caches follow."""
        head = Head(header.height, header.hash, header.state_root)
        batch.update(code_records(changes.codes))
        batch.update(node_records(header.height, update))
        flat = self._state.records(header.height, changes, update)
        batch.update(flat)
        if header.height:
            batch.update(undo_records(header.height, self._chain.supply_record, flat, kept=self._undoable))
        batch.update(chain_records(head, supply))
        self._state.begin_commit()
        self._store.write(batch, sync=True)
        self._nodes.remember(update)
        self._chain.remember(head)
        self._state.finish_commit(changes, update)

    def _check(self, block: Block, outcome: BlockOutcome, commit: Commit) -> None:
        head, header = self._chain.head, block.header
        if head is None:
            raise InvariantViolation(f"block {header.height} is committed before block 0")
        if (header.height, header.parent_hash) != (head.height + 1, head.block_hash):
            raise InvariantViolation(
                f"block {header.height} on {header.parent_hash.hex()} is committed after block "
                f"{head.height} {head.block_hash.hex()}"
            )
        if (commit.height, commit.block_hash) != (header.height, header.hash):
            raise InvariantViolation(
                f"block {header.height} {header.hash.hex()} is committed with the commit of block "
                f"{commit.height} {commit.block_hash.hex()}"
            )
        self._check_quorum(commit)
        if outcome.header.hash != header.hash or outcome.root_update.root != header.state_root:
            raise InvariantViolation(
                f"block {header.height} {header.hash.hex()} is committed with the outcome of "
                f"{outcome.header.hash.hex()}"
            )
        if len(outcome.transactions) != len(block.transactions):
            raise InvariantViolation(
                f"block {header.height} has {len(block.transactions)} transactions and "
                f"{len(outcome.transactions)} outcomes"
            )

    def _check_quorum(self, commit: Commit) -> None:
        """Check who signed; that the signatures are right was checked by who handed the commit over."""
        validators = self._validators.validators(commit.height)
        if validators is None:
            raise InvariantViolation(f"the validators of height {commit.height} are not known")
        try:
            power = signed_power(commit, validators)
        except ProtocolViolation as error:
            raise InvariantViolation(f"block {commit.height}: {error}") from error
        if not validators.has_quorum(power):
            raise InvariantViolation(f"block {commit.height} is committed by {power} of {validators.total_power} power")
