"""Keys and records of the schema table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.fees import Lane
from cybermiles.errors import StorageError
from cybermiles.execution.outcome import TransactionOutcome
from cybermiles.storage import schema
from cybermiles.storage.outcome_codec import count_outcomes, decode_outcome, encode_outcomes
from cybermiles.types.account import Account
from cybermiles.types.block_logs import BlockLogs, encode_block_logs
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, ZERO_HASH, Address, Hash32, Wei
from cybermiles.types.receipt import Log, Receipt, logs_bloom
from tests.fakes.blocks import header_of

HEADER = header_of(height=1, parent_hash=ZERO_HASH, state_root=ZERO_HASH, timestamp=1)

hashes = st.binary(min_size=32, max_size=32).map(Hash32)
addresses = st.binary(min_size=20, max_size=20).map(Address)
words = st.integers(0, 2**256 - 1)
accounts = st.builds(
    Account,
    st.integers(0, 2**64 - 1),
    words,
    st.one_of(st.just(EMPTY_TRIE_ROOT), hashes),
    st.one_of(st.just(EMPTY_CODE_HASH), hashes),
)
logs = st.builds(Log, addresses, st.lists(hashes, max_size=4).map(tuple), st.binary(max_size=40))


@st.composite
def outcomes(draw):
    entries = draw(st.lists(logs, max_size=3).map(tuple))
    gas = st.integers(0, 2**64 - 1)
    return TransactionOutcome(
        receipt=Receipt(
            draw(st.sampled_from([0, 1, 2, 4])), draw(st.booleans()), draw(gas), entries, logs_bloom(entries)
        ),
        gas_used=draw(gas),
        effective_gas_price=Wei(draw(words)),
        lane=draw(st.sampled_from(Lane)),
        compute_units=draw(gas),
        contract_address=draw(st.none() | addresses),
        failure=draw(st.sampled_from([None, "execution reverted", "out of gas"])),
        output=draw(st.binary(max_size=50)),
    )


@given(accounts)
def test_an_account_is_read_back_as_written(account: Account) -> None:
    assert schema.decode_account(schema.encode_account(account)) == account


@given(st.integers(0, 2**63), st.binary(max_size=600))
def test_a_node_is_read_back_with_its_birth(height: int, node: bytes) -> None:
    assert schema.decode_node(schema.encode_node(height, node)) == (height, node)


@given(st.lists(st.tuples(st.just(b"") | addresses, hashes)))
def test_stale_nodes_are_read_back_account_nodes_first(nodes) -> None:
    assert schema.decode_stale(schema.encode_stale(nodes)) == sorted(nodes, key=lambda node: len(node[0]))


@pytest.mark.parametrize("data", [b"\0\0\0\2" + bytes(32), b"\0\0\0\0" + bytes(51)])
def test_a_torn_list_of_stale_nodes_is_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        schema.decode_stale(data)


@given(st.lists(outcomes(), max_size=5))
def test_outcomes_are_read_back_one_by_one_with_their_log_numbers(entries) -> None:
    hashes_ = [Hash32(bytes([index]) * 32) for index, _ in enumerate(entries)]
    pairs = zip(hashes_, (entry.receipt.logs for entry in entries), strict=True)
    record = encode_block_logs(HEADER, pairs)
    logs = BlockLogs(1, record) if record else None
    table = encode_outcomes(entries)
    assert count_outcomes(table) == len(entries)
    first = 0
    for index, entry in enumerate(entries):
        stored = decode_outcome(table, index, logs)
        assert stored.outcome == entry
        assert stored.first_log_index == first
        first += len(entry.receipt.logs)


def test_an_outcome_that_is_not_there_is_an_error() -> None:
    for index in (-1, 0, 1):
        with pytest.raises(StorageError):
            decode_outcome(encode_outcomes([]), index, None)


def test_logs_that_are_not_there_are_an_error() -> None:
    log = Log(Address(bytes(20)), (), b"")
    entry = TransactionOutcome(
        receipt=Receipt(2, True, 1, (log,), logs_bloom((log,))),
        gas_used=1,
        effective_gas_price=Wei(0),
        lane=Lane.FREE,
        compute_units=0,
        contract_address=None,
        failure=None,
        output=b"",
    )
    with pytest.raises(StorageError):
        decode_outcome(encode_outcomes([entry]), 0, None)


def test_prefixes_do_not_overlap() -> None:
    names = [name for name, value in vars(schema).items() if name.isupper() and isinstance(value, bytes)]
    prefixes = [getattr(schema, name) for name in names]
    for one in prefixes:
        assert [other for other in prefixes if other.startswith(one)] == [one]


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_keys_by_height_sort_like_heights(one: int, other: int) -> None:
    keys = schema.at_height(schema.BLOCK, one), schema.at_height(schema.BLOCK, other)
    assert (keys[0] < keys[1]) == (one < other)
    assert schema.height_in(keys[0]) == one
    low, high = schema.height_range(schema.BLOCK, one, other)
    assert (low <= keys[0] < high) == (one <= other)


@given(addresses, words)
def test_the_slot_range_of_an_account_holds_its_slots_only(address: Address, slot: int) -> None:
    low, high = schema.slot_range(address)
    assert low <= schema.slot_key(address, slot) < high
    number = int.from_bytes(address)
    for neighbour in (number - 1, number + 1):
        if 0 <= neighbour < 2**160:
            assert not low <= schema.slot_key(Address(neighbour.to_bytes(20)), slot) < high
