"""The seam for watching an execution: what a tracer is told, and the call tree that most of them want.

    start ─► enter ─► step, stepped … log … enter ─► … exit ─► exit ─► end

A tracer is handed to one execution and never changes what it does: gas, compute units, state and output are those of
the same execution without it. The untraced path does not know of tracers; the backend runs other frames where one is
given. Everything that geth shows as a call is one: precompiles, contracts in Python, calls that are refused for depth
or balance (entered and left at once), and self-destruction.

`CallRecorder` builds a tree of `CallNode`s, plain values that can be pickled: `execution.replay` gives them to whoever
wants to show or to search calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.errors import CybermilesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address
    from cybermiles.types.receipt import Log
    from cybermiles.vm.backend import BlockContext, ExecutionResult

NODE_BYTES = 400
"""What a call without data takes in a trace, rendered; for bounds."""
LOG_BYTES = 400
"""The same for a log."""


class TraceTooLarge(CybermilesError):
    """A tracer has collected as much as it may; the execution was abandoned."""


class CallKind(StrEnum):
    """What made a frame; the values are the opcodes' names."""

    CALL = "CALL"
    CALLCODE = "CALLCODE"
    DELEGATECALL = "DELEGATECALL"
    STATICCALL = "STATICCALL"
    CREATE = "CREATE"
    CREATE2 = "CREATE2"
    SELFDESTRUCT = "SELFDESTRUCT"


CREATIONS = (CallKind.CREATE, CallKind.CREATE2)


class TraceStart(NamedTuple):
    """Who executes what, before anything is charged."""

    sender: Address
    to: Address | None
    """None: a creation."""
    gas: int
    """The whole gas limit."""
    nonce: int
    """The sender's."""
    authorities: tuple[Address, ...]
    """Signers of EIP-7702 authorizations."""
    precompiles: frozenset[Address]


class CallStart(NamedTuple):
    """A frame begins."""

    kind: CallKind
    sender: Address
    """The account whose code made the call; the transaction's sender at depth 0."""
    to: Address
    """The account called or created; for SELFDESTRUCT who gets the balance."""
    value: int | None
    """Wei. None for STATICCALL, which has none; the inherited one for DELEGATECALL."""
    gas: int
    data: bytes
    """Calldata, or initcode."""
    depth: int
    """0 for the transaction's own frame; SELFDESTRUCT counts as a call of its frame."""


class CallEnd(NamedTuple):
    """A frame ends."""

    output: bytes
    """Returned data, deployed code, or revert data."""
    gas_used: int
    error: str | None
    """geth's phrase, None where it succeeded."""
    depth: int


class Step:
    """The machine before an opcode runs. One object for each frame: copy what is to be kept."""

    __slots__ = ("address", "depth", "gas", "memory", "opcode", "pc", "return_data", "stack")

    def __init__(self, address: Address, depth: int, stack: list[int], memory: bytearray) -> None:
        self.address = address
        """Whose storage the code works on."""
        self.depth = depth
        """0 for the transaction's own frame."""
        self.stack = stack
        """Top last."""
        self.memory = memory
        self.pc = 0
        self.opcode = 0
        self.gas = 0
        self.return_data = b""
        """Of the last call."""


class Tracer:
    """Sees an execution and keeps nothing. Tracers override what they want to know."""

    opcodes: frozenset[int] = frozenset()
    """Whose steps to report; where it is empty the code runs at almost full speed."""

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:
        """Note what is about to run. `world` is as before the transaction, and may be read at any time until `end`."""

    def enter(self, call: CallStart) -> None:
        """A frame begins."""

    def exit(self, end: CallEnd) -> None:
        """The frame entered last ends."""

    def log(self, log: Log) -> None:
        """The current frame emits a log; whether it stays is known when the frames end."""

    def step(self, step: Step) -> None:
        """An opcode is about to run."""

    def stepped(self, cost: int, refund: int, error: str | None) -> None:
        """The opcode of the last `step` took `cost` gas. Comes before the first frame that the opcode makes.

        `refund` is the counter now; `error` is why the opcode could not run (gas, stack), not how it ended.
        """

    def end(self, world: WorldState, result: ExecutionResult) -> None:
        """The gas is settled; empty accounts are still there."""


class LogEntry(NamedTuple):
    """A log and its place."""

    log: Log
    position: int
    """How many calls of its frame came before it."""
    number: int
    """Its index in the block, where it stays."""


