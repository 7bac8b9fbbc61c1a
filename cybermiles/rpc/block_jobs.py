"""Whole long blocks as jobs: decoding and rendering one takes a tenth of a second and more, with its logs even longer.

A short block is rendered where it is asked for. What one transaction is or did is read alone and needs no job, but for
the receipt of one with many logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import orjson

from cybermiles.errors import InvariantViolation
from cybermiles.rpc.jsonrpc import RawJson, response_too_large
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.serializers import Contents, Place
from cybermiles.types import rlp
from cybermiles.types.transaction import LEGACY, recover_senders

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.block import Block
    from cybermiles.types.header import Header

LONG_BYTES = 64 * 1024
"""A block over this size is long: it takes some four milliseconds to decode."""
LONG_GAS = 1_000_000
"""What a block's transactions did is long where they used more gas: it pays for 2 600 logs, which are few bytes."""
LONG_LOGS = 1_000
"""A receipt with more logs is long."""
NO_LIST = b"\xc0"
"""RLP of an empty list: no ommers, no withdrawals."""


class Part(Enum):
    """What is wanted of a block."""

    HASHES = "hashes"
    """The block with its transactions' hashes."""
    TRANSACTIONS = "transactions"
    """The block with its transactions."""
    RECEIPTS = "receipts"
    RAW = "raw"
    """The block in Ethereum's encoding."""
    RAW_RECEIPTS = "raw receipts"


def is_long(chain: ChainReader, header: Header, part: Part) -> bool:
    """Tell whether a part of a committed block is a job."""
    height = header.height
    if part in (Part.HASHES, Part.RAW):
        return not chain.is_at_hand(height) and chain.block_size(height) > LONG_BYTES
    return header.gas_used > LONG_GAS or chain.block_size(height) > LONG_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderBlock:
    """A part of a committed block as finished JSON."""

    height: int
    part: Part
    serializer: Serializer
    max_bytes: int

    def run(self, source: ChainReader) -> RawJson:
        """Render it. Raises RpcError where it is over `max_bytes`."""
        block = source.block(self.height)
        if block is None:
            raise InvariantViolation(f"block {self.height} is not there any more")
        return _finished(self._rendered(source, block), self.max_bytes)

    def _rendered(self, source: ChainReader, block: Block) -> Json:
        serializer, contents = self.serializer, Contents(block.header, block.transactions)
        match self.part:
            case Part.RAW:
                return raw_block(block.header, block)
            case Part.RAW_RECEIPTS:
                return raw_receipts(source, self.height)
            case Part.HASHES:
                transactions = list(serializer.hashes(contents))
                return serializer.block(block.header, transactions, size=source.block_size(self.height))
        recover_senders(block.transactions)
        outcomes = source.outcomes(self.height)
        if self.part is Part.RECEIPTS:
            return list(serializer.receipts(contents, outcomes))
        transactions = list(serializer.transactions(contents, outcomes))
        return serializer.block(block.header, transactions, size=source.block_size(self.height))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderReceipt:
    """The receipt of one committed transaction."""

    height: int
    index: int
    serializer: Serializer
    max_bytes: int

    def run(self, source: ChainReader) -> RawJson:
        """Render it. Raises RpcError where it is over `max_bytes`."""
        return _finished(receipt_at(source, self.serializer, self.height, self.index), self.max_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFees:
    """What the transactions of a block paid for gas. Wei."""

    height: int

    def run(self, source: ChainReader) -> int:
        """Add it up."""
        return fees_of(source, self.height)


def _finished(value: Json, max_bytes: int) -> RawJson:
    """Return a result as JSON. Raises RpcError where it is over `max_bytes`."""
    rendered = orjson.dumps(value)
    if len(rendered) > max_bytes:
        raise response_too_large(len(rendered), max_bytes)
    return RawJson(rendered)


def receipt_at(chain: ChainReader, serializer: Serializer, height: int, index: int) -> Json:
    """Return the receipt of a transaction by its place, None where there is none."""
    header, transaction = chain.header(height), chain.transaction(height, index)
    placed = chain.outcome(height, index)
    if header is None or transaction is None or placed is None:
        return None
    return serializer.receipt(transaction, placed, Place(header, index))


def raw_block(header: Header, block: Block | None) -> str:
    """Return a block as Ethereum encodes one: header, transactions, ommers, withdrawals."""
    transactions = () if block is None else block.transactions
    encoded = [tx.raw if tx.type == LEGACY else rlp.encode_bytes(tx.raw) for tx in transactions]
    return encode_data(rlp.encode_list((header.encode(), rlp.encode_list(encoded), NO_LIST, NO_LIST)))


def raw_receipts(chain: ChainReader, height: int) -> Json:
    """Return the encodings that the receipts root of a block commits to."""
    return [encode_data(outcome.receipt.encode()) for outcome in chain.outcomes(height)]


def fees_of(chain: ChainReader, height: int) -> int:
    """Return what the transactions of a block paid for gas. Wei."""
    return sum(outcome.gas_used * outcome.effective_gas_price for outcome in chain.outcomes(height))
