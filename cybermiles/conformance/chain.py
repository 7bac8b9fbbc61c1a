"""A foreign chain in memory: what RPC reads and where calls run. Every block and every state is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cybermiles.chain.params import ChainParams
from cybermiles.conformance.backend import ForkedBackend
from cybermiles.conformance.blocks import foreign_block, read_blocks
from cybermiles.conformance.errors import ForeignChainError
from cybermiles.conformance.genesis import read_genesis
from cybermiles.conformance.transition import Ancestry, BlockTransition, block_context, execute_block
from cybermiles.errors import StorageError
from cybermiles.execution.parent import Chain
from cybermiles.execution.replay import Replay
from cybermiles.rpc.ports import PlacedOutcome, StateUnavailable, Supply
from cybermiles.state.trie import TrieStateReader
from cybermiles.types.block_logs import BlockLogs, encode_block_logs
from cybermiles.types.primitives import EMPTY_CODE_HASH, Wei
from cybermiles.types.receipt import bloom_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cybermiles.conformance.blocks import ForeignBlock
    from cybermiles.conformance.forks import ForkSchedule
    from cybermiles.conformance.genesis import ForeignGenesis
    from cybermiles.conformance.header import EthereumHeader
    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.execution.parent import Parent
    from cybermiles.rpc.ports import PendingBlock
    from cybermiles.state.reader import NodeReader, RootUpdate, StateChanges, StateReader
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Hash32
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.backend import BlockContext

_NO_LIMIT = 2**40


class _States:
    """Trie nodes and codes of every state."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[bytes, Hash32], bytes] = {}
        self._codes: dict[Hash32, bytes] = {EMPTY_CODE_HASH: b""}

    def add(self, changes: StateChanges, update: RootUpdate) -> None:
        self._codes.update(changes.codes)
        self._nodes.update(update.nodes)

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        try:
            return self._nodes[owner, node_hash]
        except KeyError:
            raise StorageError(f"no trie node {owner.hex()}/{node_hash.hex()}") from None

    def code(self, code_hash: Hash32) -> bytes:
        return self._codes[code_hash]


