"""Blocks of a foreign chain: header, transactions of every type, ommers, withdrawals; and the file that has them.

A `ForeignBlock` is a `types.block.Block`, so that all of RPC reads it as one of this node's own; what consensus would
need of it is not there and is all zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.conformance.errors import ForeignChainError
from cybermiles.conformance.header import EthereumHeader, decode_ethereum_header
from cybermiles.conformance.transactions import decode_foreign_transaction
from cybermiles.errors import CybermilesError, DecodingError
from cybermiles.types import rlp
from cybermiles.types.block import Block, ConsensusData
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.primitives import GWEI, ZERO_HASH, Address
from cybermiles.types.transaction import LEGACY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.types.rlp import Item
    from cybermiles.types.transaction import Transaction

_NO_CONSENSUS = ConsensusData(
    proposer=bytes(20),
    validators_hash=ZERO_HASH,
    next_validators_hash=ZERO_HASH,
    last_commit=EMPTY_COMMIT,
    evidence=(),
    parameters_hash=ZERO_HASH,
    app_version=0,
)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Coins that come from the beacon chain (EIP-4895)."""

    index: int
    validator_index: int
    address: Address
    amount_gwei: int

    @property
    def wei(self) -> int:
        """What the account is credited."""
        return self.amount_gwei * GWEI

    def encode(self) -> bytes:
        """Return the RLP that the withdrawals root commits to."""
        return rlp.encode(
            [
                rlp.int_to_bytes(self.index),
                rlp.int_to_bytes(self.validator_index),
                self.address,
                rlp.int_to_bytes(self.amount_gwei),
            ]
        )


@dataclass(frozen=True, slots=True)
class ForeignBlock(Block):
    """One block of a foreign chain."""

    header: EthereumHeader
    ommers: tuple[EthereumHeader, ...] = ()
    withdrawals: tuple[Withdrawal, ...] | None = None
    """None before Shanghai."""

    def encode(self) -> bytes:
        """Return Ethereum's encoding."""
        parts = [
            self.header.encode(),
            rlp.encode_list([tx.raw if tx.type == LEGACY else rlp.encode_bytes(tx.raw) for tx in self.transactions]),
            rlp.encode_list([ommer.encode() for ommer in self.ommers]),
        ]
        if self.withdrawals is not None:
            parts.append(rlp.encode_list([withdrawal.encode() for withdrawal in self.withdrawals]))
        return rlp.encode_list(parts)


def foreign_block(
    header: EthereumHeader,
    transactions: tuple[Transaction, ...] = (),
    ommers: tuple[EthereumHeader, ...] = (),
    withdrawals: tuple[Withdrawal, ...] | None = None,
) -> ForeignBlock:
    """Return a block of these parts."""
    return ForeignBlock(header, transactions, _NO_CONSENSUS, ommers, withdrawals)


def read_blocks(data: bytes) -> Iterator[ForeignBlock]:
    """Yield the blocks of a chain file, which are one encoding after the other. Raises ForeignChainError."""
    position = number = 0
    while position < len(data):
        try:
            _, end = rlp.read_list(data, position)
            block = _decode(rlp.decode(data[position:end]))
        except CybermilesError as error:
            raise ForeignChainError(f"the chain file: block {number + 1} cannot be decoded: {error}") from error
        yield block
        position = end
        number += 1


def _decode(item: Item) -> ForeignBlock:
    parts = rlp.as_list(item)
    if len(parts) not in (3, 4):
        raise DecodingError(f"a block has 3 or 4 parts, not {len(parts)}")
    withdrawals = None
    if len(parts) == 4:
        withdrawals = tuple(map(_withdrawal, rlp.as_list(parts[3])))
    return foreign_block(
        decode_ethereum_header(parts[0]),
        tuple(map(_transaction, rlp.as_list(parts[1]))),
        tuple(map(decode_ethereum_header, rlp.as_list(parts[2]))),
        withdrawals,
    )


def _transaction(item: Item) -> Transaction:
    return decode_foreign_transaction(item if isinstance(item, bytes) else rlp.encode(item))


def _withdrawal(item: Item) -> Withdrawal:
    index, validator, address, amount = rlp.as_list(item, length=4)
    return Withdrawal(
        rlp.as_int(index, bits=64),
        rlp.as_int(validator, bits=64),
        Address(rlp.as_bytes(address, size=20)),
        rlp.as_int(amount, bits=64),
    )
