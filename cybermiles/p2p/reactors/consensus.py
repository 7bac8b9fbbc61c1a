"""Spreads consensus messages: own ones at once, others' after verification to whoever seems to lack them.

    runner ── publish, accepted, view_changed ──► Shelf (what we have) ─┐ tick
    peers  ── RoundStep, Have, Prefer, messages ─► ConsensusPeer ───────┴► votes, parts, certificates to each peer

* Own messages go to every peer of the height at once; others' are relayed a tick later to those whose bits lack them.
* Each tick announces what is new here, in one message a peer. Every `STATUS_MS` everything is said again, so whatever
  was lost is sent again within seconds.
* A node notices who brings a validator's votes first. Whoever is third or later is asked to be lazy about that
  validator (`Prefer`): it then sends only what is still missing after `LAZY_MS`. So each validator's messages flow
  along the two fastest ways to each node, however the peers are connected, and any other way is the reserve.
* A peer two or more rounds behind gets the votes for which we are where we are. A peer that is still in the height
  before gets its precommits, its proposal and the parts; one further behind is block sync's business.

Nothing is verified here and nothing is concluded from claims. `accepted` and `rejected` come from the runner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from cybermiles.consensus.core.round_state import Step
from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.reactors.consensus_book import Book
from cybermiles.p2p.reactors.consensus_peer import ConsensusPeer, learn_way, note_vote, take_have
from cybermiles.p2p.reactors.consensus_relay import (
    DATA_CHANNEL,
    STATE_CHANNEL,
    VOTES_CHANNEL,
    Outgoing,
    announce,
    certificate_of_round,
    tell_preference,
    tell_step,
)
from cybermiles.p2p.reactors.consensus_shelf import KEPT_ROUNDS, LAZY_MS, PartsKey, ProposalKey, VoteKey, ones
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.p2p.wire.consensus import (
    MAX_DATA_BYTES,
    MAX_STATE_BYTES,
    MAX_VOTES_BYTES,
    Have,
    Prefer,
    RoundStep,
    Votes,
    decode_data,
    decode_state,
    decode_votes,
    encode_votes,
)
from cybermiles.runtime.pacing import Pacemaker
from cybermiles.types.certificate import PolkaCertificate
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from cybermiles.consensus.messages import ConsensusMessage, RoundView
    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.p2p.reactors.ports import Consensus
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.certificate import Certificate

TICK_MS = 20
"""From news to relaying it: one to two of these."""
STATUS_MS = 2_000
STATE_BYTES_PER_SECOND = 64 * 1024
"""Of one peer: an announcement of 1.3 kB each tick."""
VOTES_BYTES_PER_SECOND = 128 * 1024
"""Of one peer: about a thousand votes, all of 300 validators each second and as many again. To take one in costs some
40 µs, new or not."""


class ConsensusReactor:
    """Reactor of the consensus channels and the runner's `Gossip`. `run` belongs to a supervised task."""

    channels = (
        ChannelSpec(
            STATE_CHANNEL,
            100,
            MAX_STATE_BYTES,
            send_queue_messages=256,
            receive_bytes_per_second=STATE_BYTES_PER_SECOND,
        ),
        ChannelSpec(
            VOTES_CHANNEL,
            100,
            MAX_VOTES_BYTES,
            send_queue_messages=512,
            send_queue_bytes=2 << 20,
            receive_bytes_per_second=VOTES_BYTES_PER_SECOND,
        ),
        ChannelSpec(DATA_CHANNEL, 60, MAX_DATA_BYTES, send_queue_messages=64, send_queue_bytes=4 << 20),
    )

    def __init__(self, consensus: Consensus, clock: Clock) -> None:
        self._consensus = consensus
        self._book = Book(consensus)
        self._peers: dict[str, ConsensusPeer] = {}
        self._pacemaker = Pacemaker(clock, self.tick, soon_ms=TICK_MS)
        self._next_status_ms = 0

    async def run(self) -> NoReturn:
        """Relay until cancelled."""
        await self._pacemaker.run()

    def peer_height(self, peer_id: str) -> int:
        """Return the height a peer says it works on, 0 where it has not said."""
        peer = self._peers.get(peer_id)
        return 0 if peer is None else peer.height

    # The runner's side

    def publish(self, message: SignedProposal | Vote | Certificate) -> None:
        """Send an own message, or one said again, to every peer that may lack it."""
        now_ms = self._follow()
        self._book.keep(message, now_ms, own=True)
        if isinstance(message, Vote):
            self._doubt(VoteKey(message.round, message.type, message.block_hash), message)
            self._send_late(message)
        elif isinstance(message, SignedProposal):
            self._doubt(ProposalKey(message.round, message.parts.id), message)
        for place, peer in enumerate(self._peers.values()):
            if isinstance(message, PolkaCertificate) and peer.height == message.height == self._book.shelf.height:
                Outgoing(peer, self._book.shelf, peer.current, now_ms).polka(message)
            self._send(peer, place, now_ms)
        self._pacemaker.wake()

    def accepted(self, message: ConsensusMessage, source: str) -> None:  # noqa: ARG002  (its bits say who had it)
        """A peer's message was verified and is news: it is relayed with the next ticks."""
        self._book.keep(message, self._follow(), own=False)
        self._pacemaker.wake()

    def rejected(self, source: str, reason: str) -> None:
        """A peer passed on what it should have refused."""
        peer = self._peers.get(source)
        if peer is not None:
            peer.handle.disconnect(reason, offence=Offence.INVALID_SIGNATURE)

    def view_changed(self, view: RoundView) -> None:  # noqa: ARG002  (read where it is needed)
        """The node moved: say so at once."""
        self._follow()
        self._pacemaker.wake()

    # The peers' side

    def peer_added(self, peer: PeerHandle) -> None:
        self._peers[peer.id] = added = ConsensusPeer(peer)
        self._follow()
        tell_step(added, self._book.step)

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (the switch logs it)
        self._peers.pop(peer.id, None)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:
        sender = self._peers.get(peer.id)
        if sender is None:
            return
        now_ms = self._follow()
        if channel == STATE_CHANNEL:
            self._take_state(sender, message, now_ms)
        elif channel == DATA_CHANNEL:
            self._take_data(sender, message)
        else:
            self._take_votes(sender, message)

    def tick(self, now_ms: int) -> int:
        """Relay what is ripe, announce what is new, and return when to be called next at the latest."""
        self._follow()
        if now_ms >= self._next_status_ms:
            self._say_everything(now_ms)
        complete = True
        for place, peer in enumerate(self._peers.values()):
            complete &= self._send(peer, place, now_ms)
            complete &= self._announce(peer)
        for shelf in self._book.shelves():
            shelf.tick(now_ms)
        return self._next_tick_ms(now_ms, complete=complete)

    def _follow(self) -> int:
        """Move on with the runner and return the time."""
        now_ms = self._pacemaker.now_ms()
        book, before = self._book, self._book.step
        if not book.follow(now_ms):
            return now_ms
        for peer in self._peers.values():
            if book.step.height != before.height:
                peer.next_height(book.shelf, now_ms, follows=book.step.height == before.height + 1)
            else:
                peer.current.leave_rounds(min(book.step.round, peer.round) - KEPT_ROUNDS)
            if not self._consensus.view.is_catching_up:
                tell_step(peer, book.step)
        return now_ms

    # Sending

    def _send(self, peer: ConsensusPeer, place: int, now_ms: int) -> bool:
        """Send a peer what it lacks and tell whether its queues took everything."""
        shelf, previous = self._book.shelf, self._book.previous
        position = (place, len(self._peers))
        if peer.height == shelf.height:
            outgoing = Outgoing(peer, shelf, peer.current, now_ms)
            complete = self._certificates(peer, outgoing) and outgoing.votes() and outgoing.data(position)
            if previous is not None and self._both_wait(peer):
                # The commit of the height before becomes better by precommits that come late.
                complete &= Outgoing(peer, previous, peer.previous, now_ms).votes()
            return complete
        if previous is not None and peer.height == previous.height:
            outgoing = Outgoing(peer, previous, peer.previous, now_ms)
            return outgoing.votes() and outgoing.data(position)
        return True

    def _certificates(self, peer: ConsensusPeer, outgoing: Outgoing) -> bool:
        """Send the polkas of blocks proposed again, and to a peer left behind why we are where we are."""
        complete = True
        for key, proposal in self._book.shelf.proposals.items():
            known = peer.current.peek(key)
            if proposal.pol_round < 0 or known is None or not known.missing_mask or proposal.round < peer.round:
                continue
            polka = self._book.polka(proposal)
            complete &= polka is None or outgoing.polka(polka)
        round_ = self._book.step.round
        if peer.round < round_ - 1 and peer.certificate_round < round_:
            certificate = certificate_of_round(self._book.shelf, round_)
            complete &= certificate is None or outgoing.round_certificate(certificate)
        return complete

    def _send_late(self, vote: Vote) -> None:
        """Send an own precommit also to those that decided without it: their commit is better with it."""
        if vote.type is VoteType.PRECOMMIT:
            for peer in self._peers.values():
                if peer.height == vote.height + 1 > self._book.step.height:
                    peer.handle.send(VOTES_CHANNEL, encode_votes(Votes((vote,))))

    def _doubt(self, key: VoteKey | ProposalKey, message: Vote | SignedProposal) -> None:
        """What is said again may have been lost: send it to whoever has not announced it."""
        bit = 1
        if isinstance(message, Vote):
            bit <<= self._book.shelf.index_of.get(message.validator, 0)
        for peer in self._peers.values():
            known = peer.current.peek(key) if message.height == self._book.shelf.height else None
            if known is not None:
                known.sent &= ~bit
                known.sent_before &= ~bit

    def _announce(self, peer: ConsensusPeer) -> bool:
        book, complete = self._book, True
        if book.previous is not None and (peer.height == book.previous.height or self._both_wait(peer)):
            complete = announce(peer, book.previous, peer.previous, everything=False)
        if peer.height == book.shelf.height:
            complete &= announce(peer, book.shelf, peer.current, everything=False)
            if peer.asked_changed:
                tell_preference(peer, book.shelf)
        return complete

    def _both_wait(self, peer: ConsensusPeer) -> bool:
        """Whether the next height has started neither here nor there."""
        is_waiting = peer.height == self._book.shelf.height and peer.step is Step.UNSTARTED
        return is_waiting and not self._consensus.view.is_started

    def _say_everything(self, now_ms: int) -> None:
        self._next_status_ms = now_ms + STATUS_MS
        book = self._book
        book.refill(now_ms)
        for peer in self._peers.values():
            tell_step(peer, book.step)
            peer.certificate_round = -1
            if peer.height == book.shelf.height:
                announce(peer, book.shelf, peer.current, everything=True)
                if peer.asked:
                    tell_preference(peer, book.shelf)

    def _next_tick_ms(self, now_ms: int, *, complete: bool) -> int:
        shelves = tuple(self._book.shelves())
        if not complete or any(shelf.is_ripening for shelf in shelves):
            return now_ms + TICK_MS
        due = [self._next_status_ms]
        holds = [p.entered_ms + LAZY_MS for p in self._peers.values() if p.height == self._book.shelf.height]
        due += [hold for hold in holds if hold > now_ms]
        if any(peer.lazy_mask for peer in self._peers.values()):
            due += [shelf.next_stale_ms for shelf in shelves if shelf.next_stale_ms is not None]
        return max(min(due), now_ms + 1)

    # Receiving

    def _take_state(self, peer: ConsensusPeer, message: bytes, now_ms: int) -> None:
        state = decode_state(message)
        match state:
            case RoundStep():
                self._take_step(peer, state, now_ms)
            case Have():
                self._take_have(peer, state, now_ms)
            case Prefer(height, lazy) if height == self._book.shelf.height:
                members = self._book.shelf.members
                if lazy.bit_length() > len(members):
                    raise PeerViolation(Offence.PROTOCOL_VIOLATION, "preference for more validators than there are")
                peer.prefer(frozenset(members[index].address for index in ones(lazy)), self._book.shelf)
            case Prefer():
                pass  # of another height; it is said again

    def _take_step(self, peer: ConsensusPeer, step: RoundStep, now_ms: int) -> None:
        before = peer.height
        if not peer.moved(step):
            return
        shelf = self._book.shelf
        if peer.height == shelf.height:
            if before != peer.height:
                peer.entered_ms = now_ms
                announce(peer, shelf, peer.current, everything=True)
            self._send(peer, self._place(peer), now_ms)
        self._pacemaker.wake()

    def _take_have(self, peer: ConsensusPeer, have: Have, now_ms: int) -> None:
        shelf = self._book.shelf_of(have.height)
        if shelf is None:
            return
        take_have(peer.current if shelf is self._book.shelf else peer.previous, have, shelf, now_ms)
        if have.parts:
            self._send(peer, self._place(peer), now_ms)  # it has room for more

    def _place(self, peer: ConsensusPeer) -> int:
        return next(place for place, other in enumerate(self._peers.values()) if other is peer)

    def _take_data(self, peer: ConsensusPeer, message: bytes) -> None:
        data = decode_data(message)
        if not self._is_near(data.height):
            return
        if data.height == self._book.shelf.height:
            if isinstance(data, SignedProposal):
                peer.current.claim(ProposalKey(data.round, data.parts.id), 1, received=True)
            else:
                peer.current.claim(PartsKey(data.parts_id), 1 << data.part.index, received=True)
        self._consensus.receive(data, peer.handle.id)

    def _take_votes(self, peer: ConsensusPeer, message: bytes) -> None:
        decoded = decode_votes(message)
        shelf = self._book.shelf
        if isinstance(decoded, Votes):
            for vote in decoded.votes:
                if vote.height == shelf.height:
                    learn_way(self._peers, peer, shelf, vote)
                elif self._book.previous is not None and vote.height == self._book.previous.height:
                    note_vote(peer.previous, self._book.previous, vote)
                if self._is_near(vote.height):
                    self._consensus.receive(vote, peer.handle.id)
            return
        if decoded.height == shelf.height:
            if len(decoded.votes) > 4 * len(shelf.index_of):
                raise PeerViolation(Offence.PROTOCOL_VIOLATION, "certificate of more votes than can be cast")
            for vote in decoded.votes:
                note_vote(peer.current, shelf, vote)
        if self._is_near(decoded.height):
            self._consensus.receive(decoded, peer.handle.id)

    def _is_near(self, height: int) -> bool:
        """The runner wants the current height, late precommits of the one before, and early news of the next."""
        return abs(height - self._book.shelf.height) <= 1
