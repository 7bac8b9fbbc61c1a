"""Undo the head: the store as it was one block earlier, in one synced batch.

Blocks, receipts and indexes are deleted by what the block contains. The trie still holds the parent's root, which
is why that state must not be pruned. The flat state has lost the old values and the trie has lost the names: its
keys are hashes. So every block leaves a list of the accounts and slots it changed, and undoing it reads those in
the parent's trie:

    u ‖ height    size u8 ‖ supply record before the block ‖ accounts u32 ‖ address… ‖ (address ‖ slot)…

New trie nodes stay: a state further back may use them, and the same block, executed again, writes them again. Code
is never deleted. What the block replaced is live again, so its list of stale nodes goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, StorageError
from cybermiles.storage.chain_store import Head
from cybermiles.storage.evidence_store import evidence_records
from cybermiles.storage.recovery import check_store
from cybermiles.storage.schema import (
    ACCOUNT,
    BLOCK,
    BLOCK_LOGS,
    COMMIT,
    FLAT,
    HEAD,
    HEADER,
    HEIGHT,
    LOG_INDEX,
    OUTCOMES,
    ROTATION,
    STALE,
    SUPPLY,
    TRANSACTION,
    UNDO,
    VALIDATORS,
    at_height,
    encode_account,
    encode_height,
    slot_key,
)
from cybermiles.storage.validator_store import AHEAD, KEPT_ROTATIONS
from cybermiles.types.primitives import Address
from cybermiles.types.rlp import int_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.state.reader import StateReader
    from cybermiles.storage.database import Database
    from cybermiles.types.block import Block

KEPT_UNDO = KEPT_ROTATIONS - AHEAD
"""Blocks that can be undone one after another, if their states are kept."""
_ADVICE = "Move the data directory away and sync again, or restore a copy of it."
_ADDRESS, _WORD = 20, 52
_ACCOUNT_KEY, _SLOT_KEY = 1 + _ADDRESS, 1 + _WORD


def undo_records(height: int, supply: bytes, flat_keys: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """Return the entries that make a block undoable: its keys of the flat state, and the supply record before it."""
    keys = [*flat_keys]
    accounts = [key[1:] for key in keys if len(key) == _ACCOUNT_KEY]
    words = [key[1:] for key in keys if len(key) == _SLOT_KEY]
    head = len(supply).to_bytes(1) + supply + len(accounts).to_bytes(4)
    records: dict[bytes, bytes | None] = {at_height(UNDO, height): b"".join((head, *accounts, *words))}
    if height > KEPT_UNDO:
        records[at_height(UNDO, height - KEPT_UNDO)] = None
    return records


def rollback_head(database: Database) -> Head:
    """Remove the head block and everything it left behind; return the new head. Durable on return.

    The database object must not be used afterwards: its caches are of the removed block, and its readers refuse.
    Open a new one. Whoever wants to execute the block again reads its bytes and its commit before.

    Raises ConfigError where the head cannot be undone, and StorageError where the store is damaged.
    """
    head = check_store(database)
    if head is None or head.height == 0:
        raise ConfigError("there is no block to roll back: the chain is at its genesis")
    parent = database.blocks.header(head.height - 1)
    block = database.blocks.block(head.height)
    undo = database.store.get(at_height(UNDO, head.height))
    state = database.state_at(head.height - 1)
    if state is None:
        raise ConfigError(
            f"block {head.height} cannot be rolled back: the state of block {head.height - 1} is pruned, the oldest "
            f"kept is that of block {database.chain.oldest_state}. {_ADVICE}"
        )
    if undo is None:
        raise ConfigError(
            f"block {head.height} cannot be rolled back: only the last {KEPT_UNDO} blocks carry what undoes them. "
            f"{_ADVICE}"
        )
    if parent is None or block is None:
        raise StorageError(f"block {head.height} or its parent is missing: the store is damaged")
    restored = Head(parent.height, parent.hash, parent.state_root)
    batch = _without_block(block)
    batch |= _restored_state(undo, state)
    batch[FLAT] = encode_height(parent.height) + parent.state_root
    batch[HEAD] = encode_height(restored.height) + restored.block_hash + restored.state_root
    database.state.begin_commit()
    database.store.write(batch, sync=True)
    return restored


def _without_block(block: Block) -> dict[bytes, bytes | None]:
    """Return the deletions of what a block's batch added beside the state."""
    height = block.height
    keys = [
        at_height(prefix, height) for prefix in (HEADER, BLOCK, COMMIT, OUTCOMES, BLOCK_LOGS, LOG_INDEX, STALE, UNDO)
    ]
    keys += [at_height(prefix, height + AHEAD) for prefix in (ROTATION, VALIDATORS)]
    keys += [TRANSACTION + transaction.hash for transaction in block.transactions]
    keys += evidence_records(height, block.consensus.evidence)
    keys.append(HEIGHT + block.hash)
    return dict.fromkeys(keys)


def _restored_state(undo: bytes, state: StateReader) -> dict[bytes, bytes | None]:
    """Return the flat state's entries and the supply record of the parent."""
    position = 1 + undo[0]
    batch: dict[bytes, bytes | None] = {SUPPLY: undo[1:position]}
    count = int.from_bytes(undo[position : position + 4])
    position += 4
    end = position + count * _ADDRESS
    if end > len(undo) or (len(undo) - end) % _WORD:
        raise StorageError(f"the undo record has {len(undo)} bytes: the store is damaged")
    for start in range(position, end, _ADDRESS):
        address = Address(undo[start : start + _ADDRESS])
        account = state.account(address)
        batch[ACCOUNT + address] = None if account is None else encode_account(account)
    for start in range(end, len(undo), _WORD):
        middle = start + _ADDRESS
        address, slot = Address(undo[start:middle]), int.from_bytes(undo[middle : start + _WORD])
        word = state.storage(address, slot)
        batch[slot_key(address, slot)] = int_to_bytes(word) if word else None
    return batch
