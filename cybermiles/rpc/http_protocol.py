"""One HTTP connection, held to its times and sizes before and after aiohttp looks at it.

    bytes ─► data_received: head too long? too slow? ─► aiohttp's parser ─► request ─► answer ─► read in time?

aiohttp bounds the time between requests, not the time a request's head takes, and waits for ever for a peer that reads
no answer. It also logs a stack trace for every request that is no HTTP, and names itself in the answer; here such a
request gets a JSON-RPC error and the log nothing, so that strangers can neither fill the disk nor learn versions.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from cybermiles.rpc.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, RpcError, encode_error
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from cybermiles.rpc.config import RpcLimits

log = get_logger("rpc")

SERVER_NAME = "cybermiles"
JSON = "application/json"
GOODBYE_SECONDS = 1
"""How long a refused peer may take to read why."""
_END_OF_HEAD = b"\r\n\r\n"


def refusal(status: HTTPStatus, code: int, message: str) -> web.Response:
    """Return a JSON-RPC error with another HTTP status than 200."""
    return web.Response(
        status=status,
        body=encode_error(None, RpcError(code, message)),
        content_type=JSON,
        headers={"Server": SERVER_NAME},
    )


class HttpProtocol(web.RequestHandler):
    """aiohttp's connection with a clock on each request's head and on each answer."""

    __slots__ = ("_head_bytes", "_head_timer", "_is_refused", "_is_serving", "_limits", "_tail")

    def __init__(self, server: web.Server, limits: RpcLimits, **options: Any) -> None:  # noqa: ANN401  (aiohttp's own)
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._limits = limits
        self._is_serving = False
        self._is_refused = False
        self._head_bytes = 0
        self._tail: bytes | None = b""
        self._head_timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Note that a request's head has come; `finish_response` notes that its answer is gone."""
        self._is_serving = True
        self._stop_clock()

    async def start(self) -> None:
        """Serve requests until the connection ends.

        aiohttp cannot make a request of some heads that its parser lets through (their target is missing) and would
        leave the connection open with nobody serving it, and a stack trace in the log.
        """
        try:
            await super().start()
        except AttributeError as error:
            log.debug("rpc_request_not_made", reason=str(error))
            if self.transport is not None:
                self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer; a head over its size or time costs the connection."""
        if self._is_refused:
            return
        if not self._is_serving:
            if self._head_timer is None:
                seconds = self._limits.header_timeout_seconds
                self._head_timer = asyncio.get_running_loop().call_later(seconds, self._refuse_late_head)
            self._count_head(data)
            if self._head_bytes > self._limits.header_max_bytes:
                limit = self._limits.header_max_bytes
                what = f"headers are over {limit} bytes (rpc.header_max_bytes)"
                self._refuse_head(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, what)
                return
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; a peer that does not take it in time is cut off."""
        self.begin()
        seconds = self._limits.answer_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.debug("rpc_answer_not_read", seconds=seconds)
            if self.transport is not None:
                self.transport.abort()
            return resp, True
        finally:
            self._is_serving = False
            self._tail = b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (quotes the peer's bytes)
    ) -> web.StreamResponse:
        """Return the answer to what is no HTTP, or to a fault of the node."""
        is_gone = self.transport is None or self.transport.is_closing()
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            response = refusal(HTTPStatus(status), INVALID_REQUEST, "invalid HTTP request")
        elif is_gone or isinstance(exc, (ConnectionError, UnicodeEncodeError, web.RequestPayloadError)):
            response = refusal(HTTPStatus.BAD_REQUEST, INVALID_REQUEST, "incomplete HTTP request")
        else:
            log.error("rpc_http_failed", exc_info=exc)
            response = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR, "internal error")
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was sent already")
        response.force_close()
        return response

    def _count_head(self, data: bytes) -> None:
        """Count bytes until an end of a head is seen: what follows may be a body, read before `begin` is called."""
        if self._tail is None:
            return
        if _END_OF_HEAD in self._tail + data:
            self._tail = None
        else:
            self._head_bytes += len(data)
            self._tail = (self._tail + data)[-len(_END_OF_HEAD) :]

    def _stop_clock(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_late_head(self) -> None:
        seconds = self._limits.header_timeout_seconds
        what = f"headers took over {seconds} s (rpc.header_timeout_seconds)"
        self._refuse_head(HTTPStatus.REQUEST_TIMEOUT, what)

    def _refuse_head(self, status: HTTPStatus, what: str) -> None:
        self._stop_clock()
        transport = self.transport
        if transport is None:
            return
        # Closing with bytes unread would take the answer from the peer: what still comes is dropped for a moment.
        self._is_refused = True
        transport.write(raw_answer(status, encode_error(None, RpcError(INVALID_REQUEST, what))))
        transport.write_eof()
        self._head_timer = asyncio.get_running_loop().call_later(GOODBYE_SECONDS, transport.abort)


def raw_answer(status: HTTPStatus, body: bytes, *, retry_seconds: int | None = None) -> bytes:
    """Return an HTTP answer that closes the connection, for where aiohttp has no request to answer."""
    retry = b"" if retry_seconds is None else b"Retry-After: %d\r\n" % retry_seconds
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n%bConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        status.phrase.encode(),
        JSON.encode(),
        retry,
        len(body),
        body,
    )
