"""The policy of block sync: transcripts of single rules, and honest and lying peers in random order."""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.sync.actions import Ask, Drop, Fault, SuppliedBlock, SyncLimits
from cybermiles.sync.block_sync import BlockSync
from cybermiles.types.commit import EMPTY_COMMIT

LIMITS = SyncLimits()


def block(peer, height, size=100):
    return SuppliedBlock(height, peer, bytes(size), EMPTY_COMMIT)


def asks(actions):
    return [(a.peer, a.height) for a in actions if isinstance(a, Ask)]


def drops(actions):
    return [(a.peer, a.fault) for a in actions if isinstance(a, Drop)]


def started(*peers, applied=0, limits=None):
    """Return a policy and the requests it made when these (name, height) came."""
    policy = BlockSync(applied, 0, limits)
    made = []
    for name, height in peers:
        made += asks(policy.status(name, 1, height, 0))
    return policy, made


def deliver(policy, peer, heights, now=0):
    actions = []
    for height in heights:
        actions += policy.received(block(peer, height), now)
    return actions


def test_a_peer_that_is_ahead_is_asked_for_as_much_as_it_may_owe():
    _, made = started(("a", 1000))
    assert made == [("a", height) for height in range(1, 21)]


def test_peers_share_the_work():
    policy = BlockSync(0, 0)
    policy.status("a", 1, 1000, 0)
    made = asks(policy.status("b", 1, 1000, 0))
    assert made == [("b", height) for height in range(21, 41)]
    assert policy.owed == 40


def test_a_delivered_block_makes_room_for_the_next_request():
    policy, _ = started(("a", 1000))
    assert asks(deliver(policy, "a", [1])) == [("a", 21)]
    assert policy.next_block.height == 1


def test_blocks_wait_for_their_turn():
    policy, _ = started(("a", 1000), ("b", 1000))
    deliver(policy, "b", [21, 22])
    assert policy.next_block is None
    assert policy.buffered_bytes == 200
    deliver(policy, "a", [1])
    assert policy.next_block.height == 1
    policy.applied(1, 0, synced=True)
    assert policy.next_block is None and policy.buffered_bytes == 200


def test_a_peer_is_asked_only_for_what_it_claims():
    policy = BlockSync(100, 0)
    assert asks(policy.status("pruned", 200, 300, 0)) == [("pruned", height) for height in range(200, 220)]
    assert asks(policy.status("short", 1, 103, 0)) == [("short", 101), ("short", 102), ("short", 103)]


def test_the_window_bounds_how_far_ahead_is_asked():
    limits = SyncLimits(window=10, requests_per_peer=20)
    _, made = started(("a", 1000), limits=limits)
    assert made[-1] == ("a", 10)


def test_the_bytes_that_wait_are_bounded_by_the_size_blocks_have_lately():
    limits = SyncLimits(buffer_bytes=4 * 1024 * 1024)
    policy, made = started(("a", 1000), limits=limits)
    assert len(made) == 16  # of 256 KiB, as is assumed first
    for height in range(1, 17):
        policy.received(block("a", height, 1024 * 1024), 0)
    assert policy.owed == 0  # 16 MiB are here, though 4 MiB were expected
    policy.applied(13, 0, synced=True)
    assert policy.owed == 1


def test_the_next_block_is_asked_for_however_full_the_buffer_is():
    limits = SyncLimits(buffer_bytes=1)
    _, made = started(("a", 1000), limits=limits)
    assert made == [("a", 1)]


def test_one_height_behind_is_left_to_consensus_for_a_moment():
    policy = BlockSync(9, 0)
    assert asks(policy.status("a", 1, 10, 0)) == []
    assert asks(policy.tick(LIMITS.tip_grace_ms - 1)) == []
    assert asks(policy.tick(LIMITS.tip_grace_ms)) == [("a", 10)]


