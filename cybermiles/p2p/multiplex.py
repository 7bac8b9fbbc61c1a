"""Many channels over one stream of frames: priorities, splitting and joining, bounds; sans-IO.

    payload of a frame = packets;  packet = channel (1 byte) | last (1 bit) and size (15 bits) | data

`Outbox` holds one bounded queue for each channel and fills the next frame from the most urgent ones, so a vote leaves
with the very next frame, however many block parts and transactions wait. Lower channels cannot starve: after
`GUARD_FRAMES` frames in which one waited, the next frame starts with at most `GUARD_BYTES` of it. Small messages share
a frame, large ones are cut. `Inbox` joins what the peer's outbox cut; a message never grows over its channel's limit,
and the limit is checked before a byte is kept.

Channel 255 is the link's own: ping, pong, and the reason for a goodbye.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from cybermiles.p2p.framing import MAX_PAYLOAD_BYTES
from cybermiles.p2p.scoring import Offence, PeerViolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTROL_CHANNEL = 255
MAX_CONTROL_BYTES = 256
GUARD_FRAMES = 8
GUARD_BYTES = 8192
"""One half frame of nine: a starved channel gets about a twentieth of the link."""
BURST_SECONDS = 16
"""As many seconds' worth of a channel's received bytes may come at once."""
_HEADER_BYTES = 3
_LAST = 0x8000
_SIZE_MASK = 0x7FFF
_ROOM_WORTH_A_CUT = 64
"""A large message is not cut for less room than this at the end of a frame."""


class Overflow(Enum):
    """What happens to a message that finds its queue full."""

    REFUSE = "refuse"
    """`send` returns False; the caller keeps it or forgets it."""
    DROP_OLDEST = "drop oldest"
    """The oldest queued message makes room; for news that supersede each other."""
    DISCONNECT = "disconnect"
    """A peer that is that slow is of no use: the link ends."""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel's place among the others and its bounds."""

    id: int
    """0 to 254; 0x00 pex, 0x20… consensus, 0x30 transactions, 0x38 evidence, 0x40 block sync, 0x60… state sync."""
    priority: int
    """The higher goes first. Channels of equal priority take turns."""
    max_message_bytes: int
    """A larger message is never sent, and one received is the peer's offence before it is whole."""
    send_queue_messages: int = 128
    send_queue_bytes: int = 1 << 20
    """Bounds of what waits for one peer. A message fits into an empty queue whatever its size."""
    overflow: Overflow = Overflow.REFUSE
    receive_bytes_per_second: int = 0
    """A peer that sends more is read more slowly, once it has sent `BURST_SECONDS` as much; for channels whose messages
    are small and cost much to read. 0: only the peer's whole budget counts."""


class SendQueueOverflow(Exception):
    """A queue with `Overflow.DISCONNECT` is full."""


class _Queue:
    """What waits on one channel."""

    __slots__ = ("messages", "offset", "served", "size", "spec")

    def __init__(self, spec: ChannelSpec) -> None:
        self.spec = spec
        self.messages: deque[bytes] = deque()
        self.size = 0
        self.offset = 0
        """How much of the first message has left already."""
        self.served = 0

    def put(self, message: bytes) -> bool:
        spec = self.spec
        while self.messages and (
            len(self.messages) >= spec.send_queue_messages or self.size + len(message) > spec.send_queue_bytes
        ):
            if spec.overflow is Overflow.DISCONNECT:
                raise SendQueueOverflow(f"send queue of channel {spec.id:#04x} is full")
            if spec.overflow is Overflow.REFUSE or not self._drop_oldest():
                return False
        self.messages.append(message)
        self.size += len(message)
        return True

    def _drop_oldest(self) -> bool:
        """Drop the oldest message that has not begun to leave."""
        index = 1 if self.offset else 0
        if len(self.messages) <= index:
            return False
        self.size -= len(self.messages[index])
        del self.messages[index]
        return True

    def take(self, room: int, packets: list[bytes]) -> int:
        """Append packets of at most `room` bytes altogether and return how many were used."""
        messages, used = self.messages, 0
        channel = self.spec.id << 16
        while messages:
            message = messages[0]
            rest = len(message) - self.offset
            fits = room - used - _HEADER_BYTES
            if rest <= fits:
                packets.append((channel | _LAST | rest).to_bytes(_HEADER_BYTES))
                packets.append(message[self.offset :] if self.offset else message)
                messages.popleft()
                self.offset = 0
                self.size -= rest
                used += _HEADER_BYTES + rest
                continue
            if fits >= _ROOM_WORTH_A_CUT:
                packets.append((channel | fits).to_bytes(_HEADER_BYTES))
                packets.append(message[self.offset : self.offset + fits])
                self.offset += fits
                self.size -= fits
                used += _HEADER_BYTES + fits
            break
        return used


