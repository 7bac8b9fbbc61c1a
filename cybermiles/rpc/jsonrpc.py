"""The JSON-RPC 2.0 envelope, sans-IO: bytes in, requests out; results in, bytes out.

    body ─ size ─ depth ─ parse ─► Message(items) ─► … ─► encode_result / encode_error ─► join_batch

A body is refused by size and nesting before any parser sees it, because a parser that recurses can be
made to overflow the process's stack. Numbers that JSON allows and the protocol does not need (fractions,
exponents, integers over 64 bits) come out of the parser as floats; each parameter's type refuses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, Union

import orjson

from cybermiles.errors import CybermilesError

if TYPE_CHECKING:
    from collections.abc import Sequence

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", "RawJson", None]
"""What a request holds and a result is made of."""
Id: TypeAlias = str | int | None

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
TIMEOUT = -32002
RESPONSE_TOO_LARGE = -32003
LIMIT_EXCEEDED = -32005
EXECUTION_REVERTED = 3

_MAX_NAME = 128
_STRUCTURE = b'"[]{}'
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_HEAD = b'{"jsonrpc":"2.0","id":'
_NOTIFICATION = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":'


class RawJson:
    """A result, or a part of one, that is JSON already: rendered where it was computed, and embedded as it is."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class RpcError(CybermilesError):
    """An answer that is an error object: a code, a message, and sometimes data."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Request(NamedTuple):
    """One well-formed request."""

    id: Id
    method: str
    params: list[Json]
    is_notification: bool
    """Without an id: it is carried out, and nothing is answered."""


class Rejected(NamedTuple):
    """One item that is no request, and the answer it gets."""

    id: Id
    error: RpcError


class Bounds(Protocol):
    """How large a body may be; `config.RpcLimits` is one."""

    @property
    def body_max_bytes(self) -> int:
        """Bytes."""
        ...

    @property
    def json_max_depth(self) -> int:
        """Nested arrays and objects."""
        ...

    @property
    def json_max_containers(self) -> int:
        """Arrays and objects, counting the brackets inside of strings too."""
        ...

    @property
    def batch_max_items(self) -> int:
        """Requests."""
        ...


class Message(NamedTuple):
    """What one body asks for."""

    items: list[Request | Rejected]
    is_batch: bool


def decode(body: bytes, bounds: Bounds) -> Message:
    """Return the requests in a body. Raises RpcError where the body as a whole is refused."""
    _check_bounds(body, bounds)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RpcError(PARSE_ERROR, f"parse error: {error.msg}") from None
    if not isinstance(document, list):
        return Message([_item(document)], is_batch=False)
    if not document:
        raise RpcError(INVALID_REQUEST, "empty batch")
    if len(document) > bounds.batch_max_items:
        raise RpcError(
            INVALID_REQUEST,
            f"batch of {len(document)} requests is over the limit of {bounds.batch_max_items} (rpc.batch_max_items)",
        )
    return Message([_item(item) for item in document], is_batch=True)


def _check_bounds(body: bytes, bounds: Bounds) -> None:
    if len(body) > bounds.body_max_bytes:
        raise RpcError(
            INVALID_REQUEST,
            f"request of {len(body)} bytes is over the limit of {bounds.body_max_bytes} (rpc.body_max_bytes)",
        )
    containers = body.count(b"[") + body.count(b"{")
    if containers > bounds.json_max_containers:
        raise RpcError(
            PARSE_ERROR,
            f"{containers} arrays and objects are over the limit of {bounds.json_max_containers} "
            "(rpc.json_max_containers)",
        )
    depth = bounds.json_max_depth
    if containers > depth and not is_shallow(body, depth):
        raise RpcError(PARSE_ERROR, f"nested deeper than {depth} levels, or unbalanced (rpc.json_max_depth)")


def is_shallow(body: bytes, max_depth: int) -> bool:
    """Return whether brackets outside of strings balance and nest at most `max_depth` levels.

    Works by whole-buffer operations, and peels one level of nesting at a time, so that a hostile body costs at most
    `max_depth` passes over its brackets.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = unescaped.translate(None, _NOT_STRUCTURE).replace(b'""', b"")  # two toggles of "inside a string"
    level = b"".join(marks.split(b'"')[::2]).translate(_BRACES_TO_BRACKETS)
    for _ in range(max_depth):
        if not level:
            return True
        peeled = level.replace(b"[]", b"")
        if len(peeled) == len(level):
            return False
        level = peeled
    return not level


def encode_result(request_id: Id, result: Json) -> bytes:
    """Return the answer to a request that succeeded."""
    return b'%b%b,"result":%b}' % (_HEAD, orjson.dumps(request_id), orjson.dumps(result, default=_embed))


def _embed(value: object) -> object:
    """Return what orjson writes for a value it does not know. Raises TypeError for any but `RawJson`."""
    if isinstance(value, RawJson):
        return orjson.Fragment(value.data)
    raise TypeError(f"a result of type {type(value).__name__}")


def encode_error(request_id: Id, error: RpcError) -> bytes:
    """Return the answer to a request that failed."""
    body: dict[str, Json] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return b'%b%b,"error":%b}' % (_HEAD, orjson.dumps(request_id), orjson.dumps(body))


def replace_result(answer: bytes, error: RpcError) -> bytes:
    """Return an error in place of an encoded answer, with its id; null for a batch, which has many."""
    end = answer.find(b',"result":') if answer.startswith(_HEAD) else -1
    request_id: Id = None if end < 0 else orjson.loads(answer[len(_HEAD) : end])
    return encode_error(request_id, error)


def encode_notification(subscription: str, result: bytes) -> bytes:
    """Return the message that carries an event, already encoded, to one subscriber."""
    return b'%b%b,"result":%b}}' % (_NOTIFICATION, orjson.dumps(subscription), result)


def join_batch(answers: Sequence[bytes]) -> bytes:
    """Return the array of a batch's answers."""
    return b"[%b]" % b",".join(answers)


def unknown_method(name: str) -> RpcError:
    """Return the error for a method that is not served, worded as clients look for it."""
    shown = name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "…"
    return RpcError(METHOD_NOT_FOUND, f"the method {shown} does not exist/is not available")


def response_too_large(size: int, limit: int) -> RpcError:
    """Return the error that takes the place of an answer over the size limit."""
    return RpcError(
        RESPONSE_TOO_LARGE,
        f"response of {size} bytes is over the limit of {limit} (rpc.response_max_bytes)",
    )


def _item(item: Json) -> Request | Rejected:
    if not isinstance(item, dict):
        return Rejected(None, RpcError(INVALID_REQUEST, "invalid request: an object is expected"))
    request_id = item.get("id")
    if not (request_id is None or isinstance(request_id, (str, int))) or isinstance(request_id, bool):
        return Rejected(None, RpcError(INVALID_REQUEST, "invalid request: id must be a string or an integer"))
    method = item.get("method")
    if item.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return Rejected(
            request_id,
            RpcError(INVALID_REQUEST, 'invalid request: "jsonrpc" must be "2.0" and "method" a string'),
        )
    params = item.get("params")
    if params is None:
        params = []
    elif not isinstance(params, list):
        return Rejected(request_id, RpcError(INVALID_PARAMS, "non-array args"))
    return Request(request_id, method, params, "id" not in item)
