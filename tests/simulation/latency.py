"""How long a message takes, in milliseconds: four models and a table of 13 zones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

ZONES = 13
MEDIAN_MS = 69
MAX_MS = 161


@dataclass(frozen=True, slots=True)
class Latency:
    """One way, before faults."""

    model: str
    """uniform, exponential, heavy (Pareto), or zones."""
    mean_ms: float = 20.0

    def draw(self, rng: random.Random, source: int, target: int) -> float:
        """Return the delay of one message."""
        if self.model == "uniform":
            return rng.uniform(0.1, 2 * self.mean_ms)
        if self.model == "exponential":
            return rng.expovariate(1 / self.mean_ms)
        if self.model == "heavy":
            return min(30_000.0, self.mean_ms * 0.5 * rng.paretovariate(1.3))
        base = zone_matrix()[source % ZONES][target % ZONES]
        return base * rng.uniform(1.0, 1.08) + 0.2


@lru_cache(maxsize=1)
def zone_matrix() -> tuple[tuple[float, ...], ...]:
    """Return symmetric one-way delays of 13 zones: median 69 ms, maximum 161 ms over pairs of different zones.

    Zones are points on a sphere spread by the golden angle; delays grow with the great-circle distance, and are
    bent by one exponent and one factor so that both statistics hold.
    """
    from math import acos, asin, cos, log, pi, sin, sqrt

    golden = pi * (3 - sqrt(5))
    # Cities crowd the northern half: latitudes from -35 to 60 degrees.
    points = [
        (asin(sin(-0.6) + (sin(1.05) - sin(-0.6)) * (i + 0.5) / ZONES), (golden * i) % (2 * pi)) for i in range(ZONES)
    ]

    def arc(a, b):
        (lat1, lon1), (lat2, lon2) = a, b
        return acos(max(-1.0, min(1.0, sin(lat1) * sin(lat2) + cos(lat1) * cos(lat2) * cos(lon1 - lon2))))

    arcs = [[arc(a, b) for b in points] for a in points]
    pairs = [arcs[a][b] for a in range(ZONES) for b in range(a)]
    exponent = log(MAX_MS / MEDIAN_MS) / log(max(pairs) / median(pairs))
    return tuple(
        tuple(0.5 if a == b else MAX_MS * (arcs[a][b] / max(pairs)) ** exponent for b in range(ZONES))
        for a in range(ZONES)
    )
