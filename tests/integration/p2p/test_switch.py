"""Whole switches over a network in memory and a clock that stands still: limits, duplicates, bans, reconnecting."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.book_file import BookFile, new_book
from cybermiles.p2p.identity import Endpoint, NodeKey, PeerAddress
from cybermiles.p2p.metrics import P2PMetrics
from cybermiles.p2p.multiplex import BURST_SECONDS, ChannelSpec, Overflow
from cybermiles.p2p.reactors.pex import PexReactor
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.runtime.executor import Worker
from cybermiles.runtime.metrics import Registry
from cybermiles.runtime.randomness import SeededRandomness
from tests.fakes.network import Node, Recorder, World, pass_time, settle

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def world():
    made = World()
    yield made
    await settle()
    leaked = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
    assert leaked == []


@pytest_asyncio.fixture
async def nodes(world):
    started = []

    async def start(index, host=None, **config):
        node = await Node(world, index, host, **config).start()
        started.append(node)
        return node

    yield start
    for node in started:
        if not node.task.done():
            stopping = asyncio.create_task(node.stop())
            await settle()
            await pass_time(world, 1100)
            await stopping


async def pair(nodes, world, **config):
    a = await nodes(1, **config)
    b = await nodes(2, persistent_peers=(a.address,), **config)
    await pass_time(world, 200)
    return a, b


def reasons(node):
    return [departure.reason for departure in node.switch.departures]


async def test_two_nodes_connect_and_talk(nodes, world):
    a, b = await pair(nodes, world)
    assert (a.peers, b.peers) == ([b.id], [a.id])
    assert b.recorder.peers[a.id].send(0x22, b"hello")
    assert a.recorder.peers[b.id].send(0x22, b"x" * 500_000)
    await settle()
    assert a.recorder.messages == [(b.id, 0x22, b"hello")]
    assert b.recorder.messages == [(a.id, 0x22, b"x" * 500_000)]
    (status,) = b.switch.peers()
    assert (status.id, status.host, status.is_outbound, status.is_persistent) == (a.id, a.host, True, True)
    assert status.info.software_version == "test"
    assert status.received_bytes > 500_000 > status.sent_bytes > 0


async def test_stopping_says_goodbye_and_leaves_nothing_behind(nodes, world):
    a, b = await pair(nodes, world)
    await b.stop()
    await settle()
    assert a.recorder.log == [("added", b.id), ("removed", b.id, "the peer said: shutting down")]
    assert b.recorder.log == [("added", a.id), ("removed", a.id, "shutting down")]
    assert a.switch.peers() == ()


async def test_a_persistent_peer_is_dialed_until_it_is_back(nodes, world):
    a, b = await pair(nodes, world)
    await a.stop()
    await pass_time(world, 3_600_000, step=5_000)
    assert b.peers == []
    again = await nodes(1)
    await pass_time(world, 60_000, step=1_000)
    assert b.peers == [again.id]
    assert 100 < len(world.dials) < 400


async def test_nodes_that_dial_each_other_end_with_one_link(nodes, world):
    for turn in range(4):
        one, two = 10 + 2 * turn, 11 + 2 * turn
        keys = [NodeKey.from_private(bytes([index]) * 32) for index in (one, two)]
        addresses = [
            PeerAddress(key.id, Endpoint(f"{10 + i}.0.0.1", 26_656)) for key, i in zip(keys, (one, two), strict=True)
        ]
        a = await nodes(one, persistent_peers=(addresses[1],))
        b = await nodes(two, persistent_peers=(addresses[0],))
        await pass_time(world, 15_000, step=500)
        assert (a.peers, b.peers) == ([b.id], [a.id])
        dialer = a if a.id < b.id else b
        assert dialer.switch.peers()[0].is_outbound
        assert a.switch.peers()[0].is_outbound != b.switch.peers()[0].is_outbound
        assert a.recorder.peers[b.id].send(0x22, b"x")
        await settle()
        assert b.recorder.messages[-1][2] == b"x"


async def test_limits_hold_under_a_crowd_and_the_refused_learn_of_others(nodes, world):
    hub = await nodes(1, max_inbound=5, max_inbound_per_ip=2, max_inbound_per_group=3, accepts_per_ip=1000)
    for index in range(20):
        hub.book.add(
            PeerAddress(NodeKey.from_private(bytes([100 + index]) * 32).id, Endpoint(f"{60 + index}.1.1.1", 1)),
            "9.9.9.9",
        )
    crowd = []
    for index in range(2, 30):
        host = f"{50 + index % 4}.7.{index % 3}.{index % 5 + 1}"
        node = Node(world, index, host)
        node.book.add(hub.address, "9.9.9.9")
        await node.start()
        crowd.append(node)
        await pass_time(world, 200)
        peers = hub.switch.peers()
        assert len(peers) <= 5
        assert all(sum(p.host == q.host for q in peers) <= 2 for p in peers)
    assert len(hub.switch.peers()) == 5
    refused = next(node for node in crowd if any("peer refused" in f.reason for f in node.switch.failures))
    assert len(refused.book) > 1
    for node in crowd:
        stopping = asyncio.create_task(node.stop())
        await pass_time(world, 1100, step=550)
        await stopping


async def test_outbound_slots_are_not_exceeded_and_go_to_distinct_networks(nodes, world):
    for index in range(20, 40):
        await nodes(index, f"{10 + index // 2}.5.{index}.1")
    me = await nodes(1, "9.9.9.9", max_outbound=4)
    for index in range(20, 40):
        key = NodeKey.from_private(bytes([index]) * 32)
        me.book.add(PeerAddress(key.id, Endpoint(f"{10 + index // 2}.5.{index}.1", 26_656)), "8.8.8.8")
    for _ in range(10):
        await pass_time(world, 300)
        assert len([p for p in me.switch.peers() if p.is_outbound]) <= 4
    peers = me.switch.peers()
    assert len(peers) == 4
    assert len({p.host.split(".")[0] for p in peers}) == 4


@pytest.mark.parametrize(
    ("error", "score", "phrase"),
    [
        (ProtocolViolation("out of order"), 50, "out of order"),
        (DecodingError("rlp: no data"), 50, "malformed message on channel 0x22: rlp: no data"),
        (PeerViolation(Offence.UNSOLICITED, "who asked"), 20, "unsolicited answer: who asked"),
    ],
)
async def test_what_a_peer_is_at_fault_for_costs_it_the_link(nodes, world, error, score, phrase):
    def blame(*_):
        raise error

    a = await nodes(1)
    b = await nodes(2)
    b.book.add(a.address, "9.9.9.9")
    a.recorder.on_receive = blame
    await pass_time(world, 200)
    b.recorder.peers[a.id].send(0x22, b"x")
    await settle()
    assert reasons(a) == [phrase]
    assert reasons(b) == [f"the peer said: {phrase}"]
    assert a.switch._scores.score(b.id, a.switch._now_ms()) == score
    assert a.switch._scores.score(b.host, a.switch._now_ms()) == score


async def test_a_bug_in_a_reactor_ends_that_peer_only_and_is_logged_with_its_traceback(nodes, world, capsys):
    a, b = await pair(nodes, world)
    c = await nodes(3, persistent_peers=(a.address,))
    await pass_time(world, 200)

    def bug(peer, *_):
        if peer.id == b.id:
            raise KeyError("a bug")

    a.recorder.on_receive = bug
    b.recorder.peers[a.id].send(0x22, b"x")
    c.recorder.peers[a.id].send(0x22, b"y")
    await settle()
    assert a.peers == [c.id]
    assert reasons(a) == ["internal error: KeyError"]
    assert "Traceback" in capsys.readouterr().out
    assert a.recorder.messages[-1] == (c.id, 0x22, b"y")
    assert a.switch._scores.score(b.id, a.switch._now_ms()) == 0


async def test_a_bug_when_a_peer_is_added_or_removed_ends_that_peer_only(nodes, world, capsys):
    a, b = await pair(nodes, world)
    a.recorder.peer_added = lambda peer: 1 // 0
    a.recorder.peer_removed = lambda peer, reason: 1 // 0
    c = await nodes(3, persistent_peers=(a.address,))
    await pass_time(world, 200)
    assert [p.id for p in a.switch.peers()] == [b.id]
    assert reasons(c)[0] == "the peer said: internal error: ZeroDivisionError"
    assert capsys.readouterr().out.count("call_failed") >= 2


async def test_bans_hold_by_id_and_by_address_and_end(nodes, world):
    a = await nodes(1)
    b = await nodes(2)
    b.book.add(a.address, "9.9.9.9")
    a.recorder.on_receive = lambda peer, *_: peer.disconnect("lied", offence=Offence.LYING)
    await pass_time(world, 200)
    b.recorder.peers[a.id].send(0x22, b"x")
    await settle()
    assert a.switch._scores.banned_for_ms(b.id, a.switch._now_ms()) > 3_500_000
    assert not a.switch.admits_host(b.host)
    elsewhere = await nodes(2, "77.7.7.7")
    elsewhere.book.add(a.address, "9.9.9.9")
    await pass_time(world, 1_000)
    assert any("banned for" in f.reason for f in elsewhere.switch.failures)
    assert a.peers == []
    await pass_time(world, 8_000_000, step=20_000)
    assert a.peers == [b.id]


async def test_persistent_peers_and_loopback_are_not_banned(nodes, world):
    a = await nodes(1, "127.0.0.1")
    b = await nodes(2, "127.0.0.2", persistent_peers=(a.address,))
    c = await nodes(3, "127.0.0.3", persistent_peers=(a.address,))
    await pass_time(world, 300)
    for node in (b, c):
        b.recorder.on_receive = lambda peer, *_: peer.disconnect("lied", offence=Offence.LYING)
        node.recorder.peers[a.id].disconnect("going", offence=Offence.LYING)
    await pass_time(world, 3_000)
    assert (b.peers, c.peers) == ([a.id], [a.id])
    a.recorder.peers[b.id].disconnect("lied", offence=Offence.LYING)
    await pass_time(world, 3_000)
    assert a.peers == [c.id]
    assert a.switch.admits_host(b.host)


async def test_nodes_of_another_chain_are_refused_with_the_reason(nodes, world):
    a = await nodes(1)
    b = await nodes(2, persistent_peers=(a.address,), chain={"chain_id": 19})
    await pass_time(world, 300)
    assert (a.peers, b.peers) == ([], [])
    assert b.switch.failures[0].reason == "refused: chain id 18, ours is 19"
    assert a.switch.failures[0].reason == "the peer refused: chain id 18, ours is 19"


async def test_an_address_of_another_node_is_not_accepted_and_is_forgotten(nodes, world):
    a = await nodes(1)
    wrong = PeerAddress(NodeKey.from_private(b"\x09" * 32).id, a.address.endpoint)
    b = await nodes(2)
    b.book.add(wrong, "9.9.9.9")
    await pass_time(world, 300)
    assert "reached" in b.switch.failures[0].reason
    assert b.book.entry(wrong.id) is None


async def test_garbage_connections_cost_nothing_but_their_address(nodes, world):
    a, b = await pair(nodes, world, accepts_per_ip=100)
    for index in range(50):
        stranger = await world.at("66.6.6.6").dial(a.host, 26_656) if index < 49 else None
        if stranger is not None and stranger.is_open and not stranger.outgoing.closed:
            await stranger.write(bytes([index]) * 500)
        await settle(5)
    await settle()
    assert not a.switch.admits_host("66.6.6.6")
    assert (a.peers, b.peers) == ([b.id], [a.id])
    assert a.switch._links._gate._half_open.total() == 0
    assert {f.reason for f in a.switch.failures} == {"bad handshake: not a cybermiles node"}


async def test_those_who_never_finish_a_handshake_are_cut_off_and_keep_nobody_out(nodes, world):
    a = await nodes(1, max_half_open=20, max_half_open_per_ip=4)
    slow = [await world.at("66.6.6.6").dial(a.host, 26_656) for _ in range(500)]
    assert sum(not s.outgoing.closed for s in slow) == 4
    b = await nodes(2, persistent_peers=(a.address,))
    await pass_time(world, 4_000)
    assert a.peers == [b.id]
    for each in slow[:4]:
        await each.write(b"C")
    await pass_time(world, 1_200)
    assert all(s.outgoing.closed for s in slow)
    assert a.peers == [b.id]


async def test_half_open_connections_are_limited_in_all(nodes, world):
    a = await nodes(1, max_half_open=20)
    slow = [await world.at(f"66.6.{index}.6").dial(a.host, 26_656) for index in range(250)]
    assert sum(not s.outgoing.closed for s in slow) == 20
    await pass_time(world, 5_200)
    assert a.switch._links._gate._half_open.total() == 0


async def test_a_silent_host_is_given_up_after_the_dial_timeout(nodes, world):
    world.silent.add("50.0.0.1")
    address = PeerAddress(NodeKey.from_private(b"\x08" * 32).id, Endpoint("50.0.0.1", 1))
    a = await nodes(1, persistent_peers=(address,))
    await pass_time(world, 2_900)
    assert not a.switch.failures
    await pass_time(world, 300)
    assert [f.reason for f in a.switch.failures] == ["TimeoutError"]


async def test_a_peer_that_goes_silent_is_given_up(nodes, world):
    a, b = await pair(nodes, world)
    await pass_time(world, 120_000, step=1_000)
    assert (a.peers, b.peers) == ([b.id], [a.id])
    for ours, theirs in world.connections:
        for end in (ours, theirs):
            end.write = lambda data: asyncio.sleep(0)
    await pass_time(world, 90_000, step=1_000)
    assert any("silent for" in reason for reason in reasons(a))


async def test_a_peer_that_takes_no_bytes_is_given_up_and_keeps_little_memory(nodes, world):
    a, b = await pair(nodes, world)
    handle = b.recorder.peers[a.id]
    for ours, theirs in world.connections:
        ours.read = theirs.read = lambda limit: asyncio.Event().wait()
    await settle()
    sent = 0
    while handle.send(0x22, b"x" * 1000) and sent < 10_000:
        sent += 1
        await asyncio.sleep(0)
    assert 100 < sent < 10_000
    await pass_time(world, 90_000, step=1_000)
    assert any("took no bytes" in reason for reason in reasons(b))


async def test_a_fast_sender_is_slowed_to_its_budget(nodes, world):
    a, b = await pair(nodes, world, receive_messages_per_second=100)
    handle = b.recorder.peers[a.id]
    seconds = 20
    for _ in range(seconds * 10):
        for _ in range(100):
            handle.send(0x22, b"spam")
        await pass_time(world, 100)
    in_one_read = 64 * 1024 // len(b"\x22\x80\x04spam")
    assert len(a.recorder.messages) <= 100 + 100 * seconds + in_one_read < 20_000
    assert a.peers == [b.id]


async def test_a_sender_is_slowed_to_the_budget_of_a_channel(nodes, world):
    rate, spam = 4_000, b"spam" * 25
    channel = ChannelSpec(0x38, 5, 1_000, receive_bytes_per_second=rate)
    a, b = await pair(nodes, world, reactors=(lambda _: Recorder(channel),))
    (heard,) = a.reactors
    handle = b.recorder.peers[a.id]
    seconds = 20
    for _ in range(seconds * 10):
        for _ in range(100):
            handle.send(0x38, spam)
        await pass_time(world, 100)
    received = len(heard.messages) * len(spam)
    assert rate * BURST_SECONDS < received <= rate * (BURST_SECONDS + seconds) + 64 * 1024
    assert a.peers == [b.id], "a budget is no reason to part"


async def test_a_channel_that_ends_slow_peers_does_so(nodes, world):
    a, b = await pair(nodes, world)
    handle = b.recorder.peers[a.id]
    queue = handle._session._outbox._queues[0x22]
    queue.spec = ChannelSpec(0x22, 10, 1 << 20, send_queue_messages=2, overflow=Overflow.DISCONNECT)
    assert [handle.send(0x22, b"x") for _ in range(4)] == [True, True, False, False]
    await settle()
    assert reasons(b) == ["send queue of channel 0x22 is full"]
    with pytest.raises(ValueError, match="belongs to no reactor"):
        handle.send(0x55, b"x")


async def test_a_node_does_not_dial_itself_for_long(nodes, world):
    a = await nodes(1)
    own = PeerAddress(NodeKey.from_private(b"\x07" * 32).id, a.address.endpoint)
    a.book.add(own, "9.9.9.9")
    await pass_time(world, 1_000)
    assert a.peers == []
    assert a.book.entry(own.id) is None


async def test_the_book_survives_a_restart_and_a_damaged_file_does_not_matter(nodes, world, tmp_path):
    worker = Worker("disk")
    book_file = BookFile(tmp_path / "book.json", worker)
    a = await nodes(1)
    b = await nodes(2, book_file=book_file, save_interval_ms=1_000)
    b.book.add(a.address, "9.9.9.9")
    await pass_time(world, 2_000)
    while not (tmp_path / "book.json").exists():
        await asyncio.sleep(0.001)
    again = new_book(b.config, b.id, SeededRandomness(1))
    book_file.load(again)
    assert again.anchors == (a.address,)
    assert again.entry(a.id).is_tried
    (tmp_path / "book.json").write_text("{")
    empty = new_book(b.config, b.id, SeededRandomness(1))
    book_file.load(empty)
    assert len(empty) == 0
    assert (tmp_path / "book.json.damaged").exists()
    book_file.load(empty)
    while not b.task.done():
        await pass_time(world, 100)
        b.task.cancel()
        await asyncio.sleep(0.001)
    worker.close()


async def test_the_metrics_count_what_went_over_each_channel(nodes, world):
    a, b = await pair(nodes, world)
    registry = Registry()
    metrics = registry.create(P2PMetrics, "p2p")
    b.recorder.peers[a.id].send(0x22, b"12345")
    await settle()
    a.switch.publish(metrics)
    a.switch.publish(metrics)
    text = registry.render()
    text = text if isinstance(text, str) else text.decode()
    assert 'cmt_p2p_message_receive_bytes_total{message_type="0x22"} 5.0' in text
    assert "cmt_p2p_peers 1.0" in text


async def test_nodes_that_only_know_a_seed_find_each_other(nodes, world):
    pex = (lambda node: PexReactor(node.config, node.book, node.world.clock),)
    seed = await nodes(1, seed_mode=True, reactors=pex)
    running = [asyncio.create_task(seed.reactors[0].run())]
    members = [await nodes(index, seeds=(seed.address,), reactors=pex) for index in range(2, 8)]
    running += [asyncio.create_task(member.reactors[0].run()) for member in members]
    await pass_time(world, 90_000, step=250)
    for member in members:
        assert set(member.peers) - {seed.id} == {other.id for other in members if other is not member}
    assert len(seed.peers) <= 1
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_private_ids_are_told_to_nobody(nodes, world):
    pex = (lambda node: PexReactor(node.config, node.book, node.world.clock),)
    hidden = Node(world, 9)
    sentry = await nodes(1, reactors=pex, private_ids=(hidden.id,))
    validator = await nodes(9, pex=False, persistent_peers=(sentry.address,))
    stranger = await nodes(2, reactors=pex)
    stranger.book.add(sentry.address, "9.9.9.9")
    await pass_time(world, 30_000, step=250)
    assert sentry.peers == sorted([validator.id, stranger.id])
    assert stranger.book.entry(hidden.id) is None
    assert stranger.peers == [sentry.id]


async def test_two_reactors_cannot_have_one_channel(world):
    with pytest.raises(ValueError, match="same channel"):
        Node(world, 1, reactors=(lambda _: Recorder(),))
