"""Undo the newest blocks: the store as it was before them, in one synced batch.

Blocks, receipts and indexes are deleted by what the blocks contain. The trie still holds the root to go back to, which
is why that state must not be pruned. The flat state has lost the old values and the trie has lost the names: its
keys are hashes. So every block leaves a list of the accounts and slots it changed, and undoing it reads those in
that trie:

    u ‖ height    size u8 ‖ supply record before the block ‖ accounts u32 ‖ address… ‖ (address ‖ slot)…

New trie nodes stay: a state further back may use them, and the same block, executed again, writes them again. Code
is never deleted. What the blocks replaced is live again, so their lists of stale nodes go.
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
"""Blocks that can be undone, if their states are kept; a chain for development keeps what undoes all."""
_ADVICE = "Move the data directory away and sync again, or restore a copy of it."
_ADDRESS, _WORD = 20, 52
_ACCOUNT_KEY, _SLOT_KEY = 1 + _ADDRESS, 1 + _WORD


def undo_records(
    height: int, supply: bytes, flat_keys: Iterable[bytes], *, kept: int = KEPT_UNDO
) -> dict[bytes, bytes | None]:
    """Return the entries that make a block undoable: its keys of the flat state, and the supply record before it.

    The record of `kept` blocks before goes; 0 keeps all.
    """
    keys = [*flat_keys]
    accounts = [key[1:] for key in keys if len(key) == _ACCOUNT_KEY]
    words = [key[1:] for key in keys if len(key) == _SLOT_KEY]
    head = len(supply).to_bytes(1) + supply + len(accounts).to_bytes(4)
    records: dict[bytes, bytes | None] = {at_height(UNDO, height): b"".join((head, *accounts, *words))}
    if kept and height > kept:
        records[at_height(UNDO, height - kept)] = None
    return records


def rollback_head(database: Database) -> Head:
    """Remove the head block; see `roll_back_to`."""
    head = database.chain.head
    return roll_back_to(database, 0 if head is None else max(0, head.height - 1))


def roll_back_to(database: Database, height: int) -> Head:
    """Remove every block above `height` with everything it left behind; return the new head. Durable on return.

    The database object must not be used afterwards: its caches are of the removed blocks, and its readers refuse.
    Open a new one. Whoever wants to execute a block again reads its bytes and its commit before.

    Raises ConfigError where there is no such block or it cannot be undone, and StorageError where the store is damaged.
    """
    head = check_store(database)
    if head is None or head.height <= height:
        where = "at its genesis" if head is None or not head.height else f"at height {head.height}"
        raise ConfigError(f"there is no block to roll back: the chain is {where}")
    state = _check_undoable(database, height)
    parent = database.blocks.header(height)
    batch: dict[bytes, bytes | None] = {}
    changed: dict[bytes, None] = {}
    supply = b""
    for at in range(head.height, height, -1):
        block, undo = database.blocks.block(at), database.store.get(at_height(UNDO, at))
        if block is None or undo is None:
            raise StorageError(f"block {at} or what undoes it is missing: the store is damaged")
        batch |= _without_block(block)
        supply, keys = _undone(undo)
        changed |= dict.fromkeys(keys)
    if parent is None:
        raise StorageError(f"the header of block {height} is missing: the store is damaged")
    restored = Head(parent.height, parent.hash, parent.state_root)
    batch |= _restored(changed, state)
    batch[SUPPLY] = supply
    batch[FLAT] = encode_height(parent.height) + parent.state_root
    batch[HEAD] = encode_height(restored.height) + restored.block_hash + restored.state_root
    database.state.begin_commit()
    database.store.write(batch, sync=True)
    return restored


def _check_undoable(database: Database, height: int) -> StateReader:
    """Return the state to go back to. Raises ConfigError where it, or what undoes the block after it, is gone."""
    state = database.state_at(height)
    if state is None:
        raise ConfigError(
            f"block {height + 1} cannot be rolled back: the state of block {height} is pruned, the oldest "
            f"kept is that of block {database.chain.oldest_state} (node.keep_states). {_ADVICE}"
        )
    if database.store.get(at_height(UNDO, height + 1)) is None:
        raise ConfigError(
            f"block {height + 1} cannot be rolled back: only the last {KEPT_UNDO} blocks carry what undoes them. "
            f"{_ADVICE}"
        )
    return state


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


def _undone(undo: bytes) -> tuple[bytes, list[bytes]]:
    """Return the supply record before a block, and the accounts and slots it changed. Raises StorageError."""
    position = 1 + undo[0]
    supply = undo[1:position]
    count = int.from_bytes(undo[position : position + 4])
    position += 4
    end = position + count * _ADDRESS
    if end > len(undo) or (len(undo) - end) % _WORD:
        raise StorageError(f"the undo record has {len(undo)} bytes: the store is damaged")
    keys = [undo[start : start + _ADDRESS] for start in range(position, end, _ADDRESS)]
    keys += [undo[start : start + _WORD] for start in range(end, len(undo), _WORD)]
    return supply, keys


def _restored(keys: Iterable[bytes], state: StateReader) -> dict[bytes, bytes | None]:
    """Return the flat state's entries of accounts and slots as they are in a state."""
    batch: dict[bytes, bytes | None] = {}
    for key in keys:
        address = Address(key[:_ADDRESS])
        if len(key) == _ADDRESS:
            account = state.account(address)
            batch[ACCOUNT + address] = None if account is None else encode_account(account)
        else:
            slot = int.from_bytes(key[_ADDRESS:])
            word = state.storage(address, slot)
            batch[slot_key(address, slot)] = int_to_bytes(word) if word else None
    return batch
