"""The state trie: one root for all accounts and storage (Yellow Paper, section 4.1, appendix D).

Keys are hashed: keccak256(address) in the account trie, keccak256(slot as 32 bytes) in the storage
trie of each account. A block's changes are applied in one go, storage tries first because accounts
contain their roots:

    StateChanges ─► per account: storage trie ─► storage roots ─► account trie ─► RootUpdate

Nothing is written here: `RootUpdate` lists the new and the stale nodes for the store. Reading at
any root whose nodes are stored is `TrieStateReader`; `prove` collects the nodes that convince a
stranger.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.nodes import (
    BRANCH_ITEMS,
    DIGITS,
    HASH_ITEM,
    HASH_PREFIX,
    HEX,
    NOTHING,
    SHORTEST_HASHED,
    encode_branch,
    encode_extension,
    encode_leaf,
    payload,
    split,
    unpack_path,
)
from cybermiles.state.patch import TriePatch
from cybermiles.state.reader import RootUpdate
from cybermiles.state.walk import walk
from cybermiles.types.account import EMPTY_ACCOUNT, Account
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Hash32
from cybermiles.types.rlp import as_bytes, as_int, as_list, decode, encode_bytes, encode_int

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cybermiles.state.patch import Change
    from cybermiles.state.reader import NodeReader, StateChanges, StateReader
    from cybermiles.types.primitives import Address

ACCOUNT_TRIE = b""
"""Owner of the account trie's nodes; a storage trie's owner is the address."""


class CodeReader(Protocol):
    """The part of `StateReader` that is the same at every root."""

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash. Raises StorageError when it is missing."""
        ...


class TrieUpdate(NamedTuple):
    """What a batch of changes did to one trie."""

    root: Hash32
    new: dict[Hash32, bytes]
    """Nodes to store."""
    stale: list[Hash32]
    """Nodes of the old trie that the new one does not use."""


def update_trie(nodes: NodeReader, owner: bytes, root: Hash32, items: Mapping[bytes, bytes | None]) -> TrieUpdate:
    """Apply changes to one trie; None or b"" deletes a key. Raises StorageError on a missing node.

    `new` and `stale` are right for tries with hashed keys, where equal subtries cannot occur twice.
    """
    patch = TriePatch(nodes, owner)
    changes: list[Change] = [(key.hex(), encode_bytes(value) if value else None) for key, value in items.items()]
    new_root = patch.apply(root, changes) if changes else root
    return TrieUpdate(new_root, patch.new, patch.stale)


def update_root(nodes: NodeReader, reader: StateReader, parent_root: Hash32, changes: StateChanges) -> RootUpdate:
    """Return the state root after `changes` to the state at `parent_root`, and what to store.

    `reader` answers accounts at `parent_root`. Raises StorageError when a node is missing.
    """
    new: dict[tuple[bytes, Hash32], bytes] = {}
    stale: list[tuple[bytes, Hash32]] = []
    accounts: dict[Address, Account | None] = {}
    leaves: list[Change] = []
    for address in sorted({**changes.accounts, **changes.storage, **changes.wiped}):
        parent = reader.account(address) or EMPTY_ACCOUNT
        fields = changes.accounts.get(address, (parent.nonce, parent.balance, parent.code_hash))
        slots = changes.storage.get(address, {}) if fields is not None else {}
        root = parent.storage_root
        if slots or fields is None or address in changes.wiped:
            blank = fields is None or address in changes.wiped
            update = _update_storage(nodes, address, root, slots, blank=blank)
            root = update.root
            new.update(((address, key), node) for key, node in update.new.items())
            stale.extend((address, key) for key in update.stale)
        account = None if fields is None else Account(fields[0], fields[1], root, fields[2])
        accounts[address] = account
        leaves.append((keccak256(address).hex(), None if account is None else _account_item(account)))
    patch = TriePatch(nodes, ACCOUNT_TRIE)
    state_root = patch.apply(parent_root, leaves) if leaves else parent_root
    new.update(((ACCOUNT_TRIE, key), node) for key, node in patch.new.items())
    stale.extend((ACCOUNT_TRIE, key) for key in patch.stale)
    return RootUpdate(root=state_root, nodes=new, stale=tuple(stale), accounts=accounts)


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """Return the root of the trie from rlp(index) to item: a block's transactions or receipts.

    Keys are 1 to 7f, then 80 for the first item, 8180 to 81ff, 820100 to 82ffff and so on: runs of numbers, so the trie
    is made from its shape, without sorting and comparing paths.
    """
    count = len(items)
    if not count:
        return EMPTY_TRIE_ROOT
    if count == 1:
        return Hash32(keccak256(_ordered_leaf("80", items[0])))
    root = [NOTHING] * BRANCH_ITEMS
    for digit in range(8):
        low, high = max(1, digit << 4), min(count, (digit + 1) << 4)
        if low < high:
            root[digit] = _reference(_ordered_run(items, low, high, 1))
    longer = [NOTHING] * BRANCH_ITEMS
    for size in (1, 2, 3):
        low, high = max(0x80, 1 << (8 * (size - 1))), min(count, 1 << (8 * size))
        if low < high:
            longer[size] = _reference(_ordered_run(items, low, high, 2 * size))
    if longer[1] == NOTHING:
        root[8] = _reference(_ordered_leaf("0", items[0]))
    else:
        longer[0] = _reference(_ordered_leaf("", items[0]))
        root[8] = _reference(encode_branch(longer))
    return Hash32(keccak256(encode_branch(root)))