class ForeignChain:
    """`rpc.ports.ChainReader` and `rpc.jobs.JobSource` of an imported chain. Calls belong to one thread."""

    def __init__(self, genesis: ForeignGenesis, blocks: Sequence[ForeignBlock] = ()) -> None:
        """Execute the blocks. Raises ForeignChainError for the first that breaks a rule."""
        merge = next((block.header.height for block in blocks if not block.header.difficulty), None)
        if merge is None:
            merge = 0 if not genesis.header.difficulty else len(blocks) + 1
        self.schedule: ForkSchedule = genesis.schedule.merged_at(merge)
        self._backend = ForkedBackend(self.schedule)
        self._states = _States()
        self._states.add(genesis.changes, genesis.update)
        withdrawals = None if genesis.header.withdrawals_root is None else ()
        self._blocks = [foreign_block(genesis.header, withdrawals=withdrawals)]
        self._heights = {genesis.header.hash: 0}
        self._places: dict[Hash32, tuple[int, int]] = {}
        self._outcomes: list[tuple[TransactionOutcome, ...]] = [()]
        self._logs: list[BlockLogs | None] = [None]
        self._constants = Chain(
            chain_id=self.schedule.chain_id,
            genesis_hash=genesis.header.hash,
            allow_unprotected=True,
            backend=self._backend,
            contexts=self,
        )
        for block in blocks:
            self._add(block)

    def _add(self, block: ForeignBlock) -> None:
        parent = self.head
        ancestry = Ancestry(parent, self.state(parent.height), self._states, self._hash_at)
        executed = execute_block(self._backend, self.schedule, block, ancestry)
        self._states.add(executed.changes, executed.update)
        height = block.header.height
        self._blocks.append(block)
        self._heights[block.header.hash] = height
        self._outcomes.append(executed.outcomes)
        hashes = (transaction.hash for transaction in block.transactions)
        logs = (outcome.receipt.logs for outcome in executed.outcomes)
        record = encode_block_logs(block.header, zip(hashes, logs, strict=True))
        self._logs.append(BlockLogs(height, record) if record else None)
        for index, transaction in enumerate(block.transactions):
            self._places[transaction.hash] = height, index

    @property
    def head(self) -> EthereumHeader:
        """The newest block's header."""
        return self._blocks[-1].header

    def foreign(self, height: int) -> ForeignBlock:
        """Return a block that there is."""
        return self._blocks[height]

    # rpc.ports.ChainReader

    @property
    def chain_id(self) -> int:
        return self.schedule.chain_id

    @property
    def params(self) -> ChainParams:
        """CyberMiles' parameters as far as RPC asks for them: no limits of its own beside the caller's gas."""
        return replace(ChainParams(), block_gas_limit=_NO_LIMIT)

    def params_at(self, height: int) -> ChainParams:  # noqa: ARG002  (they never change)
        return self.params

    def head_height(self) -> int:
        return len(self._blocks) - 1

    def header(self, height: int) -> EthereumHeader | None:
        return self._blocks[height].header if 0 <= height < len(self._blocks) else None

    def height_of(self, block_hash: Hash32) -> int | None:
        return self._heights.get(block_hash)

    def block(self, height: int) -> ForeignBlock | None:
        return self._blocks[height] if 0 <= height < len(self._blocks) else None

    def is_at_hand(self, height: int) -> bool:
        return height < len(self._blocks)

    def transaction_count(self, height: int) -> int:
        return len(self._blocks[height].transactions)

    def transaction(self, height: int, index: int) -> Transaction | None:
        transactions = self._blocks[height].transactions
        return transactions[index] if index < len(transactions) else None

    def outcome(self, height: int, index: int) -> PlacedOutcome | None:
        outcomes = self._outcomes[height]
        if index >= len(outcomes):
            return None
        return PlacedOutcome(outcomes[index], sum(len(outcome.receipt.logs) for outcome in outcomes[:index]))

    def log_count(self, height: int, index: int) -> int:
        outcomes = self._outcomes[height]
        return len(outcomes[index].receipt.logs) if index < len(outcomes) else 0

    def block_size(self, height: int) -> int:
        return len(self._blocks[height].encode())

    def outcomes(self, height: int) -> tuple[TransactionOutcome, ...]:
        return self._outcomes[height]

    def system_logs(self, height: int) -> tuple[Log, ...]:  # noqa: ARG002  (there are none)
        return ()

    def block_logs(self, height: int) -> BlockLogs | None:
        return self._logs[height]

    def locate_transaction(self, tx_hash: Hash32) -> tuple[int, int] | None:
        return self._places.get(tx_hash)

    def state(self, height: int) -> StateReader:
        header = self.header(height)
        if header is None:
            raise StateUnavailable(f"there is no block {height}")
        return TrieStateReader(self._states, self._states, header.state_root)

    def trie_nodes(self, height: int) -> NodeReader:  # noqa: ARG002  (those of every state are together)
        return self._states

    def heights_with(
        self,
        addresses: Sequence[Address],
        topics: Sequence[Sequence[Hash32]],
        first: int,
        last: int,
    ) -> Iterator[int]:
        choices = [[bloom_bits(element) for element in group] for group in (addresses, *topics) if group]
        for height in range(first, last + 1):
            bits = int.from_bytes(self._blocks[height].header.logs_bloom)
            if bits and all(any(bits & mask == mask for mask in masks) for masks in choices):
                yield height

    def pending_block(self) -> PendingBlock | None:
        """Return None: nothing comes after an imported chain."""
        return None

    def supply(self, height: int) -> Supply:  # noqa: ARG002  (nobody asks)
        return Supply(Wei(0), Wei(0), Wei(0))

    # rpc.jobs.JobSource

    @property
    def constants(self) -> Chain:
        return self._constants

    def parent(self, height: int) -> Parent:
        """Raise StateUnavailable: no block of this node can stand on a foreign one."""
        raise StateUnavailable(f"block {height} is a foreign chain's: blocks cannot be executed again on it")

    def replay(self, height: int) -> Replay:
        block = self._blocks[height]
        parent = self._blocks[height - 1].header
        ancestry = Ancestry(parent, self.state(height - 1), self._states, self._hash_at)
        fork = self.schedule.at(height, block.header.timestamp)
        transition = BlockTransition(self._backend, self.schedule, block, ancestry, fork)
        transition.begin()
        return Replay(transition, ancestry, height, block.transactions, self._outcomes[height])

    # execution.parent.CallContexts

    def context(self, header: Header, state: StateReader, params: ChainParams) -> BlockContext:  # noqa: ARG002
        """Return what code called at a block finds around it."""
        foreign = self._blocks[header.height].header
        return replace(block_context(foreign, self._hash_at), params=params)

    def _hash_at(self, height: int) -> Hash32 | None:
        return self._blocks[height].header.hash if 0 <= height < len(self._blocks) else None


def load_chain(genesis: bytes, blocks: bytes) -> ForeignChain:
    """Return the chain in the bytes of a genesis file and a chain file, which may begin with block 0 or with block 1.

    Raises ForeignChainError.
    """
    start = read_genesis(genesis)
    following = list(read_blocks(blocks))
    if following and following[0].header.height == 0:
        first = following.pop(0).header
        if first.hash != start.header.hash:
            raise ForeignChainError(
                f"the chain file begins with block 0 {first.hash.hex()}, but the genesis file makes block 0 "
                f"{start.header.hash.hex()}"
            )
    return ForeignChain(start, following)
