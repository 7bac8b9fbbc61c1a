"""Candidate blocks for a log filter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.kv import MemoryStore
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.log_index import LogIndex, log_records
from cybermiles.types.primitives import ZERO_HASH, Hash32
from tests.fakes.blocks import ADDRESSES, append, genesis, header_of, log

A, B, C = (Hash32(keccak256(topic)) for topic in (b"a", b"b", b"c"))


@pytest.fixture
def database(store):
    database = Database(store)
    database.commit_genesis(genesis())
    append(database, logs=[[log(1, b"a", b"b")]])
    append(database)
    append(database, logs=[[], [log(2, b"a")], [log(3)]])
    append(database, logs=[[log(1, b"c")]])
    return database


@pytest.mark.parametrize(
    ("filters", "heights"),
    [
        ({}, [1, 3, 4]),
        ({"addresses": [ADDRESSES[1]]}, [1, 4]),
        ({"addresses": [ADDRESSES[1], ADDRESSES[3]]}, [1, 3, 4]),
        ({"topics": [[A]]}, [1, 3]),
        ({"topics": [None, [B]]}, [1]),
        ({"topics": [[], [B]]}, [1]),
        ({"topics": [[A, C]]}, [1, 3, 4]),
        ({"addresses": [ADDRESSES[1]], "topics": [[A], [B, C]]}, [1]),
        ({"addresses": [ADDRESSES[9]]}, []),
        ({"addresses": [ADDRESSES[2]], "topics": [[B]]}, []),
    ],
)
def test_blocks_that_may_match_are_found(database, filters, heights) -> None:
    assert list(database.logs.candidates(0, 10, **filters)) == heights


def test_the_range_is_closed_at_both_ends(database) -> None:
    assert list(database.logs.candidates(1, 4)) == [1, 3, 4]
    assert list(database.logs.candidates(2, 3)) == [3]
    assert list(database.logs.candidates(5, 3)) == []


def test_a_full_block_is_no_candidate_for_what_it_does_not_contain(database) -> None:
    append(database, logs=[[log(number, b"%d" % number) for number in range(10)] for _ in range(20)])
    wrong = [address for address in ADDRESSES[10:] if list(database.logs.candidates(5, 5, addresses=[address]))]
    assert wrong == []


def test_a_topic_is_found_at_its_position_only(database) -> None:
    assert list(database.logs.candidates(0, 10, topics=[[B]])) == []
    assert list(database.logs.candidates(0, 10, topics=[None, [A]])) == []


def test_the_logs_of_a_block_are_those_of_its_receipts(database) -> None:
    found = database.logs.block_logs(3)
    assert found.hash == database.blocks.header(3).hash
    assert [(entry.position, entry.tx_index) for entry in found.select((), ())] == [(0, 1), (1, 2)]
    assert found.logs(0, 2) == (log(2, b"a"), log(3))
    assert [outcome.outcome.receipt.logs for outcome in database.receipts.outcomes(3)] == [
        (),
        (log(2, b"a"),),
        (log(3),),
    ]
    assert database.logs.block_logs(2) is None


def test_a_block_without_logs_takes_no_space(database) -> None:
    assert [schema.height_in(key) for key, _ in database.store.iterate(b"l", b"m")] == [1, 3, 4]
    assert [schema.height_in(key) for key, _ in database.store.iterate(b"g", b"h")] == [1, 3, 4]


logs = st.lists(st.builds(log, st.integers(0, 5), st.sampled_from([b"a", b"b", b"c"])), max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(logs, max_size=8), st.integers(0, 5), st.sampled_from([A, B, C]))
def test_no_matching_block_is_missed(blocks, number, topic) -> None:
    store = MemoryStore()
    for height, entries in enumerate(blocks):
        header = header_of(height=height, parent_hash=ZERO_HASH, state_root=ZERO_HASH, timestamp=1)
        store.write(log_records(header, (), (), entries), sync=False)
    found = set(LogIndex(store).candidates(0, 99, addresses=[ADDRESSES[number]], topics=[[topic]]))
    for height, entries in enumerate(blocks):
        if any(entry.address == ADDRESSES[number] and entry.topics[0] == topic for entry in entries):
            assert height in found
