"""What the node counts about its call workers."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import Counter, Gauge, Histogram, counter, gauge, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMetrics:
    """Below `cmt_calls_`."""

    jobs_total: Counter = counter("outcome")
    """Jobs by how they ended: "answered" (with a result or an error for the caller), "fault", "timeout", "memory",
    "crash", "abandoned" (its caller went, and it was cut off), "busy" (refused, or sent away for another caller's)."""
    seconds: Histogram = histogram()
    """What a job took its worker."""
    waiting: Gauge = gauge()
    """Jobs that run or wait for a worker."""
    workers: Gauge = gauge()
    """Worker processes that there are."""
    workers_bytes: Gauge = gauge()
    """Memory that they occupy together; 0 where the system does not tell."""
    starts_total: Counter = counter()
    """Worker processes started: those at the beginning, and one for each that was killed or died."""
