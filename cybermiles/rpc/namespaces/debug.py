"""`debug_getRaw*`: consensus encodings, for tools that check hashes and roots. Off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_jobs import Part, RenderBlock, is_long, raw_block, raw_receipts
from cybermiles.rpc.block_references import parse_block_reference, state_height
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_hash

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, Executor, TransactionPool
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32


class Debug:
    """The debug namespace's raw encodings."""

    def __init__(
        self,
        chain: ChainReader,
        pool: TransactionPool,
        serializer: Serializer,
        *,
        executor: Executor,
        limits: RpcLimits,
    ) -> None:
        self._chain = chain
        self._pool = pool
        self._serializer = serializer
        self._executor = executor
        self._max_bytes = limits.response_max_bytes

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

    async def raw_block(self, reference: BlockReference) -> Json:
        """Return the block as Ethereum encodes one: header, transactions, ommers, withdrawals."""
        header = self._stored(reference)
        if is_long(self._chain, header, Part.RAW):
            return await self._job(header.height, Part.RAW)
        return raw_block(header, self._chain.block(header.height))

    async def raw_receipts(self, reference: BlockReference) -> Json:
        """Return the encodings that the receipts root commits to."""
        header = self._stored(reference)
        if is_long(self._chain, header, Part.RAW_RECEIPTS):
            return await self._job(header.height, Part.RAW_RECEIPTS)
        return raw_receipts(self._chain, header.height)

    async def _job(self, height: int, part: Part) -> Json:
        return await self._executor.run(
            RenderBlock(height=height, part=part, serializer=self._serializer, max_bytes=self._max_bytes)
        )

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
        transaction = self._chain.transaction(*place)
        return "0x" if transaction is None else encode_data(transaction.raw)
