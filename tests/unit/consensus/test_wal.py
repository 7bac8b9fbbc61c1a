"""The write-ahead log: what survives a crash, what is cut off, what is refused."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus import wal as wal_module
from cybermiles.consensus.records import Record, RecordType
from cybermiles.consensus.wal import (
    MAGIC,
    MARKER,
    WriteAheadLog,
    decode_frames,
    encode_frame,
    log_name,
    read_log,
    remove_before,
)
from cybermiles.errors import StorageError
from tests.fakes.disk import Crash, Disk, Inline

HEIGHT = 7
NAME = log_name(HEIGHT)

payloads = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([MAGIC, MARKER, MAGIC[:3], MAGIC * 3])), max_size=4
)


def record(payload: bytes) -> Record:
    return Record(RecordType.VOTE, payload)


def write(directory, *frames, height=HEIGHT):
    """Append frames of payloads, each flushed."""

    async def run():
        wal = WriteAheadLog(directory, Inline(), height, exists=log_name(height) in directory.names())
        for frame in frames:
            for payload in frame:
                wal.append(record(payload))
            await wal.flush()

    asyncio.run(run())


def read(directory, height=HEIGHT):
    return [found.payload for found in read_log(directory, height)]


@pytest.fixture
def directory():
    return Disk().directory("wal")


@given(frames=st.lists(payloads, max_size=4))
def test_what_was_flushed_is_read_back_in_order(frames):
    directory = Disk().directory("wal")
    write(directory, *frames)
    assert read(directory) == [payload for frame in frames for payload in frame]


@given(content=payloads)
def test_no_content_looks_like_a_frame(content):
    encoded = encode_frame([record(payload) for payload in content])
    assert encoded.count(MARKER) == 1
    assert encoded.startswith(MARKER)


def test_a_new_height_starts_empty(directory):
    write(directory, [b"one"], height=1)
    assert read(directory, height=2) == []
    assert directory.names() == (log_name(1),)


def test_records_survive_a_loss_of_power_from_flush_on_and_not_before(directory):
    async def run():
        wal = WriteAheadLog(directory, Inline(), HEIGHT, exists=False)
        wal.append(record(b"first"))
        await wal.flush()
        wal.append(record(b"second"))
        wal.append(record(b"third"))

    asyncio.run(run())
    directory.disk.lose_power()
    assert read(directory) == [b"first"]


def test_one_flush_is_one_write_and_one_fsync_for_all_records(directory):
    write(directory, [b"one", b"two", b"three"], [b"four"])
    assert [operation.kind for operation in directory.disk.operations] == [
        "append",
        "sync",
        "sync_names",
        "append",
        "sync",
    ]


def test_every_torn_tail_is_cut_to_the_last_whole_frame(directory):
    write(directory, [b"first", MAGIC], [b"second", MAGIC, b"third record"])
    whole = directory.read(NAME)
    first_end = len(encode_frame([record(b"first"), record(MAGIC)]))
    for length in range(first_end + 1, len(whole)):
        directory.replace(NAME, whole[:length])
        assert read(directory) == [b"first", MAGIC], length
        assert len(directory.read(NAME)) == first_end
        directory.disk.lose_power()
        assert len(directory.read(NAME)) <= first_end, "the cut is durable before anything is appended"


def test_zeros_and_rubbish_at_the_end_are_a_torn_tail(directory):
    write(directory, [b"first"])
    whole = directory.read(NAME)
    for rubbish in (bytes(4096), b"\xff" * 100, MARKER, MARKER + bytes(20), MAGIC):
        directory.replace(NAME, whole + rubbish)
        assert read(directory) == [b"first"]
        assert directory.read(NAME) == whole


def test_a_torn_frame_whose_later_sectors_arrived_is_a_torn_tail(directory):
    """A frame of many records is one unit: the disk may have written its end and not its beginning."""
    frame = encode_frame([record(bytes([number]) * 300) for number in range(10)])
    first = encode_frame([record(b"first")])
    for lost in range(0, len(frame), 512):
        torn = frame[:lost] + bytes(min(512, len(frame) - lost)) + frame[lost + 512 :]
        directory.replace(NAME, first + torn)
        assert read(directory) == [b"first"]


def test_a_torn_block_that_contains_whole_frames_is_a_torn_tail(directory):
    """Whoever proposes a block chooses its bytes; they must not make the node refuse to start."""
    inside = encode_frame([record(b"imitation")])
    frame = encode_frame([record(b"A" * 100 + inside + b"B" * 100)])
    first = encode_frame([record(b"first")])
    directory.replace(NAME, first + frame[:-50])
    assert read(directory) == [b"first"]


def test_appending_after_a_torn_tail_continues_the_valid_log(directory):
    write(directory, [b"first"], [b"second"])
    directory.replace(NAME, directory.read(NAME)[:-1])
    assert read(directory) == [b"first"]
    write(directory, [b"third"])
    assert read(directory) == [b"first", b"third"]


def test_a_flipped_bit_before_a_whole_frame_is_refused_with_instructions_and_nothing_is_lost(directory):
    write(directory, [b"first", MAGIC], [b"second"], [b"third"])
    whole = directory.read(NAME)
    last = len(whole) - len(encode_frame([record(b"third")]))
    for position in range(last):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            directory.replace(NAME, bytes(damaged))
            with pytest.raises(StorageError, match=r"wal-000000000007 is corrupt at byte .*cmt node reset"):
                read_log(directory, HEIGHT)
            assert directory.read(NAME) == damaged


def test_reading_takes_time_in_proportion_to_the_file_whatever_it_holds(monkeypatch):
    """A torn block full of imitations: each byte is summed a fixed number of times."""
    summed, crc32 = 0, zlib.crc32

    def counting(data, start=0):
        nonlocal summed
        summed += len(data)
        return crc32(data, start)

    monkeypatch.setattr(wal_module.zlib, "crc32", counting)
    imitation = MARKER + b"\0" * 8
    data = encode_frame([record(b"first")]) + imitation * (2 * 1024 * 1024 // len(imitation))
    summed = 0
    records, good = decode_frames(data, NAME)
    assert [found.payload for found in records] == [b"first"]
    assert good == len(encode_frame([record(b"first")]))
    assert summed <= 3 * len(data)


def test_logs_of_decided_heights_are_removed(directory):
    for height in (1, 2, 3):
        write(directory, [b"x"], height=height)
    directory.replace("notes", b"not a log")
    remove_before(directory, 3)
    assert directory.names() == ("notes", log_name(3))

    async def run():
        await WriteAheadLog(directory, Inline(), 3, exists=True).remove()

    asyncio.run(run())
    assert directory.names() == ("notes",)


@pytest.mark.parametrize("kind", ["append", "sync", "sync_names", "remove"])
def test_a_disk_that_fails_stops_the_node(directory, kind):
    def fail(operation):
        if operation.kind == kind:
            raise OSError(28, "No space left on device")

    directory.disk.before = fail

    async def run():
        wal = WriteAheadLog(directory, Inline(), HEIGHT, exists=False)
        wal.append(record(b"x"))
        await wal.flush()
        await wal.remove()

    with pytest.raises(StorageError, match="No space left"):
        asyncio.run(run())


def test_a_crash_at_any_operation_leaves_what_was_flushed_before(directory):
    frames = [[b"one", b"two"], [b"three"], [b"four"]]
    write(directory, *frames)
    total = len(directory.disk.operations)
    for at in range(total):
        for half in (False, True):
            for torn in (0, 3, 17):
                disk = Disk()
                disk.crash_at, disk.half_done = at, half
                fresh = disk.directory("wal")
                with pytest.raises(Crash):
                    write(fresh, *frames)
                flushed = sum(operation.kind == "sync" for operation in disk.operations)
                named = any(operation.kind == "sync_names" for operation in disk.operations)
                disk.lose_power(torn_bytes=torn)
                whole = [payload for frame in frames[:flushed] for payload in frame]
                assert read(fresh) == (whole if named else [])
