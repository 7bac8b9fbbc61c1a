"""The same switches over real sockets on loopback: talk, garbage, floods of connections, priority under load."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
import pytest_asyncio

from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.transport import TcpNetwork
from cybermiles.runtime.clock import SystemClock
from tests.fakes.network import Node, Recorder, World

pytestmark = pytest.mark.asyncio
HOST = "127.0.0.1"


@pytest_asyncio.fixture
async def nodes():
    started = []
    world = World(clock=SystemClock())

    async def start(index, **config):
        options = {"listen_host": HOST, "listen_port": 0, "dial_interval_ms": 10, "allow_private_addresses": True}
        node = Node(world, index, HOST, network=TcpNetwork(), **(options | config))
        started.append(await node.start())
        return node

    yield start
    for node in started:
        await node.stop()
    leaked = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
    assert leaked == []


async def pair(nodes, **config):
    a = await nodes(1, **config)
    b = await nodes(2, persistent_peers=(a.address,), **config)
    await a.recorder.until(lambda: a.peers)
    await b.recorder.until(lambda: b.peers)
    return a, b


async def test_two_nodes_talk_both_ways_with_messages_of_all_sizes(nodes):
    a, b = await pair(nodes)
    sizes = [1, 128, 16_381, 16_382, 100_000, 1 << 20]
    for size in sizes:
        for source, target in ((a, b), (b, a)):
            message = os.urandom(size)
            source.recorder.peers[target.id].send(0x22, message)
            await target.recorder.until(lambda: target.recorder.messages)
            assert target.recorder.messages == [(source.id, 0x22, message)]
            target.recorder.messages.clear()


async def test_a_killed_connection_is_noticed_and_made_again(nodes):
    a, b = await pair(nodes, reconnect_base_ms=20, pex=False)
    for turn in range(1, 4):
        await a.recorder.until(lambda: a.peers)
        a.recorder.peers[b.id]._connection.close()
        await b.recorder.until(lambda n=turn: len([e for e in b.recorder.log if e[0] == "added"]) > n)
        await b.recorder.until(lambda: b.peers)
    assert all("bad" not in d.reason for d in b.switch.departures)


async def test_both_dialing_at_once_end_with_one_link(nodes):
    for turn in range(5):
        a, b = await nodes(20 + 2 * turn), await nodes(21 + 2 * turn)
        for one, two in ((a, b), (b, a)):
            one.book.add(two.address, "8.8.8.8")
        dialer, dialed = (a, b) if a.id < b.id else (b, a)

        def settled(dialer=dialer, dialed=dialed):
            return [p.is_outbound for p in dialer.switch.peers()] == [True] and [
                p.is_outbound for p in dialed.switch.peers()
            ] == [False]

        await dialer.recorder.until(lambda: dialer.peers)
        if not settled():
            assert [p.is_outbound for p in dialer.switch.peers()] == [False]
        a.recorder.peers[b.id].send(0x22, b"x")
        await b.recorder.until(lambda: b.recorder.messages or not b.peers)


async def test_thousands_of_garbage_connections_do_not_disturb_a_link(nodes):
    a, b = await pair(nodes, handshake_timeout_ms=200)
    chaos = random.Random(1)

    async def garbage():
        try:
            reader, writer = await asyncio.open_connection(HOST, a.switch.port)
            writer.write(chaos.randbytes(chaos.randrange(1, 200)))
            await reader.read()
            writer.transport.abort()
        except OSError:
            pass

    for _ in range(40):
        await asyncio.gather(*(garbage() for _ in range(50)))
        b.recorder.peers[a.id].send(0x22, b"still here")
    await a.recorder.until(lambda: len(a.recorder.messages) == 40)
    assert a.peers == [b.id]
    assert len([e for e in a.recorder.log if e[0] == "added"]) == 1


async def test_slow_handshakes_are_cut_off_and_bounded(nodes):
    a, _ = await pair(nodes, handshake_timeout_ms=300)
    streams = [await asyncio.open_connection(HOST, a.switch.port) for _ in range(200)]
    for _, writer in streams[:5]:
        writer.write(b"CMT")

    async def closed(reader):
        try:
            return await reader.read()
        except OSError:
            return b""

    async with asyncio.timeout(20):
        assert await asyncio.gather(*(closed(reader) for reader, _ in streams)) == [b""] * 200
    assert a.switch._links._gate._half_open.total() == 0
    for _, writer in streams:
        writer.transport.abort()


async def test_a_vote_overtakes_megabytes_of_blocks(nodes):
    blocks, votes = ChannelSpec(0x21, 1, 16 << 20, 100, 64 << 20), ChannelSpec(0x23, 10, 2048)
    a = await nodes(1, reactors=(lambda _: Recorder(blocks, votes),))
    b = await nodes(2, reactors=(lambda _: Recorder(blocks, votes),), persistent_peers=(a.address,))
    await b.recorder.until(lambda: b.peers)
    heard = a.reactors[0]
    handle = b.recorder.peers[a.id]
    for _ in range(4):
        assert handle.send(0x21, os.urandom(10 << 20))
    await asyncio.sleep(0)
    assert handle.send(0x23, b"vote")
    await heard.until(lambda: len(heard.messages) == 5)
    assert heard.messages[0][2] == b"vote"


async def test_a_port_in_use_is_an_os_error(nodes):
    a = await nodes(1)
    with pytest.raises(OSError):
        await nodes(2, listen_port=a.switch.port)
