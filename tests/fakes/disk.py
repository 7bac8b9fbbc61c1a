"""A disk in memory that loses what was not synced, fails at a chosen operation, and remembers what was done in order.

    written   what a running process sees         `Disk.crash` keeps it (kill -9)
    durable   what survives a loss of power       `Disk.lose_power` returns to it, with a torn tail where asked

Content and names are durable apart from each other, as on a real disk: a file that was synced but whose name was not
is gone after a loss of power, and a rename that was not synced is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Crash(BaseException):
    """The process died at this operation. No handler of ordinary errors may catch it."""


@dataclass(frozen=True)
class Operation:
    """One thing that was done to a disk or shown to the world."""

    kind: str
    name: str
    content: bytes = b""


@dataclass
class File:
    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


class Disk:
    """All directories of one machine, and one count over their operations."""

    def __init__(self) -> None:
        self.directories: dict[str, FakeDirectory] = {}
        self.operations: list[Operation] = []
        self.crash_at: int | None = None
        """Raise `Crash` instead of the operation with this number, from 0."""
        self.half_done = False
        """Do half of the write that crashes."""
        self.before: Callable[[Operation], None] | None = None

    def directory(self, name: str) -> FakeDirectory:
        return self.directories.setdefault(name, FakeDirectory(self, name))

    def note(self, kind: str, name: str, content: bytes = b"") -> None:
        """Count an operation, of the disk or of whoever wants a place in the order; crash where it is its turn."""
        operation = Operation(kind, name, content)
        if self.before is not None:
            self.before(operation)
        if self.crash_at is not None and len(self.operations) >= self.crash_at:
            raise Crash(f"{kind} {name}")
        self.operations.append(operation)

    def crash(self) -> None:
        """The process dies; what it wrote stays in the kernel."""
        self.crash_at = None
        for directory in self.directories.values():
            directory.locks.clear()

    def lose_power(self, *, torn_bytes: int = 0) -> None:
        """The machine dies; of each file's unsynced end, `torn_bytes` made it to the disk."""
        self.crash()
        for directory in self.directories.values():
            directory.lose_power(torn_bytes)


class FakeDirectory:
    """`consensus.ports.Directory`."""

    def __init__(self, disk: Disk, label: str) -> None:
        self.disk = disk
        self.label = label
        self.files: dict[str, File] = {}
        self.durable_names: dict[str, File] = {}
        self.locks: set[str] = set()

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.files))

    def read(self, name: str) -> bytes | None:
        file = self.files.get(name)
        return None if file is None else bytes(file.content)

    def append(self, name: str, content: bytes) -> None:
        self._write("append", name, content, lambda file, data: file.content.extend(data))

    def replace(self, name: str, content: bytes) -> None:
        def put(file: File, data: bytes) -> None:
            file.content[:] = data

        self._write("replace", name, content, put)

    def truncate(self, name: str, size: int) -> None:
        self.disk.note("truncate", f"{self.label}/{name}")
        del self.files[name].content[size:]

    def sync(self, name: str) -> None:
        self.disk.note("sync", f"{self.label}/{name}")
        file = self.files[name]
        file.durable = bytes(file.content)

    def sync_names(self) -> None:
        self.disk.note("sync_names", self.label)
        self.durable_names = dict(self.files)

    def rename(self, name: str, target: str) -> None:
        self.disk.note("rename", f"{self.label}/{name}")
        self.files[target] = self.files.pop(name)

    def remove(self, name: str) -> None:
        self.disk.note("remove", f"{self.label}/{name}")
        self.files.pop(name, None)

    def lock(self, name: str) -> FakeLock:
        if name in self.locks:
            raise BlockingIOError(name)
        self.locks.add(name)
        return FakeLock(self, name)

    def lose_power(self, torn_bytes: int) -> None:
        self.files = {}
        for name, file in self.durable_names.items():
            unsynced = bytes(file.content[len(file.durable) :]) if file.content.startswith(file.durable) else b""
            file.durable += unsynced[:torn_bytes]
            file.content = bytearray(file.durable)
            self.files[name] = file
        self.durable_names = dict(self.files)

    def _write(self, kind: str, name: str, content: bytes, put: Callable[[File, bytes], None]) -> None:
        try:
            self.disk.note(kind, f"{self.label}/{name}", content)
        except Crash:
            if self.disk.half_done:
                put(self.files.setdefault(name, File()), content[: len(content) // 2])
            raise
        put(self.files.setdefault(name, File()), content)


class FakeLock:
    def __init__(self, directory: FakeDirectory, name: str) -> None:
        self._directory = directory
        self._name = name

    def close(self) -> None:
        self._directory.locks.discard(self._name)


class Inline:
    """`consensus.ports.Worker` that blocks; right for a disk in memory."""

    async def run(self, function, *args, **kwargs):
        return function(*args, **kwargs)
