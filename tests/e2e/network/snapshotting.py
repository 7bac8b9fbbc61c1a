"""A node whose snapshots have small chunks, so that a small state has many; it may lie or die half way.

    python -m tests.e2e.network.snapshotting --home DIR [--spoil] [--die-after 3]

`--spoil` serves every chunk with a wrong byte. `--die-after` kills the process (SIGKILL) after it kept so many chunks
of others.
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

CHUNK_BYTES = 3_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--spoil", action="store_true")
    parser.add_argument("--die-after", type=int, default=0)
    arguments = parser.parse_args()
    shelf.pack = partial(shelf.pack, target=CHUNK_BYTES)
    if arguments.spoil:
        load = Snapshots.load

        async def spoilt(self, what, height, index):
            answer = await load(self, what, height, index)
            return answer[:-1] + bytes([answer[-1] ^ 1]) if what is Wanted.CHUNK and answer else answer

        Snapshots.load = spoilt
    if arguments.die_after:
        add, kept = shelf.Shelf.add_chunk, []

        def deadly(self, height, index, chunk):
            add(self, height, index, chunk)
            kept.append(index)
            if len(kept) == arguments.die_after:
                os.kill(os.getpid(), signal.SIGKILL)

        shelf.Shelf.add_chunk = deadly
    run_node(load_config(arguments.home))


if __name__ == "__main__":
    main()
