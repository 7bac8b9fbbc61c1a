"""The node's place in the network: who is connected, who should be, and which reactor hears which bytes.

    Links ──judge──►  Switch  ──peer_added / receive / peer_removed──►  reactors
      ▲    ──linked─►   │ ▲
      └──────dial───────┘ └── Peer: ended(reason, offence) ──► scores, bans, address book, the next dial

The switch owns the table of peers and nothing else touches it; all of it runs on one event loop. What it does is
decided by pure modules: `slots` (limits, duplicates), `recruiting` (whom to dial), `scoring` (bans). A peer leaves the
table at once, in one place, and each reactor hears of it exactly once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cybermiles.p2p.handshake import HandshakeRefused, Identified
from cybermiles.p2p.identity import Endpoint, PeerAddress, address_block, ip_address, is_loopback
from cybermiles.p2p.links import Link, Links
from cybermiles.p2p.node_info import MAX_REFERRALS, NodeInfo, Refusal, RefusalCode
from cybermiles.p2p.peer import Farewell, Peer, Surroundings
from cybermiles.p2p.recruiting import Recruiter
from cybermiles.p2p.scoring import Offence, PeerViolation, Scores
from cybermiles.p2p.slots import Occupant, admit_inbound, replaces
from cybermiles.p2p.traffic import Traffic
from cybermiles.runtime.logging import get_logger
from cybermiles.runtime.tasks import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.p2p.address_book import AddressBook
    from cybermiles.p2p.book_file import BookFile
    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import NodeId, NodeKey
    from cybermiles.p2p.metrics import P2PMetrics
    from cybermiles.p2p.ports import Network, Reactor
    from cybermiles.runtime.clock import Clock
    from cybermiles.runtime.randomness import Randomness

log = get_logger("p2p")

RECENT = 64
"""Departures and failures kept for operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The outside world."""

    network: Network
    clock: Clock
    randomness: Randomness
    book_file: BookFile | None = None
    """Where addresses outlive the process; None keeps them in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One peer, for operators."""

    id: NodeId
    info: NodeInfo
    host: str
    port: int
    is_outbound: bool
    is_persistent: bool
    connected_ms: int
    sent_bytes: int
    received_bytes: int
    score: int
    """Points of penalty that have not decayed; a ban comes at 100."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A peer that is gone, or one that never came in."""

    id: str
    """Empty where it did not get as far as proving one."""
    host: str
    reason: str
    at_ms: int
    """Milliseconds since 1970."""


