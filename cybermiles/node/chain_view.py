"""`rpc.ports.ChainReader` over the database: committed data, read synchronously."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.application.governed import EffectiveParams
from cybermiles.errors import StorageError
from cybermiles.rpc.ports import PendingBlock, PlacedOutcome, StateUnavailable, Supply
from cybermiles.state.trie import TrieStateReader
from cybermiles.types.header import Header
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH, Hash32
from cybermiles.types.receipt import EMPTY_BLOOM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.state.reader import NodeReader, StateReader
    from cybermiles.storage.database import Database
    from cybermiles.types.block import Block
    from cybermiles.types.block_logs import BlockLogs
    from cybermiles.types.primitives import Address
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import Transaction

GENESIS_BLOCK_BYTES = 540
"""Size reported for block 0, which has a header only and no wire form."""


class ChainView:
    """Read access to committed blocks and states."""

    def __init__(
        self,
        database: Database,
        chain_id: int,
        params: ChainParams,
        candidates: Callable[[], Sequence[Transaction]],
    ) -> None:
        self._database = database
        self._chain_id = chain_id
        self._genesis_params = params
        self._effective = EffectiveParams(params)
        self._candidates = candidates

    def look_at(self, database: Database, candidates: Callable[[], Sequence[Transaction]]) -> None:
        """Read these from now on: blocks were taken back, and what was read before may be of none."""
        self._database = database
        self._candidates = candidates
        self._effective = EffectiveParams(self._genesis_params)

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def params(self) -> ChainParams:
        return self._effective.at(self._database.state)

    def params_at(self, height: int) -> ChainParams:
        """Return the parameters in force in the block after a committed one. Raises StateUnavailable."""
        return self._effective.at(self.state(height))

    def head_height(self) -> int:
        head = self._database.chain.head
        if head is None:
            raise StorageError("the database has no head")
        return head.height

    def header(self, height: int) -> Header | None:
        """Return a committed header, None above the head; and where the node has nothing of a block but its header."""
        if 0 < height < self._database.blocks.base:
            return None
        return self._database.blocks.header(height)

    def height_of(self, block_hash: Hash32) -> int | None:
        height = self._database.blocks.height_of(block_hash)
        return None if height is None or 0 < height < self._database.blocks.base else height

    def block(self, height: int) -> Block | None:
        return self._database.blocks.block(height)

    def is_at_hand(self, height: int) -> bool:
        return self._database.blocks.is_at_hand(height)

    def transaction_count(self, height: int) -> int:
        return self._database.receipts.count(height)

    def transaction(self, height: int, index: int) -> Transaction | None:
        return self._database.blocks.transaction(height, index) if index < self.transaction_count(height) else None

    def outcome(self, height: int, index: int) -> PlacedOutcome | None:
        if index >= self.transaction_count(height):
            return None
        stored = self._database.receipts.outcome(height, index)
        return None if stored is None else PlacedOutcome(stored.outcome, stored.first_log_index)

    def log_count(self, height: int, index: int) -> int:
        return self._database.receipts.log_count(height, index) if index < self.transaction_count(height) else 0

    def block_size(self, height: int) -> int:
        raw = self._database.blocks.raw_block(height)
        return GENESIS_BLOCK_BYTES if raw is None else len(raw)

    def outcomes(self, height: int) -> tuple[TransactionOutcome, ...]:
        stored = self._database.receipts.outcomes(height)
        return () if stored is None else tuple(entry.outcome for entry in stored)

    def system_logs(self, height: int) -> tuple[Log, ...]:
        return self._database.receipts.system_logs(height)

    def block_logs(self, height: int) -> BlockLogs | None:
        return self._database.logs.block_logs(height)

    def locate_transaction(self, tx_hash: Hash32) -> tuple[int, int] | None:
        location = self._database.transactions.find(tx_hash)
        return None if location is None else (location.height, location.index)

    def state(self, height: int) -> StateReader:
        header = self._available(height)
        return TrieStateReader(self._database.nodes, self._database.codes, header.state_root)

    def trie_nodes(self, height: int) -> NodeReader:
        self._available(height)
        return self._database.nodes

    def heights_with(
        self,
        addresses: Sequence[Address],
        topics: Sequence[Sequence[Hash32]],
        first: int,
        last: int,
    ) -> Iterator[int]:
        return self._database.logs.candidates(first, last, addresses=addresses, topics=topics)

    def pending_block(self) -> PendingBlock | None:
        """Return what the pool would offer the next block now, not executed: roots are the parent's."""
        parent = self._database.blocks.header(self.head_height())
        if parent is None:
            return None
        params = self.params
        header = Header(
            parent_hash=parent.hash,
            coinbase=ZERO_ADDRESS,
            state_root=parent.state_root,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=EMPTY_BLOOM,
            height=parent.height + 1,
            gas_limit=params.block_gas_limit,
            gas_used=0,
            timestamp=parent.timestamp + max(1, params.block_interval_ms // 1000),
            extra_data=ZERO_HASH,
            prev_randao=ZERO_HASH,
        )
        return PendingBlock(header, tuple(self._candidates()))

    def supply(self, height: int) -> Supply:
        """Return the coins at the head. Raises StateUnavailable for an earlier block."""
        if height != self.head_height():
            raise StateUnavailable("the supply is kept for the newest block only; ask for latest")
        genesis, minted, burnt = self._database.chain.supply
        return Supply(genesis, minted, burnt)

    def _available(self, height: int) -> Header:
        header = self._database.blocks.header(height)
        oldest = self._database.chain.oldest_state
        if header is None or height < oldest:
            raise StateUnavailable(
                f"missing trie node: the state after block {height} is not stored; the oldest is that of "
                f"block {oldest} (node.keep_states)"
            )
        return header
