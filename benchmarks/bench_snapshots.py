"""Snapshots of a state of many accounts: time to make, bytes, time to restore. `python -m benchmarks.bench_snapshots`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from cybermiles.crypto.hashing import keccak256
from cybermiles.snapshots.export import Export
from cybermiles.snapshots.rebuild import rebuild
from cybermiles.snapshots.shelf import Shelf
from cybermiles.storage.leveldb import LevelDB
from cybermiles.types.primitives import Address
from tests import factories
from tests.fakes import snapshots


def main() -> None:
    """Print one line for each step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=200_000)
    count = parser.parse_args().accounts
    factories.ADDRESSES.extend(Address(keccak256(number.to_bytes(8))[:20]) for number in range(count))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with LevelDB(home / "source") as store:
            chain = snapshots.StoredChain(store)
            chain.live(5)
            view = store.frozen()
            chain.advance()
            shelf = Shelf(home / "snapshots")
            began = time.perf_counter()
            manifest = shelf.create(Export(view, chain.document.params))
            made = time.perf_counter() - began
            view.close()
        print(f"{count} accounts: made in {made:.1f} s, {len(manifest.chunks)} chunks, {shelf.size(manifest)} bytes")
        began = time.perf_counter()
        rebuild(shelf, manifest, chain.proof(manifest.height), home / "chain")
        print(f"restored and checked in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
