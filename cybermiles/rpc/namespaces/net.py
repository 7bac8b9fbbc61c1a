"""`net_*`: the network and the peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.methods import Method

if TYPE_CHECKING:
    from cybermiles.rpc.ports import NodeInfo


class Net:
    """The net namespace."""

    def __init__(self, info: NodeInfo) -> None:
        self._info = info

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="net_version", handler=self.version),
            Method(name="net_listening", handler=self.listening),
            Method(name="net_peerCount", handler=self.peer_count),
        )

    def version(self) -> str:
        """Return the network id as a decimal string."""
        return str(self._info.network_id)

    def listening(self) -> bool:
        """Whether peers can connect."""
        return self._info.listening

    def peer_count(self) -> str:
        """Return the number of connected peers."""
        return hex(self._info.peer_count)
