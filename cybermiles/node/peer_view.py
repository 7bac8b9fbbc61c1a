"""Connected peers as RPC shows them: the switch knows the links, block sync what each peer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cybermiles.p2p.identity import Endpoint
from cybermiles.rpc.node_status import PeerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cybermiles.p2p import switch


class Network(Protocol):
    """What is read of `p2p.switch.Switch`."""

    @property
    def departures(self) -> Iterable[switch.Departure]: ...

    def peers(self) -> tuple[switch.PeerStatus, ...]:
        """Return who is connected."""
        ...


def peer_statuses(network: Network, heights: Callable[[str], tuple[int, int] | None]) -> tuple[PeerStatus, ...]:
    """Return the connected peers; `heights` maps a node id to the (oldest, newest) height the peer said it has."""
    reasons = {departure.id: departure.reason for departure in network.departures}
    found = []
    for peer in network.peers():
        known = heights(peer.id)
        found.append(
            PeerStatus(
                id=peer.id,
                address=str(Endpoint(peer.host, peer.port)),
                is_outbound=peer.is_outbound,
                score=peer.score,
                last_reason=reasons.get(peer.id),
                height=None if known is None else known[1],
                base_height=None if known is None else known[0],
            )
        )
    return tuple(found)
