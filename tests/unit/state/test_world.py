"""WorldState: single rules."""

from __future__ import annotations

import pytest

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.state.reader import StateChanges
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_CODE_HASH, Address, Hash32
from tests.fakes.state import MemoryState

ALICE = Address(b"\xaa" * 20)
BOB = Address(b"\xbb" * 20)
TOKEN = Address(b"\xcc" * 20)
NOBODY = Address(b"\xdd" * 20)


@pytest.fixture
def reader() -> MemoryState:
    state = MemoryState()
    state.put(ALICE, nonce=5, balance=1000)
    state.put(TOKEN, nonce=1, balance=7, code=b"\x60\x00", words={1: 10, 2: 20})
    return state


@pytest.fixture
def world(reader: MemoryState) -> WorldState:
    world = WorldState(reader)
    world.begin_transaction()
    return world


def test_reads_come_from_the_parent(world: WorldState) -> None:
    assert (world.nonce(ALICE), world.balance(ALICE), world.code(ALICE)) == (5, 1000, b"")
    assert world.code(TOKEN) == b"\x60\x00"
    assert world.code_hash(TOKEN) == keccak256(b"\x60\x00")
    assert world.storage(TOKEN, 1) == 10
    assert world.storage(TOKEN, 3) == 0


def test_an_absent_account_reads_as_empty(world: WorldState) -> None:
    assert not world.exists(NOBODY)
    assert world.is_empty(NOBODY)
    assert (world.nonce(NOBODY), world.balance(NOBODY), world.code(NOBODY)) == (0, 0, b"")
    assert world.code_hash(NOBODY) == EMPTY_CODE_HASH
    assert world.storage(NOBODY, 1) == 0
    assert not world.has_storage(NOBODY)


def test_the_parent_is_asked_once_and_never_for_accounts_without_storage(
    world: WorldState, reader: MemoryState
) -> None:
    for _ in range(3):
        world.storage(TOKEN, 1)
        world.storage(ALICE, 1)
        world.storage(NOBODY, 1)
    assert reader.storage_reads == 1


def test_a_debit_over_the_balance_is_a_bug(world: WorldState) -> None:
    with pytest.raises(InvariantViolation, match="1001 wei"):
        world.subtract_balance(ALICE, 1001)
    with pytest.raises(InvariantViolation):
        world.subtract_balance(ALICE, -1)
    with pytest.raises(InvariantViolation):
        world.add_balance(ALICE, -1)
    world.subtract_balance(ALICE, 1000)
    assert world.balance(ALICE) == 0


def test_revert_takes_back_marks_and_transient_words(world: WorldState) -> None:
    world.warm(ALICE)
    world.set_transient(TOKEN, 1, 5)
    mark = world.snapshot()
    world.warm(BOB)
    world.warm(ALICE)
    world.warm_slot(TOKEN, 1)
    world.mark_created(BOB)
    world.set_transient(TOKEN, 1, 6)
    world.set_transient(TOKEN, 2, 7)
    world.set_storage(TOKEN, 1, 11)
    world.set_code(ALICE, b"code")
    world.delete_account(TOKEN)
    assert world.burnt == 7
    world.revert(mark)
    assert world.is_warm(ALICE)
    assert not world.is_warm(BOB)
    assert not world.is_warm_slot(TOKEN, 1)
    assert not world.was_created(BOB)
    assert (world.transient(TOKEN, 1), world.transient(TOKEN, 2)) == (5, 0)
    assert (world.storage(TOKEN, 1), world.storage(TOKEN, 2)) == (10, 20)
    assert world.code(ALICE) == b""
    assert world.burnt == 0
    world.end_transaction()
    assert world.changes() == StateChanges()


def test_marks_end_with_the_transaction(world: WorldState) -> None:
    world.warm(ALICE)
    world.warm_slot(TOKEN, 1)
    world.mark_created(TOKEN)
    world.set_transient(TOKEN, 1, 6)
    world.end_transaction()
    world.begin_transaction()
    assert not world.is_warm(ALICE)
    assert not world.is_warm_slot(TOKEN, 1)
    assert not world.was_created(TOKEN)
    assert world.transient(TOKEN, 1) == 0


def test_original_storage_is_the_value_at_the_start_of_the_transaction(world: WorldState) -> None:
    world.set_storage(TOKEN, 1, 11)
    world.set_storage(TOKEN, 1, 12)
    assert world.original_storage(TOKEN, 1) == 10
    world.end_transaction()
    world.begin_transaction()
    assert world.original_storage(TOKEN, 1) == 12
    world.set_storage(TOKEN, 1, 13)
    assert world.original_storage(TOKEN, 1) == 12
    world.delete_account(TOKEN)
    assert world.original_storage(TOKEN, 1) == 12
    assert world.original_storage(TOKEN, 2) == 20
    world.set_storage(TOKEN, 2, 21)
    assert world.original_storage(TOKEN, 2) == 20


def test_an_account_emptied_in_a_transaction_is_dropped_at_its_end(world: WorldState) -> None:
    world.set_balance(BOB, 5)
    world.subtract_balance(BOB, 5)
    assert world.exists(BOB)
    world.end_transaction()
    assert not world.exists(BOB)
    assert world.changes() == StateChanges()


