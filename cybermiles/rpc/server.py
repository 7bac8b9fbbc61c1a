"""HTTP and WebSocket on one port: the adapter between aiohttp and the dispatcher.

    POST /      one request or a batch              GET / with Upgrade   a WebSocket session
    POST /paid  the same with the paid lane's fee advice (and GET /paid)
    GET /livez, /readyz, /status, /metrics         see operator_pages.py
    GET and POST /api, where it is on              see verification/api.py

Every refusal, whatever its HTTP status, has a JSON-RPC error as its body. What is refused, in this order:
connections over the caps, unknown Host, compressed or non-JSON bodies, bodies that are too large or too slow.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web

from cybermiles.rpc.access import RateLimiter, is_allowed_host, is_allowed_origin, is_open, shown
from cybermiles.rpc.backlog import Backlog
from cybermiles.rpc.callers import Callers
from cybermiles.rpc.connections import RETRY_SECONDS, GatedSite
from cybermiles.rpc.http_protocol import JSON, SERVER_NAME, HttpProtocol, refusal
from cybermiles.rpc.ipc import IpcServer
from cybermiles.rpc.jsonrpc import INVALID_REQUEST, LIMIT_EXCEEDED
from cybermiles.rpc.methods import Profile
from cybermiles.rpc.session import Session
from cybermiles.rpc.verification.api import PATHS as VERIFICATION_PATHS
from cybermiles.rpc.verification.api import weight_of
from cybermiles.rpc.websocket import WebSocketStream
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Any, NoReturn

    from cybermiles.rpc.config import RpcConfig
    from cybermiles.rpc.dispatcher import Dispatcher
    from cybermiles.rpc.operator_pages import OperatorPages
    from cybermiles.rpc.ports import Events
    from cybermiles.rpc.subscriptions import SubscriptionHub
    from cybermiles.rpc.verification.api import VerificationApi
    from cybermiles.runtime.clock import Clock

log = get_logger("rpc")

JSON_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")
"""Content types a web page can only send after a preflight, which is where its origin is checked."""
SHUTDOWN_SECONDS = 1
"""How long requests in progress may take after `stop`."""
MAX_HEADERS = 64
"""Of one request; browsers send about twenty."""
_GREETING = "CyberMiles JSON-RPC: send requests by POST or WebSocket.\n"


@dataclass(frozen=True, slots=True)
class Dispatchers:
    """Which methods each kind of caller gets."""

    http: Dispatcher
    websocket: Dispatcher
    private: Dispatcher
    """For the Unix socket, and for who has the token."""


class RpcServer:
    """Serves one dispatcher. `run` publishes events until cancelled; `start` and `stop` listen."""

    def __init__(
        self,
        config: RpcConfig,
        dispatchers: Dispatchers,
        hub: SubscriptionHub,
        *,
        events: Events,
        clock: Clock,
        pages: OperatorPages | None = None,
    ) -> None:
        self._config = config
        self._pages = pages
        self._dispatchers = dispatchers
        self._hub = hub
        self._events = events
        self._rates = RateLimiter(
            config.limits, clock, method_rates=config.method_rates, loopback_exempt=config.loopback_exempt
        )
        self._callers = Callers(self._rates, trusted_proxies=config.trusted_proxies, token=config.token)
        self._backlog = Backlog(config.limits.answers_max_bytes)
        self._ipc = None if config.ipc_path is None else self._new_ipc(config.ipc_path)
        self._verification: VerificationApi | None = None
        self._runner: web.AppRunner | None = None
        self._site: GatedSite | None = None
        self._sessions: dict[Session, None] = {}

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._config.port if self._site is None else self._site.port

    @property
    def url(self) -> str:
        """Where the server is reached from this machine."""
        host = self._config.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def method_names(self) -> tuple[str, ...]:
        """Every method served over HTTP, sorted."""
        return self._dispatchers.http.method_names

    def serve_verification(self, api: VerificationApi) -> None:
        """Serve `/api` too, from the next start on."""
        self._verification = api

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        config = self._config
        app = web.Application(client_max_size=config.limits.body_max_bytes, middlewares=[self._guard])
        app.on_response_prepare.append(_name_server)
        app.on_shutdown.append(self._close_websockets)
        for profile in Profile:
            app.router.add_post(profile.value, partial(self._post, profile))
            app.router.add_get(profile.value, partial(self._get, profile), allow_head=False)
            app.router.add_route("OPTIONS", profile.value, self._preflight)
        if self._pages is not None:
            self._pages.add_to(app.router, vhosts=config.vhosts, metrics_for_all=False)
        if self._verification is not None:
            for path in VERIFICATION_PATHS:
                app.router.add_get(path, partial(self._verify, self._verification), allow_head=False)
                app.router.add_post(path, partial(self._verify, self._verification))
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": config.limits.keepalive_seconds,
            "max_headers": MAX_HEADERS,
        }
        self._runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS, **options)
        await self._runner.setup()
        self._site = GatedSite(
            self._runner,
            config.host,
            config.port,
            config.limits,
            admission=_Admission(self._rates, self._callers),
            options=options,
        )
        await self._site.start()
        if self._ipc is not None:
            await self._ipc.start()
        if is_open(config.host):
            log.warning(
                "rpc_open_to_network",
                host=config.host,
                vhosts=config.vhosts,
                namespaces=config.namespaces,
                advice="strangers reach this node: keep it behind a reverse proxy, see docs/runbook.md",
            )

    async def run(self) -> NoReturn:
        """Publish events to filters and subscribers until cancelled."""
        while True:
            async for event in self._events.subscribe():
                await self._hub.publish(event)
            log.warning("rpc_events_lost", reason="the server fell behind and listens anew")

    async def stop(self) -> None:
        """Close the port, let requests finish for a moment, close every connection."""
        if self._ipc is not None:
            await self._ipc.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None

    async def _post(self, profile: Profile, request: web.Request) -> web.Response:
        refused = self._refuse_host(request) or _refuse_body_headers(request)
        if refused is not None:
            return refused
        limits = self._config.limits
        context = self._callers.context(profile, request.remote or "", request.headers)
        if context.budget is not None and context.budget.is_hog():
            return _refuse_hog()
        try:
            async with asyncio.timeout(limits.body_timeout_seconds):
                body = await request.read()
        except TimeoutError:
            what = f"body took over {limits.body_timeout_seconds} s (rpc.body_timeout_seconds)"
            return _last(refusal(HTTPStatus.REQUEST_TIMEOUT, INVALID_REQUEST, what))
        except web.HTTPRequestEntityTooLarge:
            what = f"request is over {limits.body_max_bytes} bytes (rpc.body_max_bytes)"
            return _last(refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, INVALID_REQUEST, what))
        is_private = self._callers.is_private(request.headers)
        dispatcher = self._dispatchers.private if is_private else self._dispatchers.http
        answer = await dispatcher.handle(body, context)
        headers = self._cors(request)
        if answer is None:
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)
        return await self._send(request, answer, headers)

    async def _send(self, request: web.Request, answer: bytes, headers: dict[str, str]) -> web.Response:
        """Send an answer here, so that its bytes are counted until the peer has them."""
        answer = self._backlog.admit(answer)
        response = web.Response(body=answer, content_type=JSON, headers=headers)
        seconds = self._config.limits.answer_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            log.debug("rpc_answer_not_read", seconds=seconds)
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._backlog.give_back(len(answer))
        return response

    async def _get(self, profile: Profile, request: web.Request) -> web.StreamResponse:
        refused = self._refuse_host(request)
        if refused is not None:
            return refused
        limits = self._config.limits
        socket = web.WebSocketResponse(
            heartbeat=limits.websocket_ping_seconds,
            max_msg_size=limits.body_max_bytes,
            autoping=False,
            compress=False,
            decode_text=False,
        )
        if not _is_websocket(socket, request):
            return web.Response(text=_GREETING)
        refused = self._refuse_websocket(request)
        if refused is not None:
            return refused
        is_private = self._callers.is_private(request.headers)
        session = Session(
            WebSocketStream(socket, request),
            self._dispatchers.private if is_private else self._dispatchers.websocket,
            limits,
            new_context=partial(self._callers.context, profile, request.remote or "", request.headers),
            backlog=self._backlog,
        )
        self._sessions[session] = None
        try:
            await socket.prepare(request)
            await session.run()
        finally:
            del self._sessions[session]
            self._hub.drop(session)
        return socket

    def _refuse_websocket(self, request: web.Request) -> web.Response | None:
        limits = self._config.limits
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin, request):
            what = f"origin {shown(origin)} is not allowed (rpc.cors_origins)"
            return refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)
        if len(self._sessions) >= limits.websockets_max:
            what = f"{limits.websockets_max} WebSockets are open (rpc.websockets_max)"
            return refusal(HTTPStatus.TOO_MANY_REQUESTS, LIMIT_EXCEEDED, what)
        if self._rates.is_hog(self._callers.remote(request.remote or "", request.headers)):
            return _refuse_hog()
        return None

    async def _verify(self, api: VerificationApi, request: web.Request) -> web.Response:
        refused = self._refuse_host(request)
        if refused is not None:
            return refused
        budget = self._rates.budget(self._callers.remote(request.remote or "", request.headers))
        if budget is not None and not budget.spend(weight_of(request.method)):
            what = "too many requests (rpc.requests_per_second, rpc.requests_burst)"
            return refusal(HTTPStatus.TOO_MANY_REQUESTS, LIMIT_EXCEEDED, what)
        return await api.handle(request)

    async def _close_websockets(self, _app: web.Application) -> None:
        await asyncio.gather(*(session.close(WSCloseCode.GOING_AWAY, b"stopping") for session in self._sessions))

    async def _preflight(self, request: web.Request) -> web.Response:
        refused = self._refuse_host(request)
        if refused is not None:
            return refused
        headers = self._cors(request)
        if "Access-Control-Allow-Origin" not in headers:
            what = "origin is not allowed (rpc.cors_origins)"
            return refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)
        headers["Access-Control-Allow-Methods"] = "POST, GET"
        headers["Access-Control-Allow-Headers"] = "Content-Type"
        headers["Access-Control-Max-Age"] = "600"
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)

    def _refuse_host(self, request: web.Request) -> web.Response | None:
        host = request.headers.get("Host")
        if is_allowed_host(host, self._config.vhosts):
            return None
        what = f"host {shown(host)} is not allowed (rpc.vhosts)"
        return refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)

    def _is_allowed(self, origin: str, request: web.Request) -> bool:
        return is_allowed_origin(origin, self._config.cors_origins, request.headers.get("Host"))

    def _cors(self, request: web.Request) -> dict[str, str]:
        origin = request.headers.get("Origin")
        if origin is None or not self._is_allowed(origin, request):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def _new_ipc(self, path: Path) -> IpcServer:
        limits, private = self._config.limits, self._dispatchers.private
        return IpcServer(path, private, self._hub, limits=limits, backlog=self._backlog)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Stop the clock of the request's head, and give aiohttp's own refusals a JSON-RPC body."""
        if isinstance(request.protocol, HttpProtocol):
            request.protocol.begin()
        limit = self._config.limits.header_max_bytes
        if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > limit:
            what = f"headers are over {limit} bytes (rpc.header_max_bytes)"
            return _last(refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID_REQUEST, what))
        try:
            return await handler(request)
        except web.HTTPException as refused:
            what = f"{HTTPStatus(refused.status).phrase}: requests are posted to / or /paid"
            return refusal(HTTPStatus(refused.status), INVALID_REQUEST, what)


