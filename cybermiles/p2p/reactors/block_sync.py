"""Asks peers for blocks on behalf of the sync service, and serves those that peers ask for.

Serving is bounded: a peer may have as many requests open as the policy allows a node to make, one answer a peer is
loaded at a time and only when the one before has left for its queue, and at most `MAX_LOADED` answers wait at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.p2p.wire.block_sync import (
    MAX_BLOCK_BYTES,
    MAX_MESSAGE_BYTES,
    BlockRequest,
    BlockResponse,
    NoBlock,
    Status,
    decode_block_sync,
    encode_block_sync,
)
from cybermiles.runtime.pacing import News
from cybermiles.sync.actions import Fault, SuppliedBlock, SyncLimits

if TYPE_CHECKING:
    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.commit import Commit

BLOCK_SYNC_CHANNEL = 0x40
STATUS_MS = 1_000
"""Least time between two announcements of our heights."""
STATUSES_PER_SECOND = 2
"""Of one peer, and `STATUS_BURST` at once, as many as pile up while this node is paused and its peers do not give it
up. Each makes the policy look for requests; more are a flood."""
STATUS_BURST = 64
RETRY_MS = 50
MAX_OPEN_REQUESTS = 2 * SyncLimits().requests_per_peer
MAX_LOADED = 4

_OFFENCES = {
    Fault.LYING: Offence.LYING,
    Fault.WRONG_BLOCK: Offence.LYING,
    Fault.UNSOLICITED: Offence.UNSOLICITED,
    Fault.UNRESPONSIVE: Offence.UNRESPONSIVE,
}


class BlockSource(Protocol):
    """The stored chain."""

    @property
    def base(self) -> int:
        """The lowest height that is kept."""
        ...

    @property
    def height(self) -> int:
        """The newest height that is durable; 0 before the first block."""
        ...

    async def load(self, height: int) -> tuple[bytes, Commit] | None:
        """Return a block's bytes and the commit stored with it, None where it is not kept."""
        ...


class Syncing(Protocol):
    """The sync service, as the reactor sees it."""

    def status(self, peer: str, base: int, height: int) -> None:
        """A peer says which heights it has."""
        ...

    def received(self, block: SuppliedBlock) -> None:
        """A peer sent a block."""
        ...

    def no_block(self, peer: str, height: int) -> None:
        """A peer has no such block."""
        ...

    def removed(self, peer: str) -> None:
        """A peer is gone."""
        ...


@dataclass(slots=True)
class _Client:
    """A peer and what we owe it."""

    handle: PeerHandle
    statuses: TokenBucket
    requests: deque[int] = field(default_factory=deque)
    answer: bytes | None = None
    """Loaded, and not taken by its queue yet."""


class BlockSyncReactor:
    """Reactor of the block sync channel and the service's `Suppliers`. `run` belongs to a supervised task."""

    channels = (
        ChannelSpec(
            BLOCK_SYNC_CHANNEL, 40, MAX_MESSAGE_BYTES, send_queue_messages=64, send_queue_bytes=4 * 1024 * 1024
        ),
    )

    def __init__(
        self, source: BlockSource, service: Syncing, clock: Clock, *, max_block_bytes: int = MAX_BLOCK_BYTES
    ) -> None:
        """`max_block_bytes` is the wire size of the chain's largest block: each peer may keep as much waiting here."""
        (channel,) = self.channels
        limit = max_block_bytes + MAX_MESSAGE_BYTES - MAX_BLOCK_BYTES
        self.channels = (replace(channel, max_message_bytes=limit),)
        self._source = source
        self._service = service
        self._news = News(clock)
        self._peers: dict[str, _Client] = {}
        self._told: Status | None = None
        self._told_ms = -STATUS_MS

    async def run(self) -> NoReturn:
        """Announce our heights and answer requests until cancelled."""
        while True:
            due_ms = self.tick(self._news.now_ms())
            is_blocked = await self._serve()
            if is_blocked:
                due_ms = min(due_ms, self._news.now_ms() + RETRY_MS)
            await self._news.wait_until(due_ms)

    def tick(self, now_ms: int) -> int:
        """Announce our heights where they changed, and return when to look again."""
        status = self._status()
        if status != self._told and now_ms - self._told_ms >= STATUS_MS:
            self._told, self._told_ms = status, now_ms
            message = encode_block_sync(status)
            for client in self._peers.values():
                client.handle.send(BLOCK_SYNC_CHANNEL, message)
        return now_ms + STATUS_MS

    def peer_added(self, peer: PeerHandle) -> None:
        self._peers[peer.id] = _Client(peer, TokenBucket(STATUSES_PER_SECOND, STATUS_BURST, self._news.now_ms()))
        peer.send(BLOCK_SYNC_CHANNEL, encode_block_sync(self._status()))

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (the switch logs it)
        if self._peers.pop(peer.id, None) is not None:
            self._service.removed(peer.id)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:  # noqa: ARG002  (it has one)
        client = self._peers.get(peer.id)
        if client is None:
            return
        match decode_block_sync(message):
            case Status(base, height):
                if not client.statuses.allow(self._news.now_ms()):
                    raise PeerViolation(Offence.FLOOD, f"more than {STATUSES_PER_SECOND} statuses a second")
                self._service.status(peer.id, base, height)
            case BlockRequest(height):
                if len(client.requests) >= MAX_OPEN_REQUESTS:
                    raise PeerViolation(Offence.FLOOD, f"more than {MAX_OPEN_REQUESTS} open block requests")
                client.requests.append(height)
                self._news.tell()
            case BlockResponse(height, value, commit):
                self._service.received(SuppliedBlock(height, peer.id, value, commit))
            case NoBlock(height):
                self._service.no_block(peer.id, height)

    # The service's side

    def ask(self, peer: str, height: int) -> None:
        """Request a block; where the peer's queue is full, its silence will tell."""
        client = self._peers.get(peer)
        if client is not None:
            client.handle.send(BLOCK_SYNC_CHANNEL, encode_block_sync(BlockRequest(height)))

    def drop(self, peer: str, fault: Fault, reason: str) -> None:
        """End the connection."""
        client = self._peers.get(peer)
        if client is not None:
            client.handle.disconnect(f"{fault.value}: {reason}", offence=_OFFENCES[fault])

    # Serving

    async def _serve(self) -> bool:
        """Answer one request of each peer after the other; whether answers wait for room in a queue."""
        progress = True
        while progress:
            progress = False
            for client in tuple(self._peers.values()):
                progress |= await self._serve_one(client)
        return any(client.answer is not None for client in self._peers.values())

    async def _serve_one(self, client: _Client) -> bool:
        """Load and send a peer's next answer; False where nothing could be done."""
        if client.answer is None:
            if not client.requests or self._loaded() >= MAX_LOADED:
                return False
            client.answer = await self._load(client.requests.popleft())
        if client.handle.id not in self._peers:
            client.answer = None
            return False
        if not client.handle.send(BLOCK_SYNC_CHANNEL, client.answer):
            return False
        client.answer = None
        return True

    async def _load(self, height: int) -> bytes:
        stored = await self._source.load(height)
        if stored is None:
            return encode_block_sync(NoBlock(height))
        return encode_block_sync(BlockResponse(height, *stored))

    def _loaded(self) -> int:
        return sum(client.answer is not None for client in self._peers.values())

    def _status(self) -> Status:
        height = self._source.height
        return Status(min(self._source.base, height + 1), height)
