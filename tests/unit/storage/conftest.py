"""Every store is tested in memory and on disk."""

from __future__ import annotations

import pytest

from cybermiles.state.kv import MemoryStore
from cybermiles.storage.leveldb import LevelDB


@pytest.fixture(params=["memory", "leveldb"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore()
        return
    with LevelDB(tmp_path / "db") as db:
        yield db
