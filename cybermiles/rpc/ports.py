"""All that the RPC server may know of the node: narrow protocols, implemented by `node`.

Reads of committed data are synchronous and fast; whatever executes code is asynchronous, bounded and off
the event loop. Nothing here is shared mutable state: a port answers with values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

from cybermiles.errors import CybermilesError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator, Mapping, Sequence

    from cybermiles.chain.params import ChainParams
    from cybermiles.errors import InvalidTransaction
    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.execution.simulate import AccountOverride, BlockOverride
    from cybermiles.rpc.jobs import Job
    from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, PeerStatus
    from cybermiles.state.reader import NodeReader, StateReader
    from cybermiles.types.block import Block
    from cybermiles.types.block_logs import BlockLogs
    from cybermiles.types.events import Event
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Hash32, Wei
    from cybermiles.types.receipt import Log
    from cybermiles.types.transaction import AccessList, Transaction
    from cybermiles.vm.backend import CallMessage, ExecutionResult

    StateOverrides: TypeAlias = dict[Address, AccountOverride]
    PooledBySender: TypeAlias = Mapping[Address, Sequence[Transaction]]

T = TypeVar("T")


class StateUnavailable(CybermilesError):
    """The state after a block is not stored any more; the message says which states are."""


class Overloaded(CybermilesError):
    """The executor's queue is full; the caller may try again later."""


class ExecutionTimeout(CybermilesError):
    """A call was stopped because it ran for too long; the message says how long is allowed."""


class ExecutionAborted(CybermilesError):
    """A call's process ended before the call did; the message says why, and the limit where it was one."""


class PendingBlock(NamedTuple):
    """The next block as it would be built now. Its hash is not the one it will have."""

    header: Header
    transactions: tuple[Transaction, ...]


class PlacedOutcome(NamedTuple):
    """What a transaction did, and where its logs begin."""

    outcome: TransactionOutcome
    first_log: int
    """Index of its first log among the block's."""


class Supply(NamedTuple):
    """Where all coins came from and went, from genesis up to a block. Wei."""

    genesis: Wei
    minted: Wei
    burnt: Wei


class ChainReader(Protocol):
    """Committed blocks and states."""

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        ...

    @property
    def params(self) -> ChainParams:
        """Parameters in force for the next block."""
        ...

    def params_at(self, height: int) -> ChainParams:
        """Return the parameters in force in the block after a committed one. Raises StateUnavailable when pruned."""
        ...

    def head_height(self) -> int:
        """Return the height of the newest committed block."""
        ...

    def header(self, height: int) -> Header | None:
        """Return a committed header, None above the head."""
        ...

    def height_of(self, block_hash: Hash32) -> int | None:
        """Return the height of a committed block."""
        ...

    def block(self, height: int) -> Block | None:
        """Return a committed block, None above the head and for block 0, which has a header only."""
        ...

    def is_at_hand(self, height: int) -> bool:
        """Tell whether `block` has this one in memory; it decodes any other, which takes long for a long one."""
        ...

    def transaction_count(self, height: int) -> int:
        """Return how many transactions a committed block has."""
        ...

    def transaction(self, height: int, index: int) -> Transaction | None:
        """Return one transaction of a committed block, None where it has fewer. Does not decode the others."""
        ...

    def outcome(self, height: int, index: int) -> PlacedOutcome | None:
        """Return what that transaction did, None where there are fewer. Does not decode the others."""
        ...

    def log_count(self, height: int, index: int) -> int:
        """Return how many logs a committed transaction has, 0 where there is none. Decodes nothing else."""
        ...

    def block_size(self, height: int) -> int:
        """Return the bytes of a committed block's encoding."""
        ...

    def outcomes(self, height: int) -> tuple[TransactionOutcome, ...]:
        """Return what each transaction of a committed block did, in order."""
        ...

    def system_logs(self, height: int) -> tuple[Log, ...]:
        """Return the events of a committed block that belong to no transaction, in order."""
        ...

    def block_logs(self, height: int) -> BlockLogs | None:
        """Return all logs of a committed block, those of `system_logs` last; None where it has none."""
        ...

    def locate_transaction(self, tx_hash: Hash32) -> tuple[int, int] | None:
        """Return (height, index) of a committed transaction."""
        ...

    def state(self, height: int) -> StateReader:
        """Return the state after a committed block. Raises StateUnavailable when it is pruned."""
        ...

    def trie_nodes(self, height: int) -> NodeReader:
        """Return the nodes below that block's state root. Raises StateUnavailable when pruned."""
        ...

    def heights_with(
        self,
        addresses: Sequence[Address],
        topics: Sequence[Sequence[Hash32]],
        first: int,
        last: int,
    ) -> Iterator[int]:
        """Yield, in order, the heights whose logs may match: a superset.

        `addresses`: any of them (empty: every address). `topics`: at each position any of its
        alternatives (an empty position: every topic).
        """
        ...

    def pending_block(self) -> PendingBlock | None:
        """Return the next block's template, or None where this node builds none."""
        ...

    def supply(self, height: int) -> Supply:
        """Return the coins up to and including a committed block."""
        ...


