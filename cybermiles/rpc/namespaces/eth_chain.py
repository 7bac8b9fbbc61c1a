"""`eth_*`: committed blocks, transactions and receipts, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cybermiles.rpc.block_jobs import LONG_LOGS, Part, RenderBlock, RenderReceipt, is_long, receipt_at
from cybermiles.rpc.block_references import (
    Tag,
    find_height,
    parse_block_hash,
    parse_block_number,
    parse_block_reference,
)
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.pacing import collect, give_way
from cybermiles.rpc.pending import PendingBlocks
from cybermiles.rpc.quantities import parse_bool, parse_hash, parse_uint64
from cybermiles.rpc.serializers import Contents, Place, progress_fields
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, Executor, NodeInfo, TransactionPool
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction

NUMBER = Param(parse_block_number)
HASH = Param(parse_block_hash)
TX = Param(parse_hash)
INDEX = Param(parse_uint64)
SENDERS_PER_STEP = 32
"""Signatures recovered before other tasks get their turn."""


class EthChain:
    """The part of the eth namespace that reads blocks."""

    def __init__(
        self,
        chain: ChainReader,
        pool: TransactionPool,
        info: NodeInfo,
        serializer: Serializer,
        *,
        executor: Executor,
        limits: RpcLimits,
    ) -> None:
        self._chain = chain
        self._pending = PendingBlocks(chain)
        self._pool = pool
        self._info = info
        self._serializer = serializer
        self._executor = executor
        self._max_bytes = limits.response_max_bytes

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        full = Param(parse_bool, default=False)
        return (
            Method(name="eth_chainId", handler=self.chain_id),
            Method(name="eth_syncing", handler=self.syncing),
            Method(name="eth_blockNumber", handler=self.block_number),
            Method(name="eth_accounts", handler=self.accounts),
            Method(name="eth_getTransactionByHash", handler=self.transaction, params=(TX,)),
            Method(name="eth_getTransactionReceipt", handler=self.receipt, params=(TX,)),
            Method(
                name="eth_getBlockReceipts",
                handler=self.block_receipts,
                params=(Param(parse_block_reference),),
                weight=5,
            ),
            _of_block("eth_getBlockByNumber", self.block, NUMBER, full),
            _of_block("eth_getBlockByHash", self.block, HASH, full),
            _of_block("eth_getBlockTransactionCountByNumber", self.count, NUMBER),
            _of_block("eth_getBlockTransactionCountByHash", self.count, HASH),
            _of_block("eth_getTransactionByBlockNumberAndIndex", self.transaction_at, NUMBER, INDEX),
            _of_block("eth_getTransactionByBlockHashAndIndex", self.transaction_at, HASH, INDEX),
            _of_block("eth_getUncleCountByBlockNumber", self.uncle_count, NUMBER),
            _of_block("eth_getUncleCountByBlockHash", self.uncle_count, HASH),
            _of_block("eth_getUncleByBlockNumberAndIndex", self.uncle, NUMBER, INDEX),
            _of_block("eth_getUncleByBlockHashAndIndex", self.uncle, HASH, INDEX),
        )

    def chain_id(self) -> str:
        """Return the EIP-155 chain id."""
        return hex(self._chain.chain_id)

    def syncing(self) -> Json:
        """Return false, or how far a catching-up node is."""
        progress = self._info.syncing
        return False if progress is None else progress_fields(progress)

    def block_number(self) -> str:
        """Return the height of the newest block."""
        return hex(self._chain.head_height())

    def accounts(self) -> Json:
        """Return no accounts: the server holds no keys."""
        return []

    async def block(self, reference: BlockReference, full: bool) -> Json:  # noqa: FBT001  (RPC's)
        """Return a block, null where there is none."""
        if reference is Tag.PENDING:
            return await self._pending_block(full=full)
        header = self._header(reference)
        if header is None:
            return None
        height, part = header.height, Part.TRANSACTIONS if full else Part.HASHES
        if is_long(self._chain, header, part):
            return await self._job(height, part)
        contents = self._contents(header)
        if full:
            await with_senders(contents.transactions)
            rendered = self._serializer.transactions(contents, self._chain.outcomes(height))
        else:
            rendered = self._serializer.hashes(contents)
        size = self._chain.block_size(height)
        return self._serializer.block(contents.header, await collect(rendered), size=size)

    async def block_receipts(self, reference: BlockReference) -> Json:
        """Return every receipt of a block, null for an unknown one. Raises RpcError for the pending one."""
        if reference is Tag.PENDING:
            raise RpcError(SERVER_ERROR, "pending receipts is not available")
        header = self._header(reference)
        if header is None:
            return None
        if is_long(self._chain, header, Part.RECEIPTS):
            return await self._job(header.height, Part.RECEIPTS)
        contents = self._contents(header)
        await with_senders(contents.transactions)
        outcomes = self._chain.outcomes(header.height)
        return await collect(self._serializer.receipts(contents, outcomes))

    def count(self, reference: BlockReference) -> str | None:
        """Return how many transactions a block has, null where there is none."""
        if reference is Tag.PENDING:
            template = self._pending.block()
            return None if template is None else hex(len(template.transactions))
        header = self._header(reference)
        return None if header is None else hex(self._chain.transaction_count(header.height))

    def uncle_count(self, reference: BlockReference) -> str | None:
        """Return 0 for every block there is: the chain never forks."""
        return None if find_height(self._chain, reference) is None else "0x0"

    def uncle(self, _reference: BlockReference, _index: int) -> None:
        """Return null: there are no uncles."""

    def transaction_at(self, reference: BlockReference, index: int) -> Json:
        """Return a transaction by its place, null where there is none."""
        if reference is Tag.PENDING:
            return self._pending_at(index)
        height = find_height(self._chain, reference)
        return None if height is None else self._included_at(height, index)

    def transaction(self, tx_hash: Hash32) -> Json:
        """Return a transaction of a block or of the pool, null for an unknown one."""
        place = self._chain.locate_transaction(tx_hash)
        if place is not None:
            return self._included_at(*place)
        pooled = self._pool.transaction(tx_hash)
        return None if pooled is None else self._serializer.pooled(pooled)

    async def receipt(self, tx_hash: Hash32) -> Json:
        """Return a receipt, null at once for a transaction that is in no block."""
        place = self._chain.locate_transaction(tx_hash)
        if place is None:
            return None
        height, index = place
        if self._chain.log_count(height, index) <= LONG_LOGS:
            return receipt_at(self._chain, self._serializer, height, index)
        return await self._executor.run(
            RenderReceipt(height=height, index=index, serializer=self._serializer, max_bytes=self._max_bytes)
        )

    async def _job(self, height: int, part: Part) -> Json:
        return await self._executor.run(
            RenderBlock(height=height, part=part, serializer=self._serializer, max_bytes=self._max_bytes)
        )

    def _header(self, reference: BlockReference) -> Header | None:
        height = find_height(self._chain, reference)
        return None if height is None else self._chain.header(height)

    def _contents(self, header: Header) -> Contents:
        block = self._chain.block(header.height)
        return Contents(header, () if block is None else block.transactions)

    def _included_at(self, height: int, position: int) -> Json:
        header, transaction = self._chain.header(height), self._chain.transaction(height, position)
        placed = self._chain.outcome(height, position)
        if header is None or transaction is None or placed is None:
            return None
        return self._serializer.included(transaction, placed.outcome, Place(header, position))

    async def _pending_block(self, *, full: bool) -> Json:
        template = self._pending.block()
        if template is None:
            return None
        contents = Contents(*template)
        serializer = self._serializer
        rendered = serializer.pending_transactions(contents) if full else serializer.hashes(contents)
        size = len(template.header.encode()) + sum(tx.size for tx in template.transactions)
        return serializer.block(template.header, await collect(rendered), size=size)

    def _pending_at(self, index: int) -> Json:
        template = self._pending.block()
        if template is None or index >= len(template.transactions):
            return None
        place = Place(template.header, index)
        return self._serializer.pending(template.transactions[index], place)


def _of_block(name: str, handler: Callable[..., Json | Awaitable[Json]], *params: Param[Any]) -> Method:
    return Method(name=name, handler=handler, params=params)


async def with_senders(transactions: Sequence[Transaction]) -> None:
    """Recover the senders that stored transactions do not carry, a few at a time."""
    for start in range(0, len(transactions), SENDERS_PER_STEP):
        step = [tx for tx in transactions[start : start + SENDERS_PER_STEP] if not tx.has_sender]
        if step:
            recover_senders(step)
            await give_way()
