"""What of a node lasts as long as its process: the open store, threads, clock, events and metrics.

Everything above that knows how far the chain has come is in `chain_parts`, and can be built anew on this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.execution.genesis import genesis_block
from cybermiles.node.dev_parts import clock_of
from cybermiles.node.metrics import create_metrics
from cybermiles.node.rollback import finish_undoing
from cybermiles.runtime.directory import OsDirectory
from cybermiles.runtime.event_bus import EventBus
from cybermiles.runtime.executor import Worker
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import check_store
from cybermiles.storage.rollback import KEPT_UNDO

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.node.metrics import NodeMetrics
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.events import Event

SIGNATURE_THREADS = 2
SNAPSHOT_THREADS = 2
"""One may export; the other still serves."""
VERIFICATION_THREADS = 2
"""One may wait for solc; the other still reads files."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads beside the event loop."""

    blocks: Worker
    """Executes and commits blocks."""
    signatures: Worker
    """Recovers senders and checks votes."""
    log: Worker
    """Waits for the disk before the node signs."""
    verification: Worker
    """Waits for solc, and reads and writes verified sources."""
    snapshots: Worker
    """Makes snapshots; reads what peers ask of them."""

    def close(self) -> None:
        """Wait for what runs."""
        for worker in (self.blocks, self.signatures, self.log, self.verification, self.snapshots):
            worker.close()


def open_workers() -> Workers:
    """Start the threads."""
    return Workers(
        blocks=Worker("blocks"),
        signatures=Worker("signatures", SIGNATURE_THREADS),
        log=Worker("log"),
        verification=Worker("verify", VERIFICATION_THREADS),
        snapshots=Worker("snapshots", SNAPSHOT_THREADS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Opened once."""

    config: NodeConfig
    directory: DataDir
    document: GenesisDocument
    workers: Workers
    store: LevelDB
    clock: Clock
    events: EventBus[Event]
    metrics: NodeMetrics
    log_directory: OsDirectory
    """Of the write-ahead log."""

    def open_database(self) -> Database:
        """Return the stores with empty caches; a chain for development keeps what undoes every block."""
        return Database(
            self.store,
            keep_states=self.config.node.keep_states,
            compactor=self.store,
            undoable=0 if self.document.dev else KEPT_UNDO,
        )


def open_foundation(config: NodeConfig, directory: DataDir, document: GenesisDocument, workers: Workers) -> Foundation:
    """Open the store and check it. Raises StorageError, ConfigError."""
    store = LevelDB(directory.chain, LevelDBOptions(cache_bytes=config.storage.cache_mb * 1024 * 1024))
    database = Database(store)
    database.commit_genesis(genesis_block(document))
    head = check_store(database)
    header = None if head is None else database.blocks.header(head.height)
    log_directory = OsDirectory(directory.wal)
    finish_undoing(database, directory, document, log_directory)
    return Foundation(
        config=config,
        directory=directory,
        document=document,
        workers=workers,
        store=store,
        clock=clock_of(document, document.timestamp if header is None else header.timestamp),
        events=EventBus(),
        metrics=create_metrics(),
        log_directory=log_directory,
    )