def find(nodes: NodeReader, owner: bytes, root: Hash32, key: bytes) -> bytes | None:
    """Return the value at a (hashed) key, or None. Raises StorageError when a node is missing."""
    return _descend(nodes, owner, root, key, [])


def prove(nodes: NodeReader, root: Hash32, key: bytes, *, owner: bytes = ACCOUNT_TRIE) -> tuple[bytes, ...]:
    """Return the nodes from the root towards a (hashed) key, as `eth_getProof` lists them.

    They prove the value at the key, or that there is none. An empty trie's proof is empty.
    """
    path: list[bytes] = []
    _descend(nodes, owner, root, key, path)
    return tuple(path)


def prove_account(nodes: NodeReader, root: Hash32, address: Address) -> tuple[bytes, ...]:
    """Return the proof of an account, or of its absence, under a state root."""
    return prove(nodes, root, keccak256(address))


def prove_storage(nodes: NodeReader, address: Address, storage_root: Hash32, slot: int) -> tuple[bytes, ...]:
    """Return the proof of one word, or of its absence, under an account's storage root."""
    return prove(nodes, storage_root, slot_key(slot), owner=address)


def slot_key(slot: int) -> bytes:
    """Return the key of a slot in its storage trie."""
    return keccak256(slot.to_bytes(32))


def decode_account(data: bytes) -> Account:
    """Return the account in a leaf of the account trie. Raises DecodingError."""
    nonce, balance, storage_root, code_hash = as_list(decode(data, max_depth=1), length=4)
    return Account(
        as_int(nonce, bits=64),
        as_int(balance),
        Hash32(as_bytes(storage_root, size=32)),
        Hash32(as_bytes(code_hash, size=32)),
    )


