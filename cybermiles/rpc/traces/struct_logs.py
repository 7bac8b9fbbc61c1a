"""The default tracer: every step with stack, memory and storage, written out as it happens.

Nothing of a step is kept but its bytes, so memory is bounded by the answer's limit. Source: geth 1.17,
eth/tracers/logger/logger.go; `limit` counts steps, as the execution API specification has it, and not geth's bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orjson import dumps

from cybermiles.rpc.quantities import encode_word
from cybermiles.vm.backend import Failure
from cybermiles.vm.opcode_names import OPCODE_NAMES
from cybermiles.vm.tracing import Tracer

if TYPE_CHECKING:
    from cybermiles.rpc.traces.options import StructOptions
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address
    from cybermiles.vm.backend import BlockContext, ExecutionResult
    from cybermiles.vm.tracing import ByteBudget, CallEnd, Step, TraceStart

_SLOAD, _SSTORE = 0x54, 0x55
_SLOT_BYTES = 140
"""A slot with its word."""
_WORD = re.compile(".{64}")
"""32 bytes: memory is a number of whole words."""


class StructLogger(Tracer):
    """Struct logs."""

    opcodes = frozenset(range(256))

    def __init__(self, budget: ByteBudget, options: StructOptions) -> None:
        self._budget = budget
        self._options = options
        self._out = bytearray()
        self._logged = 0
        """Steps."""
        self._world: WorldState | None = None
        self._storage: dict[Address, dict[str, str]] = {}
        self._head = ""
        self._tail = ""
        self._depth = 1
        self._access: tuple[Address, int, int] | None = None
        self._end: CallEnd | None = None
        self._gas = 0

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:  # noqa: ARG002  (the seam)
        self._world = world

    def step(self, step: Step) -> None:
        options = self._options
        if self._is_full():
            return
        self._head = f'{{"pc":{step.pc},"op":"{OPCODE_NAMES[step.opcode]}","gas":{step.gas},"gasCost":'
        self._depth = step.depth + 1
        parts = []
        if not options.disable_stack:
            words = '","'.join(map(hex, step.stack))
            parts.append(f',"stack":["{words}"]' if words else ',"stack":[]')
        if options.enable_return_data and step.return_data:
            parts.append(f',"returnData":"0x{step.return_data.hex()}"')
        if options.enable_memory and step.memory:
            self._budget.require(2 * len(step.memory))
            words = '","0x'.join(re.findall(_WORD, step.memory.hex()))
            parts.append(f',"memory":["0x{words}"]')
        self._tail = "".join(parts)
        self._access = None if options.disable_storage else self._accessed(step)

    def stepped(self, cost: int, refund: int, error: str | None) -> None:
        if self._is_full():
            return
        failed = "" if error is None else f',"error":{dumps(error).decode()}'
        storage = "" if error is not None or self._access is None else self._storage_after(*self._access)
        refunded = f',"refund":{refund}' if refund else ""
        entry = f'{self._head}{cost},"depth":{self._depth}{failed}{self._tail}{storage}{refunded}}}'
        self._budget.take(len(entry) + 1)
        if self._out:
            self._out += b","
        self._out += entry.encode()
        self._logged += 1

    def exit(self, end: CallEnd) -> None:
        self._end = end

    def end(self, world: WorldState, result: ExecutionResult) -> None:  # noqa: ARG002  (the seam)
        self._gas = result.gas_used

    def render(self) -> bytes:
        """Return the result around the steps."""
        end = self._end
        failed = end is not None and end.error is not None
        shown = end is not None and (end.error is None or end.error == Failure.REVERT.value)
        output = end.output.hex() if end is not None and shown else ""
        head = f'{{"gas":{self._gas},"failed":{"true" if failed else "false"},"returnValue":"0x{output}","structLogs":['
        return b"".join((head.encode(), self._out, b"]}"))

    def _is_full(self) -> bool:
        limit = self._options.limit
        return limit != 0 and self._logged >= limit

    def _accessed(self, step: Step) -> tuple[Address, int, int] | None:
        """Return (account, slot, word after it) of an SLOAD or SSTORE."""
        stack = step.stack
        if step.opcode == _SLOAD and stack and self._world is not None:
            return step.address, stack[-1], self._world.storage(step.address, stack[-1])
        if step.opcode == _SSTORE and len(stack) > 1:
            return step.address, stack[-1], stack[-2]
        return None

    def _storage_after(self, address: Address, slot: int, word: int) -> str:
        """Return what is known of a contract's storage: what it accessed so far."""
        known = self._storage.setdefault(address, {})
        known[encode_word(slot)] = encode_word(word)
        self._budget.require(_SLOT_BYTES * len(known))
        return ',"storage":{' + ",".join(f'"{name}":"{known[name]}"' for name in sorted(known)) + "}"
