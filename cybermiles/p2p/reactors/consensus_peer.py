"""What one peer has of the heights this node can help with, and what the two have told each other. Pure.

A peer's claims are hints: a false one costs the peer, not us, because all that follows from it is what we send to it,
and that is bounded by what we have. What a peer may make us remember is bounded too.

    theirs     it announced it or sent it to us
    received   it sent it to us: it has it for certain
    sent       we sent it; lost where the peer keeps announcing everything else, so this is believed for two
               complete announcements only
    told       it knows that we have it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.consensus.core.round_state import Step
from cybermiles.p2p.reactors.consensus_shelf import PartsKey, ProposalKey, VoteKey, ones
from cybermiles.p2p.scoring import Offence, PeerViolation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.p2p.reactors.consensus_shelf import Key, Shelf
    from cybermiles.p2p.wire.consensus import Have, RoundStep
    from cybermiles.types.vote import Vote

MAX_CLAIMED_KEYS = 64
"""Keys that a peer alone knows of and may make us remember, for one height: about 10 kB."""
MIN_REFRESH_MS = 1_000
"""A complete announcement counts as one at most this often, so that it cannot make us send everything all the time."""
FASTEST_WAYS = 2
"""Peers that may bring us a validator's messages at once: as many as are never asked to be lazy."""
PART_WINDOW = 8
"""Parts on their way to one peer, sent and not announced by it: 512 KiB. More fills fast links, but repeats more."""


@dataclass(slots=True)
class Known:
    """Bits of one key."""

    theirs: int = 0
    received: int = 0
    sent: int = 0
    sent_before: int = 0
    told: int = 0

    @property
    def missing_mask(self) -> int:
        """Bits that the peer has or will have; what it lacks is `bits & ~mask`."""
        return self.theirs | self.sent | self.sent_before

    @property
    def in_flight(self) -> int:
        """Sent and not announced by the peer yet."""
        return (self.sent | self.sent_before) & ~self.theirs

    @property
    def told_mask(self) -> int:
        """Bits that the peer knows we have."""
        return self.told | self.received | self.sent | self.sent_before


class PeerHeight:
    """What a peer has of one height."""

    __slots__ = ("_keys", "refreshed_ms")

    def __init__(self) -> None:
        self._keys: dict[Key, Known] = {}
        self.refreshed_ms = -MIN_REFRESH_MS

    def known(self, key: Key) -> Known:
        """Return the record of a key this node has something of."""
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = Known()
        return known

    def peek(self, key: Key) -> Known | None:
        """Return the record of a key if there is one."""
        return self._keys.get(key)

    def claim(self, key: Key, bits: int, *, received: bool = False) -> None:
        """Note what the peer says it has or sent us; beyond `MAX_CLAIMED_KEYS` keys, new ones are not remembered."""
        known = self._keys.get(key)
        if known is None:
            if len(self._keys) >= MAX_CLAIMED_KEYS:
                return
            known = self._keys[key] = Known()
        known.theirs |= bits
        if received:
            known.received |= bits

    def begin_refresh(self, now_ms: int) -> None:
        """A complete announcement follows: doubt what was sent twice long enough ago."""
        if now_ms - self.refreshed_ms < MIN_REFRESH_MS:
            return
        self.refreshed_ms = now_ms
        for key, known in tuple(self._keys.items()):
            known.theirs = known.received
            known.sent_before, known.sent = known.sent, 0
            if not known.theirs | known.told_mask:
                del self._keys[key]

    def leave_rounds(self, first: int) -> None:
        """Forget what is about rounds before `first`."""
        for key in [k for k in self._keys if not isinstance(k, PartsKey) and k.round < first]:
            del self._keys[key]


