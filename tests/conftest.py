"""Fixtures only: where the official test data is."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VECTORS = Path(os.environ.get("CMT_VECTORS", ROOT.parent / "shared" / "vectors"))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Directory of the official test data; tests that need it are skipped where it is not."""
    if not VECTORS.is_dir():
        pytest.skip(f"no official test data at {VECTORS}; set CMT_VECTORS")
    return VECTORS


@pytest.fixture(scope="session")
def basic_tests(vectors):
    """The ethereum/tests archive: a function from folder name to {file: content}."""
    with tarfile.open(vectors / "ethereum" / "basic_tests.tar.xz") as archive:
        files = {
            member.name.removeprefix("./"): json.loads(archive.extractfile(member).read())
            for member in archive
            if member.isfile() and member.name.endswith(".json")
        }
    return lambda folder: {name: content for name, content in files.items() if name.startswith(folder)}
