"""What the pool counts."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import BYTES, Counter, Gauge, Histogram, counter, gauge, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class MempoolMetrics:
    """Below `cmt_mempool_`."""

    size: Gauge = gauge()
    """Transactions in the pool."""
    size_bytes: Gauge = gauge()
    """Their wire bytes together."""
    pending: Gauge = gauge()
    """Transactions that can execute in the next blocks."""
    queued: Gauge = gauge()
    """Transactions that wait for an earlier nonce of their sender."""
    senders: Gauge = gauge()
    """Accounts with a transaction in the pool."""
    admitted_txs_total: Counter = counter()
    """Transactions the pool took."""
    tx_size_bytes: Histogram = histogram(buckets=BYTES)
    """Wire size of the transactions the pool took."""
    failed_txs_total: Counter = counter()
    """Transactions refused at the door: malformed, wrongly signed, unaffordable or over a limit."""
    evicted_txs_total: Counter = counter()
    """Transactions the pool gave up without a block taking them: expired, replaced, crowded out."""
