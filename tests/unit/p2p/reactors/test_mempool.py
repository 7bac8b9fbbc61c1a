"""The transaction reactor and its policy: pushes, announcements, requests, budgets, and whose fault is what."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.reactors import mempool, mempool_policy
from cybermiles.p2p.reactors.mempool import MEMPOOL_CHANNEL, TICK_MS, MempoolReactor
from cybermiles.p2p.reactors.mempool_policy import (
    ANSWER_MS,
    ARRIVAL_MS,
    MAX_ANNOUNCERS,
    MAX_SILENCES,
    DropSilent,
    Give,
    Request,
    TransactionGossip,
)
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.mempool import (
    Announce,
    Announcement,
    Answer,
    Push,
    Want,
    decode_transactions,
    encode_transactions,
)
from cybermiles.runtime.clock import ManualClock
from cybermiles.types.primitives import Hash32
from tests.fakes.gossip import FakePeer, VirtualClock
from tests.fakes.transactions import MALFORMED, UNWANTED, FakePool, FakeTransaction


class Node:
    def __init__(self):
        self.clock = VirtualClock()
        self.pool = FakePool()
        self.is_catching_up = False
        self.reactor = MempoolReactor(self.pool, lambda: self.is_catching_up, self.clock)

    def peer(self, id_="peer"):
        peer = FakePeer(id_)
        self.reactor.peer_added(peer)
        return peer

    def say(self, peer, message):
        self.reactor.receive(peer, MEMPOOL_CHANNEL, encode_transactions(message))

    def tick(self, after_ms=TICK_MS):
        self.clock.ms += after_ms
        return self.reactor.tick(int(self.clock.ms))

    def feed(self):
        while asyncio.run(self.reactor.feed()):
            pass


def heard(peer):
    return [decode_transactions(message) for _, message in peer.take()]


def announcement(raw):
    return Announcement(FakeTransaction(raw).hash, 2, len(raw))


def test_a_new_transaction_is_pushed_to_the_root_of_the_peers_and_announced_to_the_others():
    node = Node()
    peers = [node.peer(str(i)) for i in range(9)]
    node.pool.submit(b"transaction")
    node.tick()
    messages = [heard(peer) for peer in peers]
    assert messages.count([Push((b"transaction",))]) == 3
    assert messages.count([Announce((announcement(b"transaction"),))]) == 6


def test_which_peers_get_it_whole_depends_on_the_transaction():
    node = Node()
    peers = [node.peer(str(i)) for i in range(9)]
    pushed = set()
    for number in range(20):
        node.pool.submit(b"transaction %d" % number)
        node.tick()
        pushed |= {i for i, peer in enumerate(peers) if isinstance(heard(peer)[0], Push)}
    assert len(pushed) == 9


def test_a_transaction_never_goes_back_to_its_source():
    node = Node()
    source, other = node.peer("source"), node.peer("other")
    node.say(source, Push((b"transaction",)))
    node.feed()
    node.tick()
    assert heard(source) == []
    assert heard(other) != []


def test_transactions_of_one_tick_travel_together():
    node = Node()
    peer = node.peer()
    for number in range(5):
        node.pool.submit(b"%d" % number)
    node.tick()
    assert heard(peer) == [Push((b"0", b"1", b"2", b"3", b"4"))]


def test_transactions_that_arrive_within_a_tick_enter_the_pool_together():
    node = Node()
    one, other = node.peer("one"), node.peer("other")

    def turn(after_ms):
        node.clock.ms += after_ms
        return asyncio.run(node.reactor.turn())

    node.say(one, Push((b"first",)))
    turn(TICK_MS)
    assert node.pool.batches == [(b"first",)]  # after a pause at once
    assert heard(other) == [Push((b"first",))]
    node.say(one, Push((b"a", b"b")))
    due = turn(TICK_MS // 5)
    node.say(other, Push((b"c",)))
    assert turn(0) == due == node.clock.ms + TICK_MS - TICK_MS // 5
    assert len(node.pool.batches) == 1
    turn(due - node.clock.ms)
    assert node.pool.batches[1:] == [(b"a", b"c", b"b")]


@pytest.mark.asyncio
async def test_the_task_looks_at_the_first_transaction_at_once_and_at_more_with_the_next_tick():
    node, clock = Node(), ManualClock(1_000_000)
    node.reactor = MempoolReactor(node.pool, lambda: False, clock)
    peer, other = node.peer("peer"), node.peer("other")

    async def settle(after_ms=0):
        clock.advance(after_ms)
        for _ in range(20):
            await asyncio.sleep(0)

    task = asyncio.create_task(node.reactor.run())
    await settle()
    for number in range(3):
        await settle(10 * TICK_MS)
        node.say(peer, Push((b"first %d" % number,)))
        await settle()
        assert node.pool.batches.pop() == (b"first %d" % number,)
        assert heard(other) == [Push((b"first %d" % number,))]
        node.say(peer, Push((b"second %d" % number,)))
        node.pool.submit(b"own %d" % number)
        await settle(TICK_MS - 1)
        assert node.pool.batches == []
        await settle(1)
        assert node.pool.batches.pop() == (b"second %d" % number,)
        assert heard(other) == [Push((b"own %d" % number, b"second %d" % number))]
    task.cancel()


def test_a_whole_batch_waits_for_no_tick():
    node = Node()
    peer = node.peer()
    turn = node.reactor.turn
    asyncio.run(turn())
    node.say(peer, Push(tuple(b"%d" % number for number in range(mempool.BATCH + 3))))
    asyncio.run(turn())
    assert [len(batch) for batch in node.pool.batches] == [mempool.BATCH]
    asyncio.run(turn())
    assert len(node.pool.batches) == 1


def test_an_announced_transaction_is_asked_for_unless_it_comes_by_itself():
    node = Node()
    peer = node.peer()
    node.say(peer, Announce((announcement(b"one"), announcement(b"two"))))
    node.tick()
    assert heard(peer) == []
    node.say(peer, Push((b"one",)))
    node.tick(ARRIVAL_MS)
    assert heard(peer) == [Want(1, (announcement(b"two").hash,))]
    node.say(peer, Answer(1, (b"two",)))
    node.feed()
    assert set(node.pool.content) == {announcement(b"one").hash, announcement(b"two").hash}


def test_what_is_pooled_or_was_refused_a_moment_ago_is_not_asked_for():
    node = Node()
    peer = node.peer()
    node.pool.submit(b"pooled")
    node.say(peer, Push((UNWANTED,)))
    node.feed()
    node.tick()
    peer.take()
    node.say(peer, Announce((announcement(b"pooled"), announcement(UNWANTED))))
    node.tick(ARRIVAL_MS)
    node.tick()
    assert heard(peer) == []
    node.tick(mempool.REFUSED_MS)
    node.say(peer, Announce((announcement(UNWANTED),)))
    node.tick(ARRIVAL_MS)
    node.tick()
    assert heard(peer) == [Want(1, (announcement(UNWANTED).hash,))]


def test_a_silent_announcer_is_replaced_by_another():
    node = Node()
    first, second = node.peer("first"), node.peer("second")
    node.say(first, Announce((announcement(b"x"),)))
    node.say(second, Announce((announcement(b"x"),)))
    node.tick(ARRIVAL_MS)
    asked, other = (first, second) if heard(first) else (second, first)
    assert heard(other) == []
    node.tick(ANSWER_MS)
    node.tick()
    assert heard(other) == [Want(2, (announcement(b"x").hash,))]
    assert asked.disconnected is None


def test_an_answer_that_leaves_something_out_makes_another_announcer_asked():
    node = Node()
    first, second = node.peer("first"), node.peer("second")
    for peer in (first, second):
        node.say(peer, Announce((announcement(b"x"),)))
    node.tick(ARRIVAL_MS)
    asked, other = (first, second) if heard(first) else (second, first)
    node.say(asked, Answer(1, ()))
    node.tick()
    assert heard(other) == [Want(2, (announcement(b"x").hash,))]


def offered(node, *raws):
    """Return a newcomer to whom these were announced."""
    for raw in raws:
        node.pool.submit(raw)
    peer = node.peer()
    node.tick()
    assert heard(peer) == [Announce(tuple(announcement(raw) for raw in raws))]
    return peer


def test_what_an_answer_brought_beyond_the_peers_rate_is_asked_for_elsewhere(monkeypatch):
    monkeypatch.setattr(mempool, "BURST", 1)
    node = Node()
    first, second = node.peer("first"), node.peer("second")
    for peer in (first, second):
        node.say(peer, Announce((announcement(b"x"), announcement(b"y"))))
    node.tick(ARRIVAL_MS)
    assert heard(first) == [Want(1, (announcement(b"x").hash, announcement(b"y").hash))]
    node.say(first, Answer(1, (b"x", b"y")))
    node.tick()
    assert heard(second) == [Want(2, (announcement(b"y").hash,))]


def test_what_peers_want_is_answered_as_far_as_it_is_here():
    node = Node()
    peer = offered(node, b"here", b"gone")
    del node.pool.content[announcement(b"gone").hash]
    node.say(peer, Want(7, (announcement(b"here").hash, announcement(b"gone").hash)))
    assert heard(peer) == [Answer(7, (b"here",))]


def test_a_peer_gets_what_was_announced_to_it_and_that_once():
    node = Node()
    peer = offered(node, b"announced")
    node.pool.submit(b"pushed")
    node.tick()
    assert heard(peer) == [Push((b"pushed",))]
    hashes = (announcement(b"announced").hash, announcement(b"pushed").hash)
    for number in range(100):
        node.say(peer, Want(number, hashes))
    assert heard(peer) == [Answer(0, (b"announced",))]


def test_messages_beyond_a_peers_bytes_are_not_even_decoded(monkeypatch):
    node = Node()
    peer, honest = node.peer(), node.peer("honest")
    decoded = []

    def decode(message):
        decoded.append(message)
        return decode_transactions(message)

    monkeypatch.setattr(mempool, "decode_transactions", decode)
    large, small = Push((bytes(60_000),)), Want(1, (Hash32(bytes(32)),))
    for _ in range(200):
        node.say(peer, large)
    assert len(decoded) == mempool.BURST_BYTES // len(encode_transactions(large))
    node.say(honest, large)
    assert decoded.pop() and len(decoded) < 200, "others have their own"
    decoded.clear()
    node.clock.ms += 1000
    for _ in range(5_000):
        node.say(peer, small)
    assert 0 < len(decoded) <= mempool.BYTES_PER_SECOND // mempool.MESSAGE_BYTES + 30


def test_a_transaction_beyond_the_senders_rate_is_not_even_hashed(monkeypatch):
    node = Node()
    peer = node.peer()
    hashed = []

    def count(raw):
        hashed.append(raw)
        return keccak256(raw)

    monkeypatch.setattr(mempool, "keccak256", count)
    for message in (Push((b"the same",) * 1000), Answer(0, (b"the same",) * 1000)) * 6:
        node.say(peer, message)
    assert len(hashed) == mempool.BURST


def test_an_answer_holds_what_fits_one_message():
    node = Node()
    raws = [bytes([number]) * 30_000 for number in range(5)]
    peer = offered(node, *raws)
    node.say(peer, Want(1, tuple(announcement(raw).hash for raw in raws)))
    assert heard(peer) == [Answer(1, tuple(raws[:2]))]


def test_a_newcomer_hears_what_is_pooled():
    node = Node()
    node.pool.submit(b"old")
    peer = node.peer()
    node.tick()
    assert heard(peer) == [Announce((announcement(b"old"),))]


def test_nothing_is_taken_or_told_while_catching_up():
    node = Node()
    peer = node.peer()
    node.is_catching_up = True
    node.say(peer, Push((b"pushed",)))
    node.say(peer, Announce((announcement(b"announced"),)))
    node.pool.submit(b"own")
    node.feed()
    node.tick(ARRIVAL_MS)
    late = node.peer("late")
    node.tick()
    assert heard(peer) == [] and heard(late) == [] and len(node.pool.content) == 1
    node.is_catching_up = False
    node.say(peer, Push((b"pushed",)))
    node.feed()
    assert len(node.pool.content) == 2


def test_a_malformed_transaction_costs_its_sender_and_a_race_does_not():
    node = Node()
    honest, liar = node.peer("honest"), node.peer("liar")
    node.say(honest, Push((UNWANTED + b"1",)))
    node.say(liar, Push((MALFORMED,)))
    node.feed()
    assert honest.disconnected is None
    reason, offence = liar.disconnected
    assert offence is Offence.MALFORMED_MESSAGE and FakeTransaction(MALFORMED).hash.hex() in reason


def test_a_size_that_is_not_the_announced_one_is_a_lie():
    node = Node()
    peer = node.peer()
    node.say(peer, Announce((Announcement(announcement(b"transaction").hash, 2, 5),)))
    node.tick(ARRIVAL_MS)
    with pytest.raises(ProtocolViolation, match="announced"):
        node.say(peer, Answer(1, (b"transaction",)))


def test_an_answer_that_nobody_asked_for_is_a_violation():
    node = Node()
    peer = node.peer()
    with pytest.raises(ProtocolViolation, match="nobody asked"):
        node.say(peer, Answer(1, (b"transaction",)))
    node.say(peer, Announce((announcement(b"one"),)))
    node.tick(ARRIVAL_MS)
    with pytest.raises(ProtocolViolation, match="nobody asked"):
        node.say(peer, Answer(1, (b"one", b"another")))


def test_an_answer_that_comes_too_late_is_no_offence():
    node = Node()
    peer = node.peer()
    node.say(peer, Announce((announcement(b"x"),)))
    node.tick(ARRIVAL_MS)
    node.tick(ANSWER_MS)
    node.say(peer, Answer(1, (b"x",)))
    node.feed()
    assert len(node.pool.content) == 1


def test_a_peer_that_never_answers_is_dropped():
    node = Node()
    peer = node.peer()
    for number in range(MAX_SILENCES):
        node.say(peer, Announce((announcement(b"%d" % number),)))
        node.tick(ARRIVAL_MS)
        assert peer.disconnected is None
        node.tick(ANSWER_MS)
    assert peer.disconnected[1] is Offence.UNRESPONSIVE


def test_a_flood_is_cut_at_the_senders_budget_and_others_get_their_turn():
    node = Node()
    flooder, honest = node.peer("flooder"), node.peer("honest")
    for start in range(0, 3000, 250):
        node.say(flooder, Push(tuple(b"flood %06d" % n + bytes(480) for n in range(start, start + 250))))
    for number in range(3):
        node.say(honest, Push((b"honest %d" % number,)))
    asyncio.run(node.reactor.feed())
    assert sum(raw.startswith(b"honest") for raw in node.pool.batches[0]) == 3
    node.feed()
    flooded = sum(raw.raw.startswith(b"flood") for raw in node.pool.content.values())
    assert flooded * 492 <= mempool.MAX_QUEUE_BYTES
    assert flooded > 2000


def test_a_sender_over_its_rate_is_ignored_until_time_passes():
    node = Node()
    peer = node.peer()
    for start in range(0, mempool.BURST + 1000, 1000):
        node.say(peer, Push(tuple(b"%d" % n for n in range(start, start + 1000))))
        node.feed()
    assert len(node.pool.content) == mempool.BURST
    node.clock.ms += 1000
    node.say(peer, Push((b"later",)))
    node.feed()
    assert announcement(b"later").hash in node.pool.content


def test_a_transaction_from_two_peers_enters_the_pool_once():
    node = Node()
    for name in "ab":
        node.say(node.peer(name), Push((b"same",)))
    node.feed()
    assert node.pool.batches == [(b"same",)]


def test_what_a_peer_left_in_its_queue_can_come_from_another():
    node = Node()
    gone = node.peer("gone")
    node.say(gone, Push((b"x",)))
    node.reactor.peer_removed(gone, "gone")
    node.say(node.peer("other"), Push((b"x",)))
    node.feed()
    assert len(node.pool.content) == 1
    node.say(gone, Push((b"y",)))  # its last words
    node.feed()
    assert len(node.pool.content) == 1


def test_an_idle_reactor_sleeps():
    node = Node()
    node.peer()
    assert node.tick() > node.clock.ms + 10_000
    node.pool.submit(b"x")
    assert node.tick(0) <= node.clock.ms + TICK_MS


# The policy alone


def tx(number):
    return Announcement(Hash32(keccak256(b"%d" % number)), 2, 100)


def test_requests_stay_within_the_size_of_a_message():
    policy = TransactionGossip()
    policy.added("a", ())
    policy.announced("a", [Announcement(tx(n).hash, 2, 30_000) for n in range(5)], 0)
    (request,) = policy.tick(ARRIVAL_MS)
    assert len(request.hashes) == 2


def test_everything_a_peer_announces_is_bounded():
    policy = TransactionGossip()
    for name in (str(n) for n in range(20)):
        policy.added(name, ())
        policy.announced(name, [tx(0)], 0)
    assert len(policy._wanted[tx(0).hash].announcers) == MAX_ANNOUNCERS
    for number in range(mempool_policy.MAX_WANTED + 500):
        policy.announced("0", [tx(number)], 0)
    assert len(policy._peers["0"].wanted) == mempool_policy.MAX_WANTED
    for number in range(mempool_policy.MAX_KNOWN + 500):
        policy.has("0", tx(number).hash)
    assert len(policy._peers["0"].known) == mempool_policy.MAX_KNOWN


def test_what_waits_for_a_peer_is_bounded():
    policy = TransactionGossip()
    policy.added("a", (tx(n) for n in range(10_000)))
    (give,) = policy.tick(0)
    assert isinstance(give, Give) and len(give.announce) == mempool_policy.MAX_QUEUED
    for number in range(10_000, 20_000):
        policy.admitted(tx(number))
    (give,) = policy.tick(0)
    assert len(give.push) == mempool_policy.MAX_QUEUED


names = st.sampled_from("abcd")
numbers = st.integers(0, 9)
events = st.lists(
    st.one_of(
        st.tuples(st.just("announced"), names, st.lists(numbers, max_size=4)),
        st.tuples(st.just("answer"), names, st.booleans()),
        st.tuples(st.just("lie"), names, numbers),
        st.tuples(st.just("removed"), names, st.none()),
        st.tuples(st.just("added"), names, st.none()),
        st.tuples(st.just("admitted"), st.none(), numbers),
        st.tuples(st.just("wait"), st.none(), st.integers(1, 4000)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(events)
def test_whatever_others_do_an_honest_announcer_is_asked_in_the_end(steps):
    """Liars announce, are silent, leave out, leave; what the honest peer offers arrives all the same."""
    policy, now, open_requests, here = TransactionGossip(), 0, {}, set()
    for name in "abcd":
        policy.added(name, ())

    def act(actions):
        for action in actions:
            if isinstance(action, Request):
                open_requests[action.peer] = action
            elif isinstance(action, DropSilent):
                open_requests.pop(action.peer, None)
        for name, request in tuple(open_requests.items()):
            if name == "honest":
                del open_requests[name]
                bring(request)

    def bring(request):
        here.update(request.hashes)
        for tx_hash in request.hashes:
            policy.arrived(tx_hash)
        assert policy.answered(request.peer, request.number, request.hashes)

    policy.added("honest", ())
    policy.announced("honest", [tx(n) for n in range(5)], now)
    for kind, name, what in steps:
        now += 10
        match kind:
            case "announced":
                policy.announced(name, [tx(n) for n in what], now)
            case "answer" if name in open_requests:
                request = open_requests.pop(name)
                if what:
                    bring(request)
                else:
                    policy.answered(name, request.number, ())
            case "lie" if name in policy._peers:
                policy.answered(name, policy._numbers + 1 + what, ())
            case "removed":
                policy.removed(name)
                open_requests.pop(name, None)
            case "added" if name not in policy._peers:
                policy.added(name, ())
            case "admitted":
                policy.admitted(tx(what))
                here.add(tx(what).hash)
            case "wait":
                now += what
        open_requests = {
            n: r
            for n, r in open_requests.items()
            if (p := policy._peers.get(n)) and p.asked and p.asked.number == r.number
        }
        act(policy.tick(now))
    for _ in range(40):
        now += ANSWER_MS
        open_requests = {
            n: r
            for n, r in open_requests.items()
            if (p := policy._peers.get(n)) and p.asked and p.asked.number == r.number
        }
        act(policy.tick(now))
    assert {tx(n).hash for n in range(5)} <= here
    assert not policy._peers["honest"].wanted
