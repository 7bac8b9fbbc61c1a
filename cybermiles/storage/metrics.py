"""What storage counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.runtime.metrics import Gauge, gauge

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageMetrics:
    """Below `cmt_db_`."""

    bytes: Gauge = gauge("store")
    """Size of a store's files on disk."""


def directory_bytes(directory: Path) -> int:
    """Return the size of the files in a directory; a file that is deleted meanwhile counts as none."""
    total = 0
    for path in directory.iterdir() if directory.is_dir() else ():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
