"""`flatCallTracer`: the calls as one list, each with its place in the tree, as Parity listed them.

Source: geth, eth/tracers/native/call_flat.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orjson import dumps

from cybermiles.rpc.quantities import encode_data
from cybermiles.vm.backend import Failure
from cybermiles.vm.tracing import CREATIONS, CallKind, CallRecorder

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.vm.backend import BlockContext
    from cybermiles.vm.tracing import ByteBudget, CallNode, TraceStart

_PARITY_ERRORS = (
    ("out of gas", "Out of gas"),
    ("contract creation code storage out of gas", "Out of gas"),
    ("max code size exceeded", "Out of gas"),
    ("invalid jump destination", "Bad jump destination"),
    ("execution reverted", "Reverted"),
    ("return data out of bounds", "Out of bounds"),
    ("stack limit reached", "Out of stack"),
    ("precompile failed", "Built-in failed"),
    ("invalid opcode:", "Bad instruction"),
    ("stack underflow", "Stack underflow"),
)
"""Beginning of a phrase to what Parity said."""


class TracePlace(NamedTuple):
    """Where the traced transaction is; nowhere: a call."""

    block_hash: Hash32 | None = None
    height: int = 0
    transaction_hash: Hash32 | None = None
    position: int = 0
    """Among the block's transactions."""
    first_log: int = 0
    """Logs of the block before it."""


class FlatCallTracer(CallRecorder):
    """The calls in the order they were made."""

    def __init__(self, budget: ByteBudget, options: dict[str, bool], place: TracePlace) -> None:
        super().__init__(budget)
        self._bytes = budget
        self._in_paritys_words = options.get("convertParityErrors", False)
        self._with_precompiles = options.get("includePrecompiles", False)
        self._precompiles: frozenset[Address] = frozenset()
        self._place: dict[str, Json] = {
            "blockHash": None if place.block_hash is None else encode_data(place.block_hash),
            "blockNumber": place.height,
            "transactionHash": None if place.transaction_hash is None else encode_data(place.transaction_hash),
            "transactionPosition": place.position,
        }

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:
        super().start(world, context, begin)
        self._precompiles = begin.precompiles

    def render(self) -> bytes:
        """Return the list. Raises TraceTooLarge where places in the tree make it too long."""
        parts: list[bytes] = []
        waiting: list[tuple[CallNode, tuple[int, ...]]] = [] if self.root is None else [(self.root, ())]
        while waiting:
            node, place = waiting.pop()
            calls = [call for call in node.calls if not self._is_left_out(call)]
            frame = dumps(self._frame(node, place, len(calls)))
            self._bytes.take(4 * len(place))
            parts.append(frame)
            waiting.extend((call, (*place, at)) for at, call in reversed(list(enumerate(calls))))
        return b"[%b]" % b",".join(parts)

    def _is_left_out(self, call: CallNode) -> bool:
        is_plain = call.kind in (CallKind.CALL, CallKind.STATICCALL)
        return is_plain and not self._with_precompiles and call.to in self._precompiles

    def _frame(self, node: CallNode, place: tuple[int, ...], calls: int) -> Json:
        frame: dict[str, Json] = {"action": _action(node), **self._place}
        if node.error is not None:
            frame["error"] = _paritys_word(node.error) if self._in_paritys_words else node.error
        if node.kind is not CallKind.SELFDESTRUCT and node.error in (None, Failure.REVERT.value):
            frame["result"] = _result(node)
        frame["subtraces"] = calls
        frame["traceAddress"] = list(place)
        is_creation = node.kind in CREATIONS
        frame["type"] = "create" if is_creation else "suicide" if node.kind is CallKind.SELFDESTRUCT else "call"
        return frame


def _action(node: CallNode) -> Json:
    if node.kind is CallKind.SELFDESTRUCT:
        return {
            "address": encode_data(node.sender),
            "balance": hex(node.value or 0),
            "refundAddress": encode_data(node.to),
        }
    action: dict[str, Json] = {"from": encode_data(node.sender), "gas": hex(node.gas), "value": hex(node.value or 0)}
    if node.kind in CREATIONS:
        action |= {"creationMethod": node.kind.value.lower(), "init": encode_data(node.data)}
    else:
        action |= {
            "callType": node.kind.value.lower(),
            "input": encode_data(node.data),
            "to": encode_data(node.to),
        }
    return action


def _result(node: CallNode) -> Json:
    result: dict[str, Json] = {"gasUsed": hex(node.gas_used)}
    if node.kind not in CREATIONS:
        return result | {"output": encode_data(node.output)}
    if node.error is None:
        result["address"] = encode_data(node.to)
    return result | {"code": encode_data(node.output)}


def _paritys_word(error: str) -> str:
    return next((word for beginning, word in _PARITY_ERRORS if error.startswith(beginning)), error)
