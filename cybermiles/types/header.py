"""The block header: Ethereum's, with the fields of the Prague fork.

What Ethereum needs and this chain does not have is fixed (no ommers, no proof of work, base fee 0, no blobs, no
withdrawals), and other values are refused when decoding. `extra_data` is the 32-byte commitment to the
consensus fields, so that tools that allow 32 bytes there accept the block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256, sha256
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.primitives import (
    EMPTY_OMMERS_HASH,
    EMPTY_TRIE_ROOT,
    ZERO_HASH,
    Address,
    Hash32,
)

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item

EMPTY_REQUESTS_HASH = Hash32(sha256(b""))
"""EIP-7685 hash of no requests."""
ZERO_NONCE = bytes(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One block's header. Its hash is what validators vote on."""

    parent_hash: Hash32
    coinbase: Address
    """The proposer's operator address."""
    state_root: Hash32
    """After this block."""
    transactions_root: Hash32
    receipts_root: Hash32
    logs_bloom: bytes
    """256 bytes."""
    height: int
    gas_limit: int
    gas_used: int
    timestamp: int
    """Whole seconds, greater than the parent's."""
    extra_data: bytes
    """32 bytes: the commitment to the consensus fields; in block 0 the genesis document's hash."""
    prev_randao: Hash32
    _hash: Hash32 | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def hash(self) -> Hash32:
        """keccak256 of the encoding."""
        if self._hash is None:
            object.__setattr__(self, "_hash", Hash32(keccak256(self.encode())))
        return self._hash  # type: ignore[return-value]  # set just above

    @property
    def base_fee(self) -> int:
        """Wei per gas that every transaction burns: 0 for ever on this chain."""
        return 0

    def encode(self) -> bytes:
        """Return the RLP list of Prague's 21 fields."""
        return rlp.encode_list([rlp.encode_bytes(value) for value in self._fields()])

    def _fields(self) -> tuple[bytes, ...]:
        return (
            self.parent_hash,
            EMPTY_OMMERS_HASH,
            self.coinbase,
            self.state_root,
            self.transactions_root,
            self.receipts_root,
            self.logs_bloom,
            b"",
            rlp.int_to_bytes(self.height),
            rlp.int_to_bytes(self.gas_limit),
            rlp.int_to_bytes(self.gas_used),
            rlp.int_to_bytes(self.timestamp),
            self.extra_data,
            self.prev_randao,
            ZERO_NONCE,
            b"",
            EMPTY_TRIE_ROOT,
            b"",
            b"",
            ZERO_HASH,
            EMPTY_REQUESTS_HASH,
        )


def decode_header(item: Item) -> Header:
    """Return the header of a decoded RLP list. Raises DecodingError, also where a fixed field differs."""
    fields = rlp.as_list(item, length=21)
    header = Header(
        parent_hash=Hash32(rlp.as_bytes(fields[0], size=32)),
        coinbase=Address(rlp.as_bytes(fields[2], size=20)),
        state_root=Hash32(rlp.as_bytes(fields[3], size=32)),
        transactions_root=Hash32(rlp.as_bytes(fields[4], size=32)),
        receipts_root=Hash32(rlp.as_bytes(fields[5], size=32)),
        logs_bloom=rlp.as_bytes(fields[6], size=256),
        height=rlp.as_int(fields[8], bits=64),
        gas_limit=rlp.as_int(fields[9], bits=64),
        gas_used=rlp.as_int(fields[10], bits=64),
        timestamp=rlp.as_int(fields[11], bits=64),
        extra_data=rlp.as_bytes(fields[12], size=32),
        prev_randao=Hash32(rlp.as_bytes(fields[13], size=32)),
    )
    if list(header._fields()) != fields:
        raise DecodingError("header: a field that this chain fixes has another value")
    return header
