"""Fan-out of events after the fact. Publishing never waits: a subscriber that does not keep up is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")


class Subscription(Generic[T]):
    """One listener's bounded queue; iterate it, and close it when done."""

    def __init__(self, bus: EventBus[T], limit: int) -> None:
        self._bus = bus
        self._queue: asyncio.Queue[T | None] = asyncio.Queue()
        self._limit = limit
        self.overflowed = False
        """Whether it was closed because it did not keep up."""

    def deliver(self, event: T) -> None:
        """Queue an event, or close the subscription where the queue is full."""
        if self._queue.qsize() >= self._limit:
            self.overflowed = True
            self.close()
        else:
            self._queue.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[T]:
        while (event := await self._queue.get()) is not None:
            yield event

    def close(self) -> None:
        """Stop receiving; the iteration ends after what is queued already."""
        self._bus.remove(self)
        self._queue.put_nowait(None)


class EventBus(Generic[T]):
    """Publishes to every open subscription, in the order of subscribing."""

    def __init__(self) -> None:
        self._subscriptions: dict[Subscription[T], None] = {}

    def subscribe(self, limit: int = 1024) -> Subscription[T]:
        """Return a new subscription that holds at most `limit` unread events."""
        subscription = Subscription(self, limit)
        self._subscriptions[subscription] = None
        return subscription

    def publish(self, event: T) -> None:
        """Deliver to everybody; never waits and never fails."""
        for subscription in tuple(self._subscriptions):
            subscription.deliver(event)

    def remove(self, subscription: Subscription[T]) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)
