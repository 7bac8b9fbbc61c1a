"""Who decides which height: settled two heights ahead, found for ever, the same after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.errors import ConfigError, InvariantViolation, StorageError
from cybermiles.execution.genesis import GenesisBlock
from cybermiles.state.kv import MemoryStore
from cybermiles.storage import schema
from cybermiles.storage.database import Database
from cybermiles.storage.recovery import check_store
from cybermiles.storage.validator_store import KEPT_ROTATIONS
from cybermiles.types.commit import Commit
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import Validator, ValidatorSet
from tests.fakes.blocks import ADDRESSES, VALIDATORS, append, genesis, next_block


def members(*powers):
    """A set of validators 1, 2, …; power 0 leaves one out."""
    return ValidatorSet(
        tuple(Validator(bytes([i + 1]) * 32, ADDRESSES[i], power) for i, power in enumerate(powers) if power)
    )


@pytest.fixture
def database(store):
    database = Database(store)
    database.commit_genesis(genesis())
    return database


def test_a_new_chain_has_settled_its_first_two_heights(database, store) -> None:
    first = first_rotation(VALIDATORS)
    for stored in (database.validators, Database(store).validators):
        assert stored.newest == 2
        assert stored.rotation(1) == first
        assert stored.rotation(2) == first.advanced()
        assert stored.validators(1) == stored.validators(2) == VALIDATORS
        assert stored.validators(0) is stored.validators(3) is None


def test_a_set_returned_by_a_block_decides_two_heights_later(database, store) -> None:
    elected = members(9, 1, 5)
    append(database)
    append(database, elected=elected)  # block 2
    append(database)
    append(database)
    for stored in (database.validators, Database(store).validators):
        assert [stored.validators(height) for height in range(1, 7)] == [VALIDATORS] * 3 + [elected] * 3
        assert stored.validators(7) is None
        before = first_rotation(VALIDATORS).advanced().advanced()
        assert stored.rotation(3) == before
        assert stored.rotation(4) == before.updated(elected).advanced()
        assert stored.rotation(5) == before.updated(elected).advanced().advanced()
    block = database.blocks.block(3)
    assert block.consensus.validators_hash == VALIDATORS.hash
    assert block.consensus.next_validators_hash == elected.hash
    assert check_store(Database(store)).height == 4


def test_the_same_set_returned_again_changes_nothing(database, store) -> None:
    append(database, elected=VALIDATORS)
    append(database)
    assert database.validators.rotation(4) == first_rotation(VALIDATORS).advanced(1).advanced(1).advanced(1)
    assert len(list(store.iterate(schema.VALIDATORS, b"w"))) == 1


def test_sets_are_written_where_they_change_and_rotations_only_for_the_last_heights(database, store) -> None:
    for height in range(1, 41):
        append(database, elected=members(9, 1 + height % 2) if height % 10 == 0 else None)
    changes = [schema.height_in(key) for key, _ in store.iterate(schema.VALIDATORS, b"w")]
    assert changes == [1]  # the same power each time: no change
    append(database, elected=members(9, 2))
    changes = [schema.height_in(key) for key, _ in store.iterate(schema.VALIDATORS, b"w")]
    assert changes == [1, 43]
    kept = [schema.height_in(key) for key, _ in store.iterate(schema.ROTATION, b"q")]
    assert kept == list(range(43 - KEPT_ROTATIONS + 1, 44))
    fresh = Database(store).validators
    assert fresh.validators(42) == VALIDATORS
    assert fresh.validators(43) == members(9, 2)
    with pytest.raises(StorageError, match="not stored"):
        fresh.rotation(20)


ELECTIONS = st.lists(
    st.none() | st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any).map(lambda powers: members(*powers)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ELECTIONS)
def test_any_elections_give_the_same_rotations_with_and_without_restarts(elections) -> None:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis())
    expected = {1: first_rotation(VALIDATORS), 2: first_rotation(VALIDATORS).advanced()}
    for elected in elections:
        if len(expected) % 3 == 0:
            database = Database(store)
        height = database.chain.head.height + 1
        made = next_block(database, elected=elected)
        voters = expected[height].validators
        signatures = (b"\1" * 64,) * len(voters.validators)
        database.commit(*made[:2], Commit(height, 0, made[0].hash, signatures))
        before = expected[height + 1]
        changed = elected is not None and elected != before.validators
        expected[height + 2] = (before.updated(elected) if changed else before).advanced()
    for stored in (database.validators, Database(store).validators):
        for height, rotation in expected.items():
            assert stored.validators(height) == rotation.validators
        for height in (len(expected) - 1, len(expected)):
            assert stored.rotation(height) == expected[height]
        assert stored.validators(len(expected) + 1) is None
    assert check_store(Database(store)).height == len(elections)


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [((None, b"\1" * 64), "by 1 of 10 power"), ((None, None), "by 0 of 10"), ((b"\1" * 64,), "1 signatures for 2")],
)
def test_a_block_without_a_quorum_of_its_validators_is_not_stored(database, signatures, reason) -> None:
    block, outcome, _ = next_block(database)
    with pytest.raises(InvariantViolation, match=reason):
        database.commit(block, outcome, Commit(1, 0, block.hash, signatures))
    assert database.chain.head.height == 0


def test_no_chain_starts_from_a_template() -> None:
    start = genesis()
    with pytest.raises(ConfigError, match="template"):
        Database(MemoryStore()).commit_genesis(GenesisBlock(start.header, start.changes, start.root_update, None))


DAMAGE = {
    "rotation missing": lambda store: (schema.at_height(schema.ROTATION, 5), None),
    "rotation does not decode": lambda store: (schema.at_height(schema.ROTATION, 4), b"\xc0"),
    "rotation of other validators": lambda store: (
        schema.at_height(schema.ROTATION, 4),
        store.get(schema.at_height(schema.ROTATION, 3)),
    ),
    "set missing": lambda store: (schema.at_height(schema.VALIDATORS, 4), None),
    "set does not decode": lambda store: (schema.at_height(schema.VALIDATORS, 4), b"\xc1\x80"),
    "first set replaced": lambda store: (
        schema.at_height(schema.VALIDATORS, 1),
        store.get(schema.at_height(schema.VALIDATORS, 4)),
    ),
    "evidence of the head not indexed": lambda store: next(
        (key, None) for key, _ in store.iterate(schema.COMMITTED_EVIDENCE, b"f")
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_validators_or_evidence_is_found_at_start(name) -> None:
    store = MemoryStore()
    database = Database(store)
    database.commit_genesis(genesis())
    append(database)
    append(database, elected=members(9, 2, 1))
    append(database, evidence=[b"proof"])
    assert check_store(Database(store)).height == 3
    key, value = DAMAGE[name](store)
    assert store.get(key) != value
    store.write({key: value}, sync=False)
    with pytest.raises(StorageError, match="damaged|not stored"):
        check_store(Database(store))
