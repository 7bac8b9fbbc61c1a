"""The seams of the network: what a protocol sees of peers, and what the switch sees of the outside.

    reactor  <- Reactor, PeerHandle ->  switch  <- Network, Connection ->  TCP, or a simulated network

All of it runs on one event loop; nothing here blocks, and nothing but the network waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.p2p.multiplex import ChannelSpec
    from cybermiles.p2p.scoring import Offence


class PeerHandle(Protocol):
    """One connected peer, as reactors see it."""

    @property
    def id(self) -> str:
        """The node id: 40 hex digits."""
        ...

    @property
    def is_outbound(self) -> bool:
        """Whether we dialed it."""
        ...

    @property
    def host(self) -> str:
        """Its IP address: how much one party can have to say is bounded by network, since ids are free."""
        ...

    def send(self, channel: int, message: bytes) -> bool:
        """Queue a message and return at once; False when the queue is full, the peer is gone or has no such channel.

        Raises ValueError for a channel of no reactor or a message over the channel's limit: a bug of the caller.
        """
        ...

    def disconnect(self, reason: str, *, offence: Offence | None = None) -> None:
        """Tell the peer why and end the connection soon; with an offence, it is scored and perhaps banned."""
        ...


class Reactor(Protocol):
    """One protocol spoken over peers' channels. All calls come from the event loop and return quickly."""

    @property
    def channels(self) -> tuple[ChannelSpec, ...]:
        """Its channels; an id belongs to one reactor."""
        ...

    def peer_added(self, peer: PeerHandle) -> None:
        """A peer is connected; it may be sent to from now on."""
        ...

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:
        """The peer is gone; called once for each `peer_added`."""
        ...

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:
        """Take one whole message; slow work goes into the reactor's own bounded queue.

        Raises ProtocolViolation or DecodingError where the bytes are the peer's fault: the peer is dropped and scored.
        """
        ...


class Connection(Protocol):
    """A reliable stream of bytes to one remote address."""

    @property
    def remote_host(self) -> str:
        """The remote IP address."""
        ...

    @property
    def remote_port(self) -> int:
        """The remote port."""
        ...

    async def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes as soon as there are any; b"" at the end. Raises OSError where the link broke."""
        ...

    async def write(self, data: bytes) -> None:
        """Send, and return when the network takes more. Raises OSError where the link broke."""
        ...

    def close(self) -> None:
        """End the stream at once; bytes handed over by `write` before are still delivered where possible."""
        ...


class Listener(Protocol):
    """An open listening address."""

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        ...

    def close(self) -> None:
        """Accept no more."""
        ...


class Network(Protocol):
    """Opens connections; TCP in the node, memory in simulations."""

    async def listen(self, host: str, port: int, accept: Callable[[Connection], None]) -> Listener:
        """Call `accept`, which never raises, for each connection from outside. Raises OSError where it cannot bind."""
        ...

    async def dial(self, host: str, port: int) -> Connection:
        """Connect. Raises OSError where that fails; the caller limits the time."""
        ...
