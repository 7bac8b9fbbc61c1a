"""An established link without its socket: messages in and frames out, frames in and messages out; sans-IO.

Puts `framing` and `multiplex` together and speaks the link's own channel:

    0 ping     asks for a pong; a flood of pings gets four at a time
    1 pong     shows that the peer is alive; any frame does
    2 bye      the reason for which the sender is about to close
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.p2p.framing import FrameKey, FrameReader
from cybermiles.p2p.multiplex import CONTROL_CHANNEL, MAX_CONTROL_BYTES, ChannelSpec, Inbox, Outbox
from cybermiles.p2p.node_info import clean_text
from cybermiles.p2p.scoring import Offence, PeerViolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cybermiles.p2p.handshake import Established

_PING, _PONG, _BYE = b"\x00", b"\x01", b"\x02"


class Session:
    """Both directions of one link."""

    def __init__(self, keys: Established, channels: Sequence[ChannelSpec], peer_channels: Iterable[int]) -> None:
        self._sealer = FrameKey(keys.send_key)
        self._frames = FrameReader(keys.receive_key)
        self._outbox = Outbox(channels)
        self._inbox = Inbox(channels)
        self._peer_channels = frozenset(peer_channels)
        self._closing = False
        self.farewell: str | None = None
        """The peer's reason for closing, once it said one; nothing that follows is read."""
        self.received_frames = 0

    @property
    def buffered_bytes(self) -> int:
        """What waits to be sent and to become whole."""
        return self._outbox.queued_bytes + self._inbox.buffered_bytes

    @property
    def has_data(self) -> bool:
        """Whether anything waits to be sent."""
        return self._outbox.has_messages

    def send(self, channel: int, message: bytes) -> bool:
        """Queue a message; False where the queue is full, the peer has no such channel, or the session is closing.

        Raises as `Outbox.put` does.
        """
        if self._closing or channel not in self._peer_channels:
            return False
        return self._outbox.put(channel, message)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._outbox.put(CONTROL_CHANNEL, _PING)

    def close(self, reason: str) -> None:
        """Say goodbye; what waits on other channels is sent only as far as it goes before."""
        if not self._closing:
            self._closing = True
            self._outbox = Outbox(())
            self._outbox.put(CONTROL_CHANNEL, _BYE + clean_text(reason, MAX_CONTROL_BYTES - 1).encode("ascii"))

    def data_to_send(self, limit: int) -> bytes:
        """Return frames of about `limit` bytes, at least one if anything waits; b"" if nothing does."""
        frames: list[bytes] = []
        size = 0
        while size < limit and (payload := self._outbox.next_payload()):
            frame = self._sealer.seal(payload)
            frames.append(frame)
            size += len(frame)
        return b"".join(frames)

    def receive(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (channel, message) for each message that is whole now. Raises PeerViolation."""
        for payload in self._frames.feed(data):
            self.received_frames += 1
            for channel, message in self._inbox.feed(payload):
                if channel != CONTROL_CHANNEL:
                    yield channel, message
                    continue
                self._control(message)
                if self.farewell is not None:
                    return

    def _control(self, message: bytes) -> None:
        if message == _PING:
            if not self._closing:
                self._outbox.put(CONTROL_CHANNEL, _PONG)
        elif message[:1] == _BYE:
            self.farewell = clean_text(message[1:].decode("ascii", errors="replace"), MAX_CONTROL_BYTES)
        elif message != _PONG:
            raise PeerViolation(Offence.BAD_FRAME, f"unknown control message {message[0]}")
