"""Check a Merkle proof that a stranger sent, knowing nothing but a root.

The other side of `trie.prove`. Nothing in the proof is trusted: nodes are decoded strictly and each
must hash to what its parent, or the root, says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError
from cybermiles.state.nodes import BRANCH_ITEMS, DIGITS
from cybermiles.types.primitives import EMPTY_TRIE_ROOT
from cybermiles.types.rlp import as_bytes, as_list, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.types.primitives import Hash32
    from cybermiles.types.rlp import Item

_PAIR_ITEMS = 2
_HASH_SIZE = 32


def verify_proof(root: Hash32, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the value that the proof shows at a (hashed) key, None if it shows that there is none.

    Raises DecodingError when the proof shows nothing: a node is missing, superfluous, malformed or
    has another hash.
    """
    path = key.hex()
    rest = list(proof)
    reference: Item = b"" if root == EMPTY_TRIE_ROOT else root
    while reference:
        items = as_list(_resolve(reference, rest))
        if len(items) == BRANCH_ITEMS:
            if not path:
                _check_all_used(rest)
                return as_bytes(items[-1]) or None
            reference, path = items[DIGITS[path[0]]], path[1:]
            continue
        if len(items) != _PAIR_ITEMS:
            raise DecodingError(f"proof: a node of {len(items)} items")
        segment, is_leaf = _path(as_bytes(items[0]))
        if is_leaf:
            _check_all_used(rest)
            return as_bytes(items[1]) if path == segment else None
        if not path.startswith(segment):
            break
        reference, path = items[1], path[len(segment) :]
    _check_all_used(rest)
    return None


def _resolve(reference: Item, rest: list[bytes]) -> Item:
    """Return the node a reference names: the reference itself or the next one of the proof."""
    if isinstance(reference, list):
        return reference
    if len(reference) != _HASH_SIZE:
        raise DecodingError(f"proof: a reference of {len(reference)} bytes")
    if not rest:
        raise DecodingError(f"proof: node {reference.hex()} is missing")
    node = rest.pop(0)
    if keccak256(node) != reference:
        raise DecodingError(f"proof: a node does not hash to {reference.hex()}")
    return decode(node)


def _path(compact: bytes) -> tuple[str, bool]:
    """Return the digits of a compact path and whether it is a leaf's."""
    digits = compact.hex()
    if digits[:1] in ("1", "3"):
        return digits[1:], digits[0] == "3"
    if digits[:2] in ("00", "20"):
        return digits[2:], digits[0] == "2"
    raise DecodingError(f"proof: a path that starts with {digits[:2]!r}")


def _check_all_used(rest: list[bytes]) -> None:
    if rest:
        raise DecodingError(f"proof: {len(rest)} nodes too many")
