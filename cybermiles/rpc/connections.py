"""The listening socket, with caps on open connections.

aiohttp counts requests, not connections; a connection that sends nothing costs a descriptor all the same.
The gate stands before aiohttp: it looks at each accepted connection, answers 429 where a cap is reached, and
else hands the connection on.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiohttp import web

from cybermiles.errors import InvariantViolation
from cybermiles.rpc.access import is_loopback
from cybermiles.rpc.http_protocol import HttpProtocol, raw_answer
from cybermiles.rpc.jsonrpc import LIMIT_EXCEEDED, RpcError, encode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cybermiles.rpc.config import RpcLimits

RETRY_SECONDS = 10
"""What a refused caller is told to wait."""


class Admission(Protocol):
    """Which remote addresses are special."""

    def is_exempt(self, remote: str) -> bool:
        """Whether no limit of one address holds for it."""
        ...

    def is_hog(self, remote: str) -> bool:
        """Whether an address is not to be served for now."""
        ...


class EveryLoopback:
    """Exempts this machine, refuses nobody."""

    def is_exempt(self, remote: str) -> bool:
        """Whether it is this machine."""
        return is_loopback(remote)

    def is_hog(self, remote: str) -> bool:  # noqa: ARG002  (the protocol's shape)
        """Never."""
        return False


class GatedSite(web.BaseSite):
    """Listens on one address."""

    __slots__ = ("_gate", "_host", "_listener", "_port")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        limits: RpcLimits,
        *,
        admission: Admission | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`options` go to aiohttp's connections."""
        super().__init__(runner)
        server = runner.server
        if server is None:
            raise InvariantViolation("the runner of a site must be set up first")
        self._host = host
        self._port = port
        self._gate = _Gate(server, limits, admission or EveryLoopback(), options or {})
        self._listener: asyncio.Server | None = None

    @property
    def name(self) -> str:
        """The address, for aiohttp's messages."""
        return f"http://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The port listened on: the one taken, where 0 was asked for."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        await super().start()
        self._listener = await asyncio.get_running_loop().create_server(
            self._gate.accept, self._host, self._port, backlog=self._backlog
        )
        self._server = self._listener


class _Gate:
    """Counts open connections by what aiohttp holds."""

    def __init__(self, server: web.Server, limits: RpcLimits, admission: Admission, options: Mapping[str, Any]) -> None:
        self._server = server
        self._limits = limits
        self._admission = admission
        self._options = options

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a connection that was just accepted."""
        return _Doorkeeper(self._refuse, self._new_protocol)

    def _new_protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self._server, self._limits, **self._options)

    def _refuse(self, remote: str) -> str | None:
        """Return why a connection is refused."""
        limits = self._limits
        if self._admission.is_hog(remote):
            return f"{remote} went on although it was refused (rpc.requests_per_second)"
        connections = self._server.connections
        if len(connections) >= limits.connections_max:
            return f"{limits.connections_max} connections are open (rpc.connections_max)"
        if self._admission.is_exempt(remote):
            return None
        own = sum(_remote(connection.transport) == remote for connection in connections)
        if own >= limits.connections_per_ip_max:
            return f"{limits.connections_per_ip_max} connections of {remote} are open (rpc.connections_per_ip_max)"
        return None


class _Doorkeeper(asyncio.Protocol):
    """Meets a connection, and leaves it to aiohttp or closes it."""

    def __init__(self, refuse: Callable[[str], str | None], successor: Callable[[], asyncio.Protocol]) -> None:
        self._refuse = refuse
        self._successor = successor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide about the connection."""
        # A server socket's transport is a stream; uvloop's does not inherit asyncio's class for one.
        stream = cast("asyncio.Transport", transport)
        reason = self._refuse(_remote(stream))
        if reason is None:
            protocol = self._successor()
            stream.set_protocol(protocol)
            protocol.connection_made(stream)
            return
        body = encode_error(None, RpcError(LIMIT_EXCEEDED, f"too many connections: {reason}"))
        stream.write(raw_answer(HTTPStatus.TOO_MANY_REQUESTS, body, retry_seconds=RETRY_SECONDS))
        stream.close()


def _remote(transport: asyncio.BaseTransport | None) -> str:
    peer = None if transport is None else transport.get_extra_info("peername")
    return peer[0] if isinstance(peer, tuple) else ""
