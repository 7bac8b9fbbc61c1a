"""One pseudo-random stream per purpose, all derived from one seed.

A purpose that draws more or fewer numbers than before leaves every other purpose's numbers alone, which keeps a
failing seed meaningful while a schedule is being shrunk.
"""

from __future__ import annotations

import random


class Streams:
    """Streams by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def __getitem__(self, purpose: str) -> random.Random:
        """Return the stream of a purpose; a string seed goes through SHA-512, never through hash()."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = random.Random(f"{self.seed}/{purpose}")
        return stream
