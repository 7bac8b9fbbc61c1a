"""Headers, blocks and the commits that decided them, by height and by hash.

Block 0 has a header only: its content is the genesis document. The last blocks stay decoded in
memory, because clients ask for what was just committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import StorageError
from cybermiles.state.nodes import item_end, payload
from cybermiles.storage.schema import BLOCK, COMMIT, HEADER, HEIGHT, at_height, encode_height, height_in
from cybermiles.types import rlp
from cybermiles.types.block import decode_block
from cybermiles.types.commit import decode_commit
from cybermiles.types.header import decode_header
from cybermiles.types.transaction_codec import decode_transaction

if TYPE_CHECKING:
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.block import Block
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction

RECENT_BLOCKS = 2
"""Decoded blocks kept; each may hold 4 MiB of transactions."""
_LONG_LIST = 0xF8


class BlockStore:
    """Read access to the chain of blocks."""

    def __init__(self, store: KeyValueReader) -> None:
        self._store = store
        self._recent: dict[int, Block] = {}
        self._base: int | None = None

    def header(self, height: int) -> Header | None:
        """Return the header at a height, None above the head."""
        recent = self._recent.get(height)
        if recent is not None:
            return recent.header
        raw = self._store.get(at_height(HEADER, height))
        return None if raw is None else decode_header(rlp.decode(raw))

    def height_of(self, block_hash: Hash32) -> int | None:
        """Return the height of a block, None when it is not part of the chain."""
        value = self._store.get(HEIGHT + block_hash)
        return None if value is None else int.from_bytes(value)

    def header_by_hash(self, block_hash: Hash32) -> Header | None:
        """Return a block's header. Raises StorageError when the stored header has another hash."""
        height = self.height_of(block_hash)
        header = None if height is None else self.header(height)
        if header is not None and header.hash != block_hash:
            raise StorageError(
                f"header {header.height} has hash {header.hash.hex()} and is indexed as "
                f"{block_hash.hex()}: the store is damaged"
            )
        return header

    def block(self, height: int) -> Block | None:
        """Return the block at a height, None for block 0 and above the head."""
        recent = self._recent.get(height)
        if recent is not None:
            return recent
        raw = self.raw_block(height)
        return None if raw is None else decode_block(raw, max_bytes=len(raw))

    def block_by_hash(self, block_hash: Hash32) -> Block | None:
        """Return a block by its hash, None when it is not part of the chain or is block 0."""
        height = self.height_of(block_hash)
        return None if height is None else self.block(height)

    def raw_block(self, height: int) -> bytes | None:
        """Return the block's wire bytes, as peers want them."""
        return self._store.get(at_height(BLOCK, height))

    @property
    def base(self) -> int:
        """The lowest height whose block is stored, 1 where none is; over 1 in a store made of a snapshot."""
        if self._base is None:
            first = self._store.iterate(BLOCK, BLOCK + b"\xff" * 9)
            self._base = next((height_in(key) for key, _ in first), None)
        return self._base or 1

    def is_at_hand(self, height: int) -> bool:
        """Tell whether `block` has this one decoded already."""
        return height in self._recent

    def transaction(self, height: int, index: int) -> Transaction:
        """Return one transaction without decoding its block. Raises StorageError where the block has no such one."""
        recent = self._recent.get(height)
        if recent is not None and 0 <= index < len(recent.transactions):
            return recent.transactions[index]
        return decode_transaction(self.raw_transaction(height, index))

    def raw_transaction(self, height: int, index: int) -> bytes:
        """Return a transaction's wire bytes without decoding its block.

        Raises StorageError when the block has no such transaction.
        """
        recent = self._recent.get(height)
        if recent is not None and 0 <= index < len(recent.transactions):
            return recent.transactions[index].raw
        raw = self.raw_block(height)
        if raw is not None:
            start = item_end(raw, _first_item(raw, 0))
            end = item_end(raw, start)
            position = _first_item(raw, start)
            while position < end:
                stop = item_end(raw, position)
                if not index:
                    return payload(raw[position:stop])
                index -= 1
                position = stop
        raise StorageError(f"block {height} is not stored or has too few transactions")

    def commit(self, height: int) -> Commit | None:
        """Return the commit that decided the block, None for block 0 and above the head."""
        raw = self._store.get(at_height(COMMIT, height))
        return None if raw is None else decode_commit(rlp.decode(raw))

    def remember(self, block: Block) -> None:
        """Keep a block that was just committed decoded."""
        self._recent[block.height] = block
        self._recent.pop(block.height - RECENT_BLOCKS, None)


def header_records(header: Header) -> dict[bytes, bytes]:
    """Return the entries that a header adds to its block's batch."""
    return {
        at_height(HEADER, header.height): header.encode(),
        HEIGHT + header.hash: encode_height(header.height),
    }


def block_records(block: Block, commit: Commit) -> dict[bytes, bytes]:
    """Return the entries that a block adds to its batch, its header's included."""
    return header_records(block.header) | {
        at_height(BLOCK, block.height): block.encode(),
        at_height(COMMIT, block.height): rlp.encode(commit.to_item()),
    }


def _first_item(raw: bytes, position: int) -> int:
    """Return where the first item of the list at `position` starts."""
    return position + (1 if raw[position] < _LONG_LIST else raw[position] - 0xF6)
