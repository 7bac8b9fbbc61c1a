"""A node whose snapshots have small chunks, so that a small state has many; it may lie or die half way.

    python -m tests.e2e.network.snapshotting --home DIR [--spoil] [--die-after 3 --peers 4]

`--spoil` serves every chunk with a wrong byte. `--die-after` kills the process (SIGKILL) as soon as it has kept so many
chunks of others and caught a liar; it begins once it knows `--peers`, so that the liar is among those it asks.
"""

from __future__ import annotations

import argparse
import os
import signal
from functools import partial
from pathlib import Path

from cybermiles.node.config import load_config
from cybermiles.node.node import run_node
from cybermiles.node.snapshots import Snapshots
from cybermiles.snapshots import shelf
from cybermiles.sync.snapshot_offers import Wanted
from cybermiles.sync.state_service import StateSync

CHUNK_BYTES = 3_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--spoil", action="store_true")
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--peers", type=int, default=1)
    arguments = parser.parse_args()
    shelf.pack = partial(shelf.pack, target=CHUNK_BYTES)
    if arguments.spoil:
        load = Snapshots.load

        async def spoilt(self, what, height, index):
            answer = await load(self, what, height, index)
            return answer[:-1] + bytes([answer[-1] ^ 1]) if what is Wanted.CHUNK and answer else answer

        Snapshots.load = spoilt
    if arguments.die_after:
        add, kept, caught = shelf.Shelf.add_chunk, [], []
        choose, ban = StateSync._choose, StateSync._ban

        async def patient(self, above):
            while len(self._known) < arguments.peers:
                await self._clock.sleep(0.05)
            return await choose(self, above)

        def noted(self, peer, reason):
            caught.append(peer)
            ban(self, peer, reason)

        def deadly(self, height, index, chunk):
            add(self, height, index, chunk)
            kept.append(index)
            if caught and len(kept) >= arguments.die_after:
                os.kill(os.getpid(), signal.SIGKILL)

        shelf.Shelf.add_chunk, StateSync._choose, StateSync._ban = deadly, patient, noted
    run_node(load_config(arguments.home))


if __name__ == "__main__":
    main()
