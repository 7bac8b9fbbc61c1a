"""Apply a batch of changes to one Merkle-Patricia trie.

Changes are sorted by key and carried down together, so every node on the way to a changed key is
read once, taken apart once and hashed once, however many keys lie below it. A node being worked on
is raw RLP without a hash; it is sealed, that is hashed and recorded, only when its parent is
certain to keep it. So collapsing branches leaves no garbage behind:

    update(node, items) ─► raw node, b"" when nothing is left, or the very same bytes if unchanged

What was read and is not part of the result is stale; what was sealed and not read is new.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.nodes import (
    BRANCH_ITEMS,
    DIGITS,
    HASH_ITEM,
    HASH_PREFIX,
    HEX,
    NOTHING,
    SHORTEST_HASHED,
    common_length,
    encode_branch,
    encode_extension,
    encode_leaf,
    find_child,
    first_item,
    is_branch,
    leaf_path_item,
    split,
    unpack_path,
)
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Hash32
from cybermiles.types.rlp import encode_list

if TYPE_CHECKING:
    from cybermiles.state.reader import NodeReader

Change = tuple[str, bytes | None]
"""Path, and the value as an encoded string item or None to delete."""

_VALUE = 16
_path_of = itemgetter(0)


class TriePatch:
    """One batch of changes to one trie. Used once."""

    __slots__ = ("_node", "_owner", "_read", "_sealed")

    def __init__(self, nodes: NodeReader, owner: bytes) -> None:
        self._node = nodes.node
        self._owner = owner
        self._read: dict[Hash32, bytes] = {}
        self._sealed: dict[Hash32, bytes] = {}

    @property
    def new(self) -> dict[Hash32, bytes]:
        """Nodes of the new trie that the old one does not have."""
        read = self._read
        return {key: node for key, node in self._sealed.items() if key not in read}

    @property
    def stale(self) -> list[Hash32]:
        """Nodes of the old trie that the new one does not use, in the order they were read."""
        sealed = self._sealed
        return [key for key in self._read if key not in sealed]

    def apply(self, root: Hash32, changes: list[Change]) -> Hash32:
        """Return the root after the changes; each path occurs once. Raises StorageError."""
        changes.sort(key=_path_of)
        old = b""
        if root != EMPTY_TRIE_ROOT:
            old = self._read[root] = self._node(self._owner, root)
        new = self._update(old, changes, 0, len(changes), 0)
        if new == old:
            self._read.pop(root, None)
            return root
        if not new:
            return EMPTY_TRIE_ROOT
        new_root = Hash32(keccak256(new))
        self._sealed[new_root] = new
        return new_root

    def _update(self, node: bytes, items: list[Change], low: int, high: int, depth: int) -> bytes:
        """Apply items[low:high], which share their first `depth` digits, to the node there."""
        if not node:
            puts = [item for item in items[low:high] if item[1] is not None]
            return self._build(puts, 0, len(puts), depth) if puts else b""
        start = first_item(node)
        if is_branch(node, start):
            if items[low][0][depth : depth + 1] == items[high - 1][0][depth : depth + 1] != "":
                return self._update_child(node, start, items, low, high, depth)
            new = self._update_branch(split(node), [], items, low, high, depth)
        else:
            new = self._update_pair(node, start, items, low, high, depth)
        return node if new is None else new

    def _update_pair(
        self, node: bytes, start: int, items: list[Change], low: int, high: int, depth: int
    ) -> bytes | None:
        """Return what becomes of a leaf or extension, or None when nothing changed."""
        if high - low == 1:
            key, value = items[low]
            if value is not None:
                path_item = leaf_path_item(key[depth:])
                if node.startswith(path_item, start):
                    return encode_list((path_item, value))
        parts = split(node)
        path, is_leaf = unpack_path(parts[0])
        if is_leaf:
            return self._update_leaf(parts, path, items, low, high, depth)
        return self._update_extension(parts[1], path, items, low, high, depth)

    def _update_child(self, node: bytes, start: int, items: list[Change], low: int, high: int, depth: int) -> bytes:
        """Update the only child of a branch that the items lead to, in place where possible."""
        index = DIGITS[items[low][0][depth]]
        position, end = find_child(node, start, index)
        reference = node[position:end]
        child = self._open(reference)
        new = self._update(child, items, low, high, depth + 1)
        if new == child:
            self._keep(reference)
            return node
        if reference[0] == HASH_ITEM and len(new) >= SHORTEST_HASHED:
            return node[:position] + self._seal(new) + node[end:]
        parts = split(node)
        parts[index] = new or NOTHING
        return self._finish_branch(parts, [index])

    def _update_branch(
        self,
        parts: list[bytes],
        dirty: list[int],
        items: list[Change],
        low: int,
        high: int,
        depth: int,
    ) -> bytes | None:
        """Return the branch with the items applied, or None when nothing changed.

        `dirty` lists children given as raw nodes that are not sealed yet.
        """
        if len(items[low][0]) == depth:
            value = items[low][1] or NOTHING
            if value != parts[_VALUE]:
                parts[_VALUE] = value
                dirty.append(_VALUE)
            low += 1
        while low < high:
            digit = items[low][0][depth]
            end = low + 1
            while end < high and items[end][0][depth] == digit:
                end += 1
            index = DIGITS[digit]
            reference = parts[index]
            child = self._open(reference)
            new = self._update(child, items, low, end, depth + 1)
            low = end
            if new == child:
                self._keep(reference)
            else:
                parts[index] = new or NOTHING
                if index not in dirty:
                    dirty.append(index)
        return self._finish_branch(parts, dirty) if dirty else None

    def _finish_branch(self, parts: list[bytes], dirty: list[int]) -> bytes:
        """Seal the changed children, or put what is left in the branch's place."""
        if NOTHING in [parts[index] for index in dirty]:
            survivors = [index for index, part in enumerate(parts) if part != NOTHING]
            if not survivors:
                return b""
            if len(survivors) == 1:
                return self._collapse(parts[survivors[0]], survivors[0], dirty)
        for index in dirty:
            if index != _VALUE and parts[index] != NOTHING:
                parts[index] = self._seal(parts[index])
        return encode_branch(parts)

    def _collapse(self, part: bytes, index: int, dirty: list[int]) -> bytes:
        """Return what takes the place of a branch with one item left."""
        if index == _VALUE:
            return encode_leaf("", part)
        if index in dirty:
            return self._extend(HEX[index], part)
        child = self._open(part)
        parts = split(child)
        if len(parts) == BRANCH_ITEMS:
            self._keep(part)
            return encode_extension(HEX[index], part)
        return self._prolong(HEX[index], parts)

    def _update_extension(
        self,
        reference: bytes,
        path: str,
        items: list[Change],
        low: int,
        high: int,
        depth: int,
    ) -> bytes | None:
        """Return an extension with the items applied, or None when nothing changed."""
        if not _all_below(path, items, low, high, depth):
            items = [item for item in items[low:high] if item[1] is not None or item[0].startswith(path, depth)]
            if not items:
                return None
            low, high = 0, len(items)
            if not _all_below(path, items, low, high, depth):
                return self._fork_extension(reference, path, items, depth)
        child = self._open(reference)
        new = self._update(child, items, low, high, depth + len(path))
        if new == child:
            self._keep(reference)
            return None
        return self._extend(path, new)

    def _fork_extension(self, reference: bytes, path: str, items: list[Change], depth: int) -> bytes | None:
        """Put a branch where the first of the items leaves the extension's path."""
        high = len(items)
        full = items[0][0][:depth] + path
        fork = min(common_length(full, items[0][0], depth), common_length(full, items[-1][0], depth))
        parts = [NOTHING] * BRANCH_ITEMS
        dirty = []
        index = DIGITS[full[fork]]
        rest = full[fork + 1 :]
        if rest:
            parts[index] = encode_extension(rest, reference)
            dirty.append(index)
        else:
            parts[index] = reference
        branch = self._update_branch(parts, dirty, items, 0, high, fork)
        return None if branch is None else self._extend(full[depth:fork], branch)

    def _update_leaf(
        self,
        parts: list[bytes],
        path: str,
        items: list[Change],
        low: int,
        high: int,
        depth: int,
    ) -> bytes | None:
        """Return what becomes of a leaf, or None when nothing changed."""
        full = items[low][0][:depth] + path
        kept = [item for item in items[low:high] if item[1] is not None]
        if all(item[0] != full for item in items[low:high]):
            if not kept:
                return None
            kept.append((full, parts[1]))
            kept.sort(key=_path_of)
        return self._build(kept, 0, len(kept), depth) if kept else b""

    def _build(self, items: list[Change], low: int, high: int, depth: int) -> bytes:
        """Return a new subtrie of items[low:high], all of them with values, at least one."""
        first, value = items[low]
        if high - low == 1:
            return encode_leaf(first[depth:], value or NOTHING)
        fork = common_length(first, items[high - 1][0], depth)
        parts = [NOTHING] * BRANCH_ITEMS
        if len(first) == fork:
            parts[_VALUE] = value or NOTHING
            low += 1
        seal = self._seal
        while low < high:
            digit = items[low][0][fork]
            end = low + 1
            while end < high and items[end][0][fork] == digit:
                end += 1
            parts[DIGITS[digit]] = seal(self._build(items, low, end, fork + 1))
            low = end
        branch = encode_branch(parts)
        return encode_extension(first[depth:fork], seal(branch)) if fork > depth else branch

    def _extend(self, path: str, node: bytes) -> bytes:
        """Return the node that stands `path` above `node`."""
        if not node or not path:
            return node
        parts = split(node)
        if len(parts) == BRANCH_ITEMS:
            return encode_extension(path, self._seal(node))
        return self._prolong(path, parts)

    def _prolong(self, path: str, parts: list[bytes]) -> bytes:
        """Return the leaf or extension with `path` put before its own path."""
        rest, is_leaf = unpack_path(parts[0])
        return (encode_leaf if is_leaf else encode_extension)(path + rest, parts[1])

    def _open(self, reference: bytes) -> bytes:
        """Return the node a reference names, b"" for none."""
        if reference[0] != HASH_ITEM:
            return b"" if reference == NOTHING else reference
        key = Hash32(reference[1:])
        node = self._read[key] = self._node(self._owner, key)
        return node

    def _keep(self, reference: bytes) -> None:
        """Take back that the node was read: it stays part of the trie."""
        if reference[0] == HASH_ITEM:
            self._read.pop(Hash32(reference[1:]), None)

    def _seal(self, node: bytes) -> bytes:
        """Return the reference to a finished node."""
        if len(node) < SHORTEST_HASHED:
            return node
        key = Hash32(keccak256(node))
        self._sealed[key] = node
        return HASH_PREFIX + key


def _all_below(path: str, items: list[Change], low: int, high: int, depth: int) -> bool:
    """Tell whether all of the sorted items continue with `path`."""
    return items[low][0].startswith(path, depth) and items[high - 1][0].startswith(path, depth)
