"""`rpc_*`: the server about itself. Always on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from cybermiles.rpc.jsonrpc import RawJson
from cybermiles.rpc.methods import Method
from cybermiles.rpc.openrpc.document import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.rpc.jsonrpc import Json


class Rpc:
    """The rpc namespace of one dispatcher."""

    def __init__(self, namespaces: Iterable[str], methods: Iterable[Method]) -> None:
        """`methods`: those that are served beside these; of two with one name the last is served."""
        self._namespaces = tuple(namespaces)
        self._methods = {method.name: method for method in (*methods, *self.methods())}
        self._document: RawJson | None = None

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="rpc_modules", handler=self.modules),
            Method(name="rpc_discover", handler=self.discover, weight=5),
        )

    def modules(self) -> Json:
        """Return the namespaces served, each with version 1.0."""
        return dict.fromkeys(self._namespaces, "1.0")

    def discover(self) -> RawJson:
        """Return the OpenRPC document of the methods served."""
        if self._document is None:
            self._document = RawJson(orjson.dumps(describe(self._methods.values())))
        return self._document
