"""What operators and their machines ask by plain GET: is it alive, is it ready, what is it doing, how fast.

    /livez    200 as long as the process answers
    /readyz   200 when it is worth asking, else 503 with the reasons; ?max_lag= ?min_peers= ?max_age= set the bar
    /status   JSON in the shape of CometBFT's: node, sync, validator, peers, consensus
    /metrics  Prometheus' text format

The JSON-RPC listener serves the first three to everybody whom it serves at all, and the metrics to this machine only,
since they show more than strangers need. A listener of their own (`metrics.listen`) serves all four to whoever
reaches it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson
from aiohttp import web

from cybermiles.rpc.access import ANY, is_allowed_host, is_forwarded, is_loopback, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, NodeInfo
    from cybermiles.runtime.clock import Clock

PATHS = ("/livez", "/readyz", "/status", "/metrics")
MAX_LAG = 3
"""Heights a ready node may be behind its peers, unless the request says otherwise."""
_LARGEST = 10**9


class Metrics(Protocol):
    """The node's metrics."""

    def render(self) -> bytes:
        """Return Prometheus' text format, version 0.0.4 or later."""
        ...


class Readiness(NamedTuple):
    """Whether a node is worth asking."""

    height: int
    peers: int
    reasons: tuple[str, ...]
    """Why it is not; empty when it is."""


class Bar(NamedTuple):
    """What a caller demands of a ready node."""

    max_lag: int = MAX_LAG
    """Heights behind the best peer, at most."""
    min_peers: int = 0
    """Connected peers, at least."""
    max_age: int | None = None
    """Seconds since the newest block's time, at most; None: any age, since a chain without empty blocks may rest."""


class OperatorPages:
    """Answers the four paths from the node's ports."""

    def __init__(self, chain: ChainReader, info: NodeInfo, clock: Clock, metrics: Metrics) -> None:
        self._chain = chain
        self._info = info
        self._clock = clock
        self._metrics = metrics

    def add_to(self, router: web.UrlDispatcher, *, vhosts: Iterable[str], metrics_for_all: bool) -> None:
        """Serve the pages to requests whose Host is one of `vhosts`; health checks need none."""
        allowed = tuple(vhosts)

        async def livez(_request: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        async def readyz(request: web.Request) -> web.Response:
            return self._readyz(request.query)

        async def status(request: web.Request) -> web.Response:
            return _refusal(request, allowed) or _json(self.status())

        async def metrics(request: web.Request) -> web.Response:
            is_own = is_loopback(request.remote or "") and not is_forwarded(request.headers)
            if not metrics_for_all and not is_own:
                return _forbidden(
                    "metrics are served to this machine only; metrics.listen opens a listener of their own"
                )
            return _refusal(request, allowed) or self._metrics_page()

        for path, handler in zip(PATHS, (livez, readyz, status, metrics), strict=True):
            router.add_get(path, handler, allow_head=True)

    def readiness(self, bar: Bar) -> Readiness:
        """Return whether the node meets the bar."""
        height, peers = self._chain.head_height(), self._info.peer_count
        reasons = []
        progress = self._info.syncing
        if progress is not None and progress.highest - height > bar.max_lag:
            reasons.append(f"catching up: at height {height}, peers are at {progress.highest}")
        if peers < bar.min_peers:
            reasons.append(f"{peers} peers are connected, {bar.min_peers} are wanted")
        age = self._clock.now_ms() // 1000 - self._head_time(height)
        if bar.max_age is not None and age > bar.max_age:
            reasons.append(f"the newest block is {age} s old: {self._info.consensus().explanation}")
        return Readiness(height, peers, tuple(reasons))

    def status(self) -> Json:
        """Return what `/status` shows."""
        height = self._chain.head_height()
        header = self._chain.header(height)
        identity, consensus = self._info.identity, self._info.consensus()
        progress = self._info.syncing
        peers = self._info.peers()
        outbound = sum(peer.is_outbound for peer in peers)
        validator = identity.validator
        return {
            "node_info": {
                "id": identity.id,
                "moniker": identity.moniker,
                "network": str(self._chain.chain_id),
                "version": self._info.client_version,
                "listen_addr": identity.listen_address,
            },
            "sync_info": {
                "latest_block_height": height,
                "latest_block_hash": None if header is None else "0x" + header.hash.hex(),
                "latest_block_time": self._head_time(height),
                "highest_height": height if progress is None else max(progress.highest, height),
                "catching_up": progress is not None,
            },
            "validator_info": None
            if validator is None
            else {
                "address": "0x" + validator.address.hex(),
                "pub_key": "0x" + validator.public_key.hex(),
                "operator": None if validator.operator is None else "0x" + validator.operator.hex(),
                "voting_power": validator.power,
            },
            "peers": {"connected": len(peers), "outbound": outbound, "inbound": len(peers) - outbound},
            "consensus": {
                "height": consensus.height,
                "round": consensus.round,
                "step": consensus.step,
                "validators": len(consensus.validators),
                "explanation": consensus.explanation,
            },
        }

    def _readyz(self, query: Mapping[str, str]) -> web.Response:
        try:
            bar = _parse_bar(query)
        except ValueError as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        found = self.readiness(bar)
        answer: Json = {
            "ready": not found.reasons,
            "reasons": list(found.reasons),
            "height": found.height,
            "peers": found.peers,
        }
        return _json(answer, HTTPStatus.SERVICE_UNAVAILABLE if found.reasons else HTTPStatus.OK)

    def _metrics_page(self) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._metrics.render(), headers=headers)

    def _head_time(self, height: int) -> int:
        header = self._chain.header(height)
        return 0 if header is None else header.timestamp


def _parse_bar(query: Mapping[str, str]) -> Bar:
    """Read the bar of a request. Raises ValueError naming the wrong parameter."""
    values: dict[str, int] = {}
    for name, text in query.items():
        if name not in Bar._fields:
            raise ValueError(f"unknown parameter {name[:40]}; there are {', '.join(Bar._fields)}")
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(_LARGEST)):
            raise ValueError(f"{name} must be a number from 0 to {_LARGEST}")
        values[name] = min(int(text), _LARGEST)
    return Bar(**values)


def _refusal(request: web.Request, vhosts: tuple[str, ...]) -> web.Response | None:
    host = request.headers.get("Host")
    if ANY in vhosts or is_allowed_host(host, vhosts):
        return None
    return _forbidden(f"host {shown(host)} is not allowed (rpc.vhosts)")


def _forbidden(why: str) -> web.Response:
    return _json({"error": why}, HTTPStatus.FORBIDDEN)


def _json(content: Json, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return web.Response(status=status, body=body, content_type="application/json")