def test_a_peer_that_is_one_ahead_again_and_again_is_never_asked():
    policy = BlockSync(9, 0)
    for height in range(10, 30):
        now = height * 1000
        assert asks(policy.status("a", 1, height, now)) == []
        policy.applied(height, now + 100, synced=False)
        assert asks(policy.tick(now + 500)) == []


def test_the_block_that_everything_waits_for_is_asked_for_twice():
    policy, _ = started(("slow", 20))
    policy.status("other", 1, 20, 0)
    assert asks(policy.tick(LIMITS.late_ms - 1)) == []
    assert asks(policy.tick(LIMITS.late_ms)) == [("other", 1)]
    assert asks(policy.tick(LIMITS.late_ms + 1)) == []
    deliver(policy, "other", [1], LIMITS.late_ms)
    assert policy.next_block.peer == "other"
    assert drops(deliver(policy, "slow", [1], LIMITS.late_ms)) == []  # it was asked, if in vain


def test_a_silent_peer_loses_its_work_and_after_a_while_its_place():
    policy, _ = started(("silent", 20))
    policy.status("good", 1, 20, 0)
    now = LIMITS.silence_ms
    assert set(asks(policy.tick(now))) >= {("good", height) for height in range(2, 21)}
    assert policy._peers["silent"].owes == {}  # the least silent peer goes first
    policy.removed("good", now)
    assert set(policy._peers["silent"].owes) == set(range(1, 21))
    assert drops(policy.tick(now + LIMITS.silence_ms)) == []
    assert drops(policy.tick(now + 2 * LIMITS.silence_ms)) == [("silent", Fault.UNRESPONSIVE)]


def test_a_delivery_makes_up_for_silences():
    policy, _ = started(("a", 1000))
    now = 0
    for height in range(1, 10):
        now += LIMITS.silence_ms
        assert drops(policy.tick(now)) == []
        policy.received(block("a", height), now)


def test_a_peer_that_leaves_out_blocks_is_asked_again_and_then_dropped():
    policy, _ = started(("picky", 1000))
    deliver(policy, "picky", [2])
    assert asks(policy.tick(LIMITS.late_ms - 1)) == []
    assert ("picky", 1) in asks(policy.tick(LIMITS.late_ms))
    now, dropped = LIMITS.late_ms, []
    for height in (4, 6):
        deliver(policy, "picky", [height], now)
        now += LIMITS.late_ms
        dropped += drops(policy.tick(now))
    assert dropped == [("picky", Fault.UNRESPONSIVE)]


def test_answers_out_of_order_are_no_fault():
    policy, _ = started(("a", 1000))
    deliver(policy, "a", [3, 2, 1])
    assert policy._peers["a"].passed == {} and policy.next_block.height == 1
    assert drops(policy.tick(LIMITS.late_ms)) == []


def test_an_answer_that_comes_late_or_twice_is_no_fault():
    policy, _ = started(("a", 3))
    policy.tick(LIMITS.silence_ms)  # given up, and asked for again
    for _ in range(3):
        assert drops(deliver(policy, "a", [1, 2, 3], LIMITS.silence_ms + 1)) == []
    assert policy.next_block.height == 1 and policy.buffered_bytes == 300
    assert drops(policy.no_block("a", 3, 0)) == []
    assert drops(deliver(policy, "a", [4])) == [("a", Fault.UNSOLICITED)]


def test_who_takes_a_claim_back_is_held_to_it():
    policy, _ = started(("liar", 1_000_000))
    assert policy.status("liar", 1, 10, 0) == []
    assert policy.heights("liar") == (1, 1_000_000)
    assert drops(policy.no_block("liar", 11, 0)) == [("liar", Fault.LYING)]
    assert policy.best_height == 0 and policy.owed == 0


def test_silence_after_taking_a_claim_back_is_a_lie():
    policy, _ = started(("liar", 1_000_000))
    policy.status("liar", 1, 10, 0)
    deliver(policy, "liar", range(1, 11))
    dropped = [drops(policy.tick(n * LIMITS.silence_ms)) for n in (1, 2, 3)]
    assert dropped == [[], [], [("liar", Fault.LYING)]]