class Executor(Protocol):
    """Runs code on committed states, elsewhere.

    Every method may raise Overloaded, ExecutionTimeout, ExecutionAborted, StateUnavailable, and InvalidTransaction
    where a transaction like the message could not start.
    """

    async def call(
        self,
        message: CallMessage,
        height: int,
        overrides: StateOverrides,
        block_overrides: BlockOverride,
    ) -> ExecutionResult:
        """Return what the call does on the state after `height`."""
        ...

    async def estimate_gas(self, message: CallMessage, height: int, overrides: StateOverrides) -> int:
        """Return a sufficient gas limit. Raises CallFailed (execution/simulate.py) when none is."""
        ...

    async def create_access_list(self, message: CallMessage, height: int) -> tuple[AccessList, int, str | None]:
        """Return the access list, the gas used with it, and the failure's phrase or None."""
        ...

    async def run(self, job: Job[T]) -> T:
        """Return what a job computes, or raise what it raises."""
        ...


class TransactionState(StrEnum):
    """Where a transaction is on its way."""

    PENDING = "pending"
    """In the pool, executable in the next blocks."""
    QUEUED = "queued"
    """In the pool, waiting for an earlier nonce."""
    INCLUDED = "included"
    DROPPED = "dropped"
    """Given up by the pool; the reason is kept for an hour."""


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """What the pool remembers of a transaction."""

    state: TransactionState
    reason: str | None = None
    """Why it was dropped, or is still waiting."""


class PoolContent(NamedTuple):
    """Every pooled transaction; each sender's in order of nonce."""

    pending: PooledBySender
    queued: PooledBySender


class TransactionPool(Protocol):
    """Transactions not in a block yet."""

    async def submit(self, raw: bytes) -> Hash32:
        """Take a transaction. Raises InvalidTransaction."""
        ...

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Hash32 | InvalidTransaction]:
        """Take many at once; the answers stand in the order of `raws`."""
        ...

    def pending_nonce(self, address: Address) -> int | None:
        """Return the next unused nonce counting pooled transactions, None where none is pooled."""
        ...

    def transaction(self, tx_hash: Hash32) -> Transaction | None:
        """Return a pooled transaction."""
        ...

    def pending(self) -> tuple[Transaction, ...]:
        """Return the executable transactions."""
        ...

    def content(self) -> PoolContent:
        """Return everything."""
        ...

    def status(self, tx_hash: Hash32) -> TransactionStatus | None:
        """Return where a transaction is, None for one the pool does not know."""
        ...


class SyncProgress(NamedTuple):
    """How far a catching-up node is. Heights."""

    starting: int
    current: int
    highest: int


class NodeInfo(Protocol):
    """The node itself."""

    @property
    def client_version(self) -> str:
        """For example "cybermiles/v1.0.0/linux/python3.11.7"."""
        ...

    @property
    def network_id(self) -> int:
        """As a rule the chain id."""
        ...

    @property
    def peer_count(self) -> int:
        """Connected peers."""
        ...

    @property
    def listening(self) -> bool:
        """Whether peers can connect."""
        ...

    @property
    def syncing(self) -> SyncProgress | None:
        """None when it has caught up."""
        ...

    @property
    def identity(self) -> NodeIdentity:
        """Who the node is."""
        ...

    def peers(self) -> Sequence[PeerStatus]:
        """Return the connected peers."""
        ...

    def consensus(self) -> ConsensusStatus:
        """Return where the height being decided stands."""
        ...


class Events(Protocol):
    """What happens, after it happened."""

    def subscribe(self) -> AsyncIterable[Event]:
        """Return what happens from now on; it ends when the reader fell too far behind."""
        ...


class Observer(Protocol):
    """Counts requests for the metrics."""

    def request(self, method: str, outcome: str, seconds: float) -> None:
        """Record one request: `outcome` is "ok" or the error code; unknown methods are "unknown"."""
        ...
