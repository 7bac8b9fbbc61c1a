"""Constructs every object of a node, explicitly, from the bottom up. No container, no registry.

Foundation   store, threads, clock, events, metrics: as long as the process
ChainParts   database, pool, signer, engine and more: anew where a chain for development takes blocks back
Components   what stands on a LiveChain and looks at its parts: RPC, network, metrics
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.node.calls.pool import CallPool, open_pool
from cybermiles.node.chain_view import ChainView
from cybermiles.node.consensus_view import consensus_status, node_identity
from cybermiles.node.console import Console
from cybermiles.node.dev_parts import DevClock
from cybermiles.node.development import Development
from cybermiles.node.events import EventFeed
from cybermiles.node.foundation import open_foundation
from cybermiles.node.info import LocalNode, client_version
from cybermiles.node.live_chain import LiveChain
from cybermiles.node.metrics import copy_consensus, copy_sizes, copy_sync
from cybermiles.node.network import NodeNetwork, Parts
from cybermiles.node.pool_view import PoolView
from cybermiles.rpc.metrics import RequestCounter
from cybermiles.rpc.operator_pages import OperatorPages
from cybermiles.rpc.operator_server import OperatorServer
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.rpc.verification.api import VerificationApi
from cybermiles.rpc.verification.service import VerificationService

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.chain_parts import ChainParts
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.node.foundation import Foundation, Workers
    from cybermiles.node.metrics import NodeMetrics
    from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity
    from cybermiles.rpc.server import RpcServer
    from cybermiles.runtime.clock import Clock
    from cybermiles.storage.leveldb import LevelDB


@dataclass(frozen=True, slots=True)
class Components:
    """What `node.node` starts and stops."""

    store: LevelDB
    chain: LiveChain
    network: NodeNetwork | None
    """None for a node that talks to no other."""
    rpc: RpcServer | None
    calls: CallPool
    """Runs what the RPC server asks for, once it is started."""
    console: Console | None
    """None but on a chain for development."""
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
        self.chain.parts.signer.close()
        self.store.close()


def build(config: NodeConfig, directory: DataDir, document: GenesisDocument, workers: Workers) -> Components:
    """Open the store, check it, and wire a node."""
    foundation = open_foundation(config, directory, document, workers)
    chain = LiveChain(foundation)
    network = _network(foundation, chain.parts) if config.p2p_enabled else None
    info = _node_info(foundation, chain, network)
    calls = open_pool(document, config.rpc.limits, foundation.store, foundation.clock, foundation.metrics)
    view = ChainView(chain.parts.database, document.chain_id, document.params, chain.parts.mempool.candidates)
    pool = PoolView(chain.parts.mempool)

    def look_at(parts: ChainParts) -> None:
        calls.forget()
        view.look_at(parts.database, parts.mempool.candidates)
        pool.look_at(parts.mempool)
        foundation.metrics.consensus.latest_block_height.set(parts.height)

    chain.follow(look_at)
    console = Console(calls, foundation.store) if document.dev else None
    _copy_at_scrape(foundation, chain, info, view)
    feed = EventFeed(foundation.events)
    verification = _verification(foundation, view)
    pages = OperatorPages(view, info, foundation.clock, foundation.metrics.registry)
    served = RpcPorts(
        chain=view,
        executor=calls if console is None else console,
        pool=pool,
        info=info,
        events=feed,
        clock=foundation.clock,
        id_secret=secrets.token_bytes(32),
        observer=RequestCounter(foundation.metrics.rpc),
        development=_development(foundation, chain),
        pages=pages,
        verification=verification,
    )
    return Components(
        store=foundation.store,
        chain=chain,
        network=network,
        calls=calls,
        console=console,
        rpc=build_server(config.rpc, served) if config.rpc_enabled else None,
        verification=None if verification is None else verification.service,
        operators=_operators(config, pages),
        metrics=foundation.metrics,
        events=feed,
        clock=foundation.clock,
    )


def _network(foundation: Foundation, parts: ChainParts) -> NodeNetwork:
    """Return what speaks for these parts; on a chain that others have, they stay."""
    spoken_for = Parts(
        runner=parts.engine,
        mempool=parts.mempool,
        evidence=parts.evidence,
        application=parts.application,
        metrics=foundation.metrics,
        snapshots=parts.snapshots,
        clock=foundation.clock,
        disk=foundation.workers.log,
    )
    return NodeNetwork(foundation.config, foundation.directory, foundation.document, spoken_for)


def _development(foundation: Foundation, chain: LiveChain) -> Development | None:
    if not isinstance(foundation.clock, DevClock):
        return None
    return Development(
        foundation.clock,
        chain,
        interval_ms=chain.parts.engine.interval_ms,
        genesis_time=foundation.document.timestamp,
    )


def _verification(foundation: Foundation, view: ChainView) -> VerificationApi | None:
    config = foundation.config
    if config.verify is None or not config.rpc_enabled:
        return None
    service = VerificationService(
        config.verify,
        chain=view,
        directory=foundation.directory.verified,
        worker=foundation.workers.verification,
        clock=foundation.clock,
    )
    return VerificationApi(service, view.chain_id, body_timeout_seconds=config.rpc.limits.body_timeout_seconds)


def _operators(config: NodeConfig, pages: OperatorPages) -> OperatorServer | None:
    listen = config.metrics_listen
    return None if listen is None else OperatorServer(listen.host, listen.port, pages)


def _node_info(foundation: Foundation, chain: LiveChain, network: NodeNetwork | None) -> LocalNode:
    """Return what a node says of itself."""
    config, document = foundation.config, foundation.document
    names = {founder.validator.address: founder.name for founder in document.validators}

    def identify() -> NodeIdentity:
        runner = chain.parts.engine
        return node_identity(
            id_=None if network is None else network.switch.id,
            moniker=config.p2p.moniker,
            listen_address=None if network is None else network.switch.info.listen_address,
            public_key=chain.parts.signer.public_key,
            validators=runner.validators if runner.view.height else document.validator_set,
        )

    def status() -> ConsensusStatus:
        return consensus_status(chain.parts.engine, names)

    if network is None:
        return LocalNode(network_id=document.chain_id, identify=identify, consensus=status)
    return LocalNode(
        network_id=document.chain_id,
        identify=identify,
        consensus=status,
        peers=network.peers,
        sync_progress=network.sync_progress,
    )


def _copy_at_scrape(foundation: Foundation, chain: LiveChain, info: LocalNode, view: ChainView) -> None:
    """Register what is copied into the metrics each time they are asked for."""
    metrics, directory = foundation.metrics, foundation.directory
    own = chain.parts.signer.address
    metrics.process.build_info.set(1, client_version(), str(info.network_id))
    stores = {"chain": directory.chain, "wal": directory.wal}

    def copy_pool() -> None:
        chain.parts.pool_metrics.copy()

    metrics.registry.before_render(copy_pool)
    metrics.registry.before_render(lambda: copy_consensus(metrics.consensus, info.consensus(), own))
    metrics.registry.before_render(lambda: copy_sizes(metrics.storage, stores))
    metrics.registry.before_render(lambda: copy_sync(metrics.block_sync, info.syncing, view.head_height()))
