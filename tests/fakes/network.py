"""A network in memory: hosts by name, streams without loss or delay, driven by a clock that tests move."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cybermiles.p2p.book_file import new_book
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.identity import Endpoint, NodeKey, PeerAddress
from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.switch import Environment, Switch
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.randomness import SeededRandomness

BUFFER_BYTES = 1 << 17


class MemoryPipe:
    """One direction of a stream."""

    def __init__(self):
        self.data = bytearray()
        self.closed = False
        self.changed = asyncio.Event()

    def touch(self):
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(eq=False)
class MemoryConnection:
    """One end of a stream."""

    remote_host: str
    remote_port: int
    incoming: MemoryPipe
    outgoing: MemoryPipe
    is_open: bool = True

    async def read(self, limit):
        pipe = self.incoming
        while not pipe.data and not pipe.closed:
            await pipe.changed.wait()
        data = bytes(pipe.data[:limit])
        del pipe.data[:limit]
        pipe.touch()
        return data

    async def write(self, data):
        pipe = self.outgoing
        if pipe.closed:
            raise ConnectionResetError("the other end is closed")
        pipe.data += data
        pipe.touch()
        while len(pipe.data) > BUFFER_BYTES and not pipe.closed:
            await pipe.changed.wait()

    def close(self):
        self.is_open = False
        for pipe in (self.incoming, self.outgoing):
            pipe.closed = True
            pipe.touch()


class MemoryListener:
    def __init__(self, world, key):
        self.world, self.key, self.port = world, key, key[1]

    def close(self):
        self.world.listeners.pop(self.key, None)


@dataclass
class World:
    """All hosts, and the connections between them."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(1_700_000_000_000))
    listeners: dict = field(default_factory=dict)
    connections: list = field(default_factory=list)
    silent: set = field(default_factory=set)
    """Hosts that take connections and never answer the network's side of it."""
    dials: list = field(default_factory=list)

    def at(self, host):
        return MemoryNetwork(self, host)


@dataclass
class MemoryNetwork:
    """The world as one host sees it."""

    world: World
    host: str

    async def listen(self, host, port, accept):
        key = (self.host, port or 26_656)
        if key in self.world.listeners:
            raise OSError("address in use")
        self.world.listeners[key] = accept
        return MemoryListener(self.world, key)

    async def dial(self, host, port):
        self.world.dials.append((self.host, host))
        if host in self.world.silent:
            await asyncio.Event().wait()
        accept = self.world.listeners.get((host, port))
        if accept is None:
            raise ConnectionRefusedError(f"{host}:{port} refused the connection")
        there, back = MemoryPipe(), MemoryPipe()
        ours, theirs = MemoryConnection(host, port, back, there), MemoryConnection(self.host, 40_000, there, back)
        self.world.connections.append((ours, theirs))
        accept(theirs)
        return ours


class Recorder:
    """A reactor that writes down what it hears; `on_receive` may do more."""

    def __init__(self, *channels, on_receive=None):
        self.channels = channels or (ChannelSpec(0x22, 10, 1 << 20),)
        self.peers, self.log, self.messages = {}, [], []
        self.on_receive = on_receive
        self.news = asyncio.Event()

    async def until(self, condition):
        """Return when what was heard fulfils the condition."""
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def peer_added(self, peer):
        assert peer.id not in self.peers
        self.peers[peer.id] = peer
        self.log.append(("added", peer.id))
        self.news.set()

    def peer_removed(self, peer, reason):
        assert self.peers.pop(peer.id) is peer
        self.log.append(("removed", peer.id, reason))
        self.news.set()

    def receive(self, peer, channel, message):
        assert self.peers[peer.id] is peer
        self.messages.append((peer.id, channel, message))
        self.news.set()
        if self.on_receive:
            self.on_receive(peer, channel, message)


class Node:
    """A switch with a recorder, at a host of the world, or on the network that is given."""

    def __init__(self, world, index, host=None, *, reactors=(), book_file=None, key=None, network=None, **config):
        self.world, self.host = world, host or f"{10 + index}.0.0.1"
        self.key = key or NodeKey.from_private(bytes([index]) * 32)
        chain = config.pop("chain", {})
        options = {"listen_host": "0.0.0.0", "dial_interval_ms": 100} | config
        self.config = P2PConfig(**options)
        self.recorder = Recorder()
        randomness = SeededRandomness(index)
        self.book = new_book(self.config, self.key.id, randomness)
        environment = Environment(
            network=network or world.at(self.host), clock=world.clock, randomness=randomness, book_file=book_file
        )
        info = NodeInfo(**({"chain_id": 18, "genesis_hash": bytes(32), "software_version": "test"} | chain))
        made = [make(self) for make in reactors]
        self.reactors = made
        self.switch = Switch(self.config, self.key, info, [self.recorder, *made], environment, self.book)
        self.task = None

    @property
    def id(self):
        return self.key.id

    @property
    def address(self):
        return PeerAddress(self.key.id, Endpoint(self.host, self.switch.port or 26_656))

    @property
    def peers(self):
        return sorted(self.recorder.peers)

    async def start(self):
        await self.switch.listen()
        self.task = asyncio.create_task(self.switch.run())
        return self

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def settle(turns=60):
    """Let everything happen that needs no time."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def pass_time(world, milliseconds, step=100):
    """Move the clock on in steps, settling after each."""
    for _ in range(0, milliseconds, step):
        world.clock.advance(step)
        await settle()
