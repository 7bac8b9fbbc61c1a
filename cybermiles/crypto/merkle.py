"""Binary Merkle trees over byte strings, as RFC 6962 §2.1 hashes them.

    leaf   sha256(0x00 ‖ data)          inner   sha256(0x01 ‖ left ‖ right)

A tree of n leaves splits at the largest power of two below n. The prefixes keep an inner node from being
presented as a leaf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data)


def root_and_proofs(leaves: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Return the root over the leaves' data, and for each leaf its siblings from the leaf up.

    Raises ValueError without leaves.
    """
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    root, proofs = _build([leaf_hash(leaf) for leaf in leaves])
    return root, [tuple(proof) for proof in proofs]


def verify_proof(root: bytes, data: bytes, index: int, total: int, siblings: Sequence[bytes]) -> bool:
    """Whether `data` is the leaf `index` of `total` under `root`; wrong shapes are False, never an error."""
    if not 0 <= index < total:
        return False
    computed = _climb(leaf_hash(data), index, total, list(siblings))
    return computed == root


def _build(hashes: list[bytes]) -> tuple[bytes, list[list[bytes]]]:
    if len(hashes) == 1:
        return hashes[0], [[]]
    split = _split(len(hashes))
    left, left_proofs = _build(hashes[:split])
    right, right_proofs = _build(hashes[split:])
    for proof in left_proofs:
        proof.append(right)
    for proof in right_proofs:
        proof.append(left)
    return _inner(left, right), left_proofs + right_proofs


def _climb(node: bytes, index: int, total: int, siblings: list[bytes]) -> bytes | None:
    """Return the root that the proof leads to, None where the proof is too short or too long."""
    turns: list[bool] = []
    while total > 1:
        split = _split(total)
        is_left = index < split
        turns.append(is_left)
        index, total = (index, split) if is_left else (index - split, total - split)
    if len(turns) != len(siblings):
        return None
    for is_left, sibling in zip(reversed(turns), siblings, strict=True):
        if len(sibling) != HASH_BYTES:
            return None
        node = _inner(node, sibling) if is_left else _inner(sibling, node)
    return node


def _inner(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
