"""Which chain this store holds and how far it has come: genesis, head, supply, oldest state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.errors import StorageError
from cybermiles.storage.schema import (
    GENESIS,
    HEAD,
    OLDEST_STATE,
    SCHEMA,
    SCHEMA_VERSION,
    SUPPLY,
    encode_height,
)
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32, Wei

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueReader

_HEAD_BYTES = 72


class Head(NamedTuple):
    """The last committed block."""

    height: int
    block_hash: Hash32
    state_root: Hash32


class Supply(NamedTuple):
    """Where all coins come from and went to, in wei."""

    genesis: Wei
    """Sum of all balances in block 0."""
    minted: Wei
    """New coins since."""
    burnt: Wei
    """Coins destroyed since."""

    @property
    def total(self) -> Wei:
        """Coins that exist."""
        return Wei(self.genesis + self.minted - self.burnt)


class ChainStore:
    """The few records about the chain as a whole, kept in memory as well."""

    def __init__(self, store: KeyValueReader) -> None:
        """Read the records. Raises StorageError when their layout is another version's."""
        self._store = store
        version = store.get(SCHEMA)
        if version is not None and int.from_bytes(version) != SCHEMA_VERSION:
            raise StorageError(
                f"the store has layout {int.from_bytes(version)}, this program knows layout "
                f"{SCHEMA_VERSION}: use the program version that wrote it, or sync into a new "
                "directory"
            )
        self._head = self._load_head()

    @property
    def head(self) -> Head | None:
        """The last committed block, None in an empty store."""
        return self._head

    @property
    def genesis_hash(self) -> Hash32 | None:
        """Hash of block 0, None in an empty store."""
        value = self._store.get(GENESIS)
        return None if value is None else Hash32(value)

    @property
    def supply(self) -> Supply:
        """Coins at the head. Raises StorageError in an empty store."""
        genesis, minted, burnt = rlp.as_list(rlp.decode(self.supply_record), length=3)
        return Supply(Wei(rlp.as_int(genesis)), Wei(rlp.as_int(minted)), Wei(rlp.as_int(burnt)))

    @property
    def supply_record(self) -> bytes:
        """The stored form of `supply`. Raises StorageError in an empty store."""
        value = self._store.get(SUPPLY)
        if value is None:
            raise StorageError("the store has no supply record: it is empty or damaged")
        return value

    @property
    def oldest_state(self) -> int:
        """Height of the oldest block whose whole state can be read."""
        return int.from_bytes(self._store.get(OLDEST_STATE) or b"")

    def remember(self, head: Head) -> None:
        """Take over a head that was just committed."""
        self._head = head

    def follow(self) -> None:
        """Read again how far the chain is; for who reads what another process writes."""
        self._head = self._load_head()

    def _load_head(self) -> Head | None:
        value = self._store.get(HEAD)
        if value is None:
            return None
        if len(value) != _HEAD_BYTES:
            raise StorageError(f"the head record has {len(value)} bytes: the store is damaged")
        return Head(int.from_bytes(value[:8]), Hash32(value[8:40]), Hash32(value[40:]))


def chain_records(head: Head, supply: Supply) -> dict[bytes, bytes]:
    """Return the entries that move the head."""
    return {
        HEAD: encode_height(head.height) + head.block_hash + head.state_root,
        SUPPLY: rlp.encode([rlp.int_to_bytes(amount) for amount in supply]),
    }


def genesis_records(genesis_hash: Hash32) -> dict[bytes, bytes]:
    """Return the entries that are written once, with block 0."""
    return {
        SCHEMA: SCHEMA_VERSION.to_bytes(4),
        GENESIS: genesis_hash,
        OLDEST_STATE: encode_height(0),
    }
