"""`admin_*`: the node and its peers with their addresses, for its operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.methods import Method
from cybermiles.rpc.namespaces.cmt_network import PEERS_WEIGHT, render_peer
from cybermiles.rpc.quantities import encode_data

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, NodeInfo


class Admin:
    """The admin namespace. It reads; what changes a node is done by `cmt` and its configuration."""

    def __init__(self, chain: ChainReader, info: NodeInfo) -> None:
        self._chain = chain
        self._info = info

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="admin_nodeInfo", handler=self.node_info),
            Method(name="admin_peers", handler=self.peers, weight=PEERS_WEIGHT),
        )

    def node_info(self) -> Json:
        """Say who the node is to others, in geth's shape."""
        identity, height = self._info.identity, self._chain.head_height()
        head, genesis = self._chain.header(height), self._chain.header(0)
        return {
            "id": identity.id,
            "name": self._info.client_version,
            "moniker": identity.moniker,
            "listenAddr": identity.listen_address,
            "protocols": {
                "cmt": {
                    "network": self._info.network_id,
                    "genesis": None if genesis is None else encode_data(genesis.hash),
                    "head": None if head is None else encode_data(head.hash),
                    "height": hex(height),
                }
            },
        }

    def peers(self) -> Json:
        """Return the connected peers with their addresses."""
        return [render_peer(peer, with_address=True) for peer in self._info.peers()]
