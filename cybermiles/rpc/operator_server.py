"""A listener for operators alone: `/livez`, `/readyz`, `/status` and `/metrics`, apart from the public JSON-RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from cybermiles.rpc.access import ANY, is_loopback
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.connections import GatedSite
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from cybermiles.rpc.operator_pages import OperatorPages

log = get_logger("rpc")

MAX_BODY_BYTES = 1024
"""Of a request; none needs a body."""


class OperatorServer:
    """Serves the pages on one address. Whoever reaches it may read: keep it on loopback or a private network."""

    def __init__(self, host: str, port: int, pages: OperatorPages) -> None:
        self._host = host
        self._port = port
        self._pages = pages
        self._runner: web.AppRunner | None = None
        self._site: GatedSite | None = None

    @property
    def url(self) -> str:
        """Where the server is reached from this machine, once started."""
        port = self._port if self._site is None else self._site.port
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        self._pages.add_to(app.router, vhosts=(ANY,), metrics_for_all=True)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        self._site = GatedSite(self._runner, self._host, self._port, RpcLimits())
        await self._site.start()
        if not is_loopback(self._host):
            log.warning("metrics_open_to_network", host=self._host)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None
