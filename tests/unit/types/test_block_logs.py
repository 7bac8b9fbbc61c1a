"""The logs of a block as bytes: what is written is found, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.types.block_logs import BlockLogs, encode_block_logs
from cybermiles.types.primitives import ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import Log
from tests.fakes.blocks import header_of

HEADER = header_of(height=7, parent_hash=ZERO_HASH, state_root=ZERO_HASH, timestamp=1234)
few_addresses = st.sampled_from([Address(bytes([number]) * 20) for number in range(3)])
few_topics = st.sampled_from([Hash32(bytes([number]) * 32) for number in range(3)])
logs = st.builds(Log, few_addresses, st.lists(few_topics, max_size=4).map(tuple), st.binary(max_size=40))
blocks = st.tuples(st.lists(st.lists(logs, max_size=3), max_size=4), st.lists(logs, max_size=2))


def encoded(block):
    own, system = block
    return encode_block_logs(HEADER, [(Hash32(bytes([n + 1]) * 32), entries) for n, entries in enumerate(own)], system)


def flat(block):
    """(transaction index, hash, log) of every log in order."""
    own, system = block
    placed = [(n, bytes([n + 1]) * 32, log) for n, entries in enumerate(own) for log in entries]
    return placed + [(len(own), bytes(32), log) for log in system]


@given(blocks, st.sets(few_addresses, max_size=2), st.lists(st.sets(few_topics, max_size=2), max_size=4))
def test_selecting_is_filtering(block, addresses, topics) -> None:
    record = encoded(block)
    if not record:
        assert flat(block) == []
        return
    found = BlockLogs(7, record)
    assert (found.height, found.hash, found.timestamp) == (7, HEADER.hash, 1234)
    expected = [
        (position, index, tx_hash, log)
        for position, (index, tx_hash, log) in enumerate(flat(block))
        if (not addresses or log.address in addresses)
        and len(topics) <= len(log.topics)
        and all(not wanted or topic in wanted for wanted, topic in zip(topics, log.topics, strict=False))
    ]
    assert [tuple(entry) for entry in found.select(addresses, topics)] == expected
    assert found.outside_transactions() == tuple(block[1])
    assert found.logs(0, len(found)) == tuple(log for _, _, log in flat(block))


def test_more_logs_than_there_are_and_torn_bytes_are_refused() -> None:
    record = encoded(([[Log(Address(bytes(20)), (ZERO_HASH,), b"data")]], []))
    with pytest.raises(DecodingError):
        BlockLogs(7, record).logs(0, 2)
    for size in (0, 10, 44, len(record) - 1):
        with pytest.raises(DecodingError):
            BlockLogs(7, record[:size])
    with pytest.raises(DecodingError):
        BlockLogs(7, record + b"\0")


def test_a_log_with_more_topics_than_bytes_is_refused() -> None:
    record = bytearray(encoded(([[Log(Address(bytes(20)), (), b"")]], [])))
    record[-1] = 4
    with pytest.raises(DecodingError):
        BlockLogs(7, bytes(record)).logs(0, 1)