class TrieStateReader:
    """`StateReader` of the state at one root, read from its trie: for history and for checks.

    Raises StorageError where nodes of the root are not stored, or not any more.
    """

    def __init__(self, nodes: NodeReader, codes: CodeReader, root: Hash32) -> None:
        self._nodes = nodes
        self._codes = codes
        self._root = root
        self._accounts: dict[Address, Account | None] = {}

    def account(self, address: Address) -> Account | None:
        """Return the account, or None where the trie has no entry."""
        try:
            return self._accounts[address]
        except KeyError:
            data = find(self._nodes, ACCOUNT_TRIE, self._root, keccak256(address))
            account = None if data is None else decode_account(data)
            self._accounts[address] = account
            return account

    def storage(self, address: Address, slot: int) -> int:
        """Return the word at `slot`, 0 where none is stored."""
        account = self.account(address)
        if account is None:
            return 0
        data = find(self._nodes, address, account.storage_root, slot_key(slot))
        return 0 if data is None else as_int(decode(data))

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash."""
        return self._codes.code(code_hash)


def _update_storage(
    nodes: NodeReader, address: Address, root: Hash32, slots: Mapping[int, int], *, blank: bool
) -> TrieUpdate:
    """Update one storage trie; with `blank` it starts from nothing and all old nodes are stale."""
    patch = TriePatch(nodes, address)
    changes: list[Change] = [
        (slot_key(slot).hex(), encode_bytes(encode_int(word)) if word else None) for slot, word in slots.items()
    ]
    if not blank:
        return TrieUpdate(patch.apply(root, changes), patch.new, patch.stale)
    old = dict(walk(nodes, address, root))
    new_root = patch.apply(EMPTY_TRIE_ROOT, changes)
    new = {key: node for key, node in patch.new.items() if key not in old}
    kept = patch.new
    return TrieUpdate(new_root, new, [key for key in old if key not in kept])


def encode_account_value(account: Account) -> bytes:
    """Return what the account trie holds of an account: rlp [nonce, balance, storage root, code hash]."""
    return _account_item(account)[2:]


def _account_item(account: Account) -> bytes:
    """Return the account as the encoded value item of a leaf.

    The list is 68 to 109 bytes long, so both length prefixes have their two-byte form.
    """
    nonce, balance, storage_root, code_hash = account
    body = encode_int(nonce) + encode_int(balance) + b"\xa0" + storage_root + b"\xa0" + code_hash
    size = len(body)
    return bytes((0xB8, size + 2, 0xF8, size)) + body


def _ordered_run(items: Sequence[bytes], low: int, high: int, digits: int) -> bytes:
    """Return the node of items[low:high], whose paths are the last hexadecimal `digits` of their indexes."""
    if high - low == 1:
        return _ordered_leaf(f"{low:x}".zfill(digits)[-digits:], items[low])
    path = ""
    while (low ^ (high - 1)) >> (4 * (digits - 1)) == 0:
        digits -= 1
        path += HEX[(low >> (4 * digits)) & 15]
    parts = [NOTHING] * BRANCH_ITEMS
    if digits == 1:
        first = low & 15
        parts[first : first + high - low] = [_reference(_ordered_leaf("", item)) for item in items[low:high]]
    else:
        width = 1 << (4 * (digits - 1))
        for start in range(low & -width, high, width):
            run = _ordered_run(items, max(start, low), min(start + width, high), digits - 1)
            parts[(start // width) & 15] = _reference(run)
    branch = encode_branch(parts)
    return encode_extension(path, _reference(branch)) if path else branch


def _ordered_leaf(path: str, item: bytes) -> bytes:
    return encode_leaf(path, encode_bytes(item)) if path or len(item) < 2 else _leaf_head(len(item)) + item


@lru_cache(maxsize=1024)
def _leaf_head(size: int) -> bytes:
    """Return what stands before an item of at least two bytes in a leaf whose own path is empty."""
    return encode_leaf("", encode_bytes(bytes(size)))[:-size]


def _reference(node: bytes) -> bytes:
    return HASH_PREFIX + keccak256(node) if len(node) >= SHORTEST_HASHED else node


def _descend(nodes: NodeReader, owner: bytes, root: Hash32, key: bytes, visited: list[bytes]) -> bytes | None:
    """Walk towards a key, noting each stored node; return the value there, or None."""
    if root == EMPTY_TRIE_ROOT:
        return None
    path = key.hex()
    node = nodes.node(owner, root)
    visited.append(node)
    depth = 0
    while True:
        parts = split(node)
        if len(parts) == BRANCH_ITEMS:
            if depth == len(path):
                return payload(parts[-1]) or None
            reference = parts[DIGITS[path[depth]]]
            depth += 1
        else:
            rest, is_leaf = unpack_path(parts[0])
            if is_leaf:
                return payload(parts[1]) if path[depth:] == rest else None
            if not path.startswith(rest, depth):
                return None
            depth += len(rest)
            reference = parts[1]
        if reference[0] != HASH_ITEM:
            if reference == NOTHING:
                return None
            node = reference
        else:
            node = nodes.node(owner, Hash32(reference[1:]))
            visited.append(node)