def test_crediting_nothing_drops_an_account_that_was_empty_before(reader: MemoryState) -> None:
    reader.put(BOB)
    for drop in (WorldState.touch, lambda world, address: world.add_balance(address, 0)):
        world = WorldState(reader)
        world.begin_transaction()
        assert world.exists(BOB)
        drop(world, BOB)
        world.end_transaction()
        assert world.changes().accounts == {BOB: None}


def test_a_touch_that_is_reverted_does_not_drop_an_empty_account(reader: MemoryState) -> None:
    reader.put(BOB)
    world = WorldState(reader)
    world.begin_transaction()
    mark = world.snapshot()
    world.touch(BOB)
    world.revert(mark)
    world.end_transaction()
    assert world.exists(BOB)


def test_writing_nothing_does_not_make_an_account(world: WorldState) -> None:
    world.set_balance(NOBODY, 0)
    world.set_nonce(NOBODY, 0)
    world.set_code(NOBODY, b"")
    world.add_balance(NOBODY, 0)
    world.touch(NOBODY)
    world.delete_account(NOBODY)
    assert not world.exists(NOBODY)


def test_storage_of_an_account_that_stays_empty_goes_with_it(world: WorldState) -> None:
    world.set_storage(NOBODY, 1, 1)
    assert world.storage(NOBODY, 1) == 1
    assert world.has_storage(NOBODY)
    world.end_transaction()
    assert world.storage(NOBODY, 1) == 0
    assert world.changes() == StateChanges()


def test_storage_of_a_deleted_account_reads_as_zero_also_when_it_is_created_again(
    world: WorldState,
) -> None:
    assert world.has_storage(TOKEN)
    world.storage(TOKEN, 1)
    world.delete_account(TOKEN)
    assert (world.storage(TOKEN, 1), world.storage(TOKEN, 2)) == (0, 0)
    assert not world.has_storage(TOKEN)
    assert world.burnt == 7
    world.end_transaction()
    world.begin_transaction()
    world.set_nonce(TOKEN, 1)
    assert (world.storage(TOKEN, 1), world.storage(TOKEN, 2)) == (0, 0)
    world.set_storage(TOKEN, 2, 20)
    world.end_transaction()
    changes = world.changes()
    assert changes.wiped == {TOKEN: None}
    assert changes.storage == {TOKEN: {2: 20}}
    assert changes.accounts == {TOKEN: (1, 0, EMPTY_CODE_HASH)}


def test_a_deleted_account_is_reported_as_gone_and_wiped(world: WorldState) -> None:
    world.delete_account(TOKEN)
    world.end_transaction()
    changes = world.changes()
    assert changes.accounts == {TOKEN: None}
    assert changes.wiped == {TOKEN: None}
    assert changes.storage == {}


def test_changes_leave_out_what_equals_the_parent(world: WorldState) -> None:
    world.set_balance(ALICE, 1)
    world.set_balance(ALICE, 1000)
    world.set_storage(TOKEN, 1, 1)
    world.set_storage(TOKEN, 1, 10)
    world.set_storage(TOKEN, 2, 0)
    world.set_code(BOB, b"new")
    world.end_transaction()
    changes = world.changes()
    code_hash = Hash32(keccak256(b"new"))
    assert changes.accounts == {BOB: (0, 0, code_hash)}
    assert changes.storage == {TOKEN: {2: 0}}
    assert changes.codes == {code_hash: b"new"}


def test_code_that_was_replaced_in_the_same_block_is_not_stored(world: WorldState) -> None:
    world.set_code(ALICE, b"first")
    world.set_code(ALICE, b"second")
    world.end_transaction()
    assert list(world.changes().codes.values()) == [b"second"]


def test_undo_transaction_restores_what_was_before_it(world: WorldState) -> None:
    world.set_storage(TOKEN, 1, 11)
    world.end_transaction()
    before = world.changes()
    world.begin_transaction()
    world.set_storage(TOKEN, 1, 12)
    world.set_balance(BOB, 1)
    world.delete_account(TOKEN)
    world.end_transaction()
    world.undo_transaction()
    assert world.changes() == before
    assert world.burnt == 0
    world.begin_transaction()
    assert world.original_storage(TOKEN, 1) == 11


def test_transactions_do_not_nest_and_are_undone_once(world: WorldState) -> None:
    with pytest.raises(InvariantViolation):
        world.begin_transaction()
    with pytest.raises(InvariantViolation):
        world.undo_transaction()
    world.end_transaction()
    with pytest.raises(InvariantViolation):
        world.end_transaction()
    world.undo_transaction()
    with pytest.raises(InvariantViolation):
        world.undo_transaction()
    world.begin_transaction()
    world.end_transaction()
    world.begin_transaction()
    with pytest.raises(InvariantViolation):
        world.undo_transaction()


def test_writes_between_transactions_count(world: WorldState) -> None:
    world.end_transaction()
    world.add_balance(BOB, 3)
    world.set_storage(TOKEN, 1, 5)
    world.begin_transaction()
    assert world.original_storage(TOKEN, 1) == 5
    world.end_transaction()
    assert world.changes().accounts == {BOB: (0, 3, EMPTY_CODE_HASH)}
