"""Constructs every object of a node, explicitly, from the bottom up. No container, no registry."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cybermiles.application.application import ChainApplication
from cybermiles.application.governed import EffectiveParams
from cybermiles.application.history import CommittedHistory
from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.evidence_pool import EvidencePool
from cybermiles.consensus.ports import RunnerPorts
from cybermiles.consensus.privval import FileSigner
from cybermiles.consensus.runner import ConsensusRunner
from cybermiles.consensus.settings import RunnerSettings
from cybermiles.consensus.validator_key import load_key
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.execution.genesis import genesis_block
from cybermiles.governance.holds import frozen_accounts
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.node.calls.pool import CallPool, open_pool
from cybermiles.node.chain_rules import chain_of, facts_of, rules_of
from cybermiles.node.chain_view import ChainView
from cybermiles.node.consensus_view import consensus_status, node_identity
from cybermiles.node.development import clock_of, development_of, source_of
from cybermiles.node.events import CommittedBlocks, EventFeed
from cybermiles.node.info import LocalNode, client_version
from cybermiles.node.metering import MeteredApplication
from cybermiles.node.metrics import (
    BlockMetrics,
    NodeMetrics,
    PoolMetrics,
    copy_consensus,
    copy_sizes,
    copy_sync,
    create_metrics,
)
from cybermiles.node.network import NodeNetwork, Parts
from cybermiles.node.pool_view import PoolView
from cybermiles.node.snapshots import Snapshots
from cybermiles.rpc.metrics import RequestCounter
from cybermiles.rpc.operator_pages import OperatorPages
from cybermiles.rpc.operator_server import OperatorServer
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.rpc.verification.api import VerificationApi
from cybermiles.rpc.verification.service import VerificationService
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.directory import OsDirectory
from cybermiles.runtime.event_bus import EventBus
from cybermiles.runtime.executor import Worker
from cybermiles.snapshots.shelf import Shelf
from cybermiles.state.slots import ReadStorage
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import check_store
from cybermiles.types.evidence import verify_evidence
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.application.ports import CommitListener
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.rpc.namespaces.dev import Development
    from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity
    from cybermiles.rpc.server import RpcServer
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


@dataclass(frozen=True, slots=True)
class Components:
    """What `node.node` starts and stops."""

    store: LevelDB
    signer: FileSigner
    engine: ConsensusRunner
    network: NodeNetwork | None
    """None for a node that talks to no other."""
    rpc: RpcServer | None
    calls: CallPool
    """Runs what the RPC server asks for, once it is started."""
    verification: VerificationService | None
    """What `/api` asks."""
    operators: OperatorServer | None
    """The listener of `metrics.listen`."""
    metrics: NodeMetrics
    events: EventFeed
    clock: Clock

    def close(self) -> None:
        """Release processes, files and locks, last opened first."""
        self.calls.close()
        self.signer.close()
        self.store.close()


def build(config: NodeConfig, directory: DataDir, document: GenesisDocument, workers: Workers) -> Components:
    """Open the store, check it, and wire a node."""
    store = LevelDB(directory.chain, LevelDBOptions(cache_bytes=config.storage.cache_mb * 1024 * 1024))
    database = Database(store, keep_states=config.node.keep_states, compactor=store)
    database.commit_genesis(genesis_block(document))
    check_store(database)
    clock = clock_of(document, database)
    events: EventBus[Event] = EventBus()
    mempool = _mempool(config, document, database, workers, events, clock)
    metrics = create_metrics()
    signer = _signer(directory, document, workers)
    evidence = _evidence(document, database)
    blocks = BlockMetrics(metrics, database.validators.validators, signer.address)
    snapshots = _snapshots(config, directory, store, database, document, workers)
    listeners: list[CommitListener] = [mempool, evidence, CommittedBlocks(events.publish), blocks, snapshots]
    application = _application(document, database, workers, mempool, listeners)
    ports = RunnerPorts(
        application=MeteredApplication(application, metrics.abci, clock),
        transactions=(source := source_of(clock, mempool)),
        evidence=evidence,
        signer=signer,
        verifier=BatchVerifier(workers.signatures),
        clock=clock,
        log_directory=OsDirectory(directory.wal),
        worker=workers.log,
    )
    engine = ConsensusRunner(ports, _runner_settings(config, document))
    network = None
    if config.p2p_enabled:
        parts = Parts(
            runner=engine,
            mempool=mempool,
            evidence=evidence,
            application=application,
            metrics=metrics,
            snapshots=snapshots,
            clock=clock,
            disk=workers.log,
        )
        network = NodeNetwork(config, directory, document, parts)
    info = _node_info(config, document, engine, signer, network)
    _copy_at_scrape(metrics, info, PoolMetrics(metrics.mempool, mempool), directory, signer.address)
    feed = EventFeed(events)
    view = ChainView(database, document.chain_id, document.params, mempool.candidates)
    calls = open_pool(document, config.rpc.limits, store, clock, metrics)
    served = _served(view, calls, mempool, info, feed, clock, metrics, development_of(clock, source, engine, listeners))
    served = replace(served, verification=_verification(config, directory, view, workers, clock))
    return Components(
        store=store,
        signer=signer,
        engine=engine,
        network=network,
        calls=calls,
        rpc=build_server(config.rpc, served) if config.rpc_enabled else None,
        verification=None if served.verification is None else served.verification.service,
        operators=_operators(config, served.pages),
        metrics=metrics,
        events=feed,
        clock=clock,
    )


def _snapshots(
    config: NodeConfig,
    directory: DataDir,
    store: LevelDB,
    database: Database,
    document: GenesisDocument,
    workers: Workers,
) -> Snapshots:
    return Snapshots(
        store=store,
        database=database,
        params=document.params,
        shelf=Shelf(directory.snapshots),
        worker=workers.snapshots,
        clock=SystemClock(),
        interval=config.state_sync.snapshot_interval if config.p2p_enabled else 0,
        kept=config.state_sync.keep_snapshots,
    )


def _application(
    document: GenesisDocument,
    database: Database,
    workers: Workers,
    mempool: MempoolService,
    listeners: Sequence[CommitListener],
) -> ChainApplication:
    return ChainApplication(
        chain=chain_of(facts_of(document)),
        database=database,
        params=document.params,
        worker=workers.blocks,
        listeners=listeners,
        pooled=mempool.find,
        recover=partial(workers.signatures.spread, recover_senders),
    )


def _served(  # noqa: PLR0913, PLR0917  (the composition root hands every part on by name)
    view: ChainView,
    calls: CallPool,
    mempool: MempoolService,
    info: LocalNode,
    feed: EventFeed,
    clock: Clock,
    metrics: NodeMetrics,
    development: Development | None,
) -> RpcPorts:
    """Return what JSON-RPC and the operator's pages are about."""
    metrics.registry.before_render(lambda: copy_sync(metrics.block_sync, info.syncing, view.head_height()))
    return RpcPorts(
        chain=view,
        executor=calls,
        pool=PoolView(mempool),
        info=info,
        events=feed,
        clock=clock,
        id_secret=secrets.token_bytes(32),
        observer=RequestCounter(metrics.rpc),
        development=development,
        pages=OperatorPages(view, info, clock, metrics.registry),
    )


