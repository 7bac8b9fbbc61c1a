"""Whom to dial and when: persistent peers for ever, seeds when nothing else is known; pure.

Each target waits longer after each failure, up to a cap, and a random half of the delay keeps nodes that lost each
other at the same moment from meeting at the same moment again. A link that held for a while clears the failures; one
that ended at once counts as one more, so that a peer that accepts and drops us is not dialed without pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cybermiles.p2p.identity import NodeId, PeerAddress

STABLE_MS = 10_000
"""A link that held for so long was a success."""


@dataclass(slots=True)
class _Target:
    address: PeerAddress
    failures: int = 0
    due_ms: int = 0
    linked_ms: int | None = None


class DialPlan:
    """A fixed list of addresses with the state of each."""

    def __init__(
        self, addresses: Collection[PeerAddress], *, base_ms: int, cap_ms: int, below: Callable[[int], int]
    ) -> None:
        self._targets = {address.id: _Target(address) for address in addresses}
        self._base_ms = base_ms
        self._cap_ms = cap_ms
        self._below = below

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._targets

    def due(self, now_ms: int, skip: Collection[NodeId]) -> list[PeerAddress]:
        """Return what is to be dialed now, without `skip`: those connected or being dialed."""
        return [t.address for t in self._targets.values() if t.due_ms <= now_ms and t.address.id not in skip]

    def linked(self, node_id: NodeId, now_ms: int) -> None:
        """Note a link, whoever dialed it."""
        target = self._targets.get(node_id)
        if target is not None:
            target.linked_ms = now_ms

    def lost(self, node_id: NodeId, now_ms: int) -> None:
        """Note the end of a link, or a dial that led to none, and set when to try again."""
        target = self._targets.get(node_id)
        if target is None:
            return
        held = target.linked_ms is not None and now_ms - target.linked_ms >= STABLE_MS
        target.linked_ms = None
        target.failures = 0 if held else target.failures + 1
        target.due_ms = now_ms + self._delay_ms(target.failures)

    def _delay_ms(self, failures: int) -> int:
        delay = min(self._base_ms << min(max(failures - 1, 0), 20), self._cap_ms)
        return delay - self._below(delay // 2 + 1)
