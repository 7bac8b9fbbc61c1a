"""The OpenRPC document of a table of methods.

    handler's docstring ─► summary        parser ─► schema of the argument
    handler's arguments ─► names          return ─► schema of the result

Nothing is written twice, so nothing can say what the code does not do.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cybermiles import __version__
from cybermiles.errors import InvariantViolation
from cybermiles.rpc.methods import REQUIRED
from cybermiles.rpc.openrpc.results import OF_METHOD, OF_NAMESPACE, OF_TYPE
from cybermiles.rpc.openrpc.schemas import BASE, OF_NAME, OF_PARSER, model_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.rpc.methods import Method, Param
    from cybermiles.rpc.openrpc.schemas import Schema

OPENRPC_VERSION = "1.3.2"
_NAMES = {"reference": "block", "tx_hash": "hash", "raw": "transaction", "wait_ms": "timeout", "draft": "arguments"}
"""What handlers call otherwise than callers."""


def describe(methods: Iterable[Method]) -> dict[str, Any]:
    """Return the document. Raises InvariantViolation for a method that does not say what it is."""
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "CyberMiles JSON-RPC",
            "version": __version__,
            "description": "Arguments are positional; a missing one and null are the same.",
        },
        "methods": [describe_method(method) for method in sorted(methods, key=lambda method: method.name)],
        "components": {"schemas": {**BASE, **model_schemas()}},
    }


def describe_method(method: Method) -> dict[str, Any]:
    """Return one method of the document."""
    summary = (inspect.getdoc(method.handler) or "").partition("\n")[0]
    if not summary:
        raise InvariantViolation(f"the handler of {method.name} has no docstring")
    signature = inspect.signature(method.handler)
    names = list(signature.parameters)[1 if method.with_context else 0 :]
    return {
        "name": method.name,
        "summary": summary,
        "tags": [{"name": method.name.partition("_")[0]}],
        "paramStructure": "by-position",
        "params": [
            {"name": shown_name(name), "required": param.default is REQUIRED, "schema": _schema(method, name, param)}
            for name, param in zip(names, method.params, strict=True)
        ],
        "result": {"name": "result", "schema": _result(method, str(signature.return_annotation))},
        "x-weight": method.weight,
    }


def shown_name(name: str) -> str:
    """Return an argument's name as callers see it."""
    bare = name.lstrip("_")
    first, *rest = _NAMES.get(bare, bare).split("_")
    return first + "".join(word.capitalize() for word in rest)


def _schema(method: Method, name: str, param: Param[Any]) -> Schema:
    found = param.schema or OF_PARSER.get(param.parse) or OF_NAME.get(name)
    if found is None and param.parse in OF_PARSER:
        return {}
    if found is None:
        raise InvariantViolation(f"argument {name} of {method.name} has no schema: see rpc.openrpc.schemas")
    return found


def _result(method: Method, annotation: str) -> Schema:
    known = OF_METHOD.get(method.name)
    if known is None:
        known = next((schema for begin, schema in OF_NAMESPACE.items() if method.name.startswith(begin)), None)
    return OF_TYPE[annotation] if known is None else known