def _verification(
    config: NodeConfig, directory: DataDir, view: ChainView, workers: Workers, clock: Clock
) -> VerificationApi | None:
    if config.verify is None or not config.rpc_enabled:
        return None
    service = VerificationService(
        config.verify, chain=view, directory=directory.verified, worker=workers.verification, clock=clock
    )
    return VerificationApi(service, view.chain_id, body_timeout_seconds=config.rpc.limits.body_timeout_seconds)


def _operators(config: NodeConfig, pages: OperatorPages | None) -> OperatorServer | None:
    listen = config.metrics_listen
    return None if listen is None or pages is None else OperatorServer(listen.host, listen.port, pages)


def _signer(directory: DataDir, document: GenesisDocument, workers: Workers) -> FileSigner:
    return FileSigner(
        load_key(directory.validator_key),
        directory=OsDirectory(directory.validator_state.parent),
        state_name=directory.validator_state.name,
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        worker=workers.log,
    )


def _runner_settings(config: NodeConfig, document: GenesisDocument) -> RunnerSettings:
    params = document.params
    return RunnerSettings(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        engine=EngineSettings(
            timeouts=config.timeouts,
            rebroadcast_ms=config.consensus.rebroadcast_ms,
            clock_precision_ms=params.clock_precision_ms,
            message_delay_ms=params.message_delay_ms,
        ),
        block_interval_ms=config.consensus.block_interval_ms or params.block_interval_ms,
        create_empty_blocks=config.consensus.create_empty_blocks,
        max_value_bytes=params.max_value_bytes,
        double_sign_check_heights=config.consensus.double_sign_check_height,
    )


