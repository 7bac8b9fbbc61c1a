"""Undoes the newest block of a stopped node, where that cannot make its validator contradict itself."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cybermiles.consensus.privval import load_state
from cybermiles.errors import ConfigError
from cybermiles.runtime.directory import OsDirectory
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.rollback import rollback_head

if TYPE_CHECKING:
    from cybermiles.node.data_dir import DataDir
    from cybermiles.storage.chain_store import Head


def roll_back(directory: DataDir) -> tuple[int, Head]:
    """Undo the head block; return its height and the new head.

    Raises ConfigError while a node runs, where the signer signed for that height or a later one, and where the block
    cannot be undone; StorageError where the store is damaged.
    """
    lock = directory.lock()
    try:
        if not directory.chain.exists():
            raise ConfigError(f"{directory.chain} does not exist: this node has no blocks")
        store = LevelDB(directory.chain, LevelDBOptions())
        try:
            database = Database(store)
            head = database.chain.head
            height = 0 if head is None else head.height
            _refuse_if_signed(directory, height)
            # The log is of the height after the head; nothing in it was signed here.
            shutil.rmtree(directory.wal, ignore_errors=True)
            return height, rollback_head(database)
        finally:
            store.close()
    finally:
        lock.close()


def _refuse_if_signed(directory: DataDir, height: int) -> None:
    """The votes of a height are forgotten with its block: whoever gave some must not be asked again."""
    if not directory.validator_state.exists():
        return
    document = directory.load_genesis()
    path = directory.validator_state
    state = load_state(OsDirectory(path.parent), path.name, document.chain_id, document.hash)
    if height and state.height >= height:
        raise ConfigError(
            f"this node's validator signed at height {state.height}; without the votes it gave from block {height} on "
            f"it could contradict them. Move {directory.chain.parent} away instead and sync again: keys and signer "
            "state stay and keep it from signing twice"
        )
