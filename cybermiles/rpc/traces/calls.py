"""`callTracer`, `4byteTracer` and `noopTracer`. Source: geth, eth/tracers/native."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orjson import dumps

from cybermiles.rpc.errors import revert_reason
from cybermiles.rpc.quantities import encode_data
from cybermiles.vm.backend import Failure
from cybermiles.vm.tracing import CREATIONS, NODE_BYTES, CallKind, CallNode, CallRecorder, Tracer

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address
    from cybermiles.vm.backend import BlockContext
    from cybermiles.vm.tracing import ByteBudget, CallStart, LogEntry, TraceStart

SELECTOR_BYTES = 4


class CallTracer(CallRecorder):
    """The tree of calls."""

    def __init__(self, budget: ByteBudget, options: dict[str, bool], first_log: int = 0) -> None:
        only_top, with_logs = options.get("onlyTopCall", False), options.get("withLog", False)
        super().__init__(budget, only_top=only_top, with_logs=with_logs, first_log=first_log)

    def render(self) -> bytes:
        """Return the tree as JSON."""
        return b"{}" if self.root is None else render_calls(self.root)


class FourByteTracer(Tracer):
    """How often each function selector was called with how much data behind it."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._counts: dict[str, int] = {}
        self._precompiles: frozenset[Address] = frozenset()

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:  # noqa: ARG002  (the seam)
        self._precompiles = begin.precompiles

    def enter(self, call: CallStart) -> None:
        is_call = call.kind not in (*CREATIONS, CallKind.SELFDESTRUCT)
        if is_call and len(call.data) >= SELECTOR_BYTES and call.to not in self._precompiles:
            key = f"0x{call.data[:SELECTOR_BYTES].hex()}-{len(call.data) - SELECTOR_BYTES}"
            if key not in self._counts:
                self._budget.take(len(key) + NODE_BYTES // 10)
            self._counts[key] = self._counts.get(key, 0) + 1

    def render(self) -> bytes:
        """Return selector-size to count."""
        return dumps(dict(sorted(self._counts.items())))


class NoopTracer(Tracer):
    """Runs the code and says nothing."""

    def render(self) -> bytes:
        """Return an empty object."""
        return b"{}"


def render_calls(root: CallNode) -> bytes:
    """Return a tree of calls as geth writes it. Not recursive: calls nest deeper than encoders do."""
    parts: list[bytes] = []
    waiting: list[CallNode | bytes] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, bytes):
            parts.append(item)
            continue
        head, tail = _fields(item)
        parts.append(head)
        if item.calls:
            parts.append(b',"calls":[')
            waiting.append(b"]" + tail)
            for at, call in enumerate(reversed(item.calls), 1 - len(item.calls)):
                waiting.append(call)
                if at:
                    waiting.append(b",")
        else:
            parts.append(tail)
    return b"".join(parts)


def _fields(node: CallNode) -> tuple[bytes, bytes]:
    """Return what stands before and behind the calls below, braces included."""
    failed = node.error is not None
    head: dict[str, Json] = {
        "from": encode_data(node.sender),
        "gas": hex(node.gas),
        "gasUsed": hex(node.gas_used),
    }
    if not (failed and node.kind in CREATIONS):
        head["to"] = encode_data(node.to)
    head["input"] = encode_data(node.data)
    if node.output and (not failed or node.error == Failure.REVERT.value):
        head["output"] = encode_data(node.output)
    if node.error is not None:
        head["error"] = node.error
        reason = revert_reason(node.output) if node.error == Failure.REVERT.value else None
        if reason:
            head["revertReason"] = reason
    tail: dict[str, Json] = {}
    if node.logs:
        tail["logs"] = [_log(entry) for entry in node.logs]
    if node.value is not None:
        tail["value"] = hex(node.value)
    tail["type"] = node.kind.value
    return dumps(head)[:-1], b"," + dumps(tail)[1:]


def _log(entry: LogEntry) -> Json:
    return {
        "address": encode_data(entry.log.address),
        "topics": [encode_data(topic) for topic in entry.log.topics],
        "data": encode_data(entry.log.data),
        "index": hex(entry.number),
        "position": hex(entry.position),
    }
