"""One directory of small files on the machine's disk, as the consensus log and the signer use it.

Files stay open between an append and its fsync: the kernel reports a failed write-back once, to whoever has the
file open, and a file opened again later would not learn of it.
"""

from __future__ import annotations

import fcntl
import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class OsDirectory:
    """`consensus.ports.Directory` over a real directory, which is created where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[str, IO[bytes]] = {}
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(os.listdir(self.path)))  # noqa: PTH208  (names are what is wanted)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def append(self, name: str, content: bytes) -> None:
        self._file(name, os.O_APPEND).write(content)

    def replace(self, name: str, content: bytes) -> None:
        self._close(name)
        self._file(name, os.O_TRUNC).write(content)

    def truncate(self, name: str, size: int) -> None:
        self._file(name, os.O_APPEND).truncate(size)

    def sync(self, name: str) -> None:
        is_written = name in self._open
        os.fsync(self._file(name, os.O_APPEND).fileno())
        if not is_written:  # what an earlier process wrote
            self._close(name)

    def sync_names(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, name: str, target: str) -> None:
        self._close(name)
        self._close(target)
        (self.path / name).replace(self.path / target)

    def remove(self, name: str) -> None:
        self._close(name)
        (self.path / name).unlink(missing_ok=True)

    def lock(self, name: str) -> IO[bytes]:
        lock = (self.path / name).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise
        return lock

    def close(self) -> None:
        """Close what is open; content that was not synced may be lost with the power."""
        for name in tuple(self._open):
            self._close(name)

    def _file(self, name: str, flags: int) -> IO[bytes]:
        file = self._open.get(name)
        if file is None:
            descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | flags, 0o600)
            file = self._open[name] = os.fdopen(descriptor, "wb", buffering=0)
        return file

    def _close(self, name: str) -> None:
        file = self._open.pop(name, None)
        if file is not None:
            file.close()
