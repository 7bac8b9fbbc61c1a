"""Metrics: what a node counts, and the text that Prometheus reads.

A package describes its metrics as one frozen dataclass: fields made by `counter`, `gauge` and `histogram`, whose
docstrings are the help text. `Registry.create` makes the instance of one node, so two nodes in one process count apart:

    class ConsensusMetrics:                        registry.create(ConsensusMetrics, "consensus")
        height: Gauge = gauge()                        │
        \"\"\"Height being decided.\"\"\"            ──────►  │ cmt_consensus_height 42
                                                       ▼
Values that somebody keeps anyway (a pool's size, a peer count) are copied when they are asked for: `before_render`.
Label values come from small fixed sets and never from peers or users, or memory would grow with what they send.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import prometheus_client as prometheus

from cybermiles.errors import InvariantViolation
from cybermiles.runtime.tasks import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

NAMESPACE = "cmt"
"""Before every name; the rest is CometBFT's where it has such a metric."""
CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram of durations."""
BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)
"""Upper bounds of a histogram of sizes."""
_KEY = "metric"


@dataclass(frozen=True, slots=True)
class Counter:
    """Only grows."""

    _metric: prometheus.Counter

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add to the series of these label values."""
        (self._metric.labels(*labels) if labels else self._metric).inc(by)


@dataclass(frozen=True, slots=True)
class Gauge:
    """Goes up and down."""

    _metric: prometheus.Gauge

    def set(self, value: float, *labels: str) -> None:
        """Replace the value of the series of these label values."""
        (self._metric.labels(*labels) if labels else self._metric).set(value)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts observations by size, so that percentiles can be computed."""

    _metric: prometheus.Histogram

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation in the series of these label values."""
        (self._metric.labels(*labels) if labels else self._metric).observe(value)


@dataclass(frozen=True, slots=True)
class _Spec:
    kind: type[Counter | Gauge | Histogram]
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One metric as documentation and tests see it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def counter(*labels: str) -> Any:  # noqa: ANN401  (stands where a dataclass wants the field's default)
    """Declare a counter; its field is named `…_total`."""
    return field(metadata={_KEY: _Spec(Counter, labels)})


def gauge(*labels: str) -> Any:  # noqa: ANN401
    """Declare a gauge."""
    return field(metadata={_KEY: _Spec(Gauge, labels)})


def histogram(*labels: str, buckets: tuple[float, ...] = SECONDS) -> Any:  # noqa: ANN401
    """Declare a histogram with these upper bounds."""
    return field(metadata={_KEY: _Spec(Histogram, labels, buckets)})


class Registry:
    """All metrics of one node."""

    def __init__(self) -> None:
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._registry = prometheus.CollectorRegistry()
        self._hooks: list[Callable[[], None]] = []
        self._rows: list[Row] = []
        prometheus.ProcessCollector(registry=self._registry)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was created, in order; the process's own metrics (`process_…`) are not in it."""
        return tuple(self._rows)

    def create(self, group: type[T], subsystem: str) -> T:
        """Return an instance whose metrics are named `cmt_<subsystem>_<field>`.

        Raises InvariantViolation where a field has no docstring or a counter's name does not end in `_total`.
        """
        helps = field_docstrings(group)
        made: dict[str, Counter | Gauge | Histogram] = {}
        for entry in fields(group):  # type: ignore[arg-type]  # mypy has no name for "a dataclass"
            spec: _Spec = entry.metadata[_KEY]
            name = f"{NAMESPACE}_{subsystem}_{entry.name}"
            if entry.name not in helps or (spec.kind is Counter) != name.endswith("_total"):
                raise InvariantViolation(f"{name}: a metric has a docstring, and a counter's name ends in _total")
            made[entry.name] = self._make(name, spec, helps[entry.name])
            self._rows.append(Row(name, spec.kind.__name__.lower(), spec.labels, helps[entry.name]))
        return group(**made)

    def before_render(self, hook: Callable[[], None]) -> None:
        """Call `hook` each time the metrics are asked for; a hook that fails is logged and costs its values only."""
        self._hooks.append(hook)

    def render(self) -> bytes:
        """Return the text format, of content type `CONTENT_TYPE`."""
        for hook in self._hooks:
            guarded(hook)
        return prometheus.generate_latest(self._registry)

    def _make(self, name: str, spec: _Spec, text: str) -> Counter | Gauge | Histogram:
        if spec.kind is Counter:
            return Counter(prometheus.Counter(name, text, spec.labels, registry=self._registry))
        if spec.kind is Gauge:
            return Gauge(prometheus.Gauge(name, text, spec.labels, registry=self._registry))
        return Histogram(prometheus.Histogram(name, text, spec.labels, buckets=spec.buckets, registry=self._registry))


def field_docstrings(group: type) -> dict[str, str]:
    """Return field name to the docstring under it, on one line, read from the class's source."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    body = node.body if isinstance(node, ast.ClassDef) else []
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found[name] = " ".join(text.split())
    return found
