"""The flat state while blocks are committed by one thread and read by others."""

from __future__ import annotations

import pytest

from cybermiles.state.kv import MemoryStore
from cybermiles.storage.cache import AgingCache
from cybermiles.storage.database import Database
from cybermiles.storage.flat_state import StateMoved
from tests.fakes.blocks import ADDRESSES, append, genesis

ALICE = ADDRESSES[3]
START = [("balance", 3, 0, 1), ("store", 3, 7, 1)]


class InterruptedStore(MemoryStore):
    """Lets something happen between a read of the disk and the reader's next instruction."""

    then = None
    during_write = None

    def get(self, key):
        value = super().get(key)
        then, self.then = self.then, None
        if then is not None:
            then()
        return value

    def write(self, batch, *, sync):
        if self.during_write is not None:
            self.during_write()
        super().write(batch, sync=sync)


@pytest.fixture
def database():
    store = InterruptedStore()
    Database(store).commit_genesis(genesis(START))
    return Database(store)


def move(database) -> None:
    append(database, [("balance", 3, 0, 2), ("store", 3, 7, 2)])


def cold(database) -> Database:
    """Another view of the state that has nothing cached but follows the same commits."""
    database.state._accounts = AgingCache(10)
    database.state._words = AgingCache(10)
    return database


@pytest.mark.parametrize(
    "read",
    [lambda database: database.state.account(ALICE).balance, lambda database: database.state.storage(ALICE, 7)],
)
def test_an_old_value_read_across_a_commit_does_not_stay_in_the_cache(database, read) -> None:
    cold(database)
    database.store.then = lambda: move(database)
    assert read(database) == 1
    assert read(database) == 2


def test_a_reader_does_not_return_what_a_commit_brought_in_between(database) -> None:
    reader = database.state.reader()
    cold(database)
    database.store.then = lambda: move(database)
    with pytest.raises(StateMoved):
        reader.account(ALICE)


def test_no_reader_is_given_while_a_block_is_written_and_old_ones_refuse(database) -> None:
    reader = database.state.reader()
    seen = []

    def try_to_read() -> None:
        for use in (database.state.reader, lambda: reader.account(ALICE), lambda: reader.storage(ALICE, 7)):
            with pytest.raises(StateMoved):
                use()
            seen.append(True)

    database.store.during_write = try_to_read
    move(database)
    assert len(seen) == 3
    assert database.state.reader().account(ALICE).balance == 2


def test_what_is_read_while_a_block_is_written_does_not_stay_in_the_cache(database) -> None:
    cold(database)
    database.store.during_write = lambda: (database.state.account(ALICE), database.state.storage(ALICE, 7))
    move(database)
    assert database.state.account(ALICE).balance == 2
    assert database.state.storage(ALICE, 7) == 2


def test_words_of_a_deleted_account_leave_the_cache(database) -> None:
    assert database.state.storage(ALICE, 7) == 1
    append(database, [("delete", 3, 0, 0)])
    assert database.state.storage(ALICE, 7) == 0
    assert database.state.account(ALICE) is None


def test_a_cache_forgets_the_oldest_half_and_shadows_old_values() -> None:
    cache: AgingCache[int, str] = AgingCache(3)
    for number in range(3):
        cache.put(number, "first")
    cache.put(3, "first")
    cache.put(0, "second")
    assert [cache.get(number, None) for number in range(4)] == ["second", "first", "first", "first"]
    for number in range(10, 14):
        cache.put(number, "later")
    assert cache.get(1, None) is None
    assert cache.get(0, None) == "second"
    cache.put(20, "x", cost=3)
    cache.put(21, "x", cost=3)
    assert cache.get(0, None) is None
