"""A network of reactors in one process: virtual time, latency, bandwidth and bounded queues; no sockets, no sleeping."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count


class VirtualClock:
    """Time that the network moves."""

    def __init__(self):
        self.ms = 0.0

    def now_ms(self):
        return int(self.ms) + 1_700_000_000_000

    def monotonic(self):
        return self.ms / 1000

    async def sleep(self, seconds):
        raise NotImplementedError


class FakePeer:
    """A handle without a network: what is sent is kept, and may be refused."""

    def __init__(self, id_="peer", *, is_outbound=False):
        self.id = id_
        self.is_outbound = is_outbound
        self.sent = []
        self.accepts = True
        self.disconnected = None

    def send(self, channel, message):
        if not self.accepts or self.disconnected:
            return False
        self.sent.append((channel, message))
        return True

    def disconnect(self, reason, *, offence=None):
        self.disconnected = (reason, offence)

    def take(self):
        sent, self.sent = self.sent, []
        return sent


@dataclass
class Link:
    """One direction between two nodes; a message occupies it for its size, the most urgent channel first."""

    net: Network
    source: str
    target: str
    latency_ms: float
    bytes_per_ms: float
    queues: dict = field(default_factory=dict)
    busy: bool = False
    is_open: bool = True

    def put(self, channel, message):
        if not self.is_open:
            return False
        spec = self.net.specs[channel]
        if not 0 < len(message) <= spec.max_message_bytes:
            raise ValueError(f"{len(message)} bytes on {channel:#x}")
        queue = self.queues.setdefault(channel, deque())
        size = sum(len(m) for m in queue)
        if queue and (len(queue) >= spec.send_queue_messages or size + len(message) > spec.send_queue_bytes):
            return False
        queue.append(message)
        if not self.busy:
            self._next()
        return True

    def _next(self):
        waiting = [c for c, queue in self.queues.items() if queue]
        self.busy = bool(waiting)
        if not waiting:
            return
        channel = max(waiting, key=lambda c: self.net.specs[c].priority)
        message = self.queues[channel].popleft()
        duration = len(message) / self.bytes_per_ms
        self.net.at(duration, self._next)
        self.net.at(duration + self.latency_ms, lambda: self.net.deliver(self, channel, message))


@dataclass
class Handle:
    """The seam's PeerHandle over a Link."""

    link: Link
    is_outbound: bool = False
    disconnected: tuple | None = None

    @property
    def id(self):
        return self.link.target

    def send(self, channel, message):
        return self.link.put(channel, message)

    def disconnect(self, reason, *, offence=None):
        self.disconnected = (reason, offence)
        self.link.net.disconnect(self.link.source, self.link.target, reason, offence)


class Network:
    """Nodes with one reactor each."""

    def __init__(self, specs, *, soon_ms=20):
        self.clock = VirtualClock()
        self.specs = {spec.id: spec for spec in specs}
        self.soon_ms = soon_ms
        self.reactors = {}
        self.handles = {}
        self.received_bytes = Counter()
        self.messages = Counter()
        self.drops = []
        self._events = []
        self._order = count()
        self._ticks = {}

    def add(self, name, reactor):
        self.reactors[name] = reactor
        self.soon(name)

    def connect(self, one, other, latency_ms=1.0, bytes_per_ms=1e6):
        for source, target in ((one, other), (other, one)):
            self.handles[source, target] = Handle(Link(self, source, target, latency_ms, bytes_per_ms))
        for source, target in ((one, other), (other, one)):
            self.reactors[source].peer_added(self.handles[source, target])
            self.soon(source)

    def disconnect(self, one, other, reason, offence):
        self.drops.append((one, other, reason, offence))
        for source, target in ((one, other), (other, one)):
            handle = self.handles.pop((source, target), None)
            if handle is not None:
                handle.link.is_open = False
                self.at(0, lambda s=source, h=handle: self.reactors[s].peer_removed(h, reason))

    def at(self, delay_ms, call):
        heapq.heappush(self._events, (self.clock.ms + delay_ms, next(self._order), call))

    def deliver(self, link, channel, message):
        if not link.is_open:
            return
        self.received_bytes[link.target] += len(message)
        self.messages[link.target, channel] += 1
        self.reactors[link.target].receive(self.handles[link.target, link.source], channel, message)
        self.soon(link.target)

    def soon(self, name):
        self._tick_at(name, self.clock.ms + self.soon_ms)

    def _tick_at(self, name, ms):
        if self._ticks.get(name, float("inf")) > ms:
            self._ticks[name] = ms
            self.at(ms - self.clock.ms, lambda: self._tick(name, ms))

    def _tick(self, name, ms):
        if self._ticks.get(name) != ms:
            return
        del self._ticks[name]
        due = self.reactors[name].tick(int(self.clock.ms))
        self._tick_at(name, max(due, self.clock.ms + 1))

    def run(self, until_ms=float("inf"), stop=lambda: False):
        while self._events and self._events[0][0] <= until_ms and not stop():
            self.clock.ms, _, call = heapq.heappop(self._events)
            call()
        if until_ms != float("inf") and not stop():
            self.clock.ms = max(self.clock.ms, until_ms)


def regular_graph(nodes, degree):
    """Return edges in which every node has `degree` neighbours: a ring with the same chords everywhere."""
    chords = [1, 5, 8, 3, 2, 4, 6, 7, 9, 10]
    edges = {}
    for chord in [c for c in chords if c <= nodes // 2]:
        if len(edges) * 2 >= nodes * degree:
            break
        for node in range(nodes):
            edges[tuple(sorted((node, (node + chord) % nodes)))] = None
    return list(edges)
