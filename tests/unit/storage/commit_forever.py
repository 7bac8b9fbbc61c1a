"""Commit blocks until killed: run by test_crash in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from tests.fakes.blocks import append, genesis, log

START = [("balance", number, 0, 1000) for number in range(20)] + [("store", 3, slot, 1) for slot in range(30)]


def main(path: str) -> None:
    with LevelDB(Path(path), LevelDBOptions(write_buffer_bytes=128 * 1024)) as store:
        database = Database(store, keep_states=8, compactor=store)
        database.commit_genesis(genesis(START))
        while True:
            height = database.chain.head.height
            print(f"start {height + 1}", flush=True)  # noqa: T201
            append(
                database,
                [("balance", (height + i) % 40, 0, height + i) for i in range(20)]
                + [("store", 3, (height * 7 + i) % 60, height % 5) for i in range(20)],
                logs=[[log(height % 40)], []],
            )
            print(f"done {height + 1}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
