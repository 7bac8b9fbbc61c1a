"""`rpc.ports.NodeInfo` of a node without peers."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from cybermiles import __version__

if TYPE_CHECKING:
    from cybermiles.rpc.ports import SyncProgress


class LocalNode:
    """A node of a one-validator network: it has no peers and is never behind."""

    def __init__(self, network_id: int) -> None:
        self._network_id = network_id

    @property
    def client_version(self) -> str:
        return f"cybermiles/v{__version__}/{platform.system().lower()}/python{platform.python_version()}"

    @property
    def network_id(self) -> int:
        return self._network_id

    @property
    def peer_count(self) -> int:
        return 0

    @property
    def listening(self) -> bool:
        return False

    @property
    def syncing(self) -> SyncProgress | None:
        return None
