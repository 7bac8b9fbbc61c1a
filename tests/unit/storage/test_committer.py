"""A committed block is found again in every way, in memory and on disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cybermiles.errors import InvariantViolation, StorageError
from cybermiles.execution.builder import build_block
from cybermiles.execution.genesis import genesis_block
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.storage.flat_state import StateMoved
from cybermiles.storage.recovery import StateTotals, check_store, verify_state
from cybermiles.storage.tx_index import TransactionLocation
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import Hash32
from tests.factories import ADDRESSES as FUNDED
from tests.factories import KEYS, MemoryChain, sign
from tests.fakes.blocks import ADDRESSES, append, genesis, log, next_block

START = [("balance", number, 0, 1000 + number) for number in range(10)] + [
    ("code", 3, 0, 1),
    *(("store", 3, slot, slot + 1) for slot in range(20)),
]
ALL_KEPT = st.tuples(
    st.sampled_from(["balance", "store", "store", "code", "delete"]),
    st.integers(0, 11),
    st.integers(0, 5),
    st.sampled_from([0, 1, 2, 2**200]),
)


@pytest.fixture
def database(store):
    database = Database(store)
    database.commit_genesis(genesis(START))
    return database


def test_block_0_is_the_head_of_a_new_store(database) -> None:
    head = database.chain.head
    header = database.blocks.header(0)
    assert (head.height, head.block_hash, head.state_root) == (0, header.hash, header.state_root)
    assert database.chain.genesis_hash == header.hash
    assert database.blocks.block(0) is None
    assert database.blocks.commit(0) is None
    assert database.chain.supply == (sum(range(1000, 1010)), 0, 0)
    assert verify_state(database) == StateTotals(10, 20, database.chain.supply.total)


def test_a_block_is_found_by_height_hash_and_transaction(database, store) -> None:
    block, outcome, commit = append(database, [("balance", 0, 0, 5)], logs=[[], [log(1, b"a"), log(2)], [log(3)]])
    for fresh in (database, Database(store)):
        assert fresh.chain.head == (1, block.hash, block.header.state_root)
        assert fresh.blocks.block(1) == block
        assert fresh.blocks.block_by_hash(block.hash) == block
        assert fresh.blocks.header_by_hash(block.hash) == fresh.blocks.header(1) == block.header
        assert fresh.blocks.height_of(block.hash) == 1
        assert fresh.blocks.raw_block(1) == block.encode()
        assert fresh.blocks.commit(1) == commit
        stored = fresh.receipts.outcomes(1)
        assert tuple(entry.outcome for entry in stored) == outcome.transactions
        assert [entry.first_log_index for entry in stored] == [0, 0, 2]
        for index, transaction in enumerate(block.transactions):
            assert fresh.transactions.find(transaction.hash) == TransactionLocation(1, index)
            assert fresh.blocks.raw_transaction(1, index) == transaction.raw
            assert fresh.blocks.transaction(1, index) == transaction
            assert fresh.receipts.log_count(1, index) == len(outcome.transactions[index].receipt.logs)
        assert fresh.receipts.count(1) == len(block.transactions)
        assert fresh.receipts.count(0) == fresh.receipts.log_count(2, 0) == 0
        with pytest.raises(StorageError, match="no transaction 3"):
            fresh.receipts.log_count(1, 3)
            assert fresh.receipts.outcome(1, index) == stored[index]
        assert fresh.state.account(ADDRESSES[0]).balance == 5
        assert check_store(fresh) == fresh.chain.head


def test_only_the_last_blocks_stay_in_memory(database) -> None:
    for _ in range(5):
        append(database, logs=[[]])
    assert sorted(database.blocks._recent) == [4, 5]
    assert database.blocks.raw_transaction(2, 0) == database.blocks.block(2).transactions[0].raw


def test_what_is_not_there_is_none_or_an_error(database) -> None:
    append(database, logs=[[]])
    nothing = Hash32(bytes(32))
    assert database.blocks.header(2) is None
    assert database.blocks.block(2) is None
    assert database.blocks.height_of(nothing) is None
    assert database.blocks.header_by_hash(nothing) is None
    assert database.blocks.block_by_hash(nothing) is None
    assert database.receipts.outcomes(2) is None
    assert database.receipts.outcome(2, 0) is None
    assert database.transactions.find(nothing) is None
    assert database.state.account(ADDRESSES[30]) is None
    assert database.state.storage(ADDRESSES[30], 1) == 0
    assert database.state_at(2) is None
    for use in (
        lambda: database.blocks.raw_transaction(1, 1),
        lambda: Database(database.store).blocks.raw_transaction(1, 1),
        lambda: database.blocks.raw_transaction(9, 0),
        lambda: database.receipts.outcome(1, 1),
        lambda: database.state.code(nothing),
        lambda: database.nodes.node(b"", nothing),
    ):
        with pytest.raises(StorageError):
            use()


def test_a_reader_of_the_parent_refuses_after_the_commit(database) -> None:
    reader = database.state.reader()
    assert reader.account(ADDRESSES[0]).balance == 1000
    assert reader.storage(ADDRESSES[3], 1) == 2
    append(database, [("balance", 0, 0, 1)])
    for use in (lambda: reader.account(ADDRESSES[0]), lambda: reader.storage(ADDRESSES[3], 1)):
        with pytest.raises(StateMoved):
            use()
    assert database.state.reader().account(ADDRESSES[0]).balance == 1


def test_older_states_are_read_by_height(database) -> None:
    append(database, [("balance", 0, 0, 1), ("store", 3, 1, 99)])
    append(database, [("delete", 3, 0, 0)])
    balances = [database.state_at(height).account(ADDRESSES[0]).balance for height in range(3)]
    words = [database.state_at(height).storage(ADDRESSES[3], 1) for height in range(3)]
    assert balances == [1000, 1, 1]
    assert words == [2, 99, 0]
    code_hash = database.state_at(0).account(ADDRESSES[3]).code_hash
    assert database.state_at(0).code(code_hash) == b"\1\1\1"
    assert database.state.storage(ADDRESSES[3], 1) == 0


def test_supply_follows_mint_and_burn(database) -> None:
    append(database, [("balance", 20, 0, 500)])
    append(database, [("delete", 20, 0, 0)])
    supply = database.chain.supply
    assert (supply.minted, supply.burnt) == (500, 500)
    assert supply.total == supply.genesis
    assert verify_state(database).balance == supply.total


def test_only_the_next_block_with_its_own_outcome_and_commit_is_taken(database) -> None:
    other = next_block(database, [("balance", 0, 0, 7)], logs=[[]])
    block, outcome, commit = append(database, logs=[[], []])
    before = dict(database.store.iterate(b"", b"\xff"))
    following, its_outcome, its_commit = next_block(database, [("balance", 0, 0, 8)], logs=[[]])
    refused = [
        (block, outcome, commit),
        other,
        (following, outcome, its_commit),
        (following, its_outcome, commit),
        (following, its_outcome, Commit(2, 0, Hash32(bytes(32)), ())),
        (following, replace(its_outcome, transactions=()), its_commit),
        (following, replace(its_outcome, root_update=outcome.root_update), its_commit),
    ]
    for attempt in refused:
        with pytest.raises(InvariantViolation):
            database.commit(*attempt)
    with pytest.raises(InvariantViolation):
        database._committer.commit_genesis(genesis())
    with pytest.raises(StorageError, match="block 0"):
        database.commit_genesis(genesis())
    database.commit_genesis(genesis(START))
    with pytest.raises(InvariantViolation):
        Database(MemoryStore()).commit(block, outcome, commit)
    assert dict(database.store.iterate(b"", b"\xff")) == before
    assert database.state.reader().account(ADDRESSES[0]).balance == 1000


class BrokenStore(MemoryStore):
    def write(self, batch, *, sync) -> None:
        if self.broken:
            raise StorageError("no space left on device")
        super().write(batch, sync=sync)

    broken = False


def test_after_a_failed_write_nothing_can_be_read_as_if_it_had_worked() -> None:
    store = BrokenStore()
    database = Database(store)
    database.commit_genesis(genesis(START))
    reader = database.state.reader()
    made = next_block(database, [("balance", 0, 0, 1)])
    store.broken = True
    with pytest.raises(StorageError, match="no space"):
        database.commit(*made)
    with pytest.raises(StateMoved):
        reader.account(ADDRESSES[0])
    with pytest.raises(StateMoved):
        database.state.reader()
    assert database.chain.head.height == 0
    assert check_store(Database(store)).height == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ALL_KEPT, max_size=12), min_size=1, max_size=8))
def test_after_any_chain_of_blocks_flat_state_and_trie_agree(script) -> None:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis(START))
    for actions in script:
        append(database, actions, logs=[[log(1)]])
        history = database.state_at(database.chain.head.height)
        for address in ADDRESSES[:12]:
            assert database.state.account(address) == history.account(address)
            for slot in range(6):
                assert database.state.storage(address, slot) == history.storage(address, slot)
    fresh = Database(store)
    assert verify_state(database) == verify_state(fresh)
    assert check_store(fresh) == database.chain.head


def test_blocks_of_the_real_state_transition_are_stored_and_executed_upon(store) -> None:
    chain = MemoryChain()
    database = Database(store)
    database.commit_genesis(genesis_block(chain.document))
    for nonce in range(4):
        transactions = [sign(key, nonce, to=FUNDED[index + 1], value=1) for index, key in enumerate(KEYS[:20])]
        parent = replace(chain.parent, state=database.state.reader(), nodes=database.nodes)
        block, outcome = build_block(chain.chain, parent, chain.request(), transactions)
        assert len(block.transactions) == 20
        chain.advance(transactions)
        assert outcome.header == chain.head
        database.commit(block, outcome, chain.last_commit())
    assert check_store(database) == check_store(Database(store))
    assert verify_state(database).balance == database.chain.supply.total
