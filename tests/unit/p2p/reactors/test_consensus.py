"""One consensus reactor and scripted peers: what is sent to whom, and when."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.messages import PartMessage, RoundView
from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.reactors.consensus import STATUS_MS, TICK_MS, ConsensusReactor
from cybermiles.p2p.reactors.consensus_peer import MAX_CLAIMED_KEYS, PART_WINDOW, PeerHeight
from cybermiles.p2p.reactors.consensus_relay import DATA_CHANNEL, STATE_CHANNEL, VOTES_CHANNEL, certificate_of_round
from cybermiles.p2p.reactors.consensus_shelf import KEPT_ROUNDS, LAZY_MS, Shelf, VoteKey
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.consensus import (
    Have,
    HaveParts,
    HaveVotes,
    Prefer,
    RoundStep,
    Votes,
    decode_data,
    decode_state,
    decode_votes,
    encode_data,
    encode_state,
    encode_votes,
)
from cybermiles.types.certificate import MAX_CERTIFICATE_VOTES, PolkaCertificate, RoundCertificate
from cybermiles.types.commit import EMPTY_COMMIT, Commit
from cybermiles.types.part_set import PART_BYTES, PartSet, split
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import VoteType
from tests.fakes.gossip import FakePeer, VirtualClock
from tests.fakes.validators import make_vote, signature_of, validator_set

SET = validator_set(4)
BLOCK, OTHER = Hash32(b"\x0b" * 32), Hash32(b"\x0c" * 32)
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT


class Runner:
    """The port `Consensus`, set by hand."""

    def __init__(self, height=5, round_=0, step=Step.PREVOTE):
        self.validators = SET
        self.last_commit = EMPTY_COMMIT
        self.received = []
        self.known_votes = {}
        self.known_proposals = {}
        self.part_sets = {}
        self.stand(height, round_, step)

    def stand(self, height, round_=0, step=Step.PREVOTE, *, is_started=True, is_catching_up=False):
        self.view = RoundView(
            height=height,
            round=round_,
            step=step,
            is_started=is_started,
            is_catching_up=is_catching_up,
            last_commit_round=0,
        )

    def receive(self, message, source):
        self.received.append((message, source))

    def proposer(self, round_):
        return SET.validators[round_ % len(SET.validators)]

    def proposal(self, round_):
        return self.known_proposals.get(round_)

    def votes(self, round_, type_):
        return tuple(self.known_votes.get((round_, type_), ()))

    def rounds(self):
        return tuple(sorted({round_ for round_, _ in self.known_votes} | set(self.known_proposals)))

    def part_set(self, parts_id):
        return self.part_sets.get(parts_id)


class Node:
    """A reactor with its surroundings."""

    def __init__(self, **stand):
        self.clock = VirtualClock()
        self.clock.ms = 10_000
        self.runner = Runner(**stand)
        self.reactor = ConsensusReactor(self.runner, self.clock)
        self.tick()

    def tick(self, after_ms=TICK_MS):
        self.clock.ms += after_ms
        return self.reactor.tick(int(self.clock.ms))

    def relay(self):
        """Let news ripen."""
        self.tick()
        self.tick()

    def peer(self, id_="peer", *, height=5, round_=0, step=Step.PREVOTE):
        peer = FakePeer(id_)
        self.reactor.peer_added(peer)
        if height:
            self.say(peer, RoundStep(height, round_, step))
        peer.take()
        return peer

    def say(self, peer, message):
        channel, encode = STATE_CHANNEL, encode_state
        if isinstance(message, Votes | PolkaCertificate | RoundCertificate):
            channel, encode = VOTES_CHANNEL, encode_votes
        elif isinstance(message, SignedProposal | PartMessage):
            channel, encode = DATA_CHANNEL, encode_data
        self.reactor.receive(peer, channel, encode(message))

    def move(self, *args, **kwargs):
        self.runner.stand(*args, **kwargs)
        self.reactor.view_changed(self.runner.view)


DECODERS = {STATE_CHANNEL: decode_state, DATA_CHANNEL: decode_data, VOTES_CHANNEL: decode_votes}


def heard(peer):
    return [DECODERS[channel](message) for channel, message in peer.take()]


def votes_heard(peer):
    return [vote for message in heard(peer) if isinstance(message, Votes) for vote in message.votes]


def vote(index, type_=PREVOTE, height=5, round_=0, block_hash=BLOCK):
    return make_vote(SET, index, type_, height, round_, block_hash)


def bit(*validators):
    return sum(1 << i for i in validators)


def have(*votes, height=5, complete=False, parts=()):
    return Have(height, complete, tuple(votes), tuple(parts))


def proposal_of(value, *, height=5, round_=0, pol_round=-1, block_hash=BLOCK):
    parts = split(value)
    return parts, SignedProposal(height, round_, pol_round, block_hash, parts.header, signature_of(height, round_))


# Votes


def test_an_own_vote_goes_at_once_to_the_peers_of_the_height_and_to_no_other():
    node = Node()
    here, behind, ahead, unknown = (
        node.peer("here"),
        node.peer("behind", height=3),
        node.peer("ahead", height=9),
        node.peer("unknown", height=0),
    )
    node.reactor.publish(vote(0))
    assert votes_heard(here) == [vote(0)]
    assert not votes_heard(behind) and not votes_heard(ahead) and not votes_heard(unknown)


def test_a_peers_vote_is_announced_first_and_then_relayed_to_who_lacks_it():
    node = Node()
    source, other = node.peer("source"), node.peer("other")
    node.say(source, Votes((vote(1),)))
    assert node.runner.received == [(vote(1), "source")]
    node.reactor.accepted(vote(1), "source")
    node.tick()
    assert heard(other) == [have(HaveVotes(0, PREVOTE, BLOCK, bit(1)))]
    node.tick()
    assert votes_heard(other) == [vote(1)]
    node.relay()
    assert heard(source) == [] and heard(other) == []  # the source knows, the other was served


def test_nothing_is_relayed_before_it_is_verified():
    node = Node()
    source, other = node.peer("source"), node.peer("other")
    node.say(source, Votes((vote(1),)))
    node.relay()
    assert heard(other) == []


def test_a_peer_that_announced_a_vote_is_not_sent_it():
    node = Node()
    peer = node.peer()
    node.say(peer, have(HaveVotes(0, PREVOTE, BLOCK, bit(1, 2))))
    for index in (1, 3):
        node.reactor.accepted(vote(index), "elsewhere")
    node.relay()
    assert votes_heard(peer) == [vote(3)]


def test_a_vote_for_another_block_by_the_same_validator_is_another_vote():
    node = Node()
    peer = node.peer()
    node.say(peer, have(HaveVotes(0, PREVOTE, BLOCK, bit(1))))
    node.reactor.accepted(vote(1, block_hash=OTHER), "elsewhere")
    node.reactor.accepted(vote(2, block_hash=None), "elsewhere")
    node.relay()
    assert votes_heard(peer) == [vote(1, block_hash=OTHER), vote(2, block_hash=None)]


def test_a_full_queue_is_tried_again_at_the_next_tick():
    node = Node()
    peer = node.peer()
    peer.accepts = False
    node.reactor.publish(vote(0))
    assert node.tick() == node.clock.ms + TICK_MS
    peer.accepts = True
    node.tick()
    assert votes_heard(peer) == [vote(0)]


def test_what_was_lost_is_sent_again_after_two_complete_announcements_without_it():
    node = Node()
    peer = node.peer()
    node.reactor.publish(vote(0))
    assert votes_heard(peer) == [vote(0)]
    node.tick(STATUS_MS)
    node.say(peer, have(complete=True))
    node.tick()
    assert votes_heard(peer) == []  # it may have crossed the vote on the way
    node.tick(STATUS_MS)
    node.say(peer, have(complete=True))
    node.tick()
    assert votes_heard(peer) == [vote(0)]


def test_complete_announcements_in_a_flood_count_once_a_second():
    node = Node()
    peer = node.peer()
    node.reactor.publish(vote(0))
    node.tick(STATUS_MS)
    peer.take()
    for _ in range(50):
        node.say(peer, have(complete=True))
        node.tick(1)
    assert votes_heard(peer) == []


def test_what_is_said_again_goes_to_who_has_not_announced_it():
    node = Node()
    silent, confirmed = node.peer("silent"), node.peer("confirmed")
    node.reactor.publish(vote(0))
    node.say(confirmed, have(HaveVotes(0, PREVOTE, BLOCK, bit(0))))
    heard(silent), heard(confirmed)
    node.reactor.publish(vote(0))
    assert votes_heard(silent) == [vote(0)] and votes_heard(confirmed) == []


def test_prevotes_of_rounds_that_a_peer_has_left_are_of_no_use_to_it_but_precommits_are():
    node = Node(round_=2)
    peer = node.peer(round_=2)
    node.reactor.accepted(vote(1, PREVOTE, round_=1), "x")
    node.reactor.accepted(vote(1, PRECOMMIT, round_=1), "x")
    node.relay()
    assert votes_heard(peer) == [vote(1, PRECOMMIT, round_=1)]


def test_a_precommit_goes_also_to_who_has_decided_without_it():
    node = Node()
    decided = node.peer(height=6, step=Step.UNSTARTED)
    node.reactor.publish(vote(0, PRECOMMIT))
    assert votes_heard(decided) == [vote(0, PRECOMMIT)]


def decided_node():
    """A node that decided height 5 with the votes of 0, 1 and 2, and stands before height 6."""
    node = Node(step=Step.PRECOMMIT)
    parts, proposal = proposal_of(b"block" * 100)
    node.runner.part_sets[parts.header.id] = parts
    node.reactor.accepted(proposal, "x")
    for index in range(3):
        node.reactor.accepted(vote(index, PREVOTE), "x")
        node.reactor.accepted(vote(index, PRECOMMIT), "x")
    node.runner.last_commit = Commit(5, 0, BLOCK, (*(vote(i, PRECOMMIT).signature for i in range(3)), None))
    return node, parts, proposal


def test_a_peer_one_height_behind_gets_the_commit_the_proposal_and_the_parts():
    node, parts, proposal = decided_node()
    node.move(6, step=Step.UNSTARTED, is_started=False)
    late = node.peer(height=5)
    node.relay()
    messages = heard(late)
    assert [m for m in messages if isinstance(m, SignedProposal | PartMessage)] == [
        proposal,
        PartMessage(5, parts.header.id, parts.part(0)),
    ]
    assert [v for m in messages if isinstance(m, Votes) for v in m.votes] == [vote(i, PRECOMMIT) for i in range(3)]
    two_behind = node.peer("two behind", height=4)
    node.relay()
    assert not any(isinstance(m, Votes | SignedProposal | PartMessage) for m in heard(two_behind))


def test_late_precommits_are_relayed_while_both_wait_for_the_next_height():
    node, _, _ = decided_node()
    node.move(6, step=Step.UNSTARTED, is_started=False)
    peer = node.peer(height=6, step=Step.UNSTARTED)
    node.say(peer, have(HaveVotes(0, PRECOMMIT, BLOCK, bit(0, 1, 2))))
    node.reactor.accepted(vote(3, PRECOMMIT), "x")
    node.reactor.accepted(vote(3, PRECOMMIT, block_hash=None), "x")
    node.relay()
    assert votes_heard(peer) == [vote(3, PRECOMMIT)]
    started = node.peer("started", height=6, step=Step.PROPOSE)
    node.relay()
    assert votes_heard(started) == []


def test_late_precommits_are_not_relayed_once_the_next_height_has_started_here():
    node, _, _ = decided_node()
    node.move(6, step=Step.UNSTARTED, is_started=False)
    waiting = node.peer(height=6, step=Step.UNSTARTED)
    node.say(waiting, have(HaveVotes(0, PRECOMMIT, BLOCK, bit(0, 1, 2))))
    node.move(6, step=Step.PROPOSE)
    node.reactor.accepted(vote(3, PRECOMMIT), "x")
    node.relay()
    assert votes_heard(waiting) == []


# Standing


def test_a_step_is_told_at_once_and_again_every_two_seconds():
    node = Node()
    peer = node.peer()
    node.move(5, 0, Step.PRECOMMIT)
    assert heard(peer) == [RoundStep(5, 0, Step.PRECOMMIT)]
    node.tick(STATUS_MS)
    assert heard(peer) == [RoundStep(5, 0, Step.PRECOMMIT), have(complete=True)]


def test_a_node_that_catches_up_tells_its_steps_only_now_and_then():
    node = Node()
    peer = node.peer()
    for height in range(6, 60):
        node.move(height, is_catching_up=True)
    assert heard(peer) == []
    node.tick(STATUS_MS)
    assert heard(peer)[0] == RoundStep(59, 0, Step.PREVOTE)


def test_who_enters_our_height_hears_everything_we_have():
    node = Node()
    node.reactor.publish(vote(0))
    peer = FakePeer()
    node.reactor.peer_added(peer)
    node.say(peer, RoundStep(5, 0, Step.PROPOSE))
    step, everything, votes = heard(peer)
    assert step == RoundStep(5, 0, Step.PREVOTE)
    assert everything == have(HaveVotes(0, PREVOTE, BLOCK, bit(0)), complete=True)
    assert votes == Votes((vote(0),))


def test_a_peer_moves_only_forward():
    node = Node()
    peer = node.peer(height=6)
    node.say(peer, RoundStep(5, 0, Step.PREVOTE))
    assert node.reactor.peer_height("peer") == 6
    assert node.reactor.peer_height("nobody") == 0


def test_a_peer_two_rounds_behind_gets_the_reason_once():
    node = Node(round_=4)
    for index in (1, 2, 3):
        node.reactor.accepted(vote(index, PRECOMMIT, round_=3, block_hash=None), "x")
    node.reactor.accepted(vote(1, PREVOTE, round_=4), "x")
    peer = node.peer(round_=1)
    node.relay()
    node.say(peer, RoundStep(5, 2, Step.PREVOTE))
    certificates = [m for m in heard(peer) if isinstance(m, RoundCertificate)]
    expected = [vote(i, PRECOMMIT, round_=3, block_hash=None) for i in (1, 2, 3)] + [vote(1, PREVOTE, round_=4)]
    assert certificates == []  # it went out with the first step, which `peer` has taken
    node.tick(STATUS_MS)
    (certificate,) = [m for m in heard(peer) if isinstance(m, RoundCertificate)]
    assert certificate.round == 4 and list(certificate.votes) == expected
    near = node.peer("near", round_=3)
    node.tick(STATUS_MS)
    assert not [m for m in heard(near) if isinstance(m, RoundCertificate)]


def test_what_the_runner_read_from_its_log_is_offered_too():
    node = Node()
    peer = node.peer()
    node.runner.known_votes[0, PREVOTE] = (vote(0), None, vote(2), None)
    node.tick(STATUS_MS)
    node.relay()
    assert votes_heard(peer) == [vote(0), vote(2)]


# Proposals and parts


def test_an_own_proposal_goes_out_with_its_first_parts_and_more_follow_as_they_arrive():
    node = Node(step=Step.PROPOSE)
    peer = node.peer(step=Step.PROPOSE)
    parts, proposal = proposal_of(bytes(PART_BYTES) * 20)
    root = parts.header.id
    node.runner.part_sets[root] = parts
    node.reactor.publish(proposal)
    first, *sent = heard(peer)
    assert first == proposal
    assert [m.part.index for m in sent] == list(range(PART_WINDOW))
    node.tick()
    assert heard(peer) == [have(parts=[HaveParts(0, root, 2**20 - 1)])]
    node.say(peer, have(parts=[HaveParts(0, root, 0b111)]))
    assert [m.part.index for m in heard(peer)] == list(range(PART_WINDOW, PART_WINDOW + 3))


def test_each_peer_gets_another_part_first():
    node = Node(step=Step.PROPOSE)
    peers = [node.peer(str(i), step=Step.PROPOSE) for i in range(4)]
    parts, proposal = proposal_of(bytes(PART_BYTES) * 40)
    node.runner.part_sets[parts.header.id] = parts
    node.reactor.publish(proposal)
    assert [heard(peer)[1].part.index for peer in peers] == [0, 10, 20, 30]


def test_a_part_is_relayed_and_acknowledged_to_its_sender():
    node = Node(step=Step.PROPOSE)
    source, other = node.peer("source", step=Step.PROPOSE), node.peer("other", step=Step.PROPOSE)
    parts, proposal = proposal_of(bytes(PART_BYTES) * 3)
    root = parts.header.id
    mine = node.runner.part_sets[root] = PartSet(parts.header)
    node.say(source, proposal)
    node.reactor.accepted(proposal, "source")
    message = PartMessage(5, root, parts.part(1))
    node.say(source, message)
    mine.add(parts.part(1))
    node.reactor.accepted(message, "source")
    node.relay()
    assert have(parts=[HaveParts(0, root, 0b10)]) in heard(source)
    assert [m for m in heard(other) if not isinstance(m, Have)] == [proposal, message]


def test_parts_go_only_to_who_has_the_proposal():
    node = Node(step=Step.PROPOSE)
    peer = node.peer(step=Step.PROPOSE)
    parts, proposal = proposal_of(b"value")
    node.runner.part_sets[parts.header.id] = parts
    send = peer.send
    peer.send = lambda channel, message: channel != DATA_CHANNEL and send(channel, message)
    node.reactor.publish(proposal)
    del peer.send
    node.tick()
    assert [type(m) for m in heard(peer) if not isinstance(m, Have)] == [SignedProposal, PartMessage]


def test_a_block_proposed_again_comes_with_its_polka():
    node = Node(round_=3, step=Step.PROPOSE)
    peer = node.peer(round_=3, step=Step.PROPOSE)
    parts, proposal = proposal_of(b"value", round_=3, pol_round=0)
    node.runner.part_sets[parts.header.id] = parts
    polka = PolkaCertificate(5, 0, BLOCK, tuple(vote(i) for i in range(3)))
    node.runner.known_votes[0, PREVOTE] = (*polka.votes, None)
    node.reactor.accepted(proposal, "x")
    node.relay()
    node.tick()
    assert polka in heard(peer)
    node.relay()
    assert polka not in heard(peer)
    knowing = node.peer("knowing", round_=3, step=Step.PROPOSE)
    node.say(knowing, have(HaveVotes(0, PREVOTE, BLOCK, bit(0, 1, 2, 3))))
    knowing.take()
    node.relay()
    assert polka not in heard(knowing)


def test_a_published_polka_is_kept_for_those_that_come_later():
    node = Node(round_=3, step=Step.PROPOSE)
    parts, proposal = proposal_of(b"value", round_=3, pol_round=0)
    polka = PolkaCertificate(5, 0, BLOCK, tuple(vote(i) for i in range(3)))
    node.reactor.publish(polka)
    node.reactor.publish(proposal)
    peer = FakePeer()
    node.reactor.peer_added(peer)
    node.say(peer, RoundStep(5, 3, Step.PROPOSE))
    node.tick()
    assert polka in heard(peer)


def test_a_published_polka_goes_to_who_lacks_its_votes():
    node = Node(round_=1)
    lacking, knowing = node.peer("lacking", round_=1), node.peer("knowing", round_=1)
    node.say(knowing, have(HaveVotes(0, PREVOTE, BLOCK, bit(0, 1, 2))))
    polka = PolkaCertificate(5, 0, BLOCK, tuple(vote(i) for i in range(3)))
    node.reactor.publish(polka)
    assert polka in heard(lacking) and polka not in heard(knowing)


def test_a_certificate_of_a_large_set_fits_its_bound():
    members = validator_set(130)
    shelf = Shelf(5, members)
    for index in range(130):
        shelf.add_vote(make_vote(members, index, PREVOTE, 5, 7, BLOCK), 0)
    for round_ in (6, 7):
        for number in range(25):  # liars vote for many blocks
            for index in range(130):
                shelf.add_vote(make_vote(members, index, PRECOMMIT, 5, round_, Hash32(bytes([number]) * 32)), 0)
    certificate = certificate_of_round(shelf, 7)
    assert len(certificate.votes) == MAX_CERTIFICATE_VOTES
    assert sum(v.round == 6 for v in certificate.votes) == 25 * 130
    assert decode_votes(encode_votes(certificate)) == certificate
    assert certificate_of_round(shelf, 3) is None


# Ways


def test_the_third_to_bring_a_validators_vote_is_asked_to_be_lazy_about_it():
    node = Node()
    peers = [node.peer(str(i)) for i in range(4)]
    for peer in peers:
        node.say(peer, Votes((vote(2),)))
    node.tick()
    preferences = [[m for m in heard(peer) if isinstance(m, Prefer)] for peer in peers]
    assert preferences == [[], [], [Prefer(5, bit(2))], [Prefer(5, bit(2))]]


def test_a_lazy_peer_that_is_first_becomes_a_way_again():
    node = Node()
    peers = [node.peer(str(i)) for i in range(3)]
    for peer in peers:
        node.say(peer, Votes((vote(2),)))
    node.tick()
    peers[2].take()
    node.say(peers[2], Votes((vote(2, PRECOMMIT),)))
    node.tick()
    assert Prefer(5, 0) in heard(peers[2])


def test_two_ways_are_always_left():
    node = Node()
    one, two, three, four = peers = [node.peer(str(i)) for i in range(4)]
    for peer in peers:
        node.say(peer, Votes((vote(2),)))
    assert [peer.handle.id for peer in node.reactor._peers.values() if peer.asked] == ["2", "3"]
    for peer in (one, three, two):  # three was asked and is faster than two all the same
        node.say(peer, Votes((vote(2, PRECOMMIT),)))
    assert [peer.handle.id for peer in node.reactor._peers.values() if peer.asked] == ["2", "3"]


def test_who_wants_us_to_be_lazy_gets_votes_when_they_are_stale():
    node = Node()
    peer = node.peer()
    node.clock.ms += LAZY_MS  # it entered long ago
    node.say(peer, Prefer(5, bit(1)))
    node.reactor.accepted(vote(1), "x")
    node.reactor.accepted(vote(2), "x")
    node.relay()
    assert votes_heard(peer) == [vote(2)]
    due = node.tick()
    assert due <= node.clock.ms + LAZY_MS
    node.tick(LAZY_MS)
    node.tick()
    assert votes_heard(peer) == [vote(1)]


def test_laziness_ends_where_the_peer_announces_the_vote_meanwhile():
    node = Node()
    peer = node.peer()
    node.clock.ms += LAZY_MS
    node.say(peer, Prefer(5, bit(1)))
    node.reactor.accepted(vote(1), "x")
    node.relay()
    node.say(peer, have(HaveVotes(0, PREVOTE, BLOCK, bit(1))))
    node.tick(LAZY_MS)
    node.tick()
    assert votes_heard(peer) == []


def test_laziness_survives_a_change_of_height():
    node = Node()
    peer = node.peer()
    node.say(peer, Prefer(5, bit(1)))
    node.move(6, step=Step.PROPOSE)
    node.say(peer, RoundStep(6, 0, Step.PROPOSE))
    node.clock.ms += LAZY_MS
    node.reactor.accepted(vote(1, height=6), "x")
    node.relay()
    assert votes_heard(peer) == []


# Peers' faults, and bounds


def test_a_rejected_message_costs_its_source():
    node = Node()
    peer = node.peer()
    node.reactor.rejected("peer", "wrong signature")
    assert peer.disconnected == ("wrong signature", Offence.INVALID_SIGNATURE)
    node.reactor.rejected("nobody", "left already")


@pytest.mark.parametrize(
    "message",
    [have(HaveVotes(0, PREVOTE, BLOCK, 1 << 4)), Prefer(5, 1 << 4)],
    ids=["votes", "preference"],
)
def test_bits_beyond_the_set_are_a_violation(message):
    node = Node()
    peer = node.peer()
    with pytest.raises(ProtocolViolation):
        node.say(peer, message)


def test_bits_beyond_the_block_are_a_violation():
    node = Node()
    peer = node.peer()
    parts, proposal = proposal_of(b"value")
    node.runner.part_sets[parts.header.id] = parts
    node.reactor.accepted(proposal, "x")
    with pytest.raises(ProtocolViolation):
        node.say(peer, have(parts=[HaveParts(0, parts.header.id, 0b10)]))


def test_a_certificate_of_more_votes_than_can_be_cast_is_a_violation():
    node = Node()
    peer = node.peer()
    with pytest.raises(ProtocolViolation, match="more votes"):
        node.say(peer, PolkaCertificate(5, 0, BLOCK, (vote(0),) * 17))


def test_a_flood_of_votes_or_claims_from_ten_peers_takes_less_than_a_core():
    """At 40 µs a vote and 60 µs an announcement of 80 bytes, measured with ten peers."""
    budgets = {spec.id: spec.receive_bytes_per_second for spec in ConsensusReactor.channels}
    vote_bytes = len(encode_votes(Votes((vote(0),) * 64))) // 64
    state_bytes = len(encode_state(have(HaveVotes(0, PREVOTE, BLOCK, 3), parts=[HaveParts(0, BLOCK, 1)])))
    assert 0 < 10 * budgets[VOTES_CHANNEL] // vote_bytes * 40 < 1_000_000
    assert 0 < 10 * budgets[STATE_CHANNEL] // state_bytes * 60 < 1_000_000


def test_messages_of_far_heights_do_not_reach_the_runner():
    node = Node()
    peer = node.peer()
    for height in (1, 3, 4, 5, 6, 7, 2**60):
        node.say(peer, Votes((vote(1, height=height),)))
        node.say(peer, proposal_of(b"v", height=height)[1])
        node.say(peer, RoundCertificate(height, 1, (vote(1, PRECOMMIT, height=height),)))
    assert sorted(message.height for message, _ in node.runner.received) == [4] * 3 + [5] * 3 + [6] * 3


def test_claims_of_a_million_rounds_and_blocks_are_not_remembered():
    node = Node()
    peer = node.peer()
    for number in range(2_000):
        block = Hash32(number.to_bytes(32))
        node.say(peer, have(HaveVotes(number, PREVOTE, block, 1), parts=[HaveParts(number, block, 1)]))
        node.say(peer, Votes((vote(1, round_=number, block_hash=block),)))
    state = node.reactor._peers["peer"]
    assert len(state.current._keys) <= MAX_CLAIMED_KEYS
    node.tick(STATUS_MS)
    node.say(peer, have(complete=True))
    node.reactor.accepted(vote(2), "x")
    node.relay()
    assert vote(2) in votes_heard(peer)


def test_a_refresh_forgets_claims_that_are_not_repeated():
    known = PeerHeight()
    for number in range(MAX_CLAIMED_KEYS):
        known.claim(VoteKey(number, PREVOTE, None), 1)
    known.claim(VoteKey(1_000, PREVOTE, None), 1)
    assert known.peek(VoteKey(1_000, PREVOTE, None)) is None
    known.begin_refresh(10_000)
    known.claim(VoteKey(1_000, PREVOTE, None), 1)
    assert known.peek(VoteKey(1_000, PREVOTE, None)).theirs == 1


def test_rounds_that_were_left_are_forgotten():
    node = Node()
    peer = node.peer()
    for round_ in range(30):
        node.move(5, round_, Step.PREVOTE)
        node.say(peer, RoundStep(5, round_, Step.PREVOTE))
        for index in range(4):
            node.reactor.accepted(vote(index, PREVOTE, round_=round_), "x")
            node.reactor.accepted(vote(index, PRECOMMIT, round_=round_), "x")
        node.relay()
    assert len(node.reactor._book.shelf.here) <= 6
    assert len(node.reactor._peers["peer"].current._keys) <= 10


def test_what_was_forgotten_before_it_was_stale_does_not_come_back_with_a_late_vote():
    """A late precommit of a round that was left opens its key again, without the votes that were there before."""
    node = Node()
    peer = node.peer()
    node.reactor.accepted(vote(0, PRECOMMIT), "elsewhere")
    node.move(5, 1 + KEPT_ROUNDS)
    node.reactor.accepted(vote(1, PRECOMMIT), "elsewhere")
    node.tick(LAZY_MS)
    assert votes_heard(peer) == []
    node.tick()
    assert votes_heard(peer) == [vote(1, PRECOMMIT)]


def test_a_message_of_a_peer_that_has_left_is_ignored():
    node = Node()
    peer = node.peer()
    node.reactor.peer_removed(peer, "gone")
    node.say(peer, Votes((vote(1),)))
    assert node.runner.received == []


def test_a_quiet_node_sleeps_until_its_next_status():
    node = Node()
    node.peer()
    node.clock.ms += LAZY_MS
    node.tick(STATUS_MS)
    assert node.tick() >= node.clock.ms + STATUS_MS - 2 * TICK_MS
