"""`debug_getRaw*`: consensus encodings, for tools that check hashes and roots. Off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_references import parse_block_reference, state_height
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_hash
from cybermiles.types import rlp
from cybermiles.types.transaction import LEGACY

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32

_NONE = b"\xc0"
"""RLP of an empty list: no ommers, no withdrawals."""


class Debug:
    """The debug namespace's raw encodings."""

    def __init__(self, chain: ChainReader, pool: TransactionPool) -> None:
        self._chain = chain
        self._pool = pool

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        block = (Param(parse_block_reference),)
        return (
            Method(name="debug_getRawHeader", handler=self.raw_header, params=block),
            Method(name="debug_getRawBlock", handler=self.raw_block, params=block, weight=5),
            Method(name="debug_getRawReceipts", handler=self.raw_receipts, params=block, weight=5),
            Method(
                name="debug_getRawTransaction",
                handler=self.raw_transaction,
                params=(Param(parse_hash),),
            ),
        )

    def raw_header(self, reference: BlockReference) -> str:
        """Return the RLP that hashes to the block's hash."""
        return encode_data(self._stored(reference).encode())

    def raw_block(self, reference: BlockReference) -> str:
        """Return the block as Ethereum encodes one: header, transactions, ommers, withdrawals."""
        header = self._stored(reference)
        block = self._chain.block(header.height)
        transactions = () if block is None else block.transactions
        encoded = [tx.raw if tx.type == LEGACY else rlp.encode_bytes(tx.raw) for tx in transactions]
        return encode_data(rlp.encode_list((header.encode(), rlp.encode_list(encoded), _NONE, _NONE)))

    def raw_receipts(self, reference: BlockReference) -> Json:
        """Return the encodings that the receipts root commits to."""
        outcomes = self._chain.outcomes(self._stored(reference).height)
        return [encode_data(outcome.receipt.encode()) for outcome in outcomes]

    def _stored(self, reference: BlockReference) -> Header:
        """Return a block's header. Raises RpcError for one that is not there, above the head or below a snapshot."""
        header = self._chain.header(state_height(self._chain, reference))
        if header is None:
            raise RpcError(SERVER_ERROR, "header not found")
        return header

    def raw_transaction(self, tx_hash: Hash32) -> str:
        """Return a transaction's wire bytes, none for an unknown one."""
        place = self._chain.locate_transaction(tx_hash)
        if place is None:
            pooled = self._pool.transaction(tx_hash)
            return "0x" if pooled is None else encode_data(pooled.raw)
        block = self._chain.block(place[0])
        return "0x" if block is None else encode_data(block.transactions[place[1]].raw)
