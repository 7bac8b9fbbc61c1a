"""TCP through asyncio's streams: the network outside simulations.

Little is buffered on this side of the network, because an urgent message cannot overtake what was handed over: `write`
returns only when the operating system has taken everything, and the system is told to hold at most
`UNSENT_BYTES` that it has not sent yet. Reading is bounded by the stream's limit, beyond which TCP slows the sender.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.p2p.ports import Connection, Listener

READ_BUFFER_BYTES = 64 * 1024
UNSENT_BYTES = 32 * 1024
"""At 20 Mbit/s a vote waits 13 ms behind them; more would only make it wait longer."""
BACKLOG = 100


class TcpConnection:
    """One stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104  (already gone)
        self.remote_host: str = peer[0]
        self.remote_port: int = peer[1]
        writer.transport.set_write_buffer_limits(high=0)
        tcp = writer.get_extra_info("socket")
        if tcp is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    async def read(self, limit: int) -> bytes:
        return await self._reader.read(limit)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


class TcpListener:
    """A listening socket."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()


class TcpNetwork:
    """The real network."""

    async def listen(self, host: str, port: int, accept: Callable[[Connection], None]) -> Listener:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accept(TcpConnection(reader, writer))

        server = await asyncio.start_server(connected, host, port, limit=READ_BUFFER_BYTES, backlog=BACKLOG)
        return TcpListener(server)

    async def dial(self, host: str, port: int) -> Connection:
        reader, writer = await asyncio.open_connection(host, port, limit=READ_BUFFER_BYTES)
        return TcpConnection(reader, writer)
