"""The list of who is paid by a recovery: a file of addresses and amounts, and the Merkle tree over it.

    victim,amount              a head line is allowed, amounts are CMT
    0x7099…79C8,1200.5

The tree is that of OpenZeppelin's merkle-tree for (address, uint256), so that its tools make the same root and proofs:
leaves sorted by hash at the end of a complete binary tree, pairs hashed in ascending order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.reading import Field
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError
from cybermiles.governance.recovery import leaf_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cybermiles.types.primitives import Address


class Victim(NamedTuple):
    """Who is paid how much, if everything listed is recovered."""

    address: Address
    amount: int
    """Wei."""


def read_victims(path: Path) -> list[Victim]:
    """Return the victims that a file lists. Raises ConfigError that names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    victims: list[Victim] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and not line.startswith("0x")):
            continue
        where = f"{path}, line {number}"
        address, comma, amount = line.partition(",")
        if not comma:
            raise ConfigError(f'{where}: "{line[:80]}" must be ADDRESS,CMT')
        victims.append(Victim(Field(address.strip(), where).address(), Field(amount.strip(), where).cmt()))
    if not victims:
        raise ConfigError(f"{path} lists nobody")
    return victims


def merkle_root(victims: Sequence[Victim]) -> bytes:
    """Return the root that members vote on."""
    return _tree(_leaves(victims))[0]


def merkle_proof(victims: Sequence[Victim], victim: Victim) -> tuple[bytes, ...]:
    """Return the siblings from a victim's leaf up to the root. Raises ConfigError for who is not on the list."""
    leaves = _leaves(victims)
    leaf = leaf_of(*victim)
    if leaf not in leaves:
        raise ConfigError(f"0x{victim.address.hex()} with {victim.amount} wei is not on the list")
    tree = _tree(leaves)
    index = len(tree) - 1 - leaves.index(leaf)
    proof = []
    while index:
        proof.append(tree[index + 1 if index % 2 else index - 1])
        index = (index - 1) // 2
    return tuple(proof)


def _leaves(victims: Sequence[Victim]) -> list[bytes]:
    return sorted(leaf_of(*victim) for victim in victims)


def _tree(leaves: Sequence[bytes]) -> list[bytes]:
    """Return all nodes, the root first; node i has the children 2i + 1 and 2i + 2."""
    nodes = [b""] * (2 * len(leaves) - 1)
    for index, leaf in enumerate(leaves):
        nodes[len(nodes) - 1 - index] = leaf
    for index in reversed(range(len(leaves) - 1)):
        left, right = nodes[2 * index + 1], nodes[2 * index + 2]
        nodes[index] = keccak256(min(left, right) + max(left, right))
    return nodes
