"""Which transaction to push, announce and ask for, and to or from whom: eth/65 (EIP-2464). Pure.

    new here    ──► √n of the peers have it or get it whole, it is announced to the others
    announced   ──► after `ARRIVAL_MS`, in which it may be pushed, asked for from one announcer
    no answer, or left out of it ──► asked for from the next announcer

What a peer has is remembered in a bounded LRU, so nothing goes back to where it came from. Everything that peers can
make grow is bounded for each peer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cybermiles.p2p.wire.mempool import MAX_HASHES, TARGET_BYTES, Announcement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cybermiles.types.primitives import Hash32

MAX_KNOWN = 16_384
"""Hashes that a peer is known to have; about 2 MB a peer."""
MAX_QUEUED = 4_096
"""Transactions that wait to be pushed or announced to one peer; the oldest are dropped."""
MAX_WANTED = 4_096
"""Announced transactions of one peer that are not here yet; further announcements are ignored."""
MAX_OFFERED = 8_192
"""Announcements to one peer that it has not come back to; the oldest lapse. Twice what it may want of us at once."""
MAX_ANNOUNCERS = 8
"""Peers remembered for one announced transaction."""
ARRIVAL_MS = 150
"""How long an announced transaction may come by itself."""
ANSWER_MS = 3_000
MAX_SILENCES = 5
"""Requests without an answer in a row, before the peer is dropped."""


class Give(NamedTuple):
    """Push these and announce those to a peer."""

    peer: str
    push: tuple[Hash32, ...]
    announce: tuple[Announcement, ...]


class Request(NamedTuple):
    """Ask a peer."""

    peer: str
    number: int
    hashes: tuple[Hash32, ...]


class DropSilent(NamedTuple):
    """Disconnect a peer that does not answer."""

    peer: str


Action: TypeAlias = Give | Request | DropSilent


@dataclass(slots=True)
class _Wanted:
    announcement: Announcement
    due_ms: int
    """When to ask for it."""
    announcers: list[str]
    asked: str | None = None


@dataclass(slots=True)
class _Asked:
    number: int
    hashes: tuple[Hash32, ...]
    deadline_ms: int


@dataclass(slots=True)
class _Peer:
    known: OrderedDict[Hash32, None] = field(default_factory=OrderedDict)
    push: deque[Hash32] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED))
    announce: deque[Announcement] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED))
    wanted: OrderedDict[Hash32, None] = field(default_factory=OrderedDict)
    """What it announced and is not here."""
    offered: OrderedDict[Hash32, None] = field(default_factory=OrderedDict)
    """What was announced to it and it has not wanted yet."""
    asked: _Asked | None = None
    silences: int = 0

    def offers(self, announcements: Iterable[Announcement]) -> None:
        for announcement in announcements:
            self.offered[announcement.hash] = None
        while len(self.offered) > MAX_OFFERED:
            self.offered.popitem(last=False)

    def knows(self, tx_hash: Hash32) -> None:
        known = self.known
        if tx_hash in known:
            known.move_to_end(tx_hash)
            return
        known[tx_hash] = None
        if len(known) > MAX_KNOWN:
            known.popitem(last=False)


class TransactionGossip:
    """The policy of one node. Owned by the mempool reactor."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._root = 0
        """Of the number of peers, rounded up."""
        self._wanted: dict[Hash32, _Wanted] = {}
        self._numbers = 0

    def added(self, peer: str, pooled: Iterable[Announcement]) -> None:
        """A peer came: it hears of what is pooled, the first `MAX_QUEUED`."""
        self._peers[peer] = state = _Peer()
        self._count()
        for announcement in pooled:
            if len(state.announce) == MAX_QUEUED:
                break
            state.announce.append(announcement)
            state.knows(announcement.hash)

    def removed(self, peer: str) -> None:
        """A peer is gone: what it announced is asked for elsewhere."""
        state = self._peers.pop(peer, None)
        if state is None:
            return
        self._count()
        for tx_hash in state.wanted:
            self._lose_announcer(tx_hash, peer)

    def admitted(self, announcement: Announcement) -> None:
        """The pool took a transaction, wherever it came from."""
        tx_hash = announcement.hash
        self.arrived(tx_hash)
        lacking = [state for state in self._peers.values() if tx_hash not in state.known]
        if not lacking:
            return
        # Who gets it whole follows from the hash, so that nodes and transactions spread the load. Those that have it
        # already count: a hop away from the origin, fewer push.
        start = int.from_bytes(tx_hash[:4]) % len(lacking)
        pushes = self._root - (len(self._peers) - len(lacking))
        for place, state in enumerate((*lacking[start:], *lacking[:start])):
            state.knows(tx_hash)
            if place < pushes:
                state.push.append(tx_hash)
            else:
                state.announce.append(announcement)

    def has(self, peer: str, tx_hash: Hash32) -> None:
        """A peer has shown that it has a transaction."""
        state = self._peers.get(peer)
        if state is not None:
            state.knows(tx_hash)

    def claimed(self, peer: str, hashes: Iterable[Hash32]) -> list[Hash32]:
        """Return which of the hashes a peer may want: those that were announced to it, each once."""
        state = self._peers.get(peer)
        if state is None:
            return []
        claimed = [tx_hash for tx_hash in dict.fromkeys(hashes) if tx_hash in state.offered]
        for tx_hash in claimed:
            del state.offered[tx_hash]
        return claimed

    def announced(self, peer: str, announcements: Sequence[Announcement], now_ms: int) -> None:
        """A peer offers transactions; those that are here must be left out."""
        state = self._peers.get(peer)
        if state is None:
            return
        for announcement in announcements:
            tx_hash = announcement.hash
            state.knows(tx_hash)
            if tx_hash in state.wanted or len(state.wanted) >= MAX_WANTED:
                continue
            wanted = self._wanted.get(tx_hash)
            if wanted is None:
                self._wanted[tx_hash] = _Wanted(announcement, now_ms + ARRIVAL_MS, [peer])
            elif len(wanted.announcers) < MAX_ANNOUNCERS:
                wanted.announcers.append(peer)
            else:
                continue
            state.wanted[tx_hash] = None

    def arrived(self, tx_hash: Hash32) -> None:
        """A transaction is here, or is known to be of no use."""
        wanted = self._wanted.pop(tx_hash, None)
        if wanted is not None:
            for name in wanted.announcers:
                self._peers[name].wanted.pop(tx_hash, None)

    def announcement(self, tx_hash: Hash32) -> Announcement | None:
        """Return what was said of a wanted transaction."""
        wanted = self._wanted.get(tx_hash)
        return None if wanted is None else wanted.announcement

    def answered(self, peer: str, number: int, hashes: Sequence[Hash32]) -> bool:
        """A peer answered a request; False where it is none of ours, or brings what was not asked for.

        Call `arrived` for what was taken of it before; the rest is asked for elsewhere.
        """
        state = self._peers.get(peer)
        if state is None:
            return True
        asked = state.asked
        if asked is None or asked.number != number:
            return number <= self._numbers  # a late answer is no offence, an invented one is
        expected = dict.fromkeys(asked.hashes)
        if any(tx_hash not in expected for tx_hash in hashes):
            return False
        state.asked, state.silences = None, 0
        for tx_hash in asked.hashes:
            self._lose_announcer(tx_hash, peer)
        return True

    def tick(self, now_ms: int) -> list[Action]:
        """Return everything that is to be sent now."""
        actions: list[Action] = []
        for name, state in tuple(self._peers.items()):
            if state.asked is not None and now_ms >= state.asked.deadline_ms:
                actions += self._give_up(name, state)
        for name, state in self._peers.items():
            push, announce = tuple(state.push), tuple(state.announce)
            state.push.clear()
            state.announce.clear()
            state.offers(announce)
            if push or announce:
                actions.append(Give(name, push, announce))
            if state.asked is None and state.wanted:
                actions += self._ask(name, state, now_ms)
        return actions

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to send, ask or wait for."""
        return not self._wanted and not any(p.push or p.announce or p.asked for p in self._peers.values())

    def _count(self) -> None:
        peers = len(self._peers)
        self._root = next(root for root in range(peers + 1) if root * root >= peers)

    def _ask(self, name: str, state: _Peer, now_ms: int) -> list[Action]:
        hashes: list[Hash32] = []
        size = 0
        for tx_hash in state.wanted:
            wanted = self._wanted[tx_hash]
            if wanted.asked is not None or wanted.due_ms > now_ms:
                continue
            size += wanted.announcement.size
            if hashes and size > TARGET_BYTES:
                break
            wanted.asked = name
            hashes.append(tx_hash)
            if len(hashes) == MAX_HASHES:
                break
        if not hashes:
            return []
        self._numbers += 1
        state.asked = _Asked(self._numbers, tuple(hashes), now_ms + ANSWER_MS)
        return [Request(name, self._numbers, tuple(hashes))]

    def _give_up(self, name: str, state: _Peer) -> list[Action]:
        """Its request stays unanswered: others are asked."""
        asked, state.asked = state.asked, None
        for tx_hash in asked.hashes if asked else ():
            self._lose_announcer(tx_hash, name)
        state.silences += 1
        if state.silences < MAX_SILENCES:
            return []
        self.removed(name)
        return [DropSilent(name)]

    def _lose_announcer(self, tx_hash: Hash32, name: str) -> None:
        state = self._peers.get(name)
        if state is not None:
            state.wanted.pop(tx_hash, None)
        wanted = self._wanted.get(tx_hash)
        if wanted is None or name not in wanted.announcers:
            return
        wanted.announcers.remove(name)
        if wanted.asked == name:
            wanted.asked = None
        if not wanted.announcers:
            del self._wanted[tx_hash]
