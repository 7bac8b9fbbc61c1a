"""One WebSocket connection: requests in, answers and events out, both bounded.

    peer ─► _read ─► one task a message (at most `websocket_concurrency`) ─► Dispatcher
    peer ◄─ _write ◄─ outbox ◄─ answers (wait for room) and pushed events (never wait)

A peer that reads too slowly fills its outbox. Answers then wait, which stops the reading of its requests; an
event that finds no room closes the connection with 1008, so that nobody upstream ever waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, WSMsgType

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.dispatcher import Dispatcher
    from cybermiles.rpc.methods import Context

CLOSE_GRACE_SECONDS = 1
"""How long a peer may take to read up to the close frame and to answer it."""


class _Closed(Exception):
    """Ends every task of a session."""


class WebSocketSession:
    """A `Connection` that events can be pushed to. Owned by the request's own task."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        dispatcher: Dispatcher,
        limits: RpcLimits,
        *,
        new_context: Callable[[], Context],
        abort: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._limits = limits
        self._new_context = new_context
        self._abort = abort
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._overflowed = asyncio.Event()

    def push(self, payload: bytes) -> None:
        """Queue an event; one that finds no room closes the connection."""
        if self._overflowed.is_set():
            return
        if self._is_full():
            self._outbox.clear()
            self._overflowed.set()
            return
        self._put(payload)

    async def run(self) -> None:
        """Serve until either side closes."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(), name="rpc-websocket-write")
                tasks.create_task(self._close_when_overflowed(), name="rpc-websocket-guard")
                await self._read(tasks)
                raise _Closed
        except* _Closed:
            self._outbox.clear()

    async def close(self, code: int, reason: bytes) -> None:
        """Close the connection; cut it off where the peer does not take part in time."""
        try:
            async with asyncio.timeout(CLOSE_GRACE_SECONDS):
                await self._socket.close(code=code, message=reason)
        except (TimeoutError, RuntimeError):
            self._abort()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(self._limits.websocket_concurrency)
        async for message in self._socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await slots.acquire()
                tasks.create_task(self._answer(message.data, slots), name="rpc-websocket-request")

    async def _answer(self, body: bytes, slots: asyncio.Semaphore) -> None:
        context = self._new_context()
        context.connection = self
        try:
            answer = await self._dispatcher.handle(body, context)
            if answer is not None:
                while self._is_full():
                    self._emptied.clear()
                    await self._emptied.wait()
                self._put(answer)
            for action in context.after_answer:
                action()
        finally:
            slots.release()

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._outbox:
                payload = self._outbox.popleft()
                self._outbox_bytes -= len(payload)
                try:
                    await self._socket.send_frame(payload, WSMsgType.TEXT)
                except (ConnectionError, RuntimeError) as error:
                    raise _Closed from error
                self._emptied.set()

    async def _close_when_overflowed(self) -> None:
        await self._overflowed.wait()
        reason = b"too slow: rpc.subscriber_queue_items or rpc.subscriber_queue_bytes"
        await self.close(WSCloseCode.POLICY_VIOLATION, reason)
        raise _Closed

    def _put(self, payload: bytes) -> None:
        self._outbox.append(payload)
        self._outbox_bytes += len(payload)
        self._filled.set()

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._outbox) >= limits.subscriber_queue_items or self._outbox_bytes >= limits.subscriber_queue_bytes
