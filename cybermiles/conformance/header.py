"""Ethereum's block header in all its lengths: 15 fields at first, more with each fork that added one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.header import ZERO_NONCE, Header
from cybermiles.types.primitives import EMPTY_OMMERS_HASH, Address, Hash32

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item

_ALWAYS = 15
"""Fields of the first headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EthereumHeader(Header):
    """A header of a foreign chain. `prev_randao` is the mix hash before the merge."""

    ommers_hash: Hash32 = EMPTY_OMMERS_HASH
    difficulty: int = 0
    nonce: bytes = ZERO_NONCE
    base_fee_per_gas: int | None = None
    """From London; wei."""
    withdrawals_root: Hash32 | None = None
    """From Shanghai."""
    blob_gas_used: int | None = None
    """From Cancun, as the next two."""
    excess_blob_gas: int | None = None
    parent_beacon_block_root: Hash32 | None = None
    requests_hash: Hash32 | None = None
    """From Prague."""

    @property
    def base_fee(self) -> int:
        """Wei per gas that every transaction burns, 0 before London."""
        return self.base_fee_per_gas or 0

    def _fields(self) -> tuple[bytes, ...]:
        encoded = (
            self.parent_hash,
            self.ommers_hash,
            self.coinbase,
            self.state_root,
            self.transactions_root,
            self.receipts_root,
            self.logs_bloom,
            rlp.int_to_bytes(self.difficulty),
            rlp.int_to_bytes(self.height),
            rlp.int_to_bytes(self.gas_limit),
            rlp.int_to_bytes(self.gas_used),
            rlp.int_to_bytes(self.timestamp),
            self.extra_data,
            self.prev_randao,
            self.nonce,
        )
        later = (
            self.base_fee_per_gas,
            self.withdrawals_root,
            self.blob_gas_used,
            self.excess_blob_gas,
            self.parent_beacon_block_root,
            self.requests_hash,
        )
        return encoded + tuple(
            rlp.int_to_bytes(value) if isinstance(value, int) else value for value in later if value is not None
        )


def decode_ethereum_header(item: Item) -> EthereumHeader:
    """Return the header of a decoded RLP list. Raises DecodingError."""
    values = rlp.as_list(item)
    if not _ALWAYS <= len(values) <= _ALWAYS + 6:
        raise DecodingError(f"header: {len(values)} fields")
    missing: list[Item | None] = [None] * (_ALWAYS + 6 - len(values))
    later = [*values[_ALWAYS:], *missing]
    return EthereumHeader(
        parent_hash=_hash(values[0]),
        ommers_hash=_hash(values[1]),
        coinbase=Address(rlp.as_bytes(values[2], size=20)),
        state_root=_hash(values[3]),
        transactions_root=_hash(values[4]),
        receipts_root=_hash(values[5]),
        logs_bloom=rlp.as_bytes(values[6], size=256),
        difficulty=rlp.as_int(values[7]),
        height=rlp.as_int(values[8], bits=64),
        gas_limit=rlp.as_int(values[9], bits=64),
        gas_used=rlp.as_int(values[10], bits=64),
        timestamp=rlp.as_int(values[11], bits=64),
        extra_data=rlp.as_bytes(values[12]),
        prev_randao=_hash(values[13]),
        nonce=rlp.as_bytes(values[14], size=8),
        base_fee_per_gas=_optional_int(later[0]),
        withdrawals_root=_optional_hash(later[1]),
        blob_gas_used=_optional_int(later[2]),
        excess_blob_gas=_optional_int(later[3]),
        parent_beacon_block_root=_optional_hash(later[4]),
        requests_hash=_optional_hash(later[5]),
    )


def _hash(item: Item) -> Hash32:
    return Hash32(rlp.as_bytes(item, size=32))


def _optional_int(item: Item | None) -> int | None:
    return None if item is None else rlp.as_int(item)


def _optional_hash(item: Item | None) -> Hash32 | None:
    return None if item is None else _hash(item)
