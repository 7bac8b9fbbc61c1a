"""Constructs every object of a node, explicitly, from the bottom up. No container, no registry."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.application.application import ChainApplication
from cybermiles.consensus.privval import FileSigner
from cybermiles.consensus.solo import SoloEngine, SoloSettings
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.parent import Chain
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.node.chain_view import ChainView
from cybermiles.node.events import CommittedBlocks, EventFeed
from cybermiles.node.info import LocalNode
from cybermiles.node.pool_view import PoolView
from cybermiles.node.simulator import Simulator
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.event_bus import EventBus
from cybermiles.runtime.executor import Worker
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import check_store
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.rpc.server import RpcServer
    from cybermiles.types.events import Event

SIGNATURE_THREADS = 2


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads beside the event loop."""

    blocks: Worker
    """Executes and commits blocks."""
    calls: Worker
    """Runs RPC calls."""
    signatures: Worker
    """Recovers senders."""

    def close(self) -> None:
        """Wait for what runs."""
        for worker in (self.blocks, self.calls, self.signatures):
            worker.close()


def open_workers() -> Workers:
    """Start the threads."""
    return Workers(Worker("blocks"), Worker("calls"), Worker("signatures", SIGNATURE_THREADS))


@dataclass(frozen=True, slots=True)
class Components:
    """What `node.node` starts and stops."""

    store: LevelDB
    signer: FileSigner
    engine: SoloEngine
    rpc: RpcServer | None

    def close(self) -> None:
        """Release files and locks, last opened first."""
        self.signer.close()
        self.store.close()


def build(config: NodeConfig, directory: DataDir, document: GenesisDocument, workers: Workers) -> Components:
    """Open the store, check it, and wire a node of a one-validator network."""
    store = LevelDB(directory.chain, LevelDBOptions(cache_bytes=config.storage.cache_mb * 1024 * 1024))
    database = Database(store, keep_states=config.node.keep_states, compactor=store)
    database.commit_genesis(genesis_block(document))
    check_store(database)
    clock = SystemClock()
    events: EventBus[Event] = EventBus()
    rules = ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id)
    mempool = MempoolService(
        pool=Pool(config.mempool, document.params),
        admission=Admission(rules, document.params, allow_unprotected=document.allow_unprotected),
        head=lambda: database.state,
        clock=clock,
        threads=workers.signatures,
        publish=events.publish,
    )
    application = ChainApplication(
        chain=_chain(document, rules),
        database=database,
        params=document.params,
        validators=document.validator_set,
        worker=workers.blocks,
        listeners=(mempool, CommittedBlocks(events.publish)),
    )
    signer = FileSigner(directory.validator_key, directory.validator_state, document.chain_id, document.hash)
    engine = SoloEngine(
        application=application,
        transactions=mempool,
        signer=signer,
        clock=clock,
        settings=SoloSettings(
            block_interval_ms=config.consensus.block_interval_ms or document.params.block_interval_ms,
            create_empty_blocks=config.consensus.create_empty_blocks,
        ),
        wal_directory=directory.wal,
        chain_id=document.chain_id,
        genesis_hash=document.hash,
    )
    view = ChainView(database, document.chain_id, document.params, mempool.candidates)
    rpc = None
    if config.rpc_enabled:
        ports = RpcPorts(
            chain=view,
            executor=Simulator(_chain(document, rules), view, workers.calls),
            pool=PoolView(mempool),
            info=LocalNode(document.chain_id),
            events=EventFeed(events),
            clock=clock,
            id_secret=secrets.token_bytes(32),
        )
        rpc = build_server(config.rpc, ports)
    return Components(store, signer, engine, rpc)


def _chain(document: GenesisDocument, rules: ChainRules) -> Chain:
    """Return the chain's constants with an EVM of its own: a backend belongs to one thread."""
    return Chain(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        allow_unprotected=document.allow_unprotected,
        issuance=document.issuance,
        backend=PyEvmBackend(rules),
    )
