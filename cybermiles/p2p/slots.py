"""Who gets a slot: limits on sockets before the handshake, on peers after it, and which of two links stays; pure.

Before a peer has proved who it is, only its IP address counts, and cheaply: half-open connections and new ones per
time. Afterwards: inbound peers in all, per IP address and per network group. When all inbound slots are taken, a
newcomer from a group with fewer peers replaces the youngest of the largest group, so one party cannot hold them all.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.p2p.identity import NodeId, address_block, is_loopback, network_group
from cybermiles.p2p.rate_limit import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Collection

    from cybermiles.p2p.config import P2PConfig

SIMULTANEOUS_MS = 10_000
"""Two links of one pair of nodes that begin this close together come from dialing each other."""
MAX_HOSTS = 4096
"""IP addresses whose new connections are counted; the least recent are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """A peer as far as slots are concerned."""

    id: NodeId
    host: str
    is_outbound: bool
    is_persistent: bool
    since_ms: int
    """Monotonic."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to an inbound peer."""

    refusal: str | None = None
    """Why it gets no slot."""
    instead_of: NodeId | None = None
    """Whose slot it gets, where none is free."""


def admit_inbound(newcomer: Occupant, occupants: Collection[Occupant], config: P2PConfig) -> Admission:
    """Decide about an inbound peer; persistent peers are always let in."""
    if newcomer.is_persistent:
        return Admission()
    inbound = [o for o in occupants if not o.is_outbound and not o.is_persistent and o.id != newcomer.id]
    block = address_block(newcomer.host)
    if sum(address_block(o.host) == block for o in inbound) >= config.max_inbound_per_ip:
        return Admission(refusal=f"{config.max_inbound_per_ip} peers from this IP address are connected")
    groups = Counter(network_group(o.host) for o in inbound)
    mine = network_group(newcomer.host)
    if groups[mine] >= config.max_inbound_per_group:
        return Admission(refusal=f"{config.max_inbound_per_group} peers from this network are connected")
    if len(inbound) < config.max_inbound:
        return Admission()
    largest, size = max(groups.items(), key=lambda item: item[1], default=("", 0))
    if size <= groups[mine] + 1:
        return Admission(refusal="all inbound slots are taken")
    youngest = max((o for o in inbound if network_group(o.host) == largest), key=lambda o: o.since_ms)
    return Admission(instead_of=youngest.id)


def replaces(own_id: NodeId, old: Occupant, new: Occupant) -> bool:
    """Tell whether the new link to a node replaces the old one; both ends decide alike.

    Two that dialed each other keep the link that the smaller id dialed. Otherwise the newer link wins: its dialer does
    not know of the older one any more, which is dead then even where this end has not noticed.
    """
    if old.is_outbound == new.is_outbound or new.since_ms - old.since_ms > SIMULTANEOUS_MS:
        return True
    return new.is_outbound == (own_id < new.id)


class Gate:
    """Counts connections from outside until their handshakes end.

    Strangers at a few addresses can keep all handshakes busy. Hosts of persistent peers, where they are configured by
    IP address, shake hands nevertheless: they have only the limits of one address.
    """

    def __init__(self, config: P2PConfig) -> None:
        self._config = config
        hosts = (address.endpoint.host for address in config.persistent_peers)
        self._reserved = frozenset(address_block(host) for host in hosts if not is_loopback(host))
        self._half_open: Counter[str] = Counter()
        self._opened: OrderedDict[str, TokenBucket] = OrderedDict()

    def enter(self, host: str, now_ms: int) -> str | None:
        """Count a new connection in and return None, or return why it is closed at once."""
        config, block = self._config, address_block(host)
        if block not in self._reserved and self._half_open.total() >= config.max_half_open:
            return "too many handshakes at once"
        if not is_loopback(host):
            if self._half_open[block] >= config.max_half_open_per_ip:
                return "too many handshakes from this IP address"
            if not self._may_open(block, now_ms):
                return "too many connections from this IP address"
        self._half_open[block] += 1
        return None

    def leave(self, host: str) -> None:
        """Count the connection out: its handshake ended, well or badly."""
        block = address_block(host)
        self._half_open[block] -= 1
        if self._half_open[block] <= 0:
            del self._half_open[block]

    def _may_open(self, block: str, now_ms: int) -> bool:
        """Each token is one millisecond of the refill time, which keeps the rate an integer."""
        cost = self._config.accept_refill_ms
        bucket = self._opened.setdefault(block, TokenBucket(1000, self._config.accepts_per_ip * cost, now_ms))
        self._opened.move_to_end(block)
        while len(self._opened) > MAX_HOSTS:
            self._opened.popitem(last=False)
        return bucket.allow(now_ms, cost)
