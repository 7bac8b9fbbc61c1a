r"""Bytes of Merkle-Patricia trie nodes (Yellow Paper, appendix D).

Trie code handles nodes as raw RLP and takes them apart only one level deep, because that is all a
visit needs: `split` gives a node's items still encoded, so that putting them together again is one
`join`. A node is referred to by an encoded item too:

    b"\x80"              nothing
    b"\xa0" + hash       a node of 32 bytes or more, stored under its hash
    b"\xc1…" to b"\xdf…"  a shorter node, embedded as it is

Paths are strings of hexadecimal digits, one per nibble: `bytes.hex` and `bytes.fromhex` pack and
unpack them in C, and they sort like the keys they stand for.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.types.rlp import encode_bytes, encode_list

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING = b"\x80"
"""Reference to no node, and the empty value of a branch."""
_NOTHING_BYTE = 0x80
HASH_ITEM = 0xA0
"""First byte of an item of 32 bytes: a reference by hash, wherever a reference is expected."""
HASH_PREFIX = b"\xa0"
"""Before the hash in such an item."""
SHORTEST_HASHED = 32
"""Bytes of a node from which on it is referred to by its hash."""
BRANCH_ITEMS = 17
"""16 children and a value."""
DIGITS = {digit: index for index, digit in enumerate("0123456789abcdef")}
"""Value of a path digit."""
HEX = "0123456789abcdef"
"""Path digit of a value."""

_EXTENSION_EVEN, _EXTENSION_ODD, _LEAF_EVEN, _LEAF_ODD = "00", "1", "20", "3"
_FULL_SIZE = 532
_FULL_MARKS = bytes((HASH_ITEM,)) * 16
_split_full = Struct("3x" + "33s" * 16 + "s").unpack


def split(node: bytes) -> list[bytes]:
    """Return the encoded items of a node: 2 of a leaf or extension, 17 of a branch.

    For nodes that are known by their hash, not for bytes of strangers. Raises DecodingError when
    the items are not 2 or 17.
    """
    size = len(node)
    if size == _FULL_SIZE and node[3:531:33] == _FULL_MARKS:
        return list(_split_full(node))
    items = []
    position = first_item(node)
    while position < size:
        first = node[position]
        if first == HASH_ITEM:
            end = position + 33
        elif first == _NOTHING_BYTE:
            end = position + 1
        else:
            end = item_end(node, position)
        items.append(node[position:end])
        position = end
    if position != size or len(items) not in (2, BRANCH_ITEMS):
        raise DecodingError(f"not a trie node: {len(items)} items in {size} bytes")
    return items


def first_item(node: bytes) -> int:
    """Return where the first item of a node starts."""
    return 1 if node[0] < 0xF8 else node[0] - 0xF6


def is_branch(node: bytes, start: int) -> bool:
    """Tell a branch from a leaf or extension, given where its first item starts.

    The first item of the latter is a path, which is never empty and never a list; only when it is
    as long as a hash does the rest of the node have to decide.
    """
    first = node[start]
    if first == HASH_ITEM:
        return item_end(node, start + 33) != len(node)
    return first == _NOTHING_BYTE or first >= 0xC0


def find_child(node: bytes, position: int, index: int) -> tuple[int, int]:
    """Return where a branch's child starts and ends, given where the branch's first item starts."""
    for _ in range(index):
        first = node[position]
        if first == HASH_ITEM:
            position += 33
        elif first == _NOTHING_BYTE:
            position += 1
        else:
            position = item_end(node, position)
    return position, item_end(node, position)


def item_end(data: bytes, position: int) -> int:
    """Return where the RLP item that starts at `position` ends."""
    first = data[position]
    if first <= 0x80:
        return position + 1
    if first < 0xB8:
        return position + first - 0x7F
    if first < 0xC0:
        start = position + first - 0xB6
    elif first < 0xF8:
        return position + first - 0xBF
    else:
        start = position + first - 0xF6
    return start + int.from_bytes(data[position + 1 : start])


def payload(item: bytes) -> bytes:
    """Return the bytes that an encoded string item stands for."""
    first = item[0]
    if first < 0x80:
        return item
    if first < 0xB8:
        return item[1:]
    return item[first - 0xB6 :]


def unpack_path(item: bytes) -> tuple[str, bool]:
    """Return the path in the first item of a leaf or extension, and whether it is a leaf's."""
    digits = payload(item).hex()
    flag = DIGITS[digits[0]]
    if flag & 1:
        return digits[1:], flag >= 2
    return digits[2:], flag >= 2


def leaf_path_item(path: str) -> bytes:
    """Return the first item of a leaf with this path."""
    return encode_bytes(bytes.fromhex((_LEAF_ODD if len(path) & 1 else _LEAF_EVEN) + path))


def encode_leaf(path: str, value: bytes) -> bytes:
    """Return a leaf; `value` is an encoded string item."""
    return encode_list((leaf_path_item(path), value))


def encode_extension(path: str, child: bytes) -> bytes:
    """Return an extension to the node that the reference `child` names."""
    compact = bytes.fromhex((_EXTENSION_ODD if len(path) & 1 else _EXTENSION_EVEN) + path)
    return encode_list((encode_bytes(compact), child))


def encode_branch(items: Sequence[bytes]) -> bytes:
    """Return a branch of 16 references and an encoded value item."""
    return encode_list(items)


def common_length(one: str, other: str, start: int) -> int:
    """Return how far the paths agree, given that they agree up to `start`."""
    limit = min(len(one), len(other))
    while start < limit and one[start] == other[start]:
        start += 1
    return start
