"""Links between nodes: how long a message takes, and what happens to it before the network is stable.

The faults of a plan apply to what correct nodes send; liars get through, as an adversary would arrange it. After GST
every message arrives, after its latency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from tests.simulation.plan import Plan
    from tests.simulation.streams import Streams


class Links:
    """Fate and delay of each message."""

    def __init__(self, plan: Plan, streams: Streams, faults: Counter[str]) -> None:
        self._plan = plan
        self._rng = streams["network"]
        self._faults = faults
        self._free_ms: dict[tuple[int, int], float] = {}
        self._broken = self._draw_churn()

    def _draw_churn(self) -> list[tuple[float, float, int, int]]:
        """Return connections that are down for a while: (from, to, one end, other end)."""
        count = len(self._plan.powers)
        down = []
        for _ in range(self._plan.churn):
            start = self._rng.uniform(0, self._plan.gst_ms)
            one, other = self._rng.sample(range(count), 2)
            down.append((start, min(self._plan.gst_ms, start + self._rng.uniform(100, 5_000)), one, other))
        return down

    def is_cut(self, now: float, source: int, target: int) -> str:
        """Return why nothing gets from one node to another now, empty where it does."""
        for cut in self._plan.partitions:
            if cut.start_ms <= now < cut.end_ms and source in cut.sources and target in cut.targets:
                return "partition"
        for start, end, one, other in self._broken:
            if start <= now < end and {source, target} == {one, other}:
                return "churn"
        return ""

    def fate(self, now: float, source: int, target: int, size: int, *, stable: bool) -> list[float]:
        """Return the delays after which copies of a message arrive; empty where it is lost."""
        plan, rng = self._plan, self._rng
        delays = [self._delay(now, source, target, size)]
        if stable:
            return [min(delays[0], 2_000.0)]
        cut = self.is_cut(now, source, target)
        if cut:
            self._faults[cut] += 1
            return []
        if plan.drop and rng.random() < plan.drop:
            self._faults["drop"] += 1
            return []
        if plan.duplicate and rng.random() < plan.duplicate:
            self._faults["duplicate"] += 1
            delays.append(delays[0] + rng.uniform(0, 3_000))
        if plan.reorder and rng.random() < plan.reorder:
            self._faults["reorder"] += 1
            delays[0] += rng.uniform(0, 2_000)
        return delays

    def _delay(self, now: float, source: int, target: int, size: int) -> float:
        plan = self._plan
        delay = plan.latency.draw(self._rng, source, target)
        self._faults[f"latency: {plan.latency.model}"] += 1
        if plan.bandwidth:
            link = (source, target)
            start = max(now, self._free_ms.get(link, 0.0))
            self._free_ms[link] = start + size * 1_000 / plan.bandwidth
            if start > now:
                self._faults["bandwidth"] += 1
            delay += self._free_ms[link] - now
        return delay
