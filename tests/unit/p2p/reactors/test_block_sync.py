"""The block sync reactor: asking, serving within bounds, announcing; and two of them with a service between."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.reactors.block_sync import (
    BLOCK_SYNC_CHANNEL,
    MAX_LOADED,
    MAX_OPEN_REQUESTS,
    STATUS_BURST,
    STATUS_MS,
    BlockSyncReactor,
)
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.block_sync import (
    MAX_MESSAGE_BYTES,
    BlockRequest,
    BlockResponse,
    NoBlock,
    Status,
    decode_block_sync,
    encode_block_sync,
)
from cybermiles.sync.actions import Fault, SuppliedBlock
from cybermiles.sync.service import SyncService
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import Hash32
from tests.fakes.consensus import LoopClock, VirtualLoop
from tests.fakes.gossip import FakePeer, VirtualClock
from tests.unit.sync.test_service import Follower


def commit(height):
    return Commit(height, 0, Hash32(height.to_bytes(32)), (bytes(64), None))


class Chain:
    """The port `BlockSource`."""

    def __init__(self, height, base=1):
        self.base, self.height = base, height
        self.loads = []

    async def load(self, height):
        self.loads.append(height)
        return (b"%d" % height, commit(height)) if self.base <= height <= self.height else None


class Service:
    """The port `Syncing`: writes down what it is told."""

    def __init__(self):
        self.told = []

    def status(self, *what):
        self.told.append(("status", *what))

    def received(self, block):
        self.told.append(("received", block))

    def no_block(self, *what):
        self.told.append(("no block", *what))

    def removed(self, *what):
        self.told.append(("removed", *what))


class Node:
    def __init__(self, height=9, base=1):
        self.clock = VirtualClock()
        self.chain = Chain(height, base)
        self.service = Service()
        self.reactor = BlockSyncReactor(self.chain, self.service, self.clock)

    def peer(self, id_="peer"):
        peer = FakePeer(id_)
        self.reactor.peer_added(peer)
        return peer

    def say(self, peer, message):
        self.reactor.receive(peer, BLOCK_SYNC_CHANNEL, encode_block_sync(message))

    def serve(self):
        return asyncio.run(self.reactor._serve())


def heard(peer):
    return [decode_block_sync(message) for _, message in peer.take()]


def test_a_newcomer_hears_our_heights_and_everybody_when_they_change():
    node = Node(height=9, base=3)
    peer = node.peer()
    assert heard(peer) == [Status(3, 9)]
    node.reactor.tick(0)
    peer.take()
    node.chain.height = 10
    node.reactor.tick(STATUS_MS - 1)
    assert heard(peer) == []
    node.reactor.tick(STATUS_MS)
    assert heard(peer) == [Status(3, 10)]
    node.reactor.tick(2 * STATUS_MS)
    assert heard(peer) == []


def test_an_empty_chain_serves_nothing():
    node = Node(height=0, base=1)
    assert heard(node.peer()) == [Status(1, 0)]


def test_requests_are_answered_in_order():
    node = Node()
    peer = node.peer()
    peer.take()
    for height in (3, 99, 1):
        node.say(peer, BlockRequest(height))
    assert node.serve() is False
    assert heard(peer) == [BlockResponse(3, b"3", commit(3)), NoBlock(99), BlockResponse(1, b"1", commit(1))]


def test_an_answer_waits_for_room_and_nothing_more_is_loaded_for_that_peer():
    node = Node()
    peer = node.peer()
    peer.accepts = False
    for height in (1, 2, 3):
        node.say(peer, BlockRequest(height))
    assert node.serve() is True
    assert node.chain.loads == [1]
    peer.accepts = True
    peer.take()
    assert node.serve() is False
    assert [m.height for m in heard(peer)] == [1, 2, 3]
    assert node.chain.loads == [1, 2, 3]


def test_few_answers_wait_in_memory_whatever_many_slow_peers_ask():
    node = Node()
    slow = [node.peer(str(i)) for i in range(MAX_LOADED + 5)]
    for peer in slow:
        peer.accepts = False
        node.say(peer, BlockRequest(1))
    node.serve()
    assert len(node.chain.loads) == MAX_LOADED
    for peer in slow:
        peer.accepts = True
        peer.take()
    node.serve()
    assert all(len(heard(peer)) == 1 for peer in slow)


def test_a_peer_that_left_is_served_no_more():
    node = Node()
    peer = node.peer()
    peer.accepts = False
    node.say(peer, BlockRequest(1))
    node.serve()
    node.reactor.peer_removed(peer, "gone")
    node.reactor.peer_removed(peer, "gone")
    assert node.serve() is False
    assert node.service.told == [("removed", "peer")]
    node.say(peer, BlockRequest(1))


def test_more_open_requests_than_any_node_makes_are_a_flood():
    node = Node()
    peer = node.peer()
    for _ in range(MAX_OPEN_REQUESTS):
        node.say(peer, BlockRequest(1))
    with pytest.raises(ProtocolViolation, match="open block requests") as refused:
        node.say(peer, BlockRequest(1))
    assert refused.value.offence is Offence.FLOOD


def test_a_peer_keeps_no_more_waiting_than_the_chains_largest_block():
    node = Node()
    (channel,) = BlockSyncReactor(node.chain, node.service, node.clock, max_block_bytes=10_000).channels
    largest = BlockResponse(2**64 - 1, bytes(10_000), Commit(2**64 - 1, 2**32 - 1, bytes(32), (bytes(64),) * 3_000))
    assert len(encode_block_sync(largest)) <= channel.max_message_bytes < 300_000
    assert node.reactor.channels[0].max_message_bytes == MAX_MESSAGE_BYTES


def test_statuses_without_end_are_a_flood():
    node = Node()
    peer = node.peer()
    for height in range(STATUS_BURST):
        node.say(peer, Status(1, height))
    with pytest.raises(ProtocolViolation, match="statuses a second") as refused:
        node.say(peer, Status(1, 99))
    assert refused.value.offence is Offence.FLOOD
    node.clock.ms += 1_000
    node.say(peer, Status(1, 100))


def test_what_peers_say_reaches_the_service():
    node = Node()
    peer = node.peer()
    node.say(peer, Status(1, 5))
    node.say(peer, BlockResponse(2, b"value", commit(2)))
    node.say(peer, NoBlock(3))
    assert node.service.told == [
        ("status", "peer", 1, 5),
        ("received", SuppliedBlock(2, "peer", b"value", commit(2))),
        ("no block", "peer", 3),
    ]


@pytest.mark.parametrize(
    ("fault", "offence"),
    [
        (Fault.LYING, Offence.LYING),
        (Fault.WRONG_BLOCK, Offence.LYING),
        (Fault.UNSOLICITED, Offence.UNSOLICITED),
        (Fault.UNRESPONSIVE, Offence.UNRESPONSIVE),
    ],
)
def test_the_service_asks_and_drops(fault, offence):
    node = Node()
    peer = node.peer()
    peer.take()
    node.reactor.ask("peer", 7)
    node.reactor.ask("nobody", 7)
    assert heard(peer) == [BlockRequest(7)]
    node.reactor.drop("peer", fault, "reason")
    node.reactor.drop("nobody", fault, "reason")
    assert peer.disconnected == (f"{fault.value}: reason", offence)


class Wire(FakePeer):
    """One end of a link in a loop, ten milliseconds long."""

    def __init__(self, id_, clock):
        super().__init__(id_)
        self.clock = clock
        self.other = None
        self.free_at = 0.0

    def send(self, channel, message):
        loop = asyncio.get_running_loop()
        self.free_at = max(self.free_at, loop.time()) + 1e-6  # in order
        loop.call_at(self.free_at + 0.01, lambda: self.other[0].receive(self.other[1], channel, message))
        return True


def test_a_new_node_syncs_from_its_peers_and_keeps_up():
    async def main():
        clock = LoopClock()
        follower = Follower(clock)
        service = SyncService(follower, clock, height=0)
        mine = Chain(0)
        reactor = BlockSyncReactor(mine, service, clock)
        service.join(reactor)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(service.run()), loop.create_task(reactor.run())]
        chains = []
        for name in ("a", "b", "c"):
            chain = Chain(300)
            server = BlockSyncReactor(chain, Service(), clock)
            tasks.append(loop.create_task(server.run()))
            here, there = Wire(name, clock), Wire("me", clock)
            here.other, there.other = (server, there), (reactor, here)
            reactor.peer_added(here)
            server.peer_added(there)
            chains.append(chain)
        await clock.sleep(10)
        assert follower.height == 301
        assert follower.catching_up == [True, False]
        assert all(len(chain.loads) > 60 for chain in chains)
        for chain in chains:
            chain.height = 310
        await clock.sleep(5)
        assert follower.height == 311
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