def test_statuses_that_overtook_each_other_are_no_lie():
    policy, _ = started(("a", 100))
    policy.status("a", 1, 99, 0)
    deliver(policy, "a", range(1, 21))
    policy.status("a", 1, 101, 0)
    dropped = [drops(policy.tick(n * LIMITS.silence_ms)) for n in (1, 2, 3)]
    assert dropped == [[], [], [("a", Fault.UNRESPONSIVE)]]


def test_a_claimed_height_that_is_not_there_is_a_lie():
    policy, _ = started(("liar", 1_000_000))
    assert drops(policy.no_block("liar", 1, 0)) == [("liar", Fault.LYING)]


def test_a_height_that_was_pruned_meanwhile_is_no_lie():
    policy, _ = started(("a", 100))
    policy.status("a", 50, 100, 0)
    assert drops(policy.no_block("a", 1, 0)) == []
    assert asks(policy.status("b", 1, 100, 0))[0] == ("b", 1)


@pytest.mark.parametrize("event", ["received", "no_block"])
def test_an_answer_that_nobody_asked_for_is_a_fault(event):
    policy, _ = started(("a", 5))
    actions = policy.received(block("a", 77), 0) if event == "received" else policy.no_block("a", 77, 0)
    assert drops(actions) == [("a", Fault.UNSOLICITED)]


def test_events_of_unknown_peers_are_ignored():
    policy, _ = started(("a", 5))
    policy.removed("a", 0)
    policy.removed("a", 0)
    assert policy.received(block("a", 1), 0) == policy.no_block("a", 1, 0) == []
    assert policy.owed == 0


def test_a_wrong_block_costs_its_supplier_everything_it_supplied():
    policy, _ = started(("liar", 1000))
    deliver(policy, "liar", [1, 2, 3])
    policy.status("good", 1, 1000, 0)
    actions = policy.refused(policy.next_block, "wrong commit", 0)
    assert drops(actions) == [("liar", Fault.WRONG_BLOCK)]
    assert policy.buffered_bytes == 0 and policy.next_block is None
    for height in tuple(policy._peers["good"].owes)[:4]:
        actions += policy.received(block("good", height), 0)
    assert {("good", 1), ("good", 2), ("good", 3)} <= set(asks(actions))


def test_a_wrong_block_of_a_peer_that_left_is_asked_for_again():
    policy, _ = started(("gone", 3))
    deliver(policy, "gone", [1, 2])
    policy.removed("gone", 0)
    policy.refused(policy.next_block, "wrong", 0)
    assert asks(policy.status("good", 1, 3, 0)) == [("good", 1), ("good", 2), ("good", 3)]


def test_a_peer_slower_than_the_least_rate_is_dropped_while_others_serve():
    policy, _ = started(("drip", 1000))
    policy.status("good", 1, 1000, 0)
    now = 0
    for height in range(1, 6):
        now += 4_000
        policy.received(block("drip", height), now)
        policy.received(block("good", 20 + height), now)
        policy.applied(height, now, synced=True)
    assert ("drip", Fault.UNRESPONSIVE) in drops(policy.tick(now))


def test_the_only_peer_may_be_slow():
    policy, _ = started(("drip", 1000))
    for height in range(1, 6):
        policy.received(block("drip", height), height * 4_000)
    assert drops(policy.tick(20_001)) == []


# Catching up


def test_claims_alone_do_not_make_a_node_catch_up():
    policy, _ = started(("liar", 1_000_000))
    policy.tick(100)
    assert policy.lag == 1_000_000 and not policy.is_catching_up


def test_two_applied_blocks_with_more_to_come_do():
    policy, _ = started(("a", 1000))
    deliver(policy, "a", [1, 2])
    policy.applied(1, 0, synced=True)
    assert not policy.is_catching_up
    policy.applied(2, 0, synced=True)
    assert policy.is_catching_up


