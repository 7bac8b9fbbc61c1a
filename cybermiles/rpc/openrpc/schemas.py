"""JSON schemas of arguments and results.

An argument's schema follows from its parser; an object's from the model that parses it, field by field. So a parser
without a schema here is an error, and a field cannot be forgotten.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator

from cybermiles.errors import InvariantViolation
from cybermiles.rpc import block_references, quantities, schemas
from cybermiles.rpc.namespaces import cmt_staking, debug_traces, dev, eth_filters, ots
from cybermiles.rpc.subscriptions import Kind, parse_kind
from cybermiles.rpc.traces.options import parse_trace_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.jsonrpc import Json

Schema: TypeAlias = dict[str, Any]
_ANY: Final[Schema] = {}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(pattern: str, title: str) -> Schema:
    return {"type": "string", "pattern": pattern, "title": title}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


BASE: Final[dict[str, Schema]] = {
    "Quantity": _text("^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})$", "an integer in hex without leading zeros"),
    "Data": _text("^0x([0-9a-fA-F]{2})*$", "bytes in hex"),
    "Address": _text("^0x[0-9a-fA-F]{40}$", "20 bytes in hex"),
    "Hash": _text("^0x[0-9a-fA-F]{64}$", "32 bytes in hex"),
    "StorageKey": _text("^(0[xX])?[0-9a-fA-F]{0,64}$", "up to 32 bytes in hex"),
    "Count": {"anyOf": [_ref("Quantity"), {"type": "integer", "minimum": 0}]},
    "BlockNumber": {"anyOf": [{"enum": [tag.value for tag in block_references.Tag]}, _ref("Quantity")]},
    "Block": {
        "anyOf": [
            _ref("BlockNumber"),
            _ref("Hash"),
            {
                "type": "object",
                "properties": {
                    "blockNumber": _ref("BlockNumber"),
                    "blockHash": _ref("Hash"),
                    "requireCanonical": {"type": "boolean"},
                },
            },
        ]
    },
    "Height": {"anyOf": [_ref("Block"), {"type": "integer", "minimum": 0}]},
    "SubscriptionKind": {"enum": [kind.value for kind in Kind]},
    "StateOverrides": {
        "type": "object",
        "propertyNames": _ref("Address"),
        "additionalProperties": _ref("AccountOverrideObject"),
    },
    "TraceOptions": {"type": "object", "title": "geth's trace configuration"},
    "SimulationRequest": {
        "type": "object",
        "required": ["blockStateCalls"],
        "properties": {
            "blockStateCalls": _list(
                {
                    "type": "object",
                    "properties": {
                        "blockOverrides": _ref("BlockOverrideObject"),
                        "stateOverrides": _ref("StateOverrides"),
                        "calls": _list(_ref("CallObject")),
                    },
                }
            ),
            **{name: {"type": "boolean"} for name in ("validation", "traceTransfers", "returnFullTransactions")},
        },
    },
}
"""What has a name. Models are added to these."""

OF_PARSER: Final[dict[Callable[..., Any], Schema]] = {
    quantities.parse_quantity: _ref("Quantity"),
    quantities.parse_uint64: _ref("Quantity"),
    quantities.parse_count: _ref("Count"),
    quantities.parse_data: _ref("Data"),
    quantities.parse_address: _ref("Address"),
    quantities.parse_hash: _ref("Hash"),
    quantities.parse_bool: {"type": "boolean"},
    block_references.parse_block_number: _ref("BlockNumber"),
    block_references.parse_block_hash: _ref("Hash"),
    block_references.parse_block_reference: _ref("Block"),
    schemas.parse_call: _ref("CallObject"),
    schemas.parse_block_override: _ref("BlockOverrideObject"),
    schemas.parse_slot_field: _ref("StorageKey"),
    schemas.parse_number_field: _ref("BlockNumber"),
    schemas.many_addresses: {"anyOf": [_ref("Address"), _list(_ref("Address"))]},
    schemas.alternatives: _list({"anyOf": [{"type": "null"}, _ref("Hash"), _list(_ref("Hash"))]}),
    quantities.parse_slot: _ref("StorageKey"),
    dev.parse_mining: {"anyOf": [_ref("Count"), {"type": "object"}]},
    debug_traces.parse_encoded_block: _ref("Data"),
    cmt_staking.parse_height: _ref("Height"),
    eth_filters.parse_id: {"type": "string"},
    eth_filters.parse_anything: _ANY,
    ots.parse_block: {"anyOf": [_ref("BlockNumber"), {"type": "integer", "minimum": 0}]},
    parse_kind: _ref("SubscriptionKind"),
    parse_trace_options: _ref("TraceOptions"),
}
"""By the function that parses it."""

OF_NAME: Final[dict[str, Schema]] = {
    "overrides": _ref("StateOverrides"),
    "query": _ref("FilterObject"),
    "request": _ref("SimulationRequest"),
    "options": _ref("TraceOptions"),
    "percentiles": _list({"type": "number", "minimum": 0, "maximum": 100}),
    "key": _ref("StorageKey"),
    "keys": _list(_ref("StorageKey")),
    "requests": {
        "type": "object",
        "propertyNames": _ref("Address"),
        "additionalProperties": _list(_ref("StorageKey")),
    },
    "start": _ref("Data"),
    "count": _ref("Count"),
    "page_size": _ref("Count"),
}
"""By the handler's name for it, where the parser was made for this server's limits."""


def model_schemas() -> dict[str, Schema]:
    """Return the schema of each model that parses a request, by its name."""
    found: dict[str, Schema] = {}
    waiting: list[type[BaseModel]] = [
        schemas.CallObject,
        schemas.AccountOverrideObject,
        schemas.BlockOverrideObject,
        schemas.FilterObject,
    ]
    while waiting:
        model = waiting.pop()
        properties: Schema = {}
        required: list[Json] = []
        for name, info in model.model_fields.items():
            key = info.alias or name
            kind = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            properties[key] = _schema_of(kind, waiting)
            if info.is_required():
                required.append(key)
        found[model.__name__] = {"type": "object", "properties": properties}
        if required:
            found[model.__name__]["required"] = required
    return found


def _schema_of(kind: Any, models: list[type[BaseModel]]) -> Schema:  # noqa: ANN401  (a type expression)
    """Return the schema of a field's annotation; models it names are put on the list."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        parsers = (OF_PARSER.get(entry.func) for entry in arguments[1:] if isinstance(entry, BeforeValidator))
        known = next((schema for schema in parsers if schema is not None), None)
        return _schema_of(arguments[0], models) if known is None else known
    if origin in (Union, UnionType):
        return _nullable(_schema_of(next(entry for entry in arguments if entry is not NoneType), models))
    if origin is list:
        return _list(_schema_of(arguments[0], models))
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], models)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        models.append(kind)
        return _ref(kind.__name__)
    if kind is Any:
        return _ANY
    raise InvariantViolation(f"a field of type {kind} has no schema")
