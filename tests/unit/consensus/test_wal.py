"""The write-ahead log: what survives a crash, what is cut off, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.consensus.wal import Record, RecordType, WriteAheadLog, remove_before
from cybermiles.errors import StorageError


def write(directory, *payloads, height=7):
    wal = WriteAheadLog(directory, height)
    for payload in payloads:
        wal.append(Record(RecordType.PROPOSAL, payload))
    wal.close()
    return directory / f"wal-{height:012d}"


def read(directory, height=7):
    wal = WriteAheadLog(directory, height)
    wal.close()
    return [record.payload for record in wal.records]


@given(payloads=st.lists(st.binary(max_size=300), max_size=5))
def test_what_was_appended_is_read_back_in_order(tmp_path_factory, payloads):
    directory = tmp_path_factory.mktemp("wal")
    write(directory, *payloads)
    assert read(directory) == payloads


def test_a_new_height_starts_empty(tmp_path):
    write(tmp_path, b"one", height=1)
    assert read(tmp_path, height=2) == []


def test_every_torn_tail_is_cut_to_the_last_whole_record(tmp_path):
    path = write(tmp_path, b"first", b"second record")
    whole = path.read_bytes()
    first_end = len(whole) - (9 + len(b"second record"))
    for length in range(first_end, len(whole)):
        path.write_bytes(whole[:length])
        assert read(tmp_path) == [b"first"], length
        assert path.stat().st_size == first_end


def test_appending_after_a_torn_tail_continues_the_valid_log(tmp_path):
    path = write(tmp_path, b"first", b"second")
    path.write_bytes(path.read_bytes()[:-1])
    write(tmp_path, b"third")
    assert read(tmp_path) == [b"first", b"third"]


def test_damage_before_a_valid_record_is_refused_with_instructions(tmp_path):
    path = write(tmp_path, b"first", b"second")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match="corrupt at byte 0.*restore"):
        WriteAheadLog(tmp_path, 7)
    assert path.read_bytes() == data, "nothing is thrown away on refusal"


def test_logs_of_decided_heights_are_removed(tmp_path):
    for height in (1, 2, 3):
        write(tmp_path, b"x", height=height)
    remove_before(tmp_path, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["wal-000000000003"]
    WriteAheadLog(tmp_path, 3).remove()
    assert list(tmp_path.iterdir()) == []