@dataclass(slots=True)
class ConsensusPeer:
    """One peer."""

    handle: PeerHandle
    height: int = 0
    """0 until it says where it stands."""
    round: int = 0
    step: Step = Step.UNSTARTED
    entered_ms: int = 0
    """When it came to our height."""
    current: PeerHeight = field(default_factory=PeerHeight)
    """Of our height."""
    previous: PeerHeight = field(default_factory=PeerHeight)
    """Of the height before."""
    lazy: frozenset[bytes] = frozenset()
    """Consensus addresses whose messages it wants from us only when they are stale."""
    lazy_mask: int = 0
    """The same in bits of our height's set."""
    asked: dict[bytes, None] = field(default_factory=dict)
    """Consensus addresses for which we asked it to be lazy."""
    asked_changed: bool = False
    certificate_round: int = -1
    """Of the last round certificate sent to it in our height."""

    def moved(self, step: RoundStep) -> bool:
        """Note where it stands and tell whether that is news; it only moves forward."""
        if (step.height, step.round, step.step) <= (self.height, self.round, self.step):
            return False
        self.height, self.round, self.step = step.height, step.round, step.step
        return True

    def next_height(self, shelf: Shelf, now_ms: int, *, follows: bool) -> None:
        """We moved to the shelf's height; `follows` where it is the next one."""
        self.previous = self.current if follows else PeerHeight()
        self.current = PeerHeight()
        self.certificate_round = -1
        if self.height == shelf.height:
            self.entered_ms = now_ms
        self.prefer(self.lazy, shelf)

    def prefer(self, lazy: frozenset[bytes], shelf: Shelf) -> None:
        """Note for whom it wants us to be lazy."""
        self.lazy = lazy
        self.lazy_mask = sum(1 << index for address, index in shelf.index_of.items() if address in lazy)


def take_have(peer_height: PeerHeight, have: Have, shelf: Shelf, now_ms: int) -> None:
    """Note an announcement about the shelf's height. Raises PeerViolation for bits that stand for nothing."""
    members = len(shelf.index_of)
    if have.is_complete:
        peer_height.begin_refresh(now_ms)
    for votes in have.votes:
        if votes.validators.bit_length() > members:
            raise PeerViolation(Offence.PROTOCOL_VIOLATION, f"votes of more than {members} validators announced")
        peer_height.claim(VoteKey(votes.round, votes.type, votes.block_hash), votes.validators)
    for parts in have.parts:
        part_set = shelf.part_sets.get(parts.parts_id)
        if part_set is not None and parts.parts.bit_length() > part_set.header.total:
            raise PeerViolation(Offence.PROTOCOL_VIOLATION, f"more than {part_set.header.total} parts announced")
        peer_height.claim(ProposalKey(parts.round, parts.parts_id), 1)
        peer_height.claim(PartsKey(parts.parts_id), parts.parts)


def note_vote(of_height: PeerHeight, shelf: Shelf, vote: Vote) -> tuple[VoteKey, int] | None:
    """Note that a peer sent a vote of the shelf's height; return its (key, index), None for a stranger's."""
    index = shelf.index_of.get(vote.validator)
    if index is None:
        return None
    key = VoteKey(vote.round, vote.type, vote.block_hash)
    of_height.claim(key, 1 << index, received=True)
    return key, index


def learn_way(peers: Mapping[str, ConsensusPeer], peer: ConsensusPeer, shelf: Shelf, vote: Vote) -> None:
    """Note that a peer sent a vote of the current height, and who should bring this validator's votes from now on."""
    noted = note_vote(peer.current, shelf, vote)
    if noted is None:
        return
    key, index = noted
    arrivals = 0
    for other in peers.values():
        known = other.current.peek(key)
        arrivals += known is not None and known.received >> index & 1
    if arrivals == 1 and vote.validator in peer.asked:
        if not shelf.here.get(key, 0) >> index & 1:
            del peer.asked[vote.validator]  # nobody else brought it: this is the way after all
            peer.asked_changed = True
    elif arrivals > FASTEST_WAYS and vote.validator not in peer.asked:
        eager = sum(vote.validator not in other.asked for other in peers.values() if other is not peer)
        if eager >= FASTEST_WAYS:
            peer.asked[vote.validator] = None
            peer.asked_changed = True


def wanted(shelf: Shelf, peer_height: PeerHeight, key: Key, lazy_mask: int, *, may_be_stale: bool) -> int:
    """Return which bits of a key to send to a peer now."""
    ripe = shelf.ripe.get(key, 0)
    if not isinstance(key, VoteKey) and lazy_mask >> shelf.author[key] & 1:
        lazy_mask = ~0
    eager = ripe & ~lazy_mask
    due = eager | (shelf.stale.get(key, 0) if may_be_stale else 0)
    if not due:
        return 0
    known = peer_height.peek(key)
    return due if known is None else due & ~known.missing_mask


def parts_in_turn(bits: int, total: int, start: int, limit: int) -> Iterator[int]:
    """Yield up to `limit` of the set bits, going around from `start`: each peer gets another part first."""
    above = bits >> start << start
    for count, index in enumerate(index for half in (above, bits ^ above) for index in ones(half)):
        if count >= limit or index >= total:
            return
        yield index
