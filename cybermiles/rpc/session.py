"""One two-way connection: requests in, answers and events out, both bounded.

    peer ─► _read ─► one task a message (at most `websocket_concurrency`) ─► Dispatcher
    peer ◄─ _write ◄─ outbox ◄─ answers (wait for room) and pushed events (never wait)

A peer that reads too slowly fills its outbox. Answers then wait, which stops the reading of its requests; an event
that finds no room closes the connection with 1008, so that nobody upstream ever waits for it. A message that the peer
does not take in `answer_timeout_seconds` ends the connection, and so do requests that go on although they are refused.
WebSockets and the Unix socket are such connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aiohttp import WSCloseCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cybermiles.rpc.backlog import Backlog
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.dispatcher import Dispatcher
    from cybermiles.rpc.methods import Context

CLOSE_GRACE_SECONDS = 1
"""How long a peer may take to read up to the close frame and to answer it."""


class Stream(Protocol):
    """Messages both ways."""

    def messages(self) -> AsyncIterator[bytes | None]:
        """Yield what comes, None for a message that needs no answer, until the peer closes."""
        ...

    async def send(self, payload: bytes) -> None:
        """Send a message; wait while the peer's window is full. Raises ConnectionError."""
        ...

    async def close(self, code: int, reason: bytes) -> None:
        """Say goodbye."""
        ...

    def abort(self) -> None:
        """Cut the connection off."""
        ...


class _Closed(Exception):
    """Ends every task of a session."""


class _Outgoing(NamedTuple):
    payload: bytes
    reserved: int
    """Bytes to give back to the backlog once the message is gone."""


class Session:
    """A `Connection` that events can be pushed to. Owned by the connection's own task."""

    def __init__(
        self,
        stream: Stream,
        dispatcher: Dispatcher,
        limits: RpcLimits,
        *,
        new_context: Callable[[], Context],
        backlog: Backlog,
    ) -> None:
        self._stream = stream
        self._dispatcher = dispatcher
        self._limits = limits
        self._new_context = new_context
        self._backlog = backlog
        self._reserved = 0
        self._outbox: deque[_Outgoing] = deque()
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
        self._put(_Outgoing(payload, 0))

    async def run(self) -> None:
        """Serve until either side closes."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(), name="rpc-session-write")
                tasks.create_task(self._close_when_overflowed(), name="rpc-session-guard")
                await self._read(tasks)
                raise _Closed
        except* _Closed:
            self._outbox.clear()
        finally:
            self._backlog.give_back(self._reserved)

    async def close(self, code: int, reason: bytes) -> None:
        """Close the connection; cut it off where the peer does not take part in time."""
        try:
            async with asyncio.timeout(CLOSE_GRACE_SECONDS):
                await self._stream.close(code, reason)
        except (TimeoutError, RuntimeError, ConnectionError):
            self._stream.abort()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(self._limits.websocket_concurrency)
        async for body in self._stream.messages():
            context = self._new_context()
            context.connection = self
            budget = context.budget
            if body is None:
                if budget is not None:
                    budget.spend(1)
            else:
                await slots.acquire()
                tasks.create_task(self._answer(body, context, slots), name="rpc-session-request")
            if budget is not None and budget.is_hog():
                await self.close(WSCloseCode.POLICY_VIOLATION, b"too many requests: rpc.requests_per_second")
                return

    async def _answer(self, body: bytes, context: Context, slots: asyncio.Semaphore) -> None:
        try:
            answer = await self._dispatcher.handle(body, context)
            if answer is not None:
                answer = self._backlog.admit(answer)
                self._reserved += len(answer)
                while self._is_full():
                    self._emptied.clear()
                    await self._emptied.wait()
                self._put(_Outgoing(answer, len(answer)))
            for action in context.after_answer:
                action()
        finally:
            slots.release()

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._outbox:
                message = self._outbox.popleft()
                self._outbox_bytes -= len(message.payload)
                await self._send(message.payload)
                self._reserved -= message.reserved
                self._backlog.give_back(message.reserved)
                self._emptied.set()

    async def _send(self, payload: bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_timeout_seconds):
                await self._stream.send(payload)
        except TimeoutError as error:
            self._stream.abort()
            raise _Closed from error
        except (ConnectionError, RuntimeError) as error:
            raise _Closed from error

    async def _close_when_overflowed(self) -> None:
        await self._overflowed.wait()
        reason = b"too slow: rpc.subscriber_queue_items or rpc.subscriber_queue_bytes"
        await self.close(WSCloseCode.POLICY_VIOLATION, reason)
        raise _Closed

    def _put(self, message: _Outgoing) -> None:
        self._outbox.append(message)
        self._outbox_bytes += len(message.payload)
        self._filled.set()

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._outbox) >= limits.subscriber_queue_items or self._outbox_bytes >= limits.subscriber_queue_bytes
