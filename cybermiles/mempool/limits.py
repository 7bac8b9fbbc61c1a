"""How much the pool holds. Every limit is a configuration key below `[mempool]`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Bounds of the pool. "Free" are transactions that offer less than the price floor."""

    max_transactions: int = 50_000
    """All transactions together."""
    max_bytes: int = 64 * 1024 * 1024
    """Their wire bytes."""
    max_free: int = 5_000
    """Transactions under the price floor."""
    max_pending_per_sender: int = 1_024
    """Executable transactions of one account."""
    max_queued_per_sender: int = 64
    """Transactions of one account behind a nonce gap."""
    lifetime_seconds: int = 3 * 3600
    """Of a paying transaction."""
    free_lifetime_seconds: int = 600
    """Of a free or queued one."""
    price_bump_percent: int = 10
    """How much better a replacement must pay, in both fee fields."""
    free_replacements: int = 3
    """How often a free transaction may be replaced by another free one."""
    reasons_seconds: int = 3600
    """How long the reason of a rejection or drop is kept."""
    max_reasons: int = 50_000