def _mempool(
    config: NodeConfig,
    document: GenesisDocument,
    database: Database,
    workers: Workers,
    events: EventBus[Event],
    clock: Clock,
) -> MempoolService:
    state = database.state
    params = EffectiveParams(document.params).at(state)
    head = database.blocks.header(database.chain.head.height) if database.chain.head else None
    frozen = () if head is None else frozen_accounts(ReadStorage(state, GOVERNANCE), head.timestamp)
    return MempoolService(
        pool=Pool(config.mempool, params),
        admission=Admission(rules_of(facts_of(document)), params, allow_unprotected=document.allow_unprotected),
        head=lambda: database.state,
        clock=clock,
        threads=workers.signatures,
        publish=events.publish,
        frozen=frozen,
    )


def _evidence(document: GenesisDocument, database: Database) -> EvidencePool:
    return EvidencePool(
        params=EffectiveParams(document.params).at(database.state),
        history=CommittedHistory(database),
        storage=database.evidence,
        verify=partial(verify_evidence, chain_id=document.chain_id, genesis_hash=document.hash),
        head_height=database.chain.head.height if database.chain.head else 0,
    )


def _node_info(
    config: NodeConfig,
    document: GenesisDocument,
    runner: ConsensusRunner,
    signer: FileSigner,
    network: NodeNetwork | None,
) -> LocalNode:
    """Return what a node says of itself."""
    names = {founder.validator.address: founder.name for founder in document.validators}

    def identify() -> NodeIdentity:
        return node_identity(
            id_=None if network is None else network.switch.id,
            moniker=config.p2p.moniker,
            listen_address=None if network is None else network.switch.info.listen_address,
            public_key=signer.public_key,
            validators=runner.validators if runner.view.height else document.validator_set,
        )

    def status() -> ConsensusStatus:
        return consensus_status(runner, names)

    if network is None:
        return LocalNode(network_id=document.chain_id, identify=identify, consensus=status)
    return LocalNode(
        network_id=document.chain_id,
        identify=identify,
        consensus=status,
        peers=network.peers,
        sync_progress=network.sync_progress,
    )


def _copy_at_scrape(
    metrics: NodeMetrics, info: LocalNode, pool: PoolMetrics, directory: DataDir, own: bytes | None
) -> None:
    """Register what is copied into the metrics each time they are asked for."""
    metrics.process.build_info.set(1, client_version(), str(info.network_id))
    stores = {"chain": directory.chain, "wal": directory.wal}
    metrics.registry.before_render(pool.copy)
    metrics.registry.before_render(lambda: copy_consensus(metrics.consensus, info.consensus(), own))
    metrics.registry.before_render(lambda: copy_sizes(metrics.storage, stores))
