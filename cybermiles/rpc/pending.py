"""The next block's template for whoever asks, made anew only as often as it is cheap.

With a full pool it takes tens of milliseconds of the event loop. So one that took long serves for ten times as long, or
until the next block; one that was made in no time is never shown twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.rpc.ports import ChainReader, PendingBlock

LONG_SECONDS = 0.002
SHARE = 10
"""A long one serves for this many times what it took."""


class PendingBlocks:
    """Belongs to the event loop."""

    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain
        self._made: PendingBlock | None = None
        self._parent = -1
        self._good_until = 0.0

    def block(self) -> PendingBlock | None:
        """Return the template, None where this node builds none."""
        loop, head = asyncio.get_running_loop(), self._chain.head_height()
        began = loop.time()
        if head != self._parent or began >= self._good_until:
            self._made, self._parent = self._chain.pending_block(), head
            took = loop.time() - began
            self._good_until = began + took * SHARE if took >= LONG_SECONDS else began
        return self._made
