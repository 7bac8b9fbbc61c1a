"""One connected peer: three tasks around a session, and one reason for its end.

    read        bytes → session → reactor.receive, paced by the peer's budgets
    write       waits until something is queued, then sends frames as fast as the network takes them
    keep alive  asks for a sign of life, and gives up a peer that is silent or takes nothing

The first task that fails ends the peer, and only the peer. What a peer's bytes cause is its fault and costs it; an
exception of any other kind is a bug of this node, which ends the peer too and is logged with its traceback. A peer that
we part from is told why, is not listened to any more, and is cut off when that has not left in time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvalidBlock, ProtocolViolation
from cybermiles.p2p.multiplex import BURST_SECONDS, SendQueueOverflow
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.p2p.session import Session
from cybermiles.p2p.slots import Occupant
from cybermiles.runtime.logging import get_logger
from cybermiles.runtime.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import NodeId
    from cybermiles.p2p.links import Link
    from cybermiles.p2p.multiplex import ChannelSpec
    from cybermiles.p2p.node_info import NodeInfo
    from cybermiles.p2p.ports import Connection, Reactor
    from cybermiles.p2p.traffic import Traffic
    from cybermiles.runtime.clock import Clock

log = get_logger("p2p")

READ_BYTES = 64 * 1024
WRITE_BYTES = 32 * 1024
"""Frames handed to the network at once: a later vote cannot overtake them."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Why a peer is gone."""

    reason: str
    offence: Offence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every peer of a node shares."""

    config: P2PConfig
    clock: Clock
    channels: Sequence[ChannelSpec]
    reactors: Mapping[int, Reactor]
    """Channel id to the reactor that speaks on it."""
    traffic: Traffic


class Peer:
    """A `PeerHandle` with its connection."""

    def __init__(
        self, link: Link, shared: Surroundings, *, is_persistent: bool, ended: Callable[[Peer, Farewell], None]
    ) -> None:
        self.id: NodeId = link.peer.id
        self.info: NodeInfo = link.peer.info
        self.is_outbound = link.dialed is not None
        self.dialed = link.dialed
        self.is_persistent = is_persistent
        self.host = link.connection.remote_host
        self.port = link.connection.remote_port
        self.received_bytes = 0
        self.sent_bytes = 0
        self._shared = shared
        self._clock = shared.clock
        self._connection: Connection = link.connection
        self._session = Session(link.keys, shared.channels, link.peer.info.channels)
        self._first_bytes = link.first_bytes
        self._early_data = link.keys.early_data
        self._ended = ended
        self._farewell: Farewell | None = None
        self._channel = 0
        """The channel of the message that a reactor is reading."""
        self._wake = asyncio.Event()
        self._group = TaskGroup(self._finish)
        self.since_ms = self._now_ms()
        self._heard_ms = self.since_ms
        self._writing_since_ms: int | None = None
        config = shared.config
        self._byte_budget = _budget(config.receive_bytes_per_second, self.since_ms)
        self._message_budget = _budget(config.receive_messages_per_second, self.since_ms)
        self._channel_budgets = {
            spec.id: TokenBucket(rate, rate * BURST_SECONDS, self.since_ms)
            for spec in shared.channels
            if (rate := spec.receive_bytes_per_second)
        }

    @property
    def occupant(self) -> Occupant:
        """What `slots` needs to know of it."""
        return Occupant(
            id=self.id,
            host=self.host,
            is_outbound=self.is_outbound,
            is_persistent=self.is_persistent,
            since_ms=self.since_ms,
        )

    @property
    def is_closing(self) -> bool:
        """Whether it has been told goodbye."""
        return self._farewell is not None

    def start(self) -> None:
        """Begin to read and write."""
        self._group.start(f"peer {self.id[:8]} read", self._read())
        self._group.start(f"peer {self.id[:8]} write", self._write())
        self._group.start(f"peer {self.id[:8]} keep alive", self._keep_alive())

    def send(self, channel: int, message: bytes) -> bool:
        traffic = self._shared.traffic.channels.get(channel)
        if traffic is None:
            raise ValueError(f"channel {channel:#04x} belongs to no reactor")
        try:
            queued = self._session.send(channel, message)
        except SendQueueOverflow as overflow:
            self.disconnect(str(overflow))
            queued = False
        if queued:
            traffic.sent += 1
            traffic.sent_bytes += len(message)
            self._wake.set()
        else:
            traffic.refused += 1
        return queued

    def disconnect(self, reason: str, *, offence: Offence | None = None) -> None:
        if self._farewell is None:
            self._farewell = Farewell(reason, offence)
            self._session.close(reason)
            self._wake.set()
            self._group.start(f"peer {self.id[:8]} goodbye", self._cut_off())

    def abort(self, reason: str) -> None:
        """End at once, without a word."""
        self._farewell = self._farewell or Farewell(reason)
        self._group.cancel()

    async def wait(self) -> None:
        """Return when it is gone."""
        await self._group.wait()

    async def _read(self) -> None:
        try:
            await self._take(self._early_data)
            while data := await self._connection.read(READ_BYTES):
                await self._take(data)
        except (ProtocolViolation, DecodingError, InvalidBlock) as error:
            self.disconnect(self._complaint(error), offence=_offence_of(error))
            await asyncio.Event().wait()
        raise ConnectionError("closed by the peer")

    async def _take(self, data: bytes) -> None:
        """Hand each whole message to its reactor, then pay for all of them."""
        reactors, traffic = self._shared.reactors, self._shared.traffic.channels
        session, count, debt_ms = self._session, 0, 0
        frames, now_ms = session.received_frames, self._now_ms()
        for channel, message in session.receive(data):
            count += 1
            counted = traffic[channel]
            counted.received += 1
            counted.received_bytes += len(message)
            self._channel = channel
            budget = self._channel_budgets.get(channel)
            if budget is not None:
                debt_ms = max(debt_ms, budget.charge(now_ms, len(message)))
            reactors[channel].receive(self, channel, message)
            if self._farewell is not None:
                await asyncio.Event().wait()
        if session.farewell is not None:
            raise ConnectionError(f"the peer said: {session.farewell}")
        if session.received_frames != frames:
            self._heard_ms = now_ms
            if session.has_data:
                self._wake.set()
        self.received_bytes += len(data)
        debt_ms = max(debt_ms, self._byte_budget.charge(now_ms, len(data)), self._message_budget.charge(now_ms, count))
        if debt_ms:
            await self._clock.sleep(debt_ms / 1000)
            self._heard_ms = self._now_ms()

    async def _write(self) -> None:
        await self._send(self._first_bytes)
        while True:
            data = self._session.data_to_send(WRITE_BYTES)
            if data:
                await self._send(data)
            elif self._farewell is not None:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _send(self, data: bytes) -> None:
        self._writing_since_ms = self._now_ms()
        await self._connection.write(data)
        self._writing_since_ms = None
        self.sent_bytes += len(data)

    async def _keep_alive(self) -> None:
        config = self._shared.config
        while True:
            await self._clock.sleep(config.ping_interval_ms / 1000)
            now_ms = self._now_ms()
            silence_ms = now_ms - self._heard_ms
            if self._writing_since_ms is not None and now_ms - self._writing_since_ms > config.stall_timeout_ms:
                raise PeerViolation(Offence.UNRESPONSIVE, f"took no bytes for {config.stall_timeout_ms // 1000} s")
            if silence_ms > config.ping_interval_ms + config.pong_timeout_ms:
                raise PeerViolation(Offence.UNRESPONSIVE, f"silent for {silence_ms // 1000} s")
            if silence_ms >= config.ping_interval_ms:
                self._session.ping()
                self._wake.set()

    def _complaint(self, error: Exception) -> str:
        """A decoder knows what is wrong with the bytes, but not whose they are."""
        where = f"malformed message on channel {self._channel:#04x}: " if isinstance(error, DecodingError) else ""
        return f"{where}{error}"

    async def _cut_off(self) -> None:
        await self._clock.sleep(self._shared.config.goodbye_timeout_ms / 1000)

    def _finish(self, error: BaseException | None) -> None:
        self._connection.close()
        self._ended(self, self._farewell or _farewell_of(error, self.id))
        self._farewell = self._farewell or Farewell("gone")

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)


def _budget(per_second: int, now_ms: int) -> TokenBucket:
    return TokenBucket(per_second, per_second, now_ms)


def _offence_of(error: ProtocolViolation | DecodingError | InvalidBlock) -> Offence:
    match error:
        case PeerViolation():
            return error.offence
        case DecodingError():
            return Offence.MALFORMED_MESSAGE
    return Offence.PROTOCOL_VIOLATION


def _farewell_of(error: BaseException | None, peer_id: NodeId) -> Farewell:
    """Return the reason that an exception of one of the tasks gives."""
    match error:
        case None:
            return Farewell("stopped")
        case PeerViolation():
            return Farewell(str(error), error.offence)
        case OSError():
            return Farewell(str(error) or type(error).__name__)
    log.error("peer_failed", peer=peer_id, bug=f"{type(error).__name__}: {error}", exc_info=error)
    return Farewell(f"internal error: {type(error).__name__}")