@dataclass(slots=True, kw_only=True)
class CallNode:
    """One call with everything below it."""

    kind: CallKind
    sender: Address
    to: Address
    value: int | None
    gas: int
    """At the root the whole gas limit, as geth has it."""
    data: bytes
    depth: int
    gas_used: int = 0
    """At the root what was charged."""
    output: bytes = b""
    error: str | None = None
    calls: list[CallNode] = field(default_factory=list)
    logs: list[LogEntry] = field(default_factory=list)
    """Empty where this call or one above it failed."""

    @property
    def created(self) -> Address | None:
        """The contract that this call created, None where it failed or is no creation."""
        return self.to if self.kind in CREATIONS and self.error is None else None


class ByteBudget:
    """How much a tracer may still collect."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def take(self, size: int) -> None:
        """Take bytes. Raises TraceTooLarge where they are not there."""
        self.require(size)
        self.left -= size

    def require(self, size: int) -> None:
        """Look whether bytes are there before they are made. Raises TraceTooLarge where they are not."""
        if size > self.left:
            raise TraceTooLarge(f"the trace has more than {self.limit} bytes")


class CallRecorder(Tracer):
    """Builds the tree of calls.

    `budget` bounds it as it would be rendered: two digits a byte. Raises TraceTooLarge out of the execution.
    """

    def __init__(
        self, budget: ByteBudget, *, only_top: bool = False, with_logs: bool = False, first_log: int = 0
    ) -> None:
        """`first_log`: logs of the block before this execution."""
        self._budget = budget
        self._next_log = first_log
        self._logs_before: list[int] = []
        """`_next_log` as each frame began."""
        self._only_top = only_top
        self._with_logs = with_logs
        self._path: list[CallNode] = []
        self._gas_limit = 0
        self._depth = 0
        self.root: CallNode | None = None
        """The transaction's own call, once it ended."""

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:  # noqa: ARG002  (the seam)
        self._gas_limit = begin.gas

    def enter(self, call: CallStart) -> None:
        self._depth += 1
        self._logs_before.append(self._next_log)
        if self._only_top and self._path:
            return
        self._budget.take(NODE_BYTES + 2 * len(call.data))
        gas = call.gas if self._path else self._gas_limit
        node = CallNode(
            kind=call.kind,
            sender=call.sender,
            to=call.to,
            value=call.value,
            gas=gas,
            data=call.data,
            depth=len(self._path),
        )
        if self._path:
            self._path[-1].calls.append(node)
        self._path.append(node)

    def exit(self, end: CallEnd) -> None:
        self._depth -= 1
        before = self._logs_before.pop()
        if end.error is not None:
            self._next_log = before
        if self._only_top and self._depth:
            return
        self._budget.take(2 * len(end.output))
        node = self._path[-1] if self._depth == 0 else self._path.pop()
        node.gas_used, node.output, node.error = end.gas_used, end.output, end.error

    def log(self, log: Log) -> None:
        if self._with_logs and not (self._only_top and self._depth > 1):
            self._budget.take(LOG_BYTES + 2 * len(log.data))
            node = self._path[-1]
            node.logs.append(LogEntry(log, len(node.calls), self._next_log))
        self._next_log += 1

    def end(self, world: WorldState, result: ExecutionResult) -> None:  # noqa: ARG002  (the seam)
        self.root = self._path[0]
        self.root.gas_used = result.gas_used
        _drop_failed_logs([self.root])


class Tracers(Tracer):
    """Several tracers as one."""

    def __init__(self, tracers: Sequence[Tracer]) -> None:
        self._all = tuple(tracers)
        self.opcodes = frozenset().union(*(tracer.opcodes for tracer in tracers))
        self._stepping: list[Tracer] = []

    def start(self, world: WorldState, context: BlockContext, begin: TraceStart) -> None:
        for tracer in self._all:
            tracer.start(world, context, begin)

    def enter(self, call: CallStart) -> None:
        for tracer in self._all:
            tracer.enter(call)

    def exit(self, end: CallEnd) -> None:
        for tracer in self._all:
            tracer.exit(end)

    def log(self, log: Log) -> None:
        for tracer in self._all:
            tracer.log(log)

    def step(self, step: Step) -> None:
        self._stepping = [tracer for tracer in self._all if step.opcode in tracer.opcodes]
        for tracer in self._stepping:
            tracer.step(step)

    def stepped(self, cost: int, refund: int, error: str | None) -> None:
        for tracer in self._stepping:
            tracer.stepped(cost, refund, error)

    def end(self, world: WorldState, result: ExecutionResult) -> None:
        for tracer in self._all:
            tracer.end(world, result)


def _drop_failed_logs(roots: list[CallNode]) -> None:
    """Remove the logs of failed calls and of all calls below them. Not recursive: calls nest 1024 deep."""
    waiting = [(node, False) for node in roots]
    while waiting:
        node, failed = waiting.pop()
        failed = failed or node.error is not None
        if failed:
            node.logs.clear()
        waiting.extend((call, failed) for call in node.calls)
