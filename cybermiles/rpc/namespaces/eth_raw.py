"""Headers alone, and transactions as they were signed: geth's `eth_getHeaderBy*` and `eth_getRawTransaction*`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_references import Tag, find_height
from cybermiles.rpc.methods import Method
from cybermiles.rpc.namespaces.eth_chain import HASH, INDEX, NUMBER, TX
from cybermiles.rpc.pending import PendingBlocks
from cybermiles.rpc.quantities import encode_data

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction

NOTHING = "0x"
"""Of an unknown transaction."""


class EthRaw:
    """The part of the eth namespace that gives less than whole blocks, or just bytes."""

    def __init__(self, chain: ChainReader, pool: TransactionPool, serializer: Serializer) -> None:
        self._chain = chain
        self._pending = PendingBlocks(chain)
        self._pool = pool
        self._serializer = serializer

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        at_number, at_hash = (NUMBER, INDEX), (HASH, INDEX)
        return (
            Method(name="eth_getHeaderByNumber", handler=self.header, params=(NUMBER,)),
            Method(name="eth_getHeaderByHash", handler=self.header, params=(HASH,)),
            Method(name="eth_getRawTransactionByHash", handler=self.transaction, params=(TX,)),
            Method(name="eth_getRawTransactionByBlockNumberAndIndex", handler=self.transaction_at, params=at_number),
            Method(name="eth_getRawTransactionByBlockHashAndIndex", handler=self.transaction_at, params=at_hash),
        )

    def header(self, reference: BlockReference) -> Json:
        """Return a block's header, null where there is none. There is none of the pending block."""
        height = None if reference is Tag.PENDING else find_height(self._chain, reference)
        header = None if height is None else self._chain.header(height)
        return None if header is None else self._serializer.header(header)

    def transaction(self, tx_hash: Hash32) -> str:
        """Return the bytes of a transaction of a block or of the pool, none for an unknown one."""
        place = self._chain.locate_transaction(tx_hash)
        if place is not None:
            return self.transaction_at(*place)
        pooled = self._pool.transaction(tx_hash)
        return NOTHING if pooled is None else encode_data(pooled.raw)

    def transaction_at(self, reference: BlockReference, index: int) -> str:
        """Return a transaction's bytes by its place, none where there is none."""
        transaction = self._transaction(reference, index)
        return NOTHING if transaction is None else encode_data(transaction.raw)

    def _transaction(self, reference: BlockReference, index: int) -> Transaction | None:
        if reference is Tag.PENDING:
            template = self._pending.block()
            return None if template is None or index >= len(template.transactions) else template.transactions[index]
        height = find_height(self._chain, reference)
        return None if height is None else self._chain.transaction(height, index)