class Outbox:
    """Everything that waits to be sent to one peer."""

    def __init__(self, channels: Iterable[ChannelSpec]) -> None:
        control = ChannelSpec(CONTROL_CHANNEL, 1 << 30, MAX_CONTROL_BYTES, send_queue_messages=4)
        self._queues = {spec.id: _Queue(spec) for spec in (control, *channels)}
        self._waiting: dict[int, _Queue] = {}
        self._turn = 0
        self._frames_since_guard = 0

    @property
    def has_messages(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    @property
    def queued_bytes(self) -> int:
        """What waits on all channels."""
        return sum(queue.size for queue in self._waiting.values())

    def put(self, channel: int, message: bytes) -> bool:
        """Queue a message; False where its queue is full.

        Raises ValueError for an unknown channel and a message that is empty or over the channel's limit, and
        SendQueueOverflow where the channel's policy is to disconnect.
        """
        queue = self._queues.get(channel)
        if queue is None:
            raise ValueError(f"channel {channel:#04x} belongs to no reactor")
        if not 0 < len(message) <= queue.spec.max_message_bytes:
            raise ValueError(
                f"a message of channel {channel:#04x} has 1 to {queue.spec.max_message_bytes} bytes, not {len(message)}"
            )
        if not queue.put(message):
            return False
        self._waiting[channel] = queue
        return True

    def next_payload(self) -> bytes:
        """Return the payload of the next frame; b"" when nothing waits."""
        if not self._waiting:
            return b""
        packets: list[bytes] = []
        room = MAX_PAYLOAD_BYTES
        if len(self._waiting) > 1:
            room -= self._serve_the_starved(packets)
        while self._waiting and room > _HEADER_BYTES:
            used = self._serve(self._most_urgent(), room, packets)
            room -= used
            if used == 0:
                break
        return b"".join(packets)

    def _most_urgent(self) -> _Queue:
        waiting = self._waiting.values()
        if len(waiting) == 1:
            return next(iter(waiting))
        return max(waiting, key=lambda queue: (queue.spec.priority, -queue.served))

    def _serve_the_starved(self, packets: list[bytes]) -> int:
        """Every ninth frame begins with a little of whichever channel has waited longest."""
        self._frames_since_guard += 1
        if self._frames_since_guard <= GUARD_FRAMES:
            return 0
        self._frames_since_guard = 0
        starved = min(self._waiting.values(), key=lambda queue: queue.served)
        return self._serve(starved, GUARD_BYTES, packets)

    def _serve(self, queue: _Queue, room: int, packets: list[bytes]) -> int:
        used = queue.take(room, packets)
        self._turn += 1
        queue.served = self._turn
        if not queue.messages:
            del self._waiting[queue.spec.id]
        return used


class Inbox:
    """Joins the packets of one peer into messages."""

    def __init__(self, channels: Iterable[ChannelSpec]) -> None:
        self._limits = {spec.id: spec.max_message_bytes for spec in channels}
        self._limits[CONTROL_CHANNEL] = MAX_CONTROL_BYTES
        self._partial: dict[int, bytearray] = {}

    @property
    def buffered_bytes(self) -> int:
        """What is kept of messages that are not whole."""
        return sum(len(partial) for partial in self._partial.values())

    def feed(self, payload: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (channel, message) for each message that a frame's payload completes. Raises PeerViolation."""
        position, end = 0, len(payload)
        while position < end:
            header = int.from_bytes(payload[position : position + _HEADER_BYTES])
            channel, size = header >> 16, header & _SIZE_MASK
            start = position + _HEADER_BYTES
            position = start + size
            if size == 0 or position > end:
                raise PeerViolation(Offence.BAD_FRAME, f"packet of {size} bytes in {max(end - start, 0)}")
            limit = self._limits.get(channel)
            if limit is None:
                raise PeerViolation(Offence.BAD_FRAME, f"unknown channel {channel:#04x}")
            partial = self._partial.get(channel)
            if (len(partial) if partial else 0) + size > limit:
                raise PeerViolation(Offence.BAD_FRAME, f"message over {limit} bytes on channel {channel:#04x}")
            if header & _LAST:
                yield channel, self._whole(channel, payload[start:position])
            elif partial is None:
                self._partial[channel] = bytearray(payload[start:position])
            else:
                partial += payload[start:position]

    def _whole(self, channel: int, last: bytes) -> bytes:
        partial = self._partial.pop(channel, None)
        if partial is None:
            return last
        partial += last
        return bytes(partial)
