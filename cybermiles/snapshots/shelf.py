"""Snapshots in a directory, made here or on their way in.

DIRECTORY/HEIGHT/manifest        written last: what has none is not finished
DIRECTORY/HEIGHT/00000000        a chunk
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, StorageError
from cybermiles.runtime.files import write_durably
from cybermiles.snapshots.format import Manifest, decode_manifest, pack
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cybermiles.snapshots.export import Export

MANIFEST = "manifest"


class Shelf:
    """The finished snapshots below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def list(self) -> tuple[Manifest, ...]:
        """Return the finished snapshots, newest first; directories that hold none are passed over."""
        found = []
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            with suppress(OSError, DecodingError):
                found.append(decode_manifest((path / MANIFEST).read_bytes()))
        return tuple(sorted(found, key=lambda manifest: -manifest.height))

    def chunk(self, height: int, index: int) -> bytes | None:
        """Return a chunk's bytes, None where it is not there."""
        with suppress(OSError):
            return self._chunk_path(height, index).read_bytes()
        return None

    def has_chunk(self, manifest: Manifest, index: int) -> bool:
        """Whether a chunk is there with the right bytes."""
        chunk = self.chunk(manifest.height, index)
        return chunk is not None and keccak256(chunk) == manifest.chunks[index]

    def add_manifest(self, manifest: Manifest) -> None:
        """Begin to collect, or finish, a snapshot. Raises StorageError."""
        self._write(manifest.height, MANIFEST, manifest.encode())

    def add_chunk(self, height: int, index: int, chunk: bytes) -> None:
        """Keep a chunk. Raises StorageError."""
        self._write(height, f"{index:08}", chunk)

    def create(self, export: Export, between: Callable[[], None] = lambda: None) -> Manifest:
        """Write a snapshot, `between` being called after each chunk; return its manifest.

        Raises StorageError, ConfigError where the node lacks what a snapshot needs, and whatever `between` raises: what
        was written so far is gone then.
        """
        height = export.head.height
        hashes = []
        manifest = None
        self.remove(height)
        try:
            for index, chunk in enumerate(pack(export.records())):
                self.add_chunk(height, index, chunk)
                hashes.append(Hash32(keccak256(chunk)))
                between()
            manifest = Manifest(height, export.head.block_hash, tuple(hashes))
            self.add_manifest(manifest)
        finally:
            if manifest is None:
                self.remove(height)
        return manifest

    def remove(self, height: int) -> None:
        """Delete a snapshot, finished or not."""
        shutil.rmtree(self._directory / str(height), ignore_errors=True)

    def keep(self, count: int) -> None:
        """Delete all but the newest `count` snapshots, and everything unfinished."""
        kept = {str(manifest.height) for manifest in self.list()[:count]}
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def size(self, manifest: Manifest) -> int:
        """Return the bytes of a snapshot's chunks."""
        paths = [self._chunk_path(manifest.height, index) for index in range(len(manifest.chunks))]
        return sum(path.stat().st_size for path in paths if path.exists())

    def _chunk_path(self, height: int, index: int) -> Path:
        return self._directory / str(height) / f"{index:08}"

    def _write(self, height: int, name: str, content: bytes) -> None:
        directory = self._directory / str(height)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_durably(directory / name, content)
        except OSError as error:
            raise StorageError(
                f"{directory / name}: {error}: make room or check the directory's permissions"
            ) from error
