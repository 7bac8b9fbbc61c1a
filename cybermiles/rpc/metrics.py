"""What the RPC server counts."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import Counter, Histogram, counter, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcMetrics:
    """Below `cmt_rpc_`."""

    requests_total: Counter = counter("method", "outcome")
    """Requests by served method and by "ok" or error code; methods that are not served count as "unknown"."""
    seconds: Histogram = histogram("method")
    """Time to answer a request."""


class RequestCounter:
    """`rpc.ports.Observer` over the metrics. Methods come from the dispatcher's table, so their number is bounded."""

    def __init__(self, metrics: RpcMetrics) -> None:
        self._metrics = metrics

    def request(self, method: str, outcome: str, seconds: float) -> None:
        """Count one request."""
        self._metrics.requests_total.inc(method, outcome)
        self._metrics.seconds.observe(seconds, method)
