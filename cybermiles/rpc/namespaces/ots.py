"""`ots_*`: what the Otterscan explorer needs beside the eth namespace. Off unless named, on devnet on.

Otterscan's interface, level 8. There is no index of addresses: searches walk blocks within `explorer_scan_max` and
bisect the states that are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import STAKING
from cybermiles.errors import InvariantViolation
from cybermiles.rpc.block_jobs import BlockFees, Part, fees_of, is_long
from cybermiles.rpc.block_references import (
    Tag,
    find_height,
    parse_block_hash,
    parse_block_number,
    parse_block_reference,
    state_height,
)
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.otterscan.jobs import (
    BlockTransactions,
    ContractCreator,
    HashOfNonce,
    SearchByAddress,
    TransactionCalls,
)
from cybermiles.rpc.quantities import encode_data, parse_address, parse_count, parse_hash
from cybermiles.system.abi import load_abi
from cybermiles.types.primitives import EMPTY_CODE_HASH

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json, RawJson
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.types.primitives import Address, Hash32

API_LEVEL = 8
WORD = 32
"""Bytes of an event's first value."""
TX = (Param(parse_hash),)


class Ots:
    """The ots namespace."""

    def __init__(self, chain: ChainReader, executor: Executor, serializer: Serializer, limits: RpcLimits) -> None:
        self._chain = chain
        self._executor = executor
        self._serializer = serializer
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        address, count = Param(parse_address), Param(parse_count)
        block, by_hash, size = Param(parse_block), Param(parse_block_hash), Param(self._parse_page_size)
        at: Param[BlockReference] = Param(parse_block_reference, default=Tag.LATEST)
        search = (address, count, size)
        return (
            Method(name="ots_getApiLevel", handler=self.api_level),
            Method(name="erigon_getHeaderByNumber", handler=self.header, params=(block,), served_with="ots"),
            Method(name="ots_hasCode", handler=self.has_code, params=(address, at)),
            Method(name="ots_getTransactionError", handler=self.transaction_error, params=TX),
            Method(name="ots_getInternalOperations", handler=self.operations, params=TX, weight=20),
            Method(name="ots_traceTransaction", handler=self.trace, params=TX, weight=20),
            Method(name="ots_getBlockDetails", handler=self.block_details, params=(block,), weight=5),
            Method(name="ots_getBlockDetailsByHash", handler=self.block_details, params=(by_hash,), weight=5),
            Method(name="ots_getBlockTransactions", handler=self.page, params=(block, count, size), weight=10),
            Method(name="ots_searchTransactionsBefore", handler=self.search_before, params=search, weight=50),
            Method(name="ots_searchTransactionsAfter", handler=self.search_after, params=search, weight=50),
            Method(
                name="ots_getTransactionBySenderAndNonce", handler=self.by_nonce, params=(address, count), weight=20
            ),
            Method(name="ots_getContractCreator", handler=self.creator, params=(address,), weight=50),
        )

    def api_level(self) -> int:
        """Return which version of Otterscan's interface this is."""
        return API_LEVEL

    def header(self, reference: BlockReference) -> Json:
        """Return a header, null where there is none. Otterscan asks for it to know whether this is a node for it."""
        height = find_height(self._chain, reference)
        header = None if height is None else self._chain.header(height)
        return None if header is None else self._serializer.header(header)

    def has_code(self, address: Address, reference: BlockReference) -> bool:
        """Whether an account has code."""
        account = self._chain.state(state_height(self._chain, reference)).account(address)
        return account is not None and account.code_hash != EMPTY_CODE_HASH

    def transaction_error(self, tx_hash: Hash32) -> str:
        """Return a failed transaction's revert data, of which 1 KiB is kept; nothing for one that succeeded."""
        height, index = self._locate(tx_hash)
        placed = self._chain.outcome(height, index)
        return encode_data(b"" if placed is None else placed.outcome.output)

    async def operations(self, tx_hash: Hash32) -> RawJson:
        """Return the coins that a transaction moved and the contracts it made, besides itself."""
        return await self._calls(tx_hash, operations=True)

    async def trace(self, tx_hash: Hash32) -> RawJson:
        """Return a transaction's calls as a list with depths."""
        return await self._calls(tx_hash, operations=False)

    async def block_details(self, reference: BlockReference) -> Json:
        """Return a block without transactions, but with their number, their fees and the coins issued."""
        height = state_height(self._chain, reference)
        header = self._chain.header(height)
        if header is None:
            raise InvariantViolation(f"block {height} is not there any more")
        if is_long(self._chain, header, Part.RECEIPTS):
            fees = await self._executor.run(BlockFees(height=height))
        else:
            fees = fees_of(self._chain, height)
        block = self._serializer.block(header, [], size=self._chain.block_size(height))
        del block["transactions"]
        minted = self._minted(height)
        return {
            "block": {**block, "logsBloom": None, "transactionCount": self._chain.transaction_count(height)},
            "issuance": {"blockReward": hex(minted), "uncleReward": "0x0", "issuance": hex(minted)},
            "totalFees": hex(fees),
        }

    async def page(self, reference: BlockReference, page: int, page_size: int) -> RawJson:
        """Return a page of a block's transactions and receipts; page 0 has the last ones."""
        height = state_height(self._chain, reference)
        job = BlockTransactions(height=height, page=page, page_size=page_size, serializer=self._serializer)
        return await self._executor.run(job)

    async def search_before(self, address: Address, height: int, page_size: int) -> RawJson:
        """Return an address's transactions below a block, the newest first; below 0: from the head."""
        return await self._search(address, height, page_size, forward=False)

    async def search_after(self, address: Address, height: int, page_size: int) -> RawJson:
        """Return an address's transactions above a block, the newest first."""
        return await self._search(address, height, page_size, forward=True)

    async def by_nonce(self, sender: Address, nonce: int) -> str | None:
        """Return the hash of the transaction that used an account's nonce, null where none did."""
        return await self._executor.run(
            HashOfNonce(sender=sender, nonce=nonce, scan_max=self._limits.explorer_scan_max)
        )

    async def creator(self, address: Address) -> Json:
        """Return who created a contract in which transaction, null where no transaction did."""
        return await self._executor.run(ContractCreator(address=address, max_bytes=self._limits.response_max_bytes))

    async def _calls(self, tx_hash: Hash32, *, operations: bool) -> RawJson:
        height, index = self._locate(tx_hash)
        job = TransactionCalls(
            height=height, index=index, max_bytes=self._limits.response_max_bytes, operations=operations
        )
        return await self._executor.run(job)

    async def _search(self, address: Address, height: int, page_size: int, *, forward: bool) -> RawJson:
        job = SearchByAddress(
            address=address,
            start=height,
            forward=forward,
            page_size=page_size,
            scan_max=self._limits.explorer_scan_max,
            serializer=self._serializer,
        )
        return await self._executor.run(job)

    def _minted(self, height: int) -> int:
        """Return the wei that a block issued, as its end reported it."""
        awards = load_abi("ICmtStaking").events["AwardsMinted"].topic
        for log in self._chain.system_logs(height):
            if log.address == STAKING and log.topics[0] == awards:
                return int.from_bytes(log.data[:WORD])
        return 0

    def _locate(self, tx_hash: Hash32) -> tuple[int, int]:
        place = self._chain.locate_transaction(tx_hash)
        if place is None:
            raise RpcError(SERVER_ERROR, "transaction not found")
        return place

    def _parse_page_size(self, value: Json) -> int:
        size, limit = parse_count(value), self._limits.explorer_page_max
        if not 0 < size <= limit:
            raise ValueError(f"a page has 1 to {limit} transactions (rpc.explorer_page_max)")
        return size


def parse_block(value: Json) -> BlockReference:
    """Return a block by number, which Otterscan writes as a JSON number, or by tag."""
    return parse_count(value) if isinstance(value, int) else parse_block_number(value)
