"""JSON-RPC over a Unix socket in the node's home, for its owner alone: every namespace, no rate limit.

Documents follow each other, with or without a newline between them, as geth's clients send them; each answer and event
is one line. The file's mode is 0600, so the operating system decides who is served.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from cybermiles.rpc.json_stream import JsonSplitter
from cybermiles.rpc.jsonrpc import INVALID_REQUEST, RpcError, encode_error
from cybermiles.rpc.methods import Context
from cybermiles.rpc.session import Session
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cybermiles.rpc.backlog import Backlog
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.dispatcher import Dispatcher
    from cybermiles.rpc.subscriptions import SubscriptionHub

log = get_logger("rpc")

MAX_PATH_BYTES = 107
"""Of a Unix socket's address on Linux."""
LOCAL = "127.0.0.1"
"""Stands for the caller's address: who can open the file is on this machine."""
_CHUNK_BYTES = 16 * 1024
"""Read at once: cutting a chunk of nothing but brackets takes ten milliseconds."""
_OWNER_ONLY = 0o177


class IpcServer:
    """Serves one dispatcher on one path. Whoever starts it holds the lock of the home directory."""

    def __init__(
        self, path: Path, dispatcher: Dispatcher, hub: SubscriptionHub, *, limits: RpcLimits, backlog: Backlog
    ) -> None:
        self._path = path
        self._dispatcher = dispatcher
        self._hub = hub
        self._limits = limits
        self._backlog = backlog
        self._listener: asyncio.Server | None = None
        self._sessions: dict[Session, _SocketStream] = {}

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._sessions)

    async def start(self) -> None:
        """Listen; a file that a killed node left behind is replaced. Raises OSError."""
        if len(os.fsencode(self._path)) > MAX_PATH_BYTES:
            log.warning("rpc_ipc_off", reason=f"the path is over {MAX_PATH_BYTES} bytes; use a shorter home directory")
            return
        if self._path.is_socket():
            self._path.unlink()
        before = os.umask(_OWNER_ONLY)
        try:
            self._listener = await asyncio.start_unix_server(self._serve, self._path, limit=_CHUNK_BYTES)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Close every connection and remove the file."""
        if self._listener is None:
            return
        self._listener.close()
        for stream in self._sessions.values():
            stream.abort()
        self._path.unlink(missing_ok=True)
        self._listener = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._sessions) >= self._limits.connections_max:
            what = f"{self._limits.connections_max} connections are open (rpc.connections_max)"
            writer.write(encode_error(None, RpcError(INVALID_REQUEST, what)) + b"\n")
            writer.close()
            return
        stream = _SocketStream(reader, writer, self._limits)
        session = Session(
            stream,
            self._dispatcher,
            self._limits,
            new_context=lambda: Context(remote=LOCAL),
            backlog=self._backlog,
        )
        self._sessions[session] = stream
        try:
            await session.run()
        finally:
            del self._sessions[session]
            self._hub.drop(session)
            writer.close()


class _SocketStream:
    """`session.Stream` over asyncio's pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: RpcLimits) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits

    async def messages(self) -> AsyncIterator[bytes | None]:
        splitter = JsonSplitter()
        limit = self._limits.body_max_bytes
        while data := await self._read():
            for document in splitter.feed(data):
                yield document
            if splitter.kept_bytes > limit:
                what = f"request is over {limit} bytes (rpc.body_max_bytes)"
                await self.send(encode_error(None, RpcError(INVALID_REQUEST, what)))
                return

    async def send(self, payload: bytes) -> None:
        self._writer.write(payload + b"\n")
        await self._writer.drain()

    async def close(self, code: int, reason: bytes) -> None:  # noqa: ARG002  (the protocol has no goodbye)
        self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_CHUNK_BYTES)
        except ConnectionError:
            return b""
