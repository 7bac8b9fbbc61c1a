"""`rpc.ports.NodeInfo`: the node's own answers, asked of whoever knows at the time."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, PeerStatus
    from cybermiles.rpc.ports import SyncProgress


def client_version() -> str:
    """Return for example "cybermiles/v1.0.0/linux/python3.11.7"."""
    return f"cybermiles/v{__version__}/{platform.system().lower()}/python{platform.python_version()}"


def no_peers() -> Sequence[PeerStatus]:
    """Answer for a node without a network."""
    return ()


def not_syncing() -> SyncProgress | None:
    """Answer for a node that is never behind."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A node as a set of questions; each is answered when it is asked."""

    network_id: int
    identify: Callable[[], NodeIdentity]
    consensus: Callable[[], ConsensusStatus]
    peers: Callable[[], Sequence[PeerStatus]] = no_peers
    sync_progress: Callable[[], SyncProgress | None] = not_syncing

    @property
    def client_version(self) -> str:
        return client_version()

    @property
    def peer_count(self) -> int:
        return len(self.peers())

    @property
    def listening(self) -> bool:
        return self.identity.listen_address is not None

    @property
    def syncing(self) -> SyncProgress | None:
        return self.sync_progress()

    @property
    def identity(self) -> NodeIdentity:
        return self.identify()
