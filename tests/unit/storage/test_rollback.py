"""The head taken back: what is left is the store of one block earlier, and the same block makes the same again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.errors import ConfigError, StorageError
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.validation import check_block
from cybermiles.state.kv import MemoryStore
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.flat_state import StateMoved
from cybermiles.storage.recovery import check_store, verify_state
from cybermiles.storage.rollback import KEPT_UNDO, roll_back_to, rollback_head
from cybermiles.storage.validator_store import KEPT_ROTATIONS
from cybermiles.types.block import decode_block
from tests.factories import ADDRESSES as FUNDED
from tests.factories import KEYS, PAID, MemoryChain, commit_of, double_vote, sign
from tests.fakes.blocks import ADDRESSES, append, genesis, log
from tests.unit.storage.test_validator_store import members

START = [("balance", number, 0, 1000 + number) for number in range(10)] + [
    ("code", 3, 0, 1),
    *(("store", 3, slot, slot + 1) for slot in range(20)),
]
SPAN = KEPT_ROTATIONS + KEPT_UNDO
NEVER_DELETED = (schema.ACCOUNT_NODE, schema.STORAGE_NODE, schema.CODE)


def everything(store):
    return dict(store.iterate(b"", b"\xff"))


def without_nodes(records):
    return {key: value for key, value in records.items() if key[:1] not in NEVER_DELETED}


def assert_nodes_kept(before, after):
    """Every node and code is still there; a node may have been born again since, which only delays its pruning."""
    for key, value in before.items():
        if key[:1] in NEVER_DELETED:
            birth = 8 if key[:1] != schema.CODE else 0
            assert after[key][birth:] == value[birth:]
            assert after[key][:birth] >= value[:birth]


def new(store=None):
    database = Database(MemoryStore() if store is None else store)
    database.commit_genesis(genesis(START))
    return database


def test_the_head_goes_with_everything_it_left_behind(store) -> None:
    database = new(store)
    append(database, [("balance", 0, 0, 5)], logs=[[log(1)]])
    before = everything(store)
    block, _, _ = append(
        database,
        [
            ("balance", 1, 0, 0),
            ("balance", 20, 0, 9),
            ("store", 3, 1, 0),
            ("store", 3, 2, 77),
            ("delete", 4, 0, 0),
            ("code", 5, 0, 8),
        ],
        logs=[[log(1)], [log(2)]],
        evidence=[b"proof"],
        elected=members(9, 2),
    )
    head = rollback_head(database)
    assert head == Database(store).chain.head == check_store(Database(store))
    assert head.height == 1
    after = everything(store)
    assert without_nodes(after) == without_nodes(before)
    assert_nodes_kept(before, after)
    fresh = Database(store)
    verify_state(fresh)
    assert fresh.blocks.block_by_hash(block.hash) is None
    assert fresh.transactions.find(block.transactions[0].hash) is None
    assert fresh.evidence.committed_at(next(iter(block.consensus.evidence))) is None
    assert fresh.validators.validators(4) is None
    assert fresh.state.account(ADDRESSES[4]).balance == 1004
    assert fresh.state.storage(ADDRESSES[3], 1) == 2


def test_a_deleted_contract_comes_back_with_its_storage(store) -> None:
    database = new(store)
    append(database, [("delete", 3, 0, 0)])
    assert database.state.storage(ADDRESSES[3], 5) == 0
    rollback_head(database)
    fresh = Database(store)
    assert [fresh.state.storage(ADDRESSES[3], slot) for slot in range(21)] == [*range(1, 21), 0]
    assert fresh.state.code(fresh.state.account(ADDRESSES[3]).code_hash) == b"\1\1\1"
    assert verify_state(fresh).words == 20


def test_the_database_object_refuses_afterwards(store) -> None:
    database = new(store)
    append(database)
    reader = database.state.reader()
    rollback_head(database)
    for use in (lambda: reader.account(ADDRESSES[0]), database.state.reader):
        with pytest.raises(StateMoved):
            use()


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["balance", "store", "store", "code", "delete"]),
        st.integers(0, 9),
        st.integers(0, 5),
        st.sampled_from([0, 1, 2, 2**200]),
    ),
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.integers(1, 6))
def test_any_blocks_undone_and_done_again_leave_the_same_store(script, depth) -> None:
    depth = min(depth, len(script))
    store = MemoryStore()
    database = new(store)
    stages = []
    for number, actions in enumerate(script):
        stages.append(everything(store))
        append(database, actions, logs=[[log(1)]], elected=members(9, 1 + number % 3))
    final = everything(store)
    for stage in reversed(stages[len(stages) - depth :]):
        head = rollback_head(database)
        database = Database(store)
        assert check_store(database) == head
        verify_state(database)
        assert without_nodes(everything(store)) == without_nodes(stage)
        assert_nodes_kept(stage, everything(store))
    for number in range(len(script) - depth, len(script)):
        append(database, script[number], logs=[[log(1)]], elected=members(9, 1 + number % 3))
    assert everything(store) == final


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.integers(1, 6))
def test_blocks_undone_in_one_batch_leave_what_they_leave_one_by_one(script, depth) -> None:
    depth = min(depth, len(script))
    stores = MemoryStore(), MemoryStore()
    for store in stores:
        database = new(store)
        for number, actions in enumerate(script):
            append(database, actions, logs=[[log(1)]], evidence=[b"%d" % number], elected=members(9, 1 + number % 3))
    head = roll_back_to(Database(stores[0]), len(script) - depth)
    for _ in range(depth):
        rollback_head(Database(stores[1]))
    assert everything(stores[0]) == everything(stores[1])
    assert check_store(Database(stores[0])) == head
    assert head.height == len(script) - depth
    verify_state(Database(stores[0]))


def test_there_is_nothing_to_go_back_to_at_or_above_the_head(store) -> None:
    append(new(store))
    for height in (1, 2):
        with pytest.raises(ConfigError, match="the chain is at height 1"):
            roll_back_to(Database(store), height)


def test_a_chain_for_development_keeps_what_undoes_every_block(store) -> None:
    database = Database(store, undoable=0)
    database.commit_genesis(genesis(START))
    before = everything(store)
    for height in range(1, SPAN + 10):
        append(database, [("balance", 1, 0, height), ("store", 3, height % 7, height)])
    assert roll_back_to(database, 0).height == 0
    assert without_nodes(everything(store)) == without_nodes(before)
    verify_state(Database(store))


def test_states_that_are_held_are_not_pruned_and_can_come_back(store) -> None:
    database = Database(store, keep_states=2, undoable=0)
    database.commit_genesis(genesis(START))
    for height in range(1, 4):
        append(database, [("balance", 1, 0, height)])
    database.hold_states(3)
    for height in range(4, 40):
        append(database, [("balance", 1, 0, height)])
    assert database.chain.oldest_state == 3
    assert roll_back_to(database, 3).height == 3
    database = Database(store, keep_states=2, undoable=0)
    verify_state(database)
    for height in range(4, 9):
        append(database, [("balance", 1, 0, height)])
    assert database.chain.oldest_state == 7


@settings(max_examples=30, deadline=None)
@given(st.lists(ACTIONS, min_size=3, max_size=8), ACTIONS)
def test_another_block_in_its_place_is_pruned_as_if_the_first_had_never_been(script, instead) -> None:
    """Nothing that a kept state needs may go, whatever was rolled back."""
    store = MemoryStore()
    database = Database(store, keep_states=2)
    database.commit_genesis(genesis(START))
    for actions in script:
        append(database, actions)
        rollback_head(database)
        database = Database(store, keep_states=2)
        append(database, instead)
        append(database, actions)
        verify_state(database)
        verify_state(Database(store))
        height = database.chain.head.height
        parent, reader = database.blocks.header(height - 1), database.state_at(height - 1)
        assert parent is not None
        for address in ADDRESSES[:10]:
            reader.account(address)
            for slot in range(6):
                reader.storage(address, slot)


def test_only_the_last_blocks_can_be_undone_and_the_refusal_says_why(store) -> None:
    database = new(store)
    with pytest.raises(ConfigError, match="at its genesis"):
        rollback_head(database)
    with pytest.raises(ConfigError, match="at its genesis"):
        rollback_head(Database(MemoryStore()))
    for height in range(1, SPAN):
        append(database, [("balance", 1, 0, height)])
    for _ in range(KEPT_UNDO):
        rollback_head(database)
        database = Database(store)
    before = everything(store)
    with pytest.raises(ConfigError, match=f"only the last {KEPT_UNDO} blocks"):
        rollback_head(database)
    assert everything(store) == before
    assert check_store(Database(store)).height == SPAN - 1 - KEPT_UNDO
    append(Database(store))


def test_a_pruned_state_cannot_come_back(store) -> None:
    database = Database(store, keep_states=2)
    database.commit_genesis(genesis(START))
    for height in range(1, 6):
        append(database, [("balance", 1, 0, height)])
    rollback_head(database)
    database = Database(store, keep_states=2)
    verify_state(database)
    before = everything(store)
    with pytest.raises(ConfigError, match="state of block 3 is pruned, the oldest kept is that of block 4"):
        rollback_head(database)
    assert everything(store) == before


def test_a_damaged_store_is_not_rolled_back(store) -> None:
    database = new(store)
    append(database)
    store.write({schema.at_height(schema.OUTCOMES, 1): None}, sync=False)
    with pytest.raises(StorageError, match="damaged"):
        rollback_head(Database(store))
    assert Database(store).chain.head.height == 1


@pytest.mark.parametrize("cut", [1, 21])
def test_a_torn_undo_record_is_damage(store, cut) -> None:
    database = new(store)
    append(database, [("balance", 1, 0, 3)])
    key = schema.at_height(schema.UNDO, 1)
    store.write({key: store.get(key)[:-cut]}, sync=False)
    before = everything(store)
    with pytest.raises(StorageError, match="undo record has"):
        rollback_head(Database(store))
    assert everything(store) == before


def test_real_blocks_executed_again_have_the_same_hash(store) -> None:
    """The state transition on a store that was rolled back gives what it gave, and flat state and trie agree."""
    chain = MemoryChain(accounts=FUNDED[:12], powers=(4, 3, 2, 1))
    database = Database(store)
    database.commit_genesis(genesis_block(chain.document))
    parents = []
    creation = bytes.fromhex("60015f5560025f5530ff")  # SSTORE, then self-destruction
    for nonce in range(4):
        parents.append(chain.parent)
        evidence = [double_vote(chain.chain, chain.validators(1).validators[nonce], 1).encode()] if nonce else []
        transactions = [sign(key, nonce * 2, value=nonce, price=PAID) for key in KEYS[:6]]
        transactions += [
            sign(key, nonce * 2 + 1, to=None, data=creation, value=5, gas=200_000, price=PAID) for key in KEYS[:6]
        ]
        block, outcome = chain.advance(transactions, evidence=evidence)
        assert len(block.transactions) == 12
        database.commit(
            block,
            outcome,
            commit_of(chain.chain, chain.validators(block.height), block.height, block.hash, absent=(3,)),
        )
    final = everything(store)
    saved = {height: (database.blocks.raw_block(height), database.blocks.commit(height)) for height in (2, 3, 4)}
    for _ in range(3):
        rollback_head(database)
        database = Database(store)
        verify_state(database)
    for height, (raw, commit) in saved.items():
        block = decode_block(raw, max_bytes=len(raw))
        chain.evidence = {raw for raw in chain.evidence if database.evidence.committed_at(raw) is not None}
        outcome = check_block(chain.chain, parents[height - 1], block)
        database.commit(block, outcome, commit)
        assert outcome.header.hash == chain.headers[height].hash
    assert everything(store) == final
    assert check_store(Database(store)).block_hash == chain.head.hash
    verify_state(Database(store))
