"""What the application counts: execution, lanes, coins."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import Counter, Gauge, Histogram, counter, gauge, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class AbciMetrics:
    """Below `cmt_abci_`."""

    connection_method_timing_seconds: Histogram = histogram("method")
    """Time the engine waited for the application, by call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvmMetrics:
    """Below `cmt_evm_`."""

    gas_total: Counter = counter("lane")
    """Gas used by transactions of committed blocks, by lane."""
    txs_total: Counter = counter("lane")
    """Transactions of committed blocks, by lane."""
    failed_txs_total: Counter = counter()
    """Transactions of committed blocks that reverted or ran out of something."""
    compute_units_total: Counter = counter()
    """Compute units used by committed blocks."""
    free_slots_used: Gauge = gauge()
    """Transactions in the free lane of the newest block."""
    free_gas_used: Gauge = gauge()
    """Sum of gas limits in the free lane of the newest block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinMetrics:
    """Below `cmt_coins_`. Since the start of the process; floats, so the last digits of large sums are rounded."""

    minted_wei_total: Counter = counter()
    """Wei created by committed blocks."""
    fees_wei_total: Counter = counter()
    """Wei of fees paid into the award pool."""
    burnt_wei_total: Counter = counter()
    """Wei destroyed by self-destruction."""
