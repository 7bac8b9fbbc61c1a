"""A node that dies at any moment leaves a complete height, and goes on from it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB
from cybermiles.storage.recovery import check_store, verify_state
from tests.fakes.blocks import ADDRESSES, append, genesis

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("commit_forever.py")


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_at(process: subprocess.Popen[str], lines: int, delay: float) -> tuple[int, int]:
    """Kill -9 after some lines of output; return the last height begun and the last one done."""
    begun = done = -1
    assert process.stdout is not None
    for count, line in enumerate(process.stdout):
        word, height = line.split()
        if word == "start":
            begun = int(height)
        else:
            done = int(height)
        if count == lines:
            if delay:
                time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return begun, done


@pytest.mark.slow
def test_kill_9_during_commits_leaves_the_last_durable_height_complete(tmp_path: Path) -> None:
    """Every height that was reported done is there; at most the one in progress may be, too."""
    source = random.Random(17)
    path = tmp_path / "db"
    heights = []
    for _ in range(8):
        begun, done = kill_at(start(path), source.randrange(1, 40), source.choice([0, 0.0003, 0.001, 0.003]))
        with LevelDB(path) as store:
            database = Database(store)
            head = check_store(database)
            verify_state(database)
            assert head is not None
            assert done <= head.height <= begun
            for height in range(max(0, head.height - 7), head.height + 1):
                state = database.state_at(height)
                assert state is None or state.account(ADDRESSES[3]) is not None
            heights.append(head.height)
    assert heights == sorted(heights)
    assert heights[-1] > 20


def test_a_log_cut_anywhere_leaves_a_complete_height(tmp_path: Path) -> None:
    """What a power cut does to writes that were not synced yet, or to a lying disk."""
    with LevelDB(tmp_path / "db") as store:
        database = Database(store)
        database.commit_genesis(genesis([("balance", number, 0, 1) for number in range(10)]))
        for value in range(2, 12):
            append(database, [("balance", value, 0, value), ("store", 3, value, value)], logs=[[]])
    source = random.Random(23)
    found = []
    for attempt in range(25):
        copy = tmp_path / f"copy{attempt}"
        shutil.copytree(tmp_path / "db", copy)
        log = max(copy.glob("*.log"), key=lambda file: file.stat().st_size)
        with log.open("r+b") as file:
            file.truncate(source.randrange(log.stat().st_size))
        with LevelDB(copy) as store:
            database = Database(store)
            head = check_store(database)
            verify_state(database)
            if head is not None:
                found.append(head.height)
                append(database, [("balance", 1, 0, 77)])
                verify_state(Database(store))
        shutil.rmtree(copy)
    assert len(set(found)) > 5
