"""From a complete snapshot on the shelf to a store beside the chain's, which then takes its place in one rename.

Killed at any moment, this leaves no store or a whole one; a store that is half restored is deleted.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, StorageError
from cybermiles.snapshots.format import unpack
from cybermiles.snapshots.restore import Restore, SnapshotRefused
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB
from cybermiles.storage.recovery import check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cybermiles.snapshots.format import Manifest
    from cybermiles.snapshots.restore import Proof
    from cybermiles.snapshots.shelf import Shelf
    from cybermiles.storage.chain_store import Head


def rebuild(
    shelf: Shelf, manifest: Manifest, proof: Proof, chain: Path, progress: Callable[[int], None] = lambda _: None
) -> Head:
    """Make the chain's store out of a snapshot whose chunks are all there; return its head.

    `progress` is told how many chunks are in. Raises SnapshotRefused where it is not the proven block's, ConfigError
    where there is a store already, StorageError.
    """
    if chain.exists():
        raise ConfigError(f"{chain} exists: a snapshot is restored into an empty home; use `cmt node reset` first")
    beside = chain.with_name(f"{chain.name}.restoring")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with LevelDB(beside) as store:
            restore = Restore(store, proof)
            for index in range(len(manifest.chunks)):
                chunk = shelf.chunk(manifest.height, index)
                if chunk is None:
                    raise StorageError(f"chunk {index} of snapshot {manifest.height} is gone")
                restore.take(unpack(chunk))
                progress(index + 1)
            head = restore.finish()
            try:
                check_store(Database(store))
            except StorageError as error:
                raise SnapshotRefused(f"the restored store is not consistent: {error}") from error
        beside.rename(chain)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return head
