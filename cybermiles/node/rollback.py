"""Undoes the newest blocks of a node.

On any chain the newest one of a stopped node, where that cannot make its validator contradict itself. On a chain for
development any number, while the node runs: nobody else has them, so what its validator signed for them is forgotten. A
mark in the data directory stands from before that until after, since blocks, log and signer are three places:

    mark ─► blocks undone, one batch each time ─► log removed ─► signer back at the head ─► no mark

A node that finds the mark when it starts does the rest, from wherever the blocks are.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from cybermiles.consensus.privval import SignState, Step, load_state, replace_state
from cybermiles.errors import ConfigError
from cybermiles.runtime.directory import OsDirectory
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.rollback import roll_back_to, rollback_head

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.consensus.ports import Directory
    from cybermiles.node.data_dir import DataDir
    from cybermiles.storage.chain_store import Head


MARK = "undoing"


def undo_blocks(
    database: Database, directory: DataDir, document: GenesisDocument, log_directory: Directory, height: int
) -> None:
    """Undo every block above `height` and forget what was signed since. Nothing else may use chain, log and signer.

    Raises ConfigError where they cannot be undone, before anything is changed, and StorageError.
    """
    head = database.chain.head
    data = OsDirectory(directory.chain.parent)
    data.replace(MARK, b"")
    data.sync(MARK)
    data.sync_names()
    data.close()
    if head is not None and head.height > height:
        roll_back_to(database, height)
    finish_undoing(Database(database.store), directory, document, log_directory)


def finish_undoing(database: Database, directory: DataDir, document: GenesisDocument, log_directory: Directory) -> None:
    """Put log and signer where the head is, if undoing blocks began and did not end."""
    data = OsDirectory(directory.chain.parent)
    if data.read(MARK) is None:
        return
    for name in log_directory.names():
        log_directory.remove(name)
    log_directory.sync_names()
    path = directory.validator_state
    head = database.chain.head
    commit = None if head is None else database.blocks.commit(head.height)
    state = SignState(chain_id=document.chain_id, genesis_hash=document.hash.hex())
    if commit is not None:
        state = replace(state, height=commit.height, round=commit.round, step=Step.PRECOMMIT)
    replace_state(OsDirectory(path.parent), path.name, state)
    data.remove(MARK)
    data.sync_names()


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
