"""Frames that tell a tracer what they do; the frames of blocks know nothing of this.

    Frame ◄─ ForkFrame ◄─ TracedForkFrame    made by the backend; traced code runs in traced frames and no other

Calls, logs and self-destructions are told by a subclass of the frame and by wrapped opcode functions in a table of its
own; where a tracer wants steps, too, `stepping.run_steps` takes the place of the loop. What is told has geth's shape
(core/tracing, core/vm/evm.go): a call that depth or balance forbids is entered and left at no price, the gas of a call
includes its stipend, and a self-destruction is a call without gas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth.exceptions import Halt, OutOfGas

from cybermiles.types.primitives import Address
from cybermiles.vm.backend import Failure
from cybermiles.vm.pyevm.dispatch import expansion_gas
from cybermiles.vm.pyevm.failures import phrase_of
from cybermiles.vm.pyevm.frame import CALL_DEPTH_LIMIT, CodeTooLarge, Frame
from cybermiles.vm.pyevm.opcodes import opcode_table
from cybermiles.vm.pyevm.program import ProgramCache
from cybermiles.vm.pyevm.state import State
from cybermiles.vm.pyevm.stepping import run_steps
from cybermiles.vm.tracing import CREATIONS, CallEnd, CallKind, CallStart
from cybermiles.vm.validity import MAX_INITCODE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.types.receipt import Log
    from cybermiles.vm.pyevm.steps import Step
    from cybermiles.vm.rules import Fork
    from cybermiles.vm.tracing import Tracer

SELFDESTRUCT = 0xFF
CALLS = {
    0xF0: CallKind.CREATE,
    0xF1: CallKind.CALL,
    0xF2: CallKind.CALLCODE,
    0xF4: CallKind.DELEGATECALL,
    0xF5: CallKind.CREATE2,
    0xFA: CallKind.STATICCALL,
}
_LOW_20_BYTES = (1 << 160) - 1


class TracedState(State):
    """The state of one traced execution, and where its telling stands."""

    def __init__(self, tracer: Tracer, *args: Any) -> None:  # noqa: ANN401  (the state's own)
        super().__init__(*args)
        self.tracer = tracer
        self.has_steps = bool(tracer.opcodes)
        self.watched = bytes(opcode in tracer.opcodes for opcode in range(256))
        self.kind = CallKind.CALL
        """Of the frame that is about to be made."""
        self.callee: Address | None = None
        """The operand of the call about to be made; None where the message says it."""
        self.pending: int | None = None
        """Gas before the step that has been told and not priced yet."""
        self.refunds = 0
        """Refund counters of the frames above the current one."""

    def price_step(self, frame: TracedFrame, gas: int, error: str | None = None) -> None:
        """Tell what the pending step, if there is one, cost: `gas` is left after it."""
        before = self.pending
        if before is not None:
            self.pending = None
            self.tracer.stepped(before - gas, self.refunds + frame.refund, error)

    def enter(self, message: Any, parent: TracedFrame | None = None) -> None:  # noqa: ANN401
        """Tell that a frame begins."""
        self.tracer.enter(_start(self, message, parent))

    def leave(self, frame: Frame) -> None:
        """Tell that a frame ended."""
        self.tracer.exit(CallEnd(frame.output, frame.get_gas_used(), phrase_of(frame), frame.msg.depth))


class _ToldLogs(list["Log"]):
    """A frame's logs. Its own are appended and told; those of its children come by `+=`."""

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def append(self, log: Log) -> None:
        super().append(log)
        self._tracer.log(log)


class TracedFrame(Frame):
    """A frame that tells what it does. Subclassed for each backend like `Frame`."""

    state: TracedState
    step_table: list[Step]
    """By opcode, for `run_steps`."""

    def __init__(self, state: TracedState, message: Any, transaction_context: Any) -> None:  # noqa: ANN401
        super().__init__(state, message, transaction_context)
        self.logs = _ToldLogs(state.tracer)
        self.has_called = False
        """Whether the opcode that runs has made a frame."""
        self.returned_gas = self.consumed = 0
        """What `return_gas` and `consume_gas` got last."""
        self.shortfall = 0
        """Gas that was missing where the frame ran out of it."""

    # What the loop and the opcodes do, noted

    def consume_gas(self, amount: int, reason: str) -> None:
        self.shortfall = max(0, amount - self.gas_left)
        self.consumed = amount
        super().consume_gas(amount, reason)

    def grow_memory(self, end: int, gas: int) -> int:
        self.shortfall = max(0, expansion_gas(len(self.memory_bytes), end) - gas)
        return super().grow_memory(end, gas)

    def return_gas(self, amount: int) -> None:
        self.returned_gas = amount
        super().return_gas(amount)

    def _deposit(self) -> None:
        try:
            super()._deposit()
        except CodeTooLarge:
            raise
        except OutOfGas:
            raise OutOfGas("contract creation code storage out of gas") from None

    def generate_child_computation(self, child_msg: Any) -> TracedFrame:  # noqa: ANN401
        """Run a child between `enter` and `exit`. In the place of py-evm's: calls nest 1024 deep, frames are dear."""
        state = self.state
        self.has_called = True
        if child_msg.is_create:
            if len(child_msg.code) > MAX_INITCODE_BYTES:
                size = len(child_msg.code)
                raise OutOfGas(f"out of gas: max initcode size exceeded: code size {size} limit {MAX_INITCODE_BYTES}")
            state.price_step(self, self.gas_left + child_msg.gas)
            apply = self.apply_create_message
        else:
            state.price_step(self, self.gas_left)
            apply = self.apply_message
        refund = self.refund
        state.refunds += refund
        state.enter(child_msg, self)
        child: TracedFrame = apply(state, child_msg, self.transaction_context, self)
        state.refunds -= refund
        state.leave(child)
        return child


