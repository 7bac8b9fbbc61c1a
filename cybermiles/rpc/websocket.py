"""A WebSocket as `session.Stream`: text and binary messages are requests, pings are answered and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import WSMsgType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web


class WebSocketStream:
    """One WebSocket, prepared with `autoping` off."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._transport = request.transport

    async def messages(self) -> AsyncIterator[bytes | None]:
        async for message in self._socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                yield message.data
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
                yield None

    async def send(self, payload: bytes) -> None:
        await self._socket.send_frame(payload, WSMsgType.TEXT)

    async def close(self, code: int, reason: bytes) -> None:
        await self._socket.close(code=code, message=reason)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
