"""Committed blocks as events for subscribers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.events import BlockCommitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.types.block import Block
    from cybermiles.types.events import Event


class EventSource:
    """A commit listener that publishes."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Publish the block with its logs."""
        self._publish(BlockCommitted(block, tuple(tx.receipt.logs for tx in outcome.transactions)))
