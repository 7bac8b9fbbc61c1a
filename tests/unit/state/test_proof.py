"""Proofs: what `prove` collects convinces `verify_proof`, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, StorageError
from cybermiles.state.proof import verify_proof
from cybermiles.state.reader import StateChanges
from cybermiles.state.trie import (
    TrieStateReader,
    decode_account,
    prove,
    prove_account,
    prove_storage,
    slot_key,
    update_root,
    update_trie,
)
from cybermiles.types.primitives import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT, Address, Hash32
from cybermiles.types.rlp import encode
from tests.fakes.state import MemoryNodes, MemoryState

keys = st.one_of(
    st.integers(0, 60).map(lambda number: keccak256(bytes([number]))),
    st.lists(st.sampled_from(b"\x00\x01\x10\x11"), min_size=2, max_size=2).map(bytes),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, st.binary(min_size=1, max_size=40), max_size=30), keys)
def test_a_proof_shows_the_value_or_that_there_is_none(items: dict[bytes, bytes], other: bytes) -> None:
    nodes = MemoryNodes()
    update = update_trie(nodes, b"", EMPTY_TRIE_ROOT, items)
    nodes.nodes.update(((b"", key), node) for key, node in update.new.items())
    for key in [*items, other]:
        proof = prove(nodes, update.root, key)
        assert verify_proof(update.root, key, proof) == items.get(key)
        for index in range(len(proof)):
            without = proof[:index] + proof[index + 1 :]
            with pytest.raises(DecodingError):
                verify_proof(update.root, key, without)
        with pytest.raises(DecodingError):
            verify_proof(update.root, key, (*proof, b"\xc0"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_proof_with_a_flipped_bit_is_refused(data: st.DataObject) -> None:
    items = {keccak256(bytes([number])): bytes([number]) * 9 for number in range(20)}
    nodes = MemoryNodes()
    update = update_trie(nodes, b"", EMPTY_TRIE_ROOT, items)
    nodes.nodes.update(((b"", key), node) for key, node in update.new.items())
    key = data.draw(st.sampled_from(sorted(items)))
    proof = list(prove(nodes, update.root, key))
    index = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, len(proof[index]) * 8 - 1))
    proof[index] = (int.from_bytes(proof[index]) ^ (1 << bit)).to_bytes(len(proof[index]))
    with pytest.raises(DecodingError):
        verify_proof(update.root, key, proof)


@pytest.mark.parametrize(
    "node",
    [
        encode([b"\x20", b"a", b"b"]),
        encode([b"", b"value"]),
        encode([b"\x40", b"value"]),
        encode([b"\x21", b"value"]),
        encode([b"\x00", b"too short for a hash"]),
        encode([[b"\x20"], b"value"]),
        encode(b"no list"),
        b"\xc1",
    ],
)
def test_malformed_nodes_are_refused_even_under_their_right_hash(node: bytes) -> None:
    with pytest.raises(DecodingError):
        verify_proof(Hash32(keccak256(node)), b"\x01", [node])


def test_accounts_and_words_are_proved_under_the_state_root() -> None:
    nodes, state = MemoryNodes(), MemoryState()
    addresses = [Address(bytes([index]) * 20) for index in range(1, 30)]
    changes = StateChanges(
        accounts=dict.fromkeys(addresses, (1, 10**18, EMPTY_CODE_HASH)),
        storage={addresses[3]: {slot: slot + 1 for slot in range(20)}},
    )
    update = update_root(nodes, state, EMPTY_TRIE_ROOT, changes)
    nodes.apply(update)
    proved = verify_proof(update.root, keccak256(addresses[3]), prove_account(nodes, update.root, addresses[3]))
    assert proved is not None
    account = decode_account(proved)
    assert account == update.accounts[addresses[3]]
    proof = prove_storage(nodes, addresses[3], account.storage_root, 7)
    assert verify_proof(account.storage_root, slot_key(7), proof) == b"\x08"
    absent = prove_storage(nodes, addresses[3], account.storage_root, 99)
    assert verify_proof(account.storage_root, slot_key(99), absent) is None
    assert prove_storage(nodes, addresses[4], EMPTY_TRIE_ROOT, 1) == ()


def test_history_without_its_nodes_is_an_error_not_an_empty_account() -> None:
    reader = TrieStateReader(MemoryNodes(), MemoryState(), Hash32(b"\x01" * 32))
    with pytest.raises(StorageError):
        reader.account(Address(bytes(20)))
