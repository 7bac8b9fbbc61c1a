"""The key-value contract on both stores, and LevelDB's behaviour when things go wrong."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cybermiles.errors import StorageError
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions

SMALL = LevelDBOptions(write_buffer_bytes=64 * 1024, cache_bytes=64 * 1024)


def test_a_batch_puts_and_deletes(store) -> None:
    store.write({b"a": b"1", b"b": b"2", b"c": b""}, sync=False)
    store.write({b"a": None, b"b": b"3", b"absent": None}, sync=True)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (None, b"3", b"")


def test_iteration_is_ordered_and_half_open(store) -> None:
    store.write({bytes([key]): bytes([key]) for key in (5, 1, 4, 2, 3)}, sync=False)
    assert [key for key, _ in store.iterate(b"\x02", b"\x04")] == [b"\x02", b"\x03"]
    assert [key for key, _ in store.iterate(b"\x02", b"\x05", reverse=True)] == [b"\x04", b"\x03", b"\x02"]
    assert list(store.iterate(b"\x06", b"\xff")) == []


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    with LevelDB(tmp_path / "db") as db:
        db.write({b"key": b"value"}, sync=True)
    with LevelDB(tmp_path / "db") as db:
        assert db.get(b"key") == b"value"


def test_closing_twice_is_harmless_and_reading_afterwards_is_an_error(tmp_path: Path) -> None:
    db = LevelDB(tmp_path / "db")
    db.write({b"a": b"1", b"b": b"2"}, sync=False)
    entries = db.iterate(b"", b"\xff")
    next(entries)
    db.close()
    db.close()
    for use in (
        lambda: db.get(b"a"),
        lambda: db.write({b"a": b"1"}, sync=False),
        lambda: next(entries),
        lambda: next(db.iterate(b"", b"\xff")),
        lambda: db.compact(b"", b"\xff"),
    ):
        with pytest.raises(StorageError, match="closed"):
            use()


def test_a_second_node_on_the_directory_is_told_so(tmp_path: Path) -> None:
    with LevelDB(tmp_path / "db"):
        program = (
            "import sys, pathlib\nfrom cybermiles.storage.leveldb import LevelDB\nLevelDB(pathlib.Path(sys.argv[1]))"
        )
        other = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "db")],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[3],
        )
        assert "another node runs on this directory" in other.stderr
        with pytest.raises(StorageError, match="another node runs on this directory"):
            LevelDB(tmp_path / "db")


def test_a_path_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        LevelDB(tmp_path / "file" / "db")


def filled(path: Path, *, flush: bool) -> dict[bytes, bytes]:
    """Write batches of ten; return what must be read back."""
    source = random.Random(7)
    expected = {}
    with LevelDB(path, SMALL) as db:
        for number in range(60):
            batch = {b"%02d/%d" % (number, index): source.randbytes(200) for index in range(10)}
            db.write(batch, sync=False)
            expected |= batch
        if flush:
            db.compact(b"", b"\xff")
    return expected


def by_iteration(path: Path, keys) -> dict[bytes, bytes]:
    with LevelDB(path, SMALL) as db:
        return dict(db.iterate(b"", b"\xff"))


def by_reverse_iteration(path: Path, keys) -> dict[bytes, bytes]:
    with LevelDB(path, SMALL) as db:
        return dict(db.iterate(b"", b"\xff", reverse=True))


def by_key(path: Path, keys) -> dict[bytes, bytes]:
    with LevelDB(path, SMALL) as db:
        return {key: db.get(key) for key in keys}


def flip(file: Path, source: random.Random) -> None:
    data = bytearray(file.read_bytes())
    position = source.randrange(len(data))
    data[position] ^= 1 << source.randrange(8)
    file.write_bytes(data)


@pytest.mark.parametrize("read", [by_iteration, by_reverse_iteration, by_key])
@pytest.mark.parametrize("suffix", [".ldb", ".log"])
def test_a_flipped_bit_is_an_error_or_harmless_but_never_another_value(tmp_path: Path, suffix: str, read) -> None:
    expected = filled(tmp_path / "db", flush=suffix == ".ldb")
    source = random.Random(3)
    noticed = 0
    for attempt in range(40):
        copy = tmp_path / f"copy{attempt}"
        shutil.copytree(tmp_path / "db", copy)
        files = sorted(file for file in copy.iterdir() if file.suffix == suffix and file.stat().st_size)
        flip(source.choice(files), source)
        try:
            assert read(copy, expected) == expected
        except StorageError as error:
            noticed += 1
            assert "restore" in str(error) or "disk" in str(error)
        shutil.rmtree(copy)
    assert noticed > 20


def test_a_log_that_ends_early_loses_whole_batches_from_its_end_only(tmp_path: Path) -> None:
    with LevelDB(tmp_path / "db") as db:
        for number in range(20):
            db.write({b"%02d/%d" % (number, index): bytes(100) for index in range(10)}, sync=True)
    source = random.Random(5)
    counts = []
    for attempt in range(30):
        copy = tmp_path / f"copy{attempt}"
        shutil.copytree(tmp_path / "db", copy)
        log = max(copy.glob("*.log"), key=lambda file: file.stat().st_size)
        with log.open("r+b") as file:
            file.truncate(source.randrange(log.stat().st_size))
        found = by_iteration(copy, ())
        assert len(found) % 10 == 0
        assert sorted(found) == [b"%02d/%d" % (n, i) for n in range(len(found) // 10) for i in range(10)]
        counts.append(len(found) // 10)
        shutil.rmtree(copy)
    assert len(set(counts)) > 10


def test_compaction_frees_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "db"
    source = random.Random(1)
    with LevelDB(path, SMALL) as db:
        keys = [b"n%05d" % index for index in range(5000)]
        db.write({key: source.randbytes(300) for key in keys}, sync=False)
        db.compact(b"n", b"o")
        before = size_of(path)
        db.write(dict.fromkeys(keys[:4500]), sync=False)
        db.compact(b"n", b"o")
        assert size_of(path) < before // 2
        assert db.get(keys[4999]) is not None


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("*.ldb"))
