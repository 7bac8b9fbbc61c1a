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
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web

from cybermiles.rpc.access import RateLimiter, is_allowed_host, is_allowed_origin, is_loopback
from cybermiles.rpc.connections import GatedSite
from cybermiles.rpc.jsonrpc import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError, encode_error
from cybermiles.rpc.methods import Context, Profile
from cybermiles.rpc.verification.api import PATHS as VERIFICATION_PATHS
from cybermiles.rpc.verification.api import weight_of
from cybermiles.rpc.websocket import WebSocketSession
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import NoReturn

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
_JSON = "application/json"
_GREETING = "CyberMiles JSON-RPC: send requests by POST or WebSocket.\n"


class RpcServer:
    """Serves one dispatcher. `run` publishes events until cancelled; `start` and `stop` listen."""

    def __init__(
        self,
        config: RpcConfig,
        dispatcher: Dispatcher,
        hub: SubscriptionHub,
        *,
        events: Events,
        clock: Clock,
        pages: OperatorPages | None = None,
    ) -> None:
        self._config = config
        self._pages = pages
        self._dispatcher = dispatcher
        self._hub = hub
        self._events = events
        self._rates = RateLimiter(config.limits, clock)
        self._verification: VerificationApi | None = None
        self._runner: web.AppRunner | None = None
        self._site: GatedSite | None = None
        self._sessions: dict[WebSocketSession, None] = {}

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
        """Every served method, sorted."""
        return self._dispatcher.method_names

    def serve_verification(self, api: VerificationApi) -> None:
        """Serve `/api` too, from the next start on."""
        self._verification = api

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        config = self._config
        app = web.Application(client_max_size=config.limits.body_max_bytes, middlewares=[_refuse_in_json])
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
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=config.limits.keepalive_seconds,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        self._site = GatedSite(self._runner, config.host, config.port, config.limits)
        await self._site.start()
        if not is_loopback(config.host):
            log.warning("rpc_open_to_network", host=config.host, vhosts=config.vhosts)

    async def run(self) -> NoReturn:
        """Publish events to filters and subscribers until cancelled."""
        while True:
            async for event in self._events.subscribe():
                await self._hub.publish(event)
            log.warning("rpc_events_lost", reason="the server fell behind and listens anew")

    async def stop(self) -> None:
        """Close the port, let requests finish for a moment, close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None

    async def _post(self, profile: Profile, request: web.Request) -> web.Response:
        refusal = self._refuse_host(request) or _refuse_body_headers(request)
        if refusal is not None:
            return refusal
        limits = self._config.limits
        try:
            async with asyncio.timeout(limits.body_timeout_seconds):
                body = await request.read()
        except TimeoutError:
            what = f"body took over {limits.body_timeout_seconds} s (rpc.body_timeout_seconds)"
            response = _refusal(HTTPStatus.REQUEST_TIMEOUT, INVALID_REQUEST, what)
            response.force_close()
            return response
        except web.HTTPRequestEntityTooLarge:
            what = f"request is over {limits.body_max_bytes} bytes (rpc.body_max_bytes)"
            response = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, INVALID_REQUEST, what)
            response.force_close()
            return response
        answer = await self._dispatcher.handle(body, self._context(profile, request))
        headers = self._cors(request)
        if answer is None:
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)
        return web.Response(body=answer, content_type=_JSON, headers=headers)

    async def _get(self, profile: Profile, request: web.Request) -> web.StreamResponse:
        refusal = self._refuse_host(request)
        if refusal is not None:
            return refusal
        limits = self._config.limits
        socket = web.WebSocketResponse(
            heartbeat=limits.websocket_ping_seconds,
            max_msg_size=limits.body_max_bytes,
            compress=False,
            decode_text=False,
        )
        if not socket.can_prepare(request).ok:
            return web.Response(text=_GREETING)
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_allowed(origin, request):
            what = f"origin {origin[:100]} is not allowed (rpc.cors_origins)"
            return _refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)
        if len(self._sessions) >= limits.websockets_max:
            what = f"{limits.websockets_max} WebSockets are open (rpc.websockets_max)"
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, LIMIT_EXCEEDED, what)
        transport = request.transport
        session = WebSocketSession(
            socket,
            self._dispatcher,
            self._config.limits,
            new_context=partial(self._context, profile, request),
            abort=_do_nothing if transport is None else transport.abort,
        )
        self._sessions[session] = None
        try:
            await socket.prepare(request)
            await session.run()
        finally:
            del self._sessions[session]
            self._hub.drop(session)
        return socket

    async def _verify(self, api: VerificationApi, request: web.Request) -> web.Response:
        refusal = self._refuse_host(request)
        if refusal is not None:
            return refusal
        budget = self._rates.budget(request.remote or "")
        if budget is not None and not budget.spend(weight_of(request.method)):
            what = "too many requests (rpc.requests_per_second, rpc.requests_burst)"
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, LIMIT_EXCEEDED, what)
        return await api.handle(request)

    async def _close_websockets(self, _app: web.Application) -> None:
        await asyncio.gather(*(session.close(WSCloseCode.GOING_AWAY, b"stopping") for session in self._sessions))

    async def _preflight(self, request: web.Request) -> web.Response:
        refusal = self._refuse_host(request)
        if refusal is not None:
            return refusal
        headers = self._cors(request)
        if "Access-Control-Allow-Origin" not in headers:
            what = "origin is not allowed (rpc.cors_origins)"
            return _refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)
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
        what = f"host {(host or '')[:100]} is not allowed (rpc.vhosts)"
        return _refusal(HTTPStatus.FORBIDDEN, INVALID_REQUEST, what)

    def _is_allowed(self, origin: str, request: web.Request) -> bool:
        return is_allowed_origin(origin, self._config.cors_origins, request.headers.get("Host"))

    def _cors(self, request: web.Request) -> dict[str, str]:
        origin = request.headers.get("Origin")
        if origin is None or not self._is_allowed(origin, request):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def _context(self, profile: Profile, request: web.Request) -> Context:
        remote = request.remote or ""
        return Context(profile, remote, budget=self._rates.budget(remote))


@web.middleware
async def _refuse_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give aiohttp's own refusals (paths and verbs that are not served) a JSON-RPC body."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        what = f"{refused.reason}: requests are posted to / or /paid"
        return _refusal(HTTPStatus(refused.status), INVALID_REQUEST, what)


def _refuse_body_headers(request: web.Request) -> web.Response | None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        what = "compressed requests are not accepted"
        return _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, what)
    if request.content_type not in JSON_TYPES:
        what = f"invalid content type, only {_JSON} is supported"
        return _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, what)
    return None


def _refusal(status: HTTPStatus, code: int, message: str) -> web.Response:
    body = encode_error(None, RpcError(code, message))
    return web.Response(status=status, body=body, content_type=_JSON)


def _do_nothing() -> None:
    """Stand in for aborting a connection that is gone already."""
