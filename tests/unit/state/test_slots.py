"""Storage in Solidity's layout: against what solc itself stores, and against a model under any operations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.state.reader import NoState
from cybermiles.state.slots import (
    Array,
    ArrayView,
    Packed,
    ReadStorage,
    Storage,
    bytes_mapping_slot,
    items_slot,
    mapping_slot,
)
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork

CONTRACT = Address(b"\xcc" * 20)
WHO = Address(bytes(range(1, 21)))
KEY = bytes(range(32, 64))
ARTIFACT = json.loads((Path(__file__).parents[2] / "contracts" / "StorageLayout.json").read_text())
BACKEND = PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=1))
CONTEXT = BlockContext(
    height=1, timestamp=1, coinbase=WHO, gas_limit=10**8, prev_randao=ZERO_HASH, base_fee=0, fee_recipient=WHO,
    block_hash=lambda height: None,
)  # fmt: skip


class Window(NamedTuple):
    since: int
    missed: int
    jailed: int


WINDOW = Packed(Window, since=64, missed=32, jailed=8)


class Solidity:
    """The compiled contract in a world of its own."""

    def __init__(self):
        self.world = WorldState(NoState())
        created = self.send(None, bytes.fromhex(ARTIFACT["bytecode"][2:]))
        self.address = created.contract_address
        self.storage = Storage(self.world, self.address)

    def send(self, to, data):
        message = CallMessage(sender=WHO, to=to, gas=10**8, data=data)
        result = BACKEND.call(self.world, CONTEXT, message, compute_units=None)
        assert result.failure is None
        return result

    def call(self, signature, *arguments):
        types = signature[signature.index("(") + 1 : -1].split(",")
        self.send(self.address, keccak256(signature.encode())[:4] + encode(types, arguments))

    def words(self):
        return {slot: word for slot, word in self.world.changes().storage.get(self.address, {}).items() if word}


@pytest.fixture
def storage():
    return Storage(WorldState(NoState()), CONTRACT)


def test_everything_is_where_solc_puts_it():
    solidity = Solidity()
    data = bytes(range(100))
    solidity.call("fill(address,bytes32,bytes)", WHO, KEY, data)
    mine = Storage(WorldState(NoState()), solidity.address)
    mine.store(0, 12345)
    mine.store_address(1, WHO)
    WINDOW.store(mine, 2, Window(1, 2, 1))
    mine.store_address(3, WHO)
    mine.store(mapping_slot(4, WHO), 77)
    pool = mapping_slot(5, 9, KEY)
    mine.store(pool, 10)
    mine.store(pool + 1, 11)
    WINDOW.store(mine, pool + 2, Window(12, 13, 1))
    mine.store_address(pool + 3, WHO)
    mine.store(bytes_mapping_slot(6, data), 88)
    queue = Array(mine, 7)
    for i in range(3):
        queue.append(100 + i)
    pools = Array(mine, 8, item_words=4)
    for i in range(2):
        slot = pools.slot_of(pools.grow())
        mine.store(slot, 20 + i)
        mine.store(slot + 1, 30 + i)
        WINDOW.store(mine, slot + 2, Window(40 + i, 0, 0))
        mine.store_address(slot + 3, WHO)
    mine.store_text(9, "thirty-one bytes, no byte more!")
    mine.store_bytes(10, data)
    written = mine._writer.changes().storage[solidity.address]
    assert written == solidity.words()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=100)), min_size=1, max_size=4))
def test_bytes_and_text_change_size_as_in_solidity(pairs):
    solidity = Solidity()
    mine = Storage(WorldState(NoState()), CONTRACT)
    for text, data in pairs:
        solidity.call("texts(string,bytes)", text, data)
        mine.store_text(9, text)
        mine.store_bytes(10, data)
        assert solidity.storage.load_text(9) == mine.load_text(9) == text
        assert solidity.storage.load_bytes(10) == mine.load_bytes(10) == data
        mine_words = mine._writer.changes().storage.get(CONTRACT, {})
        assert mine_words == solidity.words()


def test_what_is_not_stored_is_zero_and_empty(storage):
    assert storage.load(5) == 0
    assert storage.load_address(5) == Address(bytes(20))
    assert storage.load_bytes(5) == b""
    assert storage.load_text(5) == ""
    assert len(ArrayView(storage, 5)) == 0
    assert WINDOW.load(storage, 5) == Window(0, 0, 0)


def test_reading_needs_no_world(storage):
    storage.store(1, 7)
    read = ReadStorage(storage._writer, CONTRACT)
    assert read.load(1) == 7
    assert not hasattr(read, "store")
    assert ReadStorage(NoState(), CONTRACT).load(1) == 0


@pytest.mark.parametrize("value", [-1, 2**256])
def test_a_word_is_an_unsigned_256_bit_integer(storage, value):
    with pytest.raises(InvariantViolation):
        storage.store(1, value)
    with pytest.raises(InvariantViolation):
        storage.add(1, value)
    assert storage.load(1) == 0


def test_adding_returns_the_sum_and_may_be_negative(storage):
    assert storage.add(1, 5) == 5
    assert storage.add(1, -3) == 2
    with pytest.raises(InvariantViolation):
        storage.add(1, -3)


@pytest.mark.parametrize("key", [b"", bytes(19), bytes(21), bytes(33), -1, 2**256])
def test_a_key_is_an_address_a_bytes32_or_an_unsigned_integer(key):
    with pytest.raises(InvariantViolation):
        mapping_slot(1, key)


def test_keys_of_nested_mappings_are_applied_in_order():
    assert mapping_slot(1, WHO, 7) == mapping_slot(mapping_slot(1, WHO), 7) != mapping_slot(1, 7, WHO)
    assert mapping_slot(1) == 1


@given(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255)))
def test_packing_is_invertible(fields):
    assert WINDOW.unpack(WINDOW.pack(Window(*fields))) == Window(*fields)


@pytest.mark.parametrize("fields", [(2**64, 0, 0), (0, 2**32, 0), (0, 0, 256), (-1, 0, 0)])
def test_a_field_that_does_not_fit_is_refused(storage, fields):
    with pytest.raises(InvariantViolation):
        WINDOW.store(storage, 1, Window(*fields))


@pytest.mark.parametrize("bits", [{"a": 256, "b": 8}, {"a": 7}, {"a": 0}, {"a": -8}])
def test_a_layout_over_a_word_or_of_broken_bytes_is_refused(bits):
    with pytest.raises(InvariantViolation):
        Packed(lambda *fields: fields, **bits)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["append", "drop", "swap", "page"]), st.integers(0, 9)), max_size=30))
def test_arrays_behave_like_lists_and_leave_no_words_behind(operations):
    storage = Storage(WorldState(NoState()), CONTRACT)
    array, model = Array(storage, 3, item_words=2), []
    for number, (operation, index) in enumerate(operations, 1):
        if operation == "append":
            slot = array.slot_of(array.grow())
            storage.store(slot, number)
            storage.store(slot + 1, -number % 1000)
            model.append(number)
        elif operation == "drop" and model:
            array.drop_last()
            model.pop()
        elif operation == "swap" and index < len(model):
            assert array.swap_remove(index) == len(model) - 1
            model[index] = model[-1]
            model.pop()
        elif operation == "page":
            assert [storage.load(array.slot_of(i)) for i in array.page(index, 3)] == model[index : index + 3]
    assert [storage.load(array.slot_of(i)) for i in range(len(array))] == model
    words = {
        slot: word for slot, word in storage._writer.changes().storage.get(CONTRACT, {}).items() if word and slot != 3
    }
    first = items_slot(3)
    expected = {}
    for i, number in enumerate(model):
        expected |= {first + 2 * i: number, first + 2 * i + 1: -number % 1000}
    assert words == {slot: word for slot, word in expected.items() if word}


def test_removing_what_an_array_does_not_have_is_refused(storage):
    array = Array(storage, 3)
    with pytest.raises(InvariantViolation):
        array.drop_last()
    array.append(5)
    for index in (-1, 1):
        with pytest.raises(InvariantViolation):
            array.swap_remove(index)


def test_pages_past_the_end_are_empty_even_with_huge_numbers(storage):
    array = Array(storage, 3)
    array.append(5)
    assert list(array.page(0, 2**256 - 1)) == [0]
    assert list(array.page(2**256 - 1, 5)) == []


def test_writes_are_undone_by_the_journal(storage):
    world = storage._writer
    world.begin_transaction()
    mark = world.snapshot()
    storage.store_bytes(1, bytes(range(90)))
    Array(storage, 2).append(4)
    world.revert(mark)
    world.end_transaction()
    assert (storage.load_bytes(1), len(Array(storage, 2))) == (b"", 0)
    assert world.changes().storage == {}
