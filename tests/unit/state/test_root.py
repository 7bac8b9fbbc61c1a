"""update_root: block roots against tries built from nothing, and exact bookkeeping."""

from __future__ import annotations

import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.reader import StateChanges
from cybermiles.state.trie import TrieStateReader, update_root
from cybermiles.state.walk import walk
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Address, Hash32
from tests.fakes.state import MemoryNodes, MemoryState

ADDRESSES = [Address(bytes([index]) * 20) for index in range(1, 12)]
Action = tuple[str, int, int, int]

actions = st.tuples(
    st.sampled_from(["balance", "store", "store", "store", "code", "delete"]),
    st.integers(0, len(ADDRESSES) - 1),
    st.integers(0, 6),
    st.sampled_from([0, 0, 1, 2, 2**255]),
)
blocks = st.lists(st.lists(actions, max_size=20), max_size=6)


def perform(world: WorldState, action: Action) -> None:
    kind, number, slot, value = action
    address = ADDRESSES[number]
    if kind == "balance":
        world.set_balance(address, value)
    elif kind == "store":
        world.set_storage(address, slot, value)
    elif kind == "code":
        world.set_code(address, bytes([value % 3]))
    else:
        world.delete_account(address)


def reference_root(state: MemoryState) -> Hash32:
    accounts = HexaryTrie({})
    for address, account in state.accounts.items():
        storage = HexaryTrie({})
        for slot, word in state.words.get(address, {}).items():
            storage[keccak256(slot.to_bytes(32))] = rlp.encode(word)
        accounts[keccak256(address)] = rlp.encode(
            [account.nonce, account.balance, storage.root_hash, account.code_hash]
        )
    return accounts.root_hash


def reachable(nodes: MemoryNodes, state: MemoryState, root: Hash32) -> dict[object, bytes]:
    found: dict[object, bytes] = {(b"", key): node for key, node in walk(nodes, b"", root)}
    for address, account in state.accounts.items():
        for key, node in walk(nodes, address, account.storage_root):
            found[address, key] = node
    return found


@settings(max_examples=120, deadline=None)
@given(blocks)
def test_a_chain_of_blocks_has_the_reference_roots_and_keeps_exactly_the_reachable_nodes(
    script: list[list[Action]],
) -> None:
    nodes, state, root = MemoryNodes(), MemoryState(), EMPTY_TRIE_ROOT
    for block in script:
        world = WorldState(state)
        for action in block:
            world.begin_transaction()
            perform(world, action)
            world.end_transaction()
        changes = world.changes()
        update = update_root(nodes, state, root, changes)
        nodes.apply(update)
        state.apply(changes, update)
        root = update.root
        assert root == reference_root(state)
        assert reachable(nodes, state, root) == nodes.nodes
        history = TrieStateReader(nodes, state, root)
        for address in ADDRESSES:
            assert history.account(address) == state.account(address)
            for slot in range(7):
                assert history.storage(address, slot) == state.storage(address, slot)
                assert world.storage(address, slot) == state.storage(address, slot)


def test_an_account_deleted_and_created_again_starts_with_an_empty_storage_trie() -> None:
    nodes, state = MemoryNodes(), MemoryState()
    address = ADDRESSES[0]
    before = StateChanges(
        accounts={address: (1, 0, Hash32(keccak256(b"code")))},
        storage={address: {slot: slot for slot in range(1, 30)}},
    )
    update = update_root(nodes, state, EMPTY_TRIE_ROOT, before)
    nodes.apply(update)
    state.apply(before, update)
    world = WorldState(state)
    world.begin_transaction()
    world.delete_account(address)
    world.set_nonce(address, 9)
    for slot in range(1, 25):
        world.set_storage(address, slot, slot)
    world.set_storage(address, 30, 30)
    world.end_transaction()
    changes = world.changes()
    update = update_root(nodes, state, update.root, changes)
    kept = len(nodes.nodes)
    nodes.apply(update)
    state.apply(changes, update)
    assert update.root == reference_root(state)
    assert reachable(nodes, state, update.root) == nodes.nodes
    assert len(update.nodes) < kept


def test_storage_alone_changes_the_account_in_the_trie() -> None:
    nodes, state = MemoryNodes(), MemoryState()
    address = ADDRESSES[0]
    first = StateChanges(accounts={address: (1, 5, Hash32(keccak256(b"")))})
    update = update_root(nodes, state, EMPTY_TRIE_ROOT, first)
    nodes.apply(update)
    state.apply(first, update)
    second = StateChanges(storage={address: {7: 8}})
    update = update_root(nodes, state, update.root, second)
    account = update.accounts[address]
    assert account is not None
    assert (account.nonce, account.balance) == (1, 5)
    assert account.storage_root != EMPTY_TRIE_ROOT


def test_no_changes_keep_the_root() -> None:
    update = update_root(MemoryNodes(), MemoryState(), EMPTY_TRIE_ROOT, StateChanges())
    assert (update.root, update.nodes, update.stale, update.accounts) == (
        EMPTY_TRIE_ROOT,
        {},
        (),
        {},
    )
