"""Committed blocks as events for subscribers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.events import BlockCommitted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.runtime.event_bus import EventBus
    from cybermiles.types.block import Block
    from cybermiles.types.events import Event

UNREAD_EVENTS = 16_384
"""Events the RPC server may be behind; transactions that arrive together are one."""


class CommittedBlocks:
    """A commit listener that publishes."""

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Publish the block with its logs."""
        logs = [tx.receipt.logs for tx in outcome.transactions]
        if outcome.system_logs:
            logs.append(outcome.system_logs)
        self._publish(BlockCommitted(block, tuple(logs)))


class EventFeed:
    """`rpc.ports.Events` over the bus."""

    def __init__(self, bus: EventBus[Event]) -> None:
        self._bus = bus

    async def subscribe(self) -> AsyncIterator[Event]:
        """Yield events from now on until the reader falls too far behind."""
        subscription = self._bus.subscribe(UNREAD_EVENTS)
        try:
            async for event in subscription:
                yield event
        finally:
            subscription.close()
