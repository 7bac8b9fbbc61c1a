"""Where world state is read from: the flat current state, or a trie at any stored root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cybermiles.errors import StorageError

if TYPE_CHECKING:
    from cybermiles.types.account import Account
    from cybermiles.types.primitives import Address, Hash32


class StateReader(Protocol):
    """Committed state at one root; never changes while it is used."""

    def account(self, address: Address) -> Account | None:
        """Return the account, or None where the trie has no entry."""
        ...

    def storage(self, address: Address, slot: int) -> int:
        """Return the 256-bit word at `slot`, 0 where none is stored."""
        ...

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash. Raises StorageError when it is missing."""
        ...


class NodeReader(Protocol):
    """Trie nodes by owner and hash.

    `owner` is the 20-byte address whose storage trie the node belongs to, or b"" for the account trie.
    Inside one trie a node hash occurs at one place only, so (owner, hash) names one place and a replaced
    node can be deleted without reference counting.
    """

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        """Return the node's RLP. Raises StorageError when missing or when it does not hash to `node_hash`."""
        ...


class NoState:
    """`StateReader` and `NodeReader` of the state before genesis: nothing exists."""

    def account(self, address: Address) -> Account | None:  # noqa: ARG002  (nothing exists)
        return None

    def storage(self, address: Address, slot: int) -> int:  # noqa: ARG002  (nothing exists)
        return 0

    def code(self, code_hash: Hash32) -> bytes:
        raise StorageError(f"no code {code_hash.hex()} before genesis")

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        raise StorageError(f"no trie node {owner.hex()}/{node_hash.hex()} before genesis")


@dataclass(slots=True)
class StateChanges:
    """Net effect of a block on the state. Keys are in order of first write; consumers sort them."""

    accounts: dict[Address, tuple[int, int, Hash32] | None] = field(default_factory=dict)
    """(nonce, balance, code hash) after the block, or None for an account that is gone."""
    storage: dict[Address, dict[int, int]] = field(default_factory=dict)
    """Slots whose value differs from the parent's; 0 deletes."""
    codes: dict[Hash32, bytes] = field(default_factory=dict)
    """New code by hash."""
    wiped: dict[Address, None] = field(default_factory=dict)
    """Accounts that lost all earlier storage (deleted, perhaps created again); an ordered set."""


@dataclass(frozen=True, slots=True)
class RootUpdate:
    """What a batched trie update did."""

    root: Hash32
    """State root after the update."""
    nodes: dict[tuple[bytes, Hash32], bytes]
    """(owner, hash) to RLP of every new node."""
    stale: tuple[tuple[bytes, Hash32], ...]
    """(owner, hash) of every node of the parent trie that the new one does not use any more."""
    accounts: dict[Address, Account | None]
    """Changed accounts with their new storage roots; None where deleted. Feeds the flat state."""
