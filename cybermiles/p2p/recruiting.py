"""Who should be connected and is not: persistent peers, then anchors, the address book, and seeds at last; pure.

Outbound peers of our own choice are each of another network group, also among those being dialed, so that the ids one
party holds in few networks cannot become most of our peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.p2p.dialing import DialPlan
from cybermiles.p2p.identity import Endpoint, PeerAddress, network_group

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cybermiles.p2p.address_book import AddressBook
    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import NodeId
    from cybermiles.p2p.node_info import NodeInfo
    from cybermiles.p2p.slots import Occupant

SEED_BASE_MS = 10_000
"""Delay before a seed is asked again; doubles, since a seed that could not help now will not in a second."""
SEED_CAP_MS = 600_000


class Recruiter:
    """Remembers how dialing went and says whom to dial next. Times ending in `wall_ms` are since 1970."""

    def __init__(self, config: P2PConfig, own_id: NodeId, book: AddressBook, below: Callable[[int], int]) -> None:
        self._config = config
        self._own_id = own_id
        self._book = book
        self._below = below
        self._persistent = DialPlan(
            config.persistent_peers, base_ms=config.reconnect_base_ms, cap_ms=config.reconnect_cap_ms, below=below
        )
        self._seeds = DialPlan(config.seeds, base_ms=SEED_BASE_MS, cap_ms=SEED_CAP_MS, below=below)
        self._anchors = list(book.anchors)

    def is_persistent(self, node_id: NodeId) -> bool:
        """Whether the node is one of the configured persistent peers."""
        return node_id in self._persistent

    def linked(self, node_id: NodeId, now_ms: int) -> None:
        """Note a link, whoever dialed."""
        self._persistent.linked(node_id, now_ms)
        self._seeds.linked(node_id, now_ms)

    def lost(self, node_id: NodeId, now_ms: int) -> None:
        """Note the end of a link."""
        self._persistent.lost(node_id, now_ms)
        self._seeds.lost(node_id, now_ms)

    def failed(self, address: PeerAddress, now_ms: int, wall_ms: int) -> None:
        """Note a dial that led to no link."""
        self.lost(address.id, now_ms)
        self._book.failed(address.id, wall_ms)

    def learn(self, node_id: NodeId, info: NodeInfo, host: str) -> None:
        """Take what an inbound peer says about where it listens; its own IP address where it names none."""
        told = info.listen_endpoint
        if told is None or told.port == 0 or not self._config.pex:
            return
        reachable = told.ip is not None and not told.ip.is_unspecified
        self._book.add(PeerAddress(node_id, told if reachable else Endpoint(host, told.port)), host)

    def whom_to_dial(
        self,
        now_ms: int,
        wall_ms: int,
        occupants: Collection[Occupant],
        dialing: Mapping[NodeId, PeerAddress],
        is_banned: Callable[[PeerAddress], bool],
    ) -> list[PeerAddress]:
        """Return the addresses to dial now."""
        busy = {self._own_id, *dialing, *(o.id for o in occupants)}
        wanted = self._persistent.due(now_ms, busy)
        if not self._config.pex:
            return wanted
        busy.update(a.id for a in self._config.persistent_peers)
        hosts = [a.endpoint.host for a in dialing.values() if not self.is_persistent(a.id)]
        hosts += [o.host for o in occupants if o.is_outbound and not o.is_persistent]
        groups = {network_group(host) for host in hosts}
        for _ in range(self._config.max_outbound - len(hosts)):
            address = self._next(now_ms, wall_ms, busy, groups)
            if address is None:
                break
            busy.add(address.id)
            if is_banned(address):
                self._book.failed(address.id, wall_ms)
            else:
                groups.add(network_group(address.endpoint.host))
                wanted.append(address)
        return wanted

    def _next(self, now_ms: int, wall_ms: int, busy: set[NodeId], groups: set[str]) -> PeerAddress | None:
        while self._anchors:
            anchor = self._anchors.pop(0)
            if anchor.id not in busy and network_group(anchor.endpoint.host) not in groups:
                return anchor
        address = self._book.choose(wall_ms, skip=busy, groups=groups)
        if address is not None:
            return address
        seeds = self._seeds.due(now_ms, busy)
        return seeds[self._below(len(seeds))] if seeds else None