def test_it_ends_one_height_below_the_best():
    policy, _ = started(("a", 4))
    for height in (1, 2):
        policy.applied(height, 0, synced=True)
    assert policy.is_catching_up
    policy.applied(3, 0, synced=True)
    assert not policy.is_catching_up


def test_it_begins_again_when_the_node_falls_behind_again():
    policy = BlockSync(50, 0)
    policy.status("a", 1, 51, 0)
    policy.applied(51, 10, synced=False)
    policy.status("a", 1, 60, 1000)
    for height in (52, 53):
        policy.applied(height, 1100, synced=True)
    assert policy.is_catching_up


def test_blocks_that_consensus_decided_itself_do_not_count():
    policy, _ = started(("a", 1000))
    for height in range(1, 20):
        policy.applied(height, 0, synced=height % 2 == 0)
    assert not policy.is_catching_up


def test_a_liar_cannot_hold_it_up_when_honest_peers_have_nothing_more():
    policy, _ = started(("honest", 10), ("liar", 1_000_000))
    for height in range(1, 11):
        policy.applied(height, height, synced=True)
    assert policy.is_catching_up  # the liar might be right
    policy.tick(10 + LIMITS.stall_ms)
    assert not policy.is_catching_up


def test_a_liar_cannot_keep_it_up_once_consensus_decides_again():
    """The node would follow without a vote for as long as any peer claims more than there is."""
    policy, _ = started(("honest", 10), ("liar", 1_000_000))
    for height in range(1, 11):
        policy.applied(height, height, synced=True)
    policy.applied(11, 1_000, synced=False)
    assert policy.lag > 1 and not policy.is_catching_up


def test_only_peers_that_have_room_are_searched_for_a_supplier():
    """Else a peer that serves nothing near makes each event look at all peers for each height of the window."""
    policy, _ = started(("honest", 10_000))
    policy.status("useless", 500, 10_000, 0)
    looked_at, supplier = [], policy._supplier
    policy._supplier = lambda height, now_ms: looked_at.append(height) or supplier(height, now_ms)
    for height in range(1, 21):
        looked_at.clear()
        assert asks(deliver(policy, "honest", [height])) == [("honest", height + 20)]
        assert len(looked_at) <= 2


def test_the_best_height_is_forgotten_with_who_claimed_it():
    policy, _ = started(("liar", 1_000_000), ("honest", 10))
    policy.removed("liar", 0)
    assert policy.best_height == 10
    policy.removed("honest", 0)
    assert policy.best_height == policy.lag == 0


# Whatever liars do

TIP = 60
KINDS = ("stalls", "wrong", "no block", "lowers", "short", "unsolicited", "drips", "skips", "pruned", "flaps")


