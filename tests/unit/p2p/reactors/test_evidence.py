"""The evidence reactor: who gets which piece when, and what a false one costs."""

from __future__ import annotations

import pytest

from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.reactors.evidence import EVIDENCE_CHANNEL, MAX_QUEUED, RESEND_MS, EvidenceReactor
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.evidence import decode_evidence_batch, encode_evidence_batch
from cybermiles.types.evidence import duplicate_vote
from cybermiles.types.primitives import Hash32
from tests.fakes.gossip import FakePeer, VirtualClock
from tests.fakes.validators import make_vote, validator_set

SET = validator_set(4)


def piece(height=5, validator=0, round_=0):
    return duplicate_vote(
        make_vote(SET, validator, height=height, round_=round_, block_hash=Hash32(b"\x01" * 32)),
        make_vote(SET, validator, height=height, round_=round_, block_hash=Hash32(b"\x02" * 32)),
    )


class Pool:
    def __init__(self):
        self.kept = {}
        self.tried = []

    def evidence(self):
        return tuple(self.kept.values())

    def add(self, evidence):
        self.tried.append(evidence)
        if evidence.first.round == 99:
            raise ProtocolViolation("evidence with a wrong signature")
        if evidence.height > 50 or evidence.hash in self.kept:
            return False
        self.kept[evidence.hash] = evidence
        return True


class Node:
    def __init__(self):
        self.clock = VirtualClock()
        self.clock.ms = 60_000
        self.pool = Pool()
        self.heights = {}
        self.arrivals = 0
        self.reactor = EvidenceReactor(
            self.pool, lambda peer: self.heights.get(peer, 0), self.clock, arrived=self.count
        )

    def count(self):
        self.arrivals += 1

    def keep(self, evidence):
        self.pool.kept[evidence.hash] = evidence

    def peer(self, id_="peer", height=10):
        self.heights[id_] = height
        peer = FakePeer(id_)
        self.reactor.peer_added(peer)
        return peer

    def say(self, peer, *evidence):
        self.reactor.receive(peer, EVIDENCE_CHANNEL, encode_evidence_batch(evidence))
        while self.reactor.verify_one():
            pass

    def tick(self, after_ms=1_000):
        self.clock.ms += after_ms
        self.reactor.tick(int(self.clock.ms))


def heard(peer):
    return [evidence for _, message in peer.take() for evidence in decode_evidence_batch(message)]


def test_pending_evidence_goes_to_peers_that_have_passed_its_height():
    node = Node()
    node.keep(piece(height=5))
    there, early, unknown = node.peer("there", 6), node.peer("early", 5), node.peer("unknown", 0)
    node.tick()
    assert heard(there) == [piece(height=5)] and heard(early) == [] and heard(unknown) == []
    node.heights["early"] = 6
    node.tick()
    assert heard(early) == [piece(height=5)]


def test_it_is_sent_again_every_ten_seconds_until_it_is_no_longer_pending():
    node = Node()
    node.keep(piece())
    peer = node.peer()
    node.tick()
    assert len(heard(peer)) == 1
    node.tick(RESEND_MS - 1)
    assert heard(peer) == []
    node.tick(1)
    assert len(heard(peer)) == 1
    node.pool.kept.clear()
    node.tick(RESEND_MS)
    assert heard(peer) == []
    assert node.reactor._peers["peer"].sent_ms == {}


def test_a_full_queue_delays_it():
    node = Node()
    node.keep(piece())
    peer = node.peer()
    peer.accepts = False
    node.tick()
    peer.accepts = True
    node.tick()
    assert len(heard(peer)) == 1


def test_much_evidence_goes_in_batches():
    node = Node()
    for round_ in range(40):
        node.keep(piece(round_=round_))
    peer = node.peer()
    node.tick()
    assert [len(decode_evidence_batch(message)) for _, message in peer.take()] == [16, 16, 8]


def test_a_peers_evidence_is_verified_kept_and_passed_on_but_not_back():
    node = Node()
    source, other = node.peer("source"), node.peer("other")
    node.say(source, piece())
    assert node.pool.evidence() == (piece(),) and node.arrivals == 1
    node.tick()
    assert heard(source) == [] and heard(other) == [piece()]
    node.say(other, piece())
    assert node.arrivals == 1


def test_false_evidence_costs_its_sender_and_evidence_it_cannot_judge_yet_does_not():
    node = Node()
    peer, liar = node.peer("peer"), node.peer("liar")
    node.say(peer, piece(height=51))
    assert peer.disconnected is None and node.pool.evidence() == ()
    node.say(liar, piece(round_=99))
    assert liar.disconnected == ("evidence with a wrong signature", Offence.INVALID_SIGNATURE)


def test_a_flood_is_bounded_and_verified_in_turns():
    node = Node()
    flooder, honest = node.peer("flooder"), node.peer("honest")
    for start in range(0, 160, 16):
        batch = [piece(round_=100 + start + n) for n in range(16)]
        node.reactor.receive(flooder, EVIDENCE_CHANNEL, encode_evidence_batch(batch))
    node.reactor.receive(honest, EVIDENCE_CHANNEL, encode_evidence_batch([piece()]))
    assert node.reactor.verify_one()
    assert piece() in node.pool.tried and len(node.pool.tried) == 2
    while node.reactor.verify_one():
        pass
    assert len(node.pool.tried) == MAX_QUEUED + 1


def test_garbage_is_the_decoders_business_and_the_departed_are_ignored():
    node = Node()
    peer = node.peer()
    with pytest.raises(DecodingError):
        node.reactor.receive(peer, EVIDENCE_CHANNEL, b"\x01\xc1\x01")
    node.reactor.peer_removed(peer, "gone")
    node.say(peer, piece())
    assert node.pool.tried == []
