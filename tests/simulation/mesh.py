"""Connections between whole nodes: what the switch is in production, over the plan's links.

A connection carries bytes per channel in order, has bounded queues, and ends on both sides at once. A lost message is
either lost silently or takes the connection with it. Who behaves correctly must never be blamed by who does as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.scoring import Offence

if TYPE_CHECKING:
    from tests.simulation.node_world import NodeWorld
    from tests.simulation.whole_node import WholeNode

RECONNECT_MS = 400
INNOCENT = (None, Offence.UNRESPONSIVE, Offence.USELESS)
"""What may happen to a correct peer on a bad network."""


def peer_id(index: int) -> str:
    """Return a node's 40 hex digits."""
    return f"{index:040x}"


class SimPeer:
    """`p2p.ports.PeerHandle`: one side of a connection."""

    def __init__(self, mesh: Mesh, owner: int, other: int) -> None:
        self._mesh = mesh
        self.owner = owner
        self.other = other
        self.id = peer_id(other)
        self.is_outbound = owner < other
        self.is_open = True
        self.queued: dict[int, list[int]] = {}
        """Sizes of what is on its way, by channel."""
        self.last_arrival: dict[int, float] = {}

    def send(self, channel: int, message: bytes) -> bool:
        return self.is_open and self._mesh.transmit(self, channel, message)

    def disconnect(self, reason: str, *, offence: Offence | None = None) -> None:
        if self.is_open:
            self._mesh.dropped(self, reason, offence)


class Mesh:
    """All connections of a run; everybody is connected to everybody."""

    def __init__(self, world: NodeWorld) -> None:
        self._world = world
        self._rng = world.streams["mesh"]
        self._peers: dict[tuple[int, int], SimPeer] = {}

    def connect(self, one: int, other: int) -> None:
        """Connect two nodes, now or when that is possible. A liar's side exists only in our minds."""
        world = self._world
        if (one, other) in self._peers:
            return
        is_possible = world.is_up(one) and world.is_up(other) and not world.is_cut(one, other)
        if not is_possible:
            world.later(RECONNECT_MS, self.connect, one, other)
            return
        for owner, target in ((one, other), (other, one)):
            self._peers[owner, target] = SimPeer(self, owner, target)
        for owner, target in ((one, other), (other, one)):
            if owner in world.nodes and (owner, target) in self._peers:
                world.nodes[owner].peer_added(self._peers[owner, target])

    def break_link(self, one: int, other: int, reason: str) -> None:
        """End a connection on both sides; it comes back."""
        if (one, other) not in self._peers:
            return
        for owner, target in ((one, other), (other, one)):
            peer = self._peers.pop((owner, target))
            peer.is_open = False
            if self._world.is_up(owner) and owner in self._world.nodes:
                self._world.nodes[owner].peer_removed(peer, reason)
        self._world.later(self._rng.uniform(50, 2 * RECONNECT_MS), self.connect, one, other)

    def node_down(self, index: int) -> None:
        """A node is gone: its connections end."""
        for one, other in [pair for pair in self._peers if pair[0] == index]:
            self.break_link(one, other, "connection reset")

    def dropped(self, peer: SimPeer, reason: str, offence: Offence | None) -> None:
        """A node ends a connection. Raises Violation where it blames a correct peer."""
        world = self._world
        if peer.other in world.nodes and offence not in INNOCENT:
            world.checker.fail("no false blame", f"node {peer.owner} blames {peer.other}: {reason} ({offence})")
        if offence is not None:
            world.fault("peer dropped for an offence")
        world.later(0, self.break_link, peer.owner, peer.other, reason)

    def transmit(self, peer: SimPeer, channel: int, message: bytes) -> bool:
        """Send a message of a correct node on its way; False where its queue is full."""
        world = self._world
        spec = world.specs[channel]
        queued = peer.queued.setdefault(channel, [])
        room = (not world.is_stable and world.plan.queue_messages) or spec.send_queue_messages
        if queued and (len(queued) >= room or sum(queued) + len(message) > spec.send_queue_bytes):
            world.fault("queue overflow")
            return False
        if peer.other not in world.nodes:
            world.liar_received(peer.owner, peer.other, channel, message)
            return True
        if world.holds(peer.owner, peer.other, channel, message):
            return True
        delays = world.links.fate(world.now_ms, peer.owner, peer.other, len(message), stable=world.is_stable)
        if not delays and self._rng.random() < 0.2:
            world.fault("connection reset")
            world.later(0, self.break_link, peer.owner, peer.other, "connection reset")
        for delay in delays:
            self._dispatch(peer, channel, message, delay, queued)
        return True

    def _dispatch(self, peer: SimPeer, channel: int, message: bytes, delay: float, queued: list[int]) -> None:
        """A stream keeps the order within a channel; channels overtake each other."""
        arrival = max(self._world.now_ms + delay, peer.last_arrival.get(channel, 0.0) + 0.001)
        peer.last_arrival[channel] = arrival
        queued.append(len(message))
        self._world.later(arrival - self._world.now_ms, self._arrive, peer, channel, message, queued)

    def _arrive(self, peer: SimPeer, channel: int, message: bytes, queued: list[int]) -> None:
        queued.pop(0)
        if peer.is_open:
            self.deliver(peer.owner, peer.other, channel, message)

    def deliver(self, source: int, target: int, channel: int, message: bytes) -> None:
        """Hand bytes to a node; what it finds wrong with them costs the sender the connection."""
        node: WholeNode = self._world.nodes[target]
        peer = self._peers.get((target, source))
        if peer is None or not node.is_up:
            return
        self._world.trace_message(source, target, channel, message)
        try:
            node.receive(peer, channel, message)
        except (ProtocolViolation, DecodingError) as error:
            self.dropped(peer, str(error), getattr(error, "offence", Offence.MALFORMED_MESSAGE))