class SteppingFrame(TracedFrame):
    """A frame that tells each step, too."""

    run_program = run_steps


def traced(frame: type[Frame], fork: Fork) -> tuple[type[TracedFrame], type[SteppingFrame]]:
    """Return the traced counterparts of a backend's frame."""
    table = [_told_step(opcode, step) for opcode, step in enumerate(opcode_table(fork))]
    tables = {"programs": ProgramCache(table), "step_table": table}
    return type("TracedForkFrame", (TracedFrame, frame), tables), type(
        "SteppingForkFrame", (SteppingFrame, frame), tables
    )


def _start(state: TracedState, message: Any, parent: TracedFrame | None) -> CallStart:  # noqa: ANN401
    if parent is None:
        kind = CallKind.CREATE if message.is_create else CallKind.CALL
        sender, callee = message.sender, None
    else:
        kind, sender, callee = state.kind, parent.address, state.callee
    return CallStart(
        kind=kind,
        sender=sender,
        to=message.storage_address if callee is None or message.is_create else callee,
        value=None if kind is CallKind.STATICCALL else message.value,
        gas=message.gas,
        data=bytes(message.code if message.is_create else message.data),
        depth=message.depth,
    )


def _told_step(opcode: int, step: Step) -> Step:
    kind, gas, weight, function = step
    if opcode in CALLS:
        return (kind, gas, weight, _told_call(CALLS[opcode], function))
    if opcode == SELFDESTRUCT:
        return (kind, gas, weight, _told_selfdestruct(function))
    return step


def _told_call(kind: CallKind, function: Callable[[Any], None]) -> Callable[[TracedFrame], None]:
    """Return a call or creation that notes what it is, and tells where no frame comes of it."""
    creates = kind in CREATIONS

    def call(frame: TracedFrame) -> None:
        state = frame.state
        operands = frame.stack_values[:-8:-1]
        state.kind = kind
        state.callee = None if creates or len(operands) < 2 else _address(operands[1])
        frame.has_called = False
        frame.returned_gas = 0
        function(frame)
        if not frame.has_called:
            _tell_refused(frame, kind, operands)

    return call


def _tell_refused(frame: TracedFrame, kind: CallKind, operands: list[int]) -> None:
    """Tell a call that made no frame: too deep, not covered, or a creation where a contract is."""
    state, creates, depth = frame.state, kind in CREATIONS, frame.msg.depth + 1
    moves_value = creates or kind in (CallKind.CALL, CallKind.CALLCODE)
    value = operands[0 if creates else 2] if moves_value else frame.msg.value
    start_at = 1 if creates else 3 if moves_value else 2
    start, size = operands[start_at : start_at + 2]
    used, error = 0, Failure.CALL_DEPTH.value
    given = frame.gas_left - frame.gas_left // 64 if creates else frame.returned_gas
    if depth <= CALL_DEPTH_LIMIT:
        error = Failure.INSUFFICIENT_BALANCE.value
        if not moves_value or state.world.balance(frame.address) >= value:
            error = Failure.CONTRACT_COLLISION.value
            used = given = frame.consumed
    state.price_step(frame, frame.gas_left + used if creates else frame.gas_left - given)
    state.tracer.enter(
        CallStart(
            kind=kind,
            sender=frame.address,
            to=frame.address if state.callee is None else state.callee,
            value=None if kind is CallKind.STATICCALL else value,
            gas=given,
            data=bytes(frame.memory_bytes[start : start + size]),
            depth=depth,
        )
    )
    state.tracer.exit(CallEnd(b"", used, error, depth))


def _told_selfdestruct(function: Callable[[Any], None]) -> Callable[[TracedFrame], None]:
    def selfdestruct(frame: TracedFrame) -> None:
        state, address = frame.state, frame.address
        beneficiary = _address(frame.stack_values[-1]) if frame.stack_values else address
        balance = state.world.balance(address)
        try:
            function(frame)
        except Halt:
            depth = frame.msg.depth + 1
            state.price_step(frame, frame.gas_left)
            state.tracer.enter(CallStart(CallKind.SELFDESTRUCT, address, beneficiary, balance, 0, b"", depth))
            state.tracer.exit(CallEnd(b"", 0, None, depth))
            raise

    return selfdestruct


def _address(word: int) -> Address:
    return Address((word & _LOW_20_BYTES).to_bytes(20))
