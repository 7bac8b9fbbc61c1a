"""Serves snapshots and light blocks, and asks for them while this node has no chain of its own.

Serving is bounded: a peer's requests by a rate and a number, its answers by one at a time, loaded only when the one
before has left for its queue. The channel has the least priority: votes and blocks pass chunks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.p2p.wire.state_sync import (
    MAX_MESSAGE_BYTES,
    Answer,
    Question,
    decode_state_sync,
    encode_state_sync,
)
from cybermiles.runtime.pacing import News
from cybermiles.runtime.tasks import within

if TYPE_CHECKING:
    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.runtime.clock import Clock
    from cybermiles.sync.snapshot_offers import Wanted

STATE_SYNC_CHANNEL = 0x41
REQUESTS_PER_SECOND = 20
"""Of one peer, and `REQUEST_BURST` at once."""
REQUEST_BURST = 200
MAX_OPEN_REQUESTS = 16
RETRY_MS = 50
IDLE_MS = 60_000
ANSWER_SECONDS = 30
"""How long an answer may take, a chunk of some megabytes included."""
_REMEMBERED = 256
"""Questions whose late answers are no offence."""


class SnapshotSource(Protocol):
    """What this node can serve."""

    async def load(self, what: Wanted, height: int, index: int) -> bytes:
        """Return what is asked for, b"" where it is not here."""
        ...


@dataclass(slots=True)
class _Client:
    handle: PeerHandle
    budget: TokenBucket
    questions: deque[Question] = field(default_factory=deque)
    answer: bytes | None = None
    """Loaded, and not taken by its queue yet."""
    asked: OrderedDict[Question, asyncio.Future[bytes | None] | None] = field(default_factory=OrderedDict)
    """Our questions to it, with who waits for the answer."""


class StateSyncReactor:
    """Reactor of the state sync channel. `run` belongs to a supervised task and serves; asking works without it."""

    channels = (
        ChannelSpec(STATE_SYNC_CHANNEL, 1, MAX_MESSAGE_BYTES, send_queue_messages=32, send_queue_bytes=4 * 1024 * 1024),
    )

    def __init__(self, source: SnapshotSource | None, clock: Clock) -> None:
        """`source` None has nothing to serve."""
        self._source = source
        self._clock = clock
        self._news = News(clock)
        self._peers: dict[str, _Client] = {}

    async def run(self) -> NoReturn:
        """Answer until cancelled."""
        while True:
            is_blocked = await self._serve()
            await self._news.wait_until(self._news.now_ms() + (RETRY_MS if is_blocked else IDLE_MS))

    def peer_added(self, peer: PeerHandle) -> None:
        bucket = TokenBucket(REQUESTS_PER_SECOND, REQUEST_BURST, self._news.now_ms())
        self._peers[peer.id] = _Client(peer, bucket)

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (the switch logs it)
        client = self._peers.pop(peer.id, None)
        for waiting in client.asked.values() if client else ():
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:  # noqa: ARG002  (it has one)
        client = self._peers.get(peer.id)
        if client is None:
            return
        match decode_state_sync(message):
            case Question() as question:
                if not client.budget.allow(self._news.now_ms()) or len(client.questions) >= MAX_OPEN_REQUESTS:
                    raise PeerViolation(Offence.FLOOD, f"more than {MAX_OPEN_REQUESTS} open state sync requests")
                client.questions.append(question)
                self._news.tell()
            case Answer(question, payload):
                if question not in client.asked:
                    raise PeerViolation(Offence.UNSOLICITED, "nobody had asked for that part of a snapshot")
                waiting = client.asked.pop(question)
                if waiting is not None and not waiting.done():
                    waiting.set_result(payload)

    # Asking

    @property
    def peers(self) -> tuple[str, ...]:
        """The ids of who is connected."""
        return tuple(self._peers)

    async def ask(self, peer: str, what: Wanted, height: int, index: int = 0) -> bytes | None:
        """Return a peer's answer, b"" where it does not have it; None where it is gone or silent."""
        client = self._peers.get(peer)
        question = Question(what, height, index)
        if client is None or client.asked.get(question) is not None:
            return None
        if not client.handle.send(STATE_SYNC_CHANNEL, encode_state_sync(question)):
            return None
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        client.asked[question] = future
        while len(client.asked) > _REMEMBERED:
            client.asked.popitem(last=False)
        try:
            return await within(self._clock, ANSWER_SECONDS, _result(future))
        except TimeoutError:
            client.asked[question] = None
            client.handle.disconnect("no answer to a state sync request", offence=Offence.UNRESPONSIVE)
            return None

    def ban(self, peer: str, reason: str) -> None:
        """End the connection to a liar and keep it away."""
        client = self._peers.get(peer)
        if client is not None:
            client.handle.disconnect(reason, offence=Offence.LYING)

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
        if client.answer is None:
            if not client.questions:
                return False
            question = client.questions.popleft()
            payload = b""
            if self._source is not None:
                payload = await self._source.load(question.what, question.height, question.index)
            client.answer = encode_state_sync(Answer(question, payload))
        if not client.handle.send(STATE_SYNC_CHANNEL, client.answer):
            return False
        client.answer = None
        return True


async def _result(future: asyncio.Future[bytes | None]) -> bytes | None:
    return await future