class _Admission:
    """Which peers the gate lets in: a trusted proxy speaks for many."""

    def __init__(self, rates: RateLimiter, callers: Callers) -> None:
        self._rates = rates
        self._callers = callers

    def is_exempt(self, remote: str) -> bool:
        return self._rates.is_exempt(remote) or self._callers.is_proxy(remote)

    def is_hog(self, remote: str) -> bool:
        return not self._callers.is_proxy(remote) and self._rates.is_hog(remote)


def _is_websocket(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Whether a request is a WebSocket's handshake; aiohttp cannot quote headers that are no text in its refusal."""
    try:
        return socket.can_prepare(request).ok
    except UnicodeEncodeError:
        return False


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME


def _last(response: web.Response) -> web.Response:
    """Return the response as the last one of its connection."""
    response.force_close()
    return response


def _refuse_hog() -> web.Response:
    what = "too many requests, and more of them after refusals (rpc.requests_per_second)"
    response = refusal(HTTPStatus.TOO_MANY_REQUESTS, LIMIT_EXCEEDED, what)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return _last(response)


def _refuse_body_headers(request: web.Request) -> web.Response | None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        what = "compressed requests are not accepted"
        return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, what)
    if request.content_type not in JSON_TYPES:
        what = f"invalid content type, only {JSON} is supported"
        return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, what)
    return None