class World:
    """Peers around one policy on a heap of events; blocks are right where they say their height."""

    def __init__(self, seed, kinds, limits):
        self.rng = random.Random(seed)
        self.now = 0
        self.order = count()
        self.events = []
        self.kinds = {"honest": "honest"} | {f"{kind}{i}": kind for i, kind in enumerate(kinds)}
        self.policy = BlockSync(0, 0, limits)
        self.dropped = {}
        self.peak_bytes = 0
        for name in self.kinds:
            self.at(self.rng.randrange(2_000), lambda n=name: self.join(n))

    def at(self, delay, call):
        heapq.heappush(self.events, (self.now + delay, next(self.order), call))

    def join(self, name):
        kind = self.kinds[name]
        top = TIP if kind in ("honest", "wrong", "short", "drips", "skips") else TIP + 10**6
        base = 1 if kind != "pruned" else TIP // 2
        self.act(self.policy.status(name, base, TIP // 2 if kind == "short" else top, self.now))
        if kind == "lowers":
            self.at(self.rng.randrange(5_000), lambda: self.act(self.policy.status(name, 1, TIP, self.now)))
        if kind == "unsolicited":
            self.at(self.rng.randrange(5_000), lambda: self.act(self.policy.received(block(name, 7), self.now)))
        if kind == "flaps":
            self.at(self.rng.randrange(3_000), lambda: self.leave(name))

    def leave(self, name):
        self.act(self.policy.removed(name, self.now))
        self.at(1_000, lambda: self.join(name))

    def act(self, actions):
        for action in actions:
            if isinstance(action, Drop):
                self.dropped[action.peer] = action.fault
                assert action.peer not in self.policy._peers
            else:
                self.asked(action.peer, action.height)
        self.check()

    def asked(self, name, height):
        kind = self.kinds[name]
        delay = self.rng.randrange(20, 200)
        match kind:
            case "honest" | "short" | "pruned" | "lowers" | "unsolicited" if height <= TIP:
                self.at(200, lambda: self.answer(name, height, b"right"))
            case "wrong":
                self.at(delay, lambda: self.answer(name, height, b"wrong"))
            case "no block":
                self.at(delay, lambda: self.act(self.policy.no_block(name, height, self.now)))
            case "drips":
                self.at(9_000, lambda: self.answer(name, height, b"right"))
            case "skips" if height % 3:
                self.at(200, lambda: self.answer(name, height, b"right"))

    def answer(self, name, height, value):
        self.act(self.policy.received(SuppliedBlock(height, name, value, EMPTY_COMMIT), self.now))
        while (ready := self.policy.next_block) is not None:
            if ready.value == b"right":
                self.act(self.policy.applied(ready.height, self.now, synced=True))
            else:
                self.act(self.policy.refused(ready, "wrong", self.now))

    def check(self):
        policy = self.policy
        applied, frontier = policy.applied_height, policy._frontier
        assert policy.buffered_bytes == sum(len(b.value) for b in policy._blocks.values())
        assert all(len(peer.owes) <= policy.limits.requests_per_peer for peer in policy._peers.values())
        for height in range(applied + 1, frontier):
            places = (height in policy._blocks) + (height in policy._owed_by) + (height in policy._is_again)
            assert places >= 1, height  # nothing is forgotten
        assert frontier <= applied + policy.limits.window + 1
        assert len(policy._again) == len(policy._is_again) <= policy.limits.window + 1
        assert len(policy._blocks) <= policy.limits.window
        assert all(len(peer.asked) <= 2 * policy.limits.window for peer in policy._peers.values())

    def run(self, until_ms):
        self.at(0, self.tick)
        while self.events and self.now < until_ms and self.policy.applied_height < TIP:
            self.now, _, call = heapq.heappop(self.events)
            call()

    def tick(self):
        self.act(self.policy.tick(self.now))
        self.at(250, self.tick)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.sampled_from(KINDS), max_size=6))
def test_every_block_is_synced_as_long_as_one_honest_peer_stays(seed, kinds):
    world = World(seed, kinds, SyncLimits(window=30, requests_per_peer=4))
    world.run(300_000)
    assert world.policy.applied_height == TIP
    assert "honest" not in world.dropped


@pytest.mark.parametrize("kind", KINDS)
def test_one_liar_of_each_kind_costs_no_more_than_twice_the_honest_time_and_its_patience(kind):
    """Two honest suppliers' worth of time, and the wait for the one block that the liar holds."""
    honest = World(1, [], SyncLimits(requests_per_peer=4))
    honest.run(300_000)
    with_liar = World(1, [kind], SyncLimits(requests_per_peer=4))
    with_liar.run(300_000)
    assert with_liar.policy.applied_height == TIP
    assert with_liar.now <= 2 * honest.now + 4 * LIMITS.late_ms


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("wrong", Fault.WRONG_BLOCK),
        ("no block", Fault.LYING),
        ("lowers", Fault.LYING),
        ("unsolicited", Fault.UNSOLICITED),
        ("skips", Fault.UNRESPONSIVE),
    ],
)
def test_liars_are_dropped_for_what_they_did(kind, fault):
    world = World(3, [kind], SyncLimits(requests_per_peer=4, window=20))
    world.run(300_000)
    while world.events and world.now < 60_000:
        world.now, _, call = heapq.heappop(world.events)
        call()
    assert world.dropped[f"{kind}0"] is fault
