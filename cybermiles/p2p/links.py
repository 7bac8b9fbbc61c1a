"""From an address or an accepted socket to a link: connect, greet, hand over; nothing else is awaited on the way.

    dial(address) ─┐
                   ├─► greet: handshake within its time ─► owner.judge ─► owner.linked(Link)
    accept(socket) ┘         │ any failure
                             └─► owner.failed(address or None, host, error)

Every attempt is a task group of its own, so a peer that sends garbage, stays silent or goes away ends only its attempt.
Between the verdict and `linked` nothing is awaited: the slots that `judge` counted are the slots that `linked` fills.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from cybermiles.crypto import x25519
from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.handshake import Established, Handshake, Identified, Role
from cybermiles.p2p.slots import Gate
from cybermiles.runtime.logging import get_logger
from cybermiles.runtime.tasks import TaskGroup, within

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import NodeId, NodeKey, PeerAddress
    from cybermiles.p2p.node_info import NodeInfo, Refusal
    from cybermiles.p2p.ports import Connection, Listener, Network
    from cybermiles.runtime.clock import Clock

log = get_logger("p2p")

_READ_BYTES = 4096
_OnEnd = Callable[["BaseException | None"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An authenticated connection that both sides want."""

    connection: Connection
    peer: Identified
    keys: Established
    first_bytes: bytes
    """To be sent before the first frame: the responder's verdict."""
    dialed: PeerAddress | None
    """The address that led here; None for an inbound link."""


class LinkOwner(Protocol):
    """Who decides about peers: the switch."""

    def admits_host(self, host: str) -> bool:
        """Whether connections from the IP address are heard at all."""
        ...

    def judge(self, peer: Identified, host: str, *, is_outbound: bool) -> Refusal | None:
        """Return why an authenticated peer is not wanted, or None."""
        ...

    def linked(self, link: Link) -> None:
        """Take a link over, its connection included."""
        ...

    def failed(self, dialed: PeerAddress | None, host: str, error: BaseException) -> None:
        """An attempt ended without a link."""
        ...


class Links:
    """All attempts that are under way."""

    def __init__(self, owner: LinkOwner, config: P2PConfig, key: NodeKey, network: Network, clock: Clock) -> None:
        self._owner = owner
        self._config = config
        self._key = key
        self._network = network
        self._clock = clock
        self._gate = Gate(config)
        self._groups: dict[TaskGroup, None] = {}
        self._listener: Listener | None = None
        self.info: NodeInfo | None = None
        """What we tell peers about ourselves; no greeting begins without it."""
        self.dialing: dict[NodeId, PeerAddress] = {}
        """Addresses being dialed."""

    async def listen(self) -> int:
        """Accept connections from now on and return the port. Raises OSError where the address is taken."""
        self._listener = await self._network.listen(self._config.listen_host, self._config.listen_port, self._accept)
        return self._listener.port

    def dial(self, address: PeerAddress) -> None:
        """Begin to connect; the owner hears what came of it."""
        self.dialing[address.id] = address
        self._start(f"dial {address}", self._reach(address), partial(self._dial_ended, address))

    async def close(self) -> None:
        """Accept no more and give up all attempts."""
        if self._listener is not None:
            self._listener.close()
        groups = tuple(self._groups)
        for group in groups:
            group.cancel()
        for group in groups:
            await group.wait()

    def _accept(self, connection: Connection) -> None:
        host = connection.remote_host
        refusal = "banned"
        if self._owner.admits_host(host):
            entered = self._gate.enter(host, int(self._clock.monotonic() * 1000))
            if entered is None:
                greeting = self._greet_in_time(connection, None)
                self._start(f"greet {host}", greeting, partial(self._accept_ended, host, connection))
                return
            refusal = entered
        log.debug("connection_refused", host=host, reason=refusal)
        connection.close()

    def _start(self, name: str, coroutine: Coroutine[Any, Any, None], ended: _OnEnd) -> None:
        def on_end(error: BaseException | None) -> None:
            del self._groups[group]
            ended(error)

        group = TaskGroup(on_end)
        self._groups[group] = None
        group.start(name, coroutine)

    async def _reach(self, address: PeerAddress) -> None:
        endpoint = address.endpoint
        connecting = self._network.dial(endpoint.host, endpoint.port)
        connection = await within(self._clock, self._config.dial_timeout_ms / 1000, connecting)
        await self._greet_in_time(connection, address)

    async def _greet_in_time(self, connection: Connection, dialed: PeerAddress | None) -> None:
        handed_over = False
        try:
            greeting = self._greet(connection, dialed)
            link = await within(self._clock, self._config.handshake_timeout_ms / 1000, greeting)
            self._owner.linked(link)
            handed_over = True
        finally:
            if not handed_over:
                connection.close()

    async def _greet(self, connection: Connection, dialed: PeerAddress | None) -> Link:
        if self.info is None:
            raise ValueError("links greet once they know what to say of the node")
        handshake = Handshake(
            Role.RESPONDER if dialed is None else Role.INITIATOR,
            key=self._key,
            ephemeral=x25519.generate(),
            info=self.info,
            expected_id=dialed.id if dialed else None,
        )
        try:
            peer, keys = await self._shake_hands(connection, handshake, is_outbound=dialed is not None)
        except ProtocolViolation:
            with suppress(OSError):  # what went wrong is known; that the peer left meanwhile adds nothing
                await connection.write(handshake.data_to_send())
            raise
        return Link(connection=connection, peer=peer, keys=keys, first_bytes=handshake.data_to_send(), dialed=dialed)

    async def _shake_hands(
        self, connection: Connection, handshake: Handshake, *, is_outbound: bool
    ) -> tuple[Identified, Established]:
        peer: Identified | None = None
        while True:
            await connection.write(handshake.data_to_send())
            data = await connection.read(_READ_BYTES)
            if not data:
                raise ConnectionError("closed during the handshake")
            event = handshake.receive(data)
            if isinstance(event, Identified):
                peer = event
                refusal = self._owner.judge(peer, connection.remote_host, is_outbound=is_outbound)
                if refusal is not None:
                    raise handshake.refuse(refusal)
                event = handshake.accept()
            if isinstance(event, Established) and peer is not None:
                return peer, event

    def _dial_ended(self, address: PeerAddress, error: BaseException | None) -> None:
        self.dialing.pop(address.id, None)
        if error is not None:
            self._owner.failed(address, address.endpoint.host, error)

    def _accept_ended(self, host: str, connection: Connection, error: BaseException | None) -> None:
        self._gate.leave(host)
        if error is not None:
            connection.close()
            self._owner.failed(None, host, error)
