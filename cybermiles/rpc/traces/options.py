"""What a caller asks of a trace: which tracer and how; and the tracer for it.

Fields are geth's. `timeout` and `reexec` are accepted and mean nothing here: the node's own limits bound a trace, and
states are kept or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from orjson import dumps

from cybermiles.rpc.traces.calls import CallTracer, FourByteTracer, NoopTracer
from cybermiles.rpc.traces.flat_calls import FlatCallTracer, TracePlace
from cybermiles.rpc.traces.prestate import PrestateTracer
from cybermiles.rpc.traces.struct_logs import StructLogger
from cybermiles.vm.tracing import Tracer, Tracers

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.vm.tracing import ByteBudget

_RenderedTracer: TypeAlias = StructLogger | CallTracer | FlatCallTracer | PrestateTracer | FourByteTracer | NoopTracer
NOWHERE = TracePlace()
MAX_MUXED = 8
"""Tracers in one `muxTracer`: there are five kinds that can be in one."""
_FLAGS = {
    "callTracer": ("onlyTopCall", "withLog"),
    "prestateTracer": ("diffMode", "disableCode", "disableStorage", "includeEmpty"),
    "flatCallTracer": ("convertParityErrors", "includePrecompiles"),
    "4byteTracer": (),
    "noopTracer": (),
}
"""The options of each tracer's `tracerConfig`, all booleans."""
TRACERS = (*_FLAGS, "muxTracer")


class Rendered(Protocol):
    """A tracer that can write down what it saw."""

    def render(self) -> bytes:
        """Return the trace as JSON, once the execution ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StructOptions:
    """Options of struct logs."""

    enable_memory: bool = False
    disable_stack: bool = False
    disable_storage: bool = False
    enable_return_data: bool = False
    limit: int = 0
    """Steps after which no more are added; 0: no such limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """A checked trace configuration. Can be pickled."""

    tracer: str | None = None
    """None: struct logs."""
    struct: StructOptions = field(default_factory=StructOptions)
    flags: dict[str, bool] = field(default_factory=dict)
    parts: tuple[tuple[str, TraceOptions], ...] = ()
    """Of `muxTracer`: what it consists of."""


def parse_trace_options(value: Json) -> TraceOptions:
    """Return a trace configuration. Raises ValueError that names what is wrong."""
    if not isinstance(value, dict):
        raise ValueError("an object is expected")  # noqa: TRY004  (one error for every parser)
    given: dict[str, Json] = {name.lower(): entry for name, entry in value.items() if entry is not None}
    tracer = given.get("tracer")
    if not isinstance(given.get("timeout", ""), str):
        raise ValueError('timeout: a duration such as "5s" is expected')  # noqa: TRY004
    if not isinstance(tracer, (str, type(None))):
        raise ValueError("tracer: a string is expected")  # noqa: TRY004
    if not tracer:
        return TraceOptions(struct=_struct_options(given))
    return _named(tracer, given.get("tracerconfig", {}))


def make_tracer(options: TraceOptions, budget: ByteBudget, place: TracePlace = NOWHERE) -> tuple[Tracer, Rendered]:
    """Return a new tracer, and what renders its result: the same object. `place` is that of what is traced."""
    if options.tracer == "muxTracer":
        mux = _Mux([(name, make_tracer(part, budget, place)) for name, part in options.parts])
        return mux, mux
    makers: dict[str | None, Callable[[], _RenderedTracer]] = {
        None: lambda: StructLogger(budget, options.struct),
        "callTracer": lambda: CallTracer(budget, options.flags, place.first_log),
        "flatCallTracer": lambda: FlatCallTracer(budget, options.flags, place),
        "prestateTracer": lambda: PrestateTracer(budget, options.flags),
        "4byteTracer": lambda: FourByteTracer(budget),
        "noopTracer": NoopTracer,
    }
    tracer = makers[options.tracer]()
    return tracer, tracer


class _Mux(Tracers):
    """Several tracers and their names."""

    def __init__(self, parts: list[tuple[str, tuple[Tracer, Rendered]]]) -> None:
        super().__init__([tracer for _, (tracer, _) in parts])
        self._parts = parts

    def render(self) -> bytes:
        """Return name to trace."""
        named = (b"%b:%b" % (dumps(name), rendered.render()) for name, (_, rendered) in sorted(self._parts))
        return b"{%b}" % b",".join(named)


def _named(name: str, config: Json) -> TraceOptions:
    if not isinstance(config, dict):
        raise ValueError("tracerConfig: an object is expected")  # noqa: TRY004
    if name == "muxTracer":
        if len(config) > MAX_MUXED:
            raise ValueError(f"tracerConfig: at most {MAX_MUXED} tracers")
        if "muxTracer" in config:
            raise ValueError("tracerConfig: a muxTracer cannot contain another")
        parts = tuple((part, _named(part, {} if entry is None else entry)) for part, entry in config.items())
        return TraceOptions(tracer=name, parts=parts)
    if name not in _FLAGS:
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise ValueError(
            f"unknown tracer {shown!r}: use {', '.join(TRACERS)}, or none for struct logs; "
            "tracers in JavaScript are not supported"
        )
    flags = {option: _flag(config, option) for option in _FLAGS[name]}
    if flags.get("diffMode") and flags.get("includeEmpty"):
        raise ValueError("cannot use diffMode with includeEmpty")
    return TraceOptions(tracer=name, flags=flags)


def _struct_options(given: dict[str, Json]) -> StructOptions:
    limit = given.get("limit", 0)
    if type(limit) is not int or limit < 0:
        raise ValueError("limit: a number of steps is expected")
    return StructOptions(
        enable_memory=_flag(given, "enablememory"),
        disable_stack=_flag(given, "disablestack"),
        disable_storage=_flag(given, "disablestorage"),
        enable_return_data=_flag(given, "enablereturndata"),
        limit=limit,
    )


def _flag(config: dict[str, Json], name: str) -> bool:
    value = config.get(name)
    if not isinstance(value, (bool, type(None))):
        raise ValueError(f"{name}: a boolean is expected")  # noqa: TRY004
    return bool(value)
