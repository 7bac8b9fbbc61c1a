"""The network's side of a node: the switch, what is spoken over it, and block sync, wired together.

consensus, mempool, evidence, blocks, addresses ──► Switch ──► TCP
│                            ▲
└── runner, pool, store      └── sync service: whom to ask for which block
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles import __version__
from cybermiles.node.metering import MeteredGossip
from cybermiles.node.peer_view import peer_statuses
from cybermiles.p2p.book_file import BookFile, new_book
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.reactors.block_sync import BlockSyncReactor
from cybermiles.p2p.reactors.consensus import ConsensusReactor
from cybermiles.p2p.reactors.evidence import EvidenceReactor
from cybermiles.p2p.reactors.mempool import MempoolReactor
from cybermiles.p2p.reactors.pex import PexReactor
from cybermiles.p2p.reactors.state_sync import StateSyncReactor
from cybermiles.p2p.switch import Environment, Switch
from cybermiles.p2p.transport import TcpNetwork
from cybermiles.rpc.ports import SyncProgress
from cybermiles.runtime.randomness import SystemRandomness
from cybermiles.sync.progress import progress_output
from cybermiles.sync.service import SyncService

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from cybermiles.application.application import ChainApplication
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.consensus.evidence_pool import EvidencePool
    from cybermiles.consensus.runner import ConsensusRunner
    from cybermiles.mempool.service import MempoolService
    from cybermiles.node.config import NodeConfig
    from cybermiles.node.data_dir import DataDir
    from cybermiles.node.metrics import NodeMetrics
    from cybermiles.node.snapshots import Snapshots
    from cybermiles.rpc.node_status import PeerStatus
    from cybermiles.runtime.clock import Clock
    from cybermiles.runtime.executor import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What of the node the network speaks for."""

    runner: ConsensusRunner
    mempool: MempoolService
    evidence: EvidencePool
    application: ChainApplication
    metrics: NodeMetrics
    snapshots: Snapshots
    clock: Clock
    disk: Worker
    """The thread that waits for files."""


class NodeNetwork:
    """Everything that talks to peers. Each of `tasks` belongs to the supervisor."""

    def __init__(
        self,
        config: NodeConfig,
        directory: DataDir,
        document: GenesisDocument,
        parts: Parts,
    ) -> None:
        """Wire it; nothing listens before `start`."""
        clock = parts.clock
        key, randomness = directory.load_or_create_node_key(), SystemRandomness()
        book, book_file = new_book(config.p2p, key.id, randomness), BookFile(directory.address_book, parts.disk)
        book_file.load(book)
        runner, application, metrics = parts.runner, parts.application, parts.metrics
        self._start_height = application.height
        self._metrics = metrics
        metrics.registry.before_render(self._copy_metrics)
        self._application = application
        self.sync = SyncService(runner, clock, height=application.height, output=progress_output(sys.stderr))
        self._consensus = ConsensusReactor(runner, clock)
        runner.join(MeteredGossip(self._consensus, metrics.consensus, clock))
        self._blocks = BlockSyncReactor(application, self.sync, clock, max_block_bytes=document.params.max_value_bytes)
        self.sync.join(self._blocks)
        self._transactions = MempoolReactor(parts.mempool, lambda: self.sync.is_catching_up, clock)
        self._evidence = EvidenceReactor(parts.evidence, self._consensus.peer_height, clock, arrived=runner.wake)
        self._snapshots = parts.snapshots
        self._states = StateSyncReactor(parts.snapshots, clock)
        self._addresses = PexReactor(config.p2p, book, clock) if config.p2p.pex else None
        self.switch = Switch(
            config.p2p,
            key,
            NodeInfo(
                chain_id=document.chain_id,
                genesis_hash=document.hash,
                software_version=f"cybermiles/v{__version__}",
            ),
            [
                reactor
                for reactor in (
                    self._consensus,
                    self._transactions,
                    self._evidence,
                    self._blocks,
                    self._states,
                    self._addresses,
                )
                if reactor is not None
            ],
            Environment(network=TcpNetwork(), clock=clock, randomness=randomness, book_file=book_file),
            book,
        )

    async def start(self) -> None:
        """Accept peers from now on. Raises OSError where the address is taken."""
        await self.switch.listen()

    def tasks(self) -> dict[str, Coroutine[Any, Any, Any]]:
        """Return what has to run, by name."""
        tasks: dict[str, Coroutine[Any, Any, Any]] = {
            "consensus gossip": self._consensus.run(),
            "transaction gossip": self._transactions.run(),
            "evidence gossip": self._evidence.run(),
            "block service": self._blocks.run(),
            "block sync": self.sync.run(),
            "state service": self._states.run(),
            "snapshots": self._snapshots.run(),
            "switch": self.switch.run(),
        }
        if self._addresses is not None:
            tasks["peer exchange"] = self._addresses.run()
        return tasks

    def peers(self) -> Sequence[PeerStatus]:
        """Return the connected peers with the heights they say they have."""
        return peer_statuses(self.switch, self.sync.heights)

    def sync_progress(self) -> SyncProgress | None:
        """Return how far block sync has come, None where the node is not behind."""
        if not self.sync.is_catching_up:
            return None
        return SyncProgress(self._start_height, self._application.height, self.sync.best_height)

    def _copy_metrics(self) -> None:
        """Bring the metrics of peers and of block sync up to date."""
        metrics = self._metrics
        self.switch.publish(metrics.p2p)
        metrics.block_sync.syncing.set(int(self.sync.is_catching_up))
        metrics.block_sync.latest_block_height.set(self._application.height)
        metrics.block_sync.target_height.set(self.sync.best_height)
