"""Budgets, scores, slots and dialing as tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.dialing import STABLE_MS, DialPlan
from cybermiles.p2p.identity import NodeId, PeerAddress
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.scoring import BAN_SCORE, FIRST_BAN_MS, HALF_LIFE_MS, LONGEST_BAN_MS, Offence, Scores
from cybermiles.p2p.slots import SIMULTANEOUS_MS, Gate, Occupant, admit_inbound, replaces
from cybermiles.runtime.randomness import SeededRandomness

HOUR = 3_600_000


def occupant(index, host="1.1.1.1", *, outbound=False, persistent=False, since_ms=0):
    return Occupant(
        id=NodeId(f"{index:040x}"), host=host, is_outbound=outbound, is_persistent=persistent, since_ms=since_ms
    )


@given(
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 50)), max_size=40),
)
def test_no_more_passes_a_bucket_than_its_burst_and_its_rate(rate, burst, script):
    bucket, now, passed = TokenBucket(rate, burst, 0), 0, 0
    for wait, tokens in script:
        now += wait
        if bucket.allow(now, tokens):
            passed += tokens
        assert passed <= burst + rate * now // 1000
    assert bucket.is_full(now + 1000 * (burst + 1))


def test_a_debt_is_paid_by_waiting():
    bucket = TokenBucket(100, 50, 0)
    assert bucket.charge(0, 50) == 0
    assert bucket.charge(0, 20) == 200
    assert not bucket.allow(199)
    assert not bucket.allow(200)
    assert bucket.allow(210)


def test_penalties_add_up_decay_and_ban():
    scores = Scores()
    assert not scores.punish("a", Offence.INVALID_SIGNATURE, 0)
    assert scores.score("a", 0) == 50
    assert scores.score("a", HALF_LIFE_MS) == 25
    assert scores.score("a", HALF_LIFE_MS // 2) == 38
    assert scores.score("a", 100 * HALF_LIFE_MS) == 0
    assert scores.punish("a", Offence.INVALID_SIGNATURE, 0)
    assert scores.banned_for_ms("a", 0) == FIRST_BAN_MS
    assert scores.banned_for_ms("a", FIRST_BAN_MS) == 0
    assert scores.banned_for_ms("b", 0) == scores.score("b", 0) == 0


def test_bans_double_up_to_a_day_and_are_forgotten_after_a_good_week():
    scores, now, lengths = Scores(), 0, []
    for _ in range(7):
        scores.punish("a", Offence.BAD_FRAME, now)
        lengths.append(scores.banned_for_ms("a", now))
        now += lengths[-1]
    assert lengths == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, LONGEST_BAN_MS, LONGEST_BAN_MS]
    now += 8 * 24 * HOUR
    scores.punish("a", Offence.BAD_FRAME, now)
    assert scores.banned_for_ms("a", now) == HOUR


def test_scores_are_bounded_in_memory():
    scores = Scores(max_keys=10)
    for index in range(1000):
        scores.punish(str(index), Offence.BAD_FRAME, 0)
    assert len(scores._records) == 10
    assert scores.banned_for_ms("999", 0)


@pytest.mark.parametrize("offence", Offence)
def test_every_offence_costs_something_and_none_more_than_a_ban(offence):
    assert 0 < offence.penalty <= BAN_SCORE


def test_inbound_slots_are_limited_in_all_per_address_and_per_network():
    config = P2PConfig(max_inbound=4, max_inbound_per_ip=2, max_inbound_per_group=3)
    same = [occupant(index, "1.1.1.1") for index in range(2)]
    assert "IP address" in admit_inbound(occupant(9, "1.1.1.1"), same, config).refusal
    near = [occupant(index, f"1.1.1.{index}") for index in range(3)]
    assert "network" in admit_inbound(occupant(9, "1.1.2.2"), near, config).refusal
    far = [occupant(index, f"{index}.1.1.1") for index in range(1, 5)]
    assert "all inbound slots" in admit_inbound(occupant(9, "9.1.1.1"), far, config).refusal
    assert admit_inbound(occupant(9, "9.1.1.1"), far[:3], config).refusal is None
    assert admit_inbound(occupant(9, "1.1.1.1", persistent=True), same + far, config).refusal is None
    ignored = [occupant(index, "1.1.1.1", outbound=True) for index in range(9)]
    ignored += [occupant(index, "1.1.1.1", persistent=True) for index in range(9, 19)]
    assert admit_inbound(occupant(99, "1.1.1.1"), ignored, config).refusal is None


def test_a_newcomer_from_elsewhere_replaces_the_youngest_of_the_largest_network():
    config = P2PConfig(max_inbound=4)
    crowd = [occupant(index, f"1.1.1.{index}", since_ms=index) for index in range(3)]
    others = [occupant(7, "2.2.2.2")]
    admission = admit_inbound(occupant(9, "3.3.3.3", since_ms=99), [*crowd, *others], config)
    assert admission.instead_of == crowd[2].id
    assert admit_inbound(occupant(9, "2.2.9.9"), [*crowd, *others], config).instead_of == crowd[2].id
    assert admit_inbound(occupant(9, "1.1.9.9"), [*crowd, *others], config).refusal


@given(st.integers(0, 5000), st.integers(0, 5000), st.booleans())
def test_both_ends_keep_the_same_link_of_two_dialed_at_once(first_ms, second_ms, own_is_smaller):
    """Each end sees the two links in its own order; whatever it is, they agree."""
    ids = (NodeId("0" * 40), NodeId("f" * 40))
    mine, theirs = ids if own_is_smaller else ids[::-1]

    def survivor(own, peer, i_dialed_first, one_ms, two_ms):
        links = [
            Occupant(id=peer, host="", is_outbound=i_dialed_first, is_persistent=False, since_ms=one_ms),
            Occupant(id=peer, host="", is_outbound=not i_dialed_first, is_persistent=False, since_ms=one_ms + two_ms),
        ]
        kept = links[1] if replaces(own, *links) else links[0]
        return own if kept.is_outbound else peer

    dialers = {
        survivor(own, peer, order, first_ms, second_ms)
        for own, peer in ((mine, theirs), (theirs, mine))
        for order in (True, False)
    }
    assert dialers == {ids[0]}


def test_a_newer_link_replaces_one_that_its_dialer_has_forgotten():
    own, peer = NodeId("0" * 40), 15
    assert replaces(own, occupant(peer), occupant(peer, since_ms=1))
    assert replaces(own, occupant(peer, outbound=True), occupant(peer, since_ms=SIMULTANEOUS_MS + 1))
    assert not replaces(own, occupant(peer, outbound=True), occupant(peer, since_ms=SIMULTANEOUS_MS))


def test_the_gate_bounds_handshakes_and_new_connections():
    gate = Gate(P2PConfig(max_half_open=5, max_half_open_per_ip=2, accepts_per_ip=3, accept_refill_ms=1000))
    assert [gate.enter("1.1.1.1", 0) for _ in range(3)] == [None, None, "too many handshakes from this IP address"]
    gate.leave("1.1.1.1")
    assert gate.enter("1.1.1.1", 0) is None
    gate.leave("1.1.1.1")
    assert gate.enter("1.1.1.1", 999) == "too many connections from this IP address"
    assert gate.enter("1.1.1.1", 1000) is None
    assert [gate.enter("127.0.0.1", 0) for _ in range(4)] == [None, None, None, "too many handshakes at once"]
    for host in ("1.1.1.1", "1.1.1.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"):
        gate.leave(host)
    assert not gate._half_open


def test_strangers_cannot_keep_the_hosts_of_persistent_peers_from_shaking_hands():
    ours = tuple(PeerAddress.parse(f"{'a' * 40}@{host}:5") for host in ("9.9.9.9", "[2001:db8::7]", "127.0.0.1"))
    gate = Gate(P2PConfig(max_half_open=3, max_half_open_per_ip=2, persistent_peers=ours))
    for index in range(3):
        assert gate.enter(f"1.1.1.{index}", 0) is None
    full = "too many handshakes at once"
    assert [gate.enter(host, 0) for host in ("9.9.9.9", "2001:db8::1", "9.9.9.8")] == [None, None, full]
    assert gate.enter("127.0.0.1", 0) == full, "loopback has no limit of its own, which would leave it none"
    assert [gate.enter("9.9.9.9", 0) for _ in range(2)] == [None, "too many handshakes from this IP address"]


def test_the_gate_forgets_old_addresses():
    gate = Gate(P2PConfig())
    for index in range(5000):
        host = f"1.{index >> 8}.{index & 255}.1"
        gate.enter(host, 0)
        gate.leave(host)
    assert len(gate._opened) == 4096


def make_plan(**limits):
    address = PeerAddress.parse(f"{'a' * 40}@1.2.3.4:5")
    options = {"base_ms": 1000, "cap_ms": 30_000, "below": SeededRandomness(7).below} | limits
    return address, DialPlan([address], **options)


def test_a_persistent_peer_is_dialed_for_ever_with_longer_and_longer_pauses():
    address, plan = make_plan()
    now, pauses = 0, []
    for _ in range(150):
        assert plan.due(now, ()) == [address]
        plan.lost(address.id, now)
        pause = next(p for p in range(1, 40_000) if plan.due(now + p, ()))
        pauses.append(pause)
        now += pause
    assert all(
        min(500 << index, 15_000) <= pause <= min(1000 << index, 30_000) for index, pause in enumerate(pauses[:9])
    )
    assert all(15_000 <= pause <= 30_000 for pause in pauses[9:])
    assert len(set(pauses[9:])) > 100


def test_a_link_that_held_clears_the_failures_and_one_that_broke_at_once_adds_one():
    address, plan = make_plan(below=lambda _: 0)
    for _ in range(10):
        plan.lost(address.id, 0)
    plan.linked(address.id, 0)
    plan.lost(address.id, STABLE_MS - 1)
    assert plan.due(STABLE_MS + 29_998, ()) == []
    plan.linked(address.id, 0)
    plan.lost(address.id, STABLE_MS)
    assert plan.due(STABLE_MS + 999, ()) == []
    assert plan.due(STABLE_MS + 1000, ()) == [address]
    assert plan.due(STABLE_MS + 1000, {address.id}) == []
    plan.lost(NodeId("b" * 40), 0)
    assert NodeId("b" * 40) not in plan
