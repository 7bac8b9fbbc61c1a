"""Spreads evidence of double votes until it stands in a block.

A peer gets a piece once it has reached the piece's height, and again every `RESEND_MS` while the piece is pending, for
it may have been too early for it. Peers' evidence is verified by a worker, one piece at a time, before it goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.evidence import (
    MAX_BATCH_EVIDENCE,
    MAX_MESSAGE_BYTES,
    decode_evidence_batch,
    encode_evidence_batch,
)
from cybermiles.runtime.pacing import News

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.primitives import Hash32

EVIDENCE_CHANNEL = 0x38
RESEND_MS = 10_000
TICK_MS = 1_000
RECEIVE_BYTES_PER_SECOND = 64 * 1024
"""Of one peer: eight full batches."""
MAX_QUEUED = 64
"""Pieces of one peer that wait to be verified; what comes beyond is dropped and comes again."""


class EvidencePool(Protocol):
    """The pool, as gossip sees it."""

    def evidence(self) -> tuple[DuplicateVote, ...]:
        """Return everything that a block could contain, oldest offence first."""
        ...

    def add(self, evidence: DuplicateVote) -> bool:
        """Verify and take a peer's evidence; whether it is news.

        False also where it cannot be judged yet. Raises ProtocolViolation where it proves nothing.
        """
        ...


@dataclass(slots=True)
class _Peer:
    handle: PeerHandle
    sent_ms: dict[Hash32, int] = field(default_factory=dict)
    """When a pending piece was sent to it or came from it."""
    queue: deque[DuplicateVote] = field(default_factory=deque)


class EvidenceReactor:
    """Reactor of the evidence channel. `run` belongs to a supervised task."""

    channels = (
        ChannelSpec(
            EVIDENCE_CHANNEL,
            50,
            MAX_MESSAGE_BYTES,
            send_queue_messages=64,
            receive_bytes_per_second=RECEIVE_BYTES_PER_SECOND,
        ),
    )

    def __init__(
        self,
        pool: EvidencePool,
        peer_height: Callable[[str], int],
        clock: Clock,
        *,
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        """`peer_height` tells which height a peer works on, 0 for unknown; `arrived` is called for news."""
        self._pool = pool
        self._peer_height = peer_height
        self._arrived = arrived
        self._news = News(clock)
        self._peers: dict[str, _Peer] = {}

    async def run(self) -> NoReturn:
        """Verify and spread until cancelled."""
        while True:
            now_ms = self._news.now_ms()
            due_ms = self.tick(now_ms)
            await self._news.wait_until(now_ms if self.verify_one() else due_ms)

    def tick(self, now_ms: int) -> int:
        """Send what is due and return when to be called again."""
        pending = {piece.hash: piece for piece in self._pool.evidence()}
        for name, peer in self._peers.items():
            for gone in [tx_hash for tx_hash in peer.sent_ms if tx_hash not in pending]:
                del peer.sent_ms[gone]
            height = self._peer_height(name)
            due = [
                (key, piece)
                for key, piece in pending.items()
                if piece.height < height and now_ms - peer.sent_ms.get(key, -RESEND_MS) >= RESEND_MS
            ]
            for start in range(0, len(due), MAX_BATCH_EVIDENCE):
                batch = due[start : start + MAX_BATCH_EVIDENCE]
                if not peer.handle.send(EVIDENCE_CHANNEL, encode_evidence_batch([piece for _, piece in batch])):
                    break
                peer.sent_ms |= {key: now_ms for key, _ in batch}
        return now_ms + TICK_MS

    def verify_one(self) -> bool:
        """Give each peer's oldest piece to the pool; whether more wait."""
        for peer in tuple(self._peers.values()):
            if not peer.queue:
                continue
            piece = peer.queue.popleft()
            try:
                is_news = self._pool.add(piece)
            except ProtocolViolation as error:
                peer.handle.disconnect(str(error), offence=Offence.INVALID_SIGNATURE)
                continue
            if is_news:
                peer.sent_ms[piece.hash] = self._news.now_ms()
                self._arrived()
        return any(peer.queue for peer in self._peers.values())

    def peer_added(self, peer: PeerHandle) -> None:
        self._peers[peer.id] = _Peer(peer)
        self._news.tell()

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (the switch logs it)
        self._peers.pop(peer.id, None)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:  # noqa: ARG002  (it has one)
        sender = self._peers.get(peer.id)
        if sender is None:
            return
        for piece in decode_evidence_batch(message):
            if len(sender.queue) < MAX_QUEUED:
                sender.queue.append(piece)
        self._news.tell()