class Switch:
    """Listens, dials, accepts, and routes by channel."""

    def __init__(
        self,
        config: P2PConfig,
        key: NodeKey,
        info: NodeInfo,
        reactors: Sequence[Reactor],
        environment: Environment,
        book: AddressBook,
    ) -> None:
        """`info` names the chain; channels and listening address are filled in.

        Raises ValueError where two reactors want one channel.
        """
        self._config = config
        self._key = key
        self._clock = environment.clock
        self._reactors = tuple(reactors)
        self._book = book
        self._book_file = environment.book_file
        channels = sorted((spec for reactor in reactors for spec in reactor.channels), key=lambda spec: spec.id)
        if len({spec.id for spec in channels}) != len(channels):
            raise ValueError("two reactors want the same channel")
        self.traffic = Traffic(spec.id for spec in channels)
        self._shared = Surroundings(
            config=config,
            clock=environment.clock,
            channels=channels,
            reactors={spec.id: reactor for reactor in reactors for spec in reactor.channels},
            traffic=self.traffic,
        )
        self.info = replace(info, channels=tuple(spec.id for spec in channels), moniker=config.moniker or info.moniker)
        self._links = Links(self, config, key, environment.network, environment.clock)
        self._peers: dict[NodeId, Peer] = {}
        self._open: dict[Peer, None] = {}
        """Every peer whose connection has not ended, also those that left the table."""
        self._scores = Scores()
        self._recruiter = Recruiter(config, key.id, book, environment.randomness.below)
        self._closing = False
        self.departures: deque[Departure] = deque(maxlen=RECENT)
        """The latest peers that left, oldest first."""
        self.failures: deque[Departure] = deque(maxlen=RECENT)
        """The latest attempts in either direction that led to no link."""
        self.port = 0
        """Where it listens; 0 before `listen`."""

    @property
    def id(self) -> NodeId:
        """This node's id."""
        return self._key.id

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return who is connected."""
        now_ms = self._now_ms()
        return tuple(
            PeerStatus(
                id=peer.id,
                info=peer.info,
                host=peer.host,
                port=peer.port,
                is_outbound=peer.is_outbound,
                is_persistent=peer.is_persistent,
                connected_ms=now_ms - peer.since_ms,
                sent_bytes=peer.sent_bytes,
                received_bytes=peer.received_bytes,
                score=self._scores.score(peer.id, now_ms),
            )
            for peer in self._peers.values()
        )

    def publish(self, metrics: P2PMetrics) -> None:
        """Bring the metrics up to date; for `Registry.before_render`."""
        metrics.peers.set(len(self._peers))
        metrics.outbound_peers.set(sum(peer.is_outbound for peer in self._peers.values()))
        metrics.known_addresses.set(len(self._book))
        self.traffic.publish(metrics)

    async def listen(self) -> None:
        """Accept peers from now on. Raises OSError where the address is taken."""
        self.port = await self._links.listen()
        endpoint = self._config.external_address or Endpoint(self._config.listen_host, self.port)
        reachable = endpoint.ip is None or not endpoint.ip.is_unspecified
        self.info = replace(self.info, listen_address=str(endpoint) if reachable else f"0.0.0.0:{self.port}")
        self._links.info = self.info
        log.info("p2p_listening", id=self.id, host=self._config.listen_host, port=self.port)

    async def run(self) -> None:
        """Keep the node connected until cancelled, then part from everybody."""
        saved_ms = self._now_ms()
        try:
            while True:
                self._dial()
                await self._clock.sleep(self._config.dial_interval_ms / 1000)
                if self._now_ms() - saved_ms >= self._config.save_interval_ms:
                    saved_ms = self._now_ms()
                    await self._save_book()
        finally:
            await self._close()

    def disconnect(self, node_id: NodeId, reason: str) -> bool:
        """Part from a peer; False where it is not connected."""
        peer = self._peers.get(node_id)
        if peer is not None:
            peer.disconnect(reason)
        return peer is not None

    def admits_host(self, host: str) -> bool:
        return not self._closing and not self._scores.banned_for_ms(address_block(host), self._now_ms())

    def judge(self, peer: Identified, host: str, *, is_outbound: bool) -> Refusal | None:
        if self._closing:
            return Refusal(RefusalCode.CLOSING, "shutting down")
        banned_ms = self._scores.banned_for_ms(peer.id, self._now_ms())
        if banned_ms:
            return Refusal(RefusalCode.BANNED, f"banned for {banned_ms // 1000 + 1} s more")
        newcomer = self._occupant_of(peer.id, host, is_outbound=is_outbound)
        known = self._peers.get(peer.id)
        if known is not None and not replaces(self.id, known.occupant, newcomer):
            return Refusal(RefusalCode.DUPLICATE, "already connected")
        if is_outbound:
            return None
        admission = admit_inbound(newcomer, [other.occupant for other in self._peers.values()], self._config)
        if admission.refusal is not None:
            return Refusal(RefusalCode.FULL, admission.refusal, self._book.sample(MAX_REFERRALS))
        if admission.instead_of is not None:
            self._remove(self._peers[admission.instead_of], Farewell("its slot went to a peer of another network"))
        return None

    def linked(self, link: Link) -> None:
        node_id = link.peer.id
        known = self._peers.get(node_id)
        newcomer = self._occupant_of(node_id, link.connection.remote_host, is_outbound=link.dialed is not None)
        keeps_known = known is not None and not replaces(self.id, known.occupant, newcomer)
        peer = Peer(link, self._shared, is_persistent=newcomer.is_persistent, ended=self._peer_ended)
        self._open[peer] = None
        if keeps_known or self._closing:
            peer.start()
            peer.disconnect("already connected" if keeps_known else "shutting down")
            return
        if known is not None:
            self._remove(known, Farewell("replaced by a newer connection"))
        self._peers[node_id] = peer
        self.traffic.linked += 1
        self._recruiter.linked(node_id, self._now_ms())
        if link.dialed is not None:
            self._book.succeeded(link.dialed, self._clock.now_ms())
        else:
            self._recruiter.learn(node_id, peer.info, peer.host)
        log.info("peer_connected", peer=node_id, host=peer.host, outbound=peer.is_outbound, moniker=peer.info.moniker)
        peer.start()
        for reactor in self._reactors:
            error = guarded(reactor.peer_added, peer)
            if error is not None:
                peer.disconnect(f"internal error: {type(error).__name__}")

    def failed(self, dialed: PeerAddress | None, host: str, error: BaseException) -> None:
        reason = str(error) or type(error).__name__
        if dialed is not None and dialed.id not in self._peers:
            self._recruiter.failed(dialed, self._now_ms(), self._clock.now_ms())
        match error:
            case HandshakeRefused():
                self._note_refusal(dialed, host, error)
            case PeerViolation():
                self._punish(None if dialed is None else dialed.id, host, error.offence)
            case TimeoutError() if dialed is None:
                self._punish(None, host, Offence.UNRESPONSIVE)
            case OSError():
                pass
            case _:
                log.error("handshake_failed", host=host, bug=f"{type(error).__name__}: {error}", exc_info=error)
        log.debug("link_failed", host=host, dialed=str(dialed) if dialed else None, reason=reason)
        self.failures.append(Departure(dialed.id if dialed else "", host, reason, self._clock.now_ms()))

    def _note_refusal(self, dialed: PeerAddress | None, host: str, error: HandshakeRefused) -> None:
        if dialed is None:
            return
        if error.refusal.code in (RefusalCode.SELF, RefusalCode.WRONG_ID):
            self._book.remove(dialed.id)
        if error.by_peer and self._config.pex:
            for address in error.refusal.addresses:
                self._book.add(address, host)

    def _peer_ended(self, peer: Peer, farewell: Farewell) -> None:
        del self._open[peer]
        if farewell.offence is not None:
            self._punish(peer.id, peer.host, farewell.offence)
        self._remove(peer, farewell)

    def _remove(self, peer: Peer, farewell: Farewell) -> None:
        """Take a peer out of the table, tell it and the reactors; the second call for a peer does nothing."""
        if self._peers.get(peer.id) is not peer:
            return
        del self._peers[peer.id]
        self.traffic.parted += 1
        peer.disconnect(farewell.reason)
        self._recruiter.lost(peer.id, self._now_ms())
        self.departures.append(Departure(peer.id, peer.host, farewell.reason, self._clock.now_ms()))
        log.info("peer_disconnected", peer=peer.id, host=peer.host, reason=farewell.reason)
        for reactor in self._reactors:
            guarded(reactor.peer_removed, peer, farewell.reason)

    def _punish(self, node_id: NodeId | None, host: str, offence: Offence) -> None:
        """Score id and IP address (IPv6: its /64). Persistent peers are never banned, nor is this machine."""
        now_ms = self._now_ms()
        self.traffic.offences[offence] += 1
        if node_id is not None and self._recruiter.is_persistent(node_id):
            return
        if node_id is not None and self._scores.punish(node_id, offence, now_ms):
            self.traffic.bans += 1
            log.warning("peer_banned", peer=node_id, host=host, offence=offence.title)
            self._book.remove(node_id)
        if ip_address(host) is None or is_loopback(host):
            return
        if self._scores.punish(address_block(host), offence, now_ms):
            self.traffic.bans += 1
            log.warning("address_banned", host=host, offence=offence.title)

    def _dial(self) -> None:
        """Begin to dial whoever is missing."""
        occupants = [peer.occupant for peer in self._peers.values()]
        wanted = self._recruiter.whom_to_dial(
            self._now_ms(), self._clock.now_ms(), occupants, self._links.dialing, self._is_banned
        )
        for address in wanted:
            self._links.dial(address)

    def _is_banned(self, address: PeerAddress) -> bool:
        now_ms = self._now_ms()
        keys = (address.id, address_block(address.endpoint.host))
        return any(self._scores.banned_for_ms(key, now_ms) for key in keys)

    async def _save_book(self) -> None:
        if self._book_file is not None:
            good = [p.dialed for p in self._peers.values() if p.dialed is not None and not p.is_persistent]
            await self._book_file.save(self._book, good)

    async def _close(self) -> None:
        self._closing = True
        await self._save_book()
        for peer in tuple(self._peers.values()):
            self._remove(peer, Farewell("shutting down"))
        await self._links.close()
        for peer in tuple(self._open):
            await peer.wait()

    def _occupant_of(self, node_id: NodeId, host: str, *, is_outbound: bool) -> Occupant:
        return Occupant(
            id=node_id,
            host=host,
            is_outbound=is_outbound,
            is_persistent=self._recruiter.is_persistent(node_id),
            since_ms=self._now_ms(),
        )

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
