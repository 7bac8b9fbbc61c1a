"""The node's metrics in one place, and the listeners that count for packages which do not know of metrics.

RpcServer ──observer──► RequestCounter            ChainApplication ──listener──► BlockMetrics
EventBus ──subscribe──► count_events              ConsensusRunner ──Gossip──► metering.MeteredGossip
Switch ──► its own counts                         asked for at each scrape ──► before_render
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.application.metrics import AbciMetrics, CoinMetrics, EvmMetrics
from cybermiles.chain.fees import Lane
from cybermiles.consensus.metrics import ConsensusMetrics
from cybermiles.mempool.metrics import MempoolMetrics
from cybermiles.node.calls.metrics import CallMetrics
from cybermiles.p2p.metrics import P2PMetrics
from cybermiles.rpc.metrics import RpcMetrics
from cybermiles.runtime.metrics import Counter, Gauge, Histogram, Registry, counter, gauge, histogram
from cybermiles.storage.metrics import StorageMetrics, directory_bytes
from cybermiles.types.events import TransactionDropped, TransactionsAdmitted
from cybermiles.types.evidence import decode_evidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from pathlib import Path
    from typing import NoReturn

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.mempool.service import MempoolService
    from cybermiles.rpc.node_status import ConsensusStatus
    from cybermiles.rpc.ports import SyncProgress
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.block import Block
    from cybermiles.types.events import Event
    from cybermiles.types.validator import Validator, ValidatorSet

LAG_PROBE_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMetrics:
    """Below `cmt_node_`."""

    build_info: Gauge = gauge("version", "chain_id")
    """Always 1; its labels say what runs."""
    loop_lag_seconds: Histogram = histogram()
    """How late the event loop wakes a sleeper: time in which nothing else of the node could run."""
    events_lost_total: Counter = counter()
    """Times the metrics fell so far behind the node's events that some were not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSyncMetrics:
    """Below `cmt_blocksync_`."""

    syncing: Gauge = gauge()
    """1 while the node catches up with blocks that others decided, else 0."""
    latest_block_height: Gauge = gauge()
    """Newest height the node has."""
    target_height: Gauge = gauge()
    """Newest height the node knows of, its own or a peer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetrics:
    """Every metric of one node."""

    registry: Registry
    process: ProcessMetrics
    consensus: ConsensusMetrics
    block_sync: BlockSyncMetrics
    p2p: P2PMetrics
    mempool: MempoolMetrics
    abci: AbciMetrics
    evm: EvmMetrics
    coins: CoinMetrics
    storage: StorageMetrics
    rpc: RpcMetrics
    calls: CallMetrics


def create_metrics() -> NodeMetrics:
    """Return a new node's metrics, all zero."""
    registry = Registry()
    return NodeMetrics(
        registry=registry,
        process=registry.create(ProcessMetrics, "node"),
        consensus=registry.create(ConsensusMetrics, "consensus"),
        block_sync=registry.create(BlockSyncMetrics, "blocksync"),
        p2p=registry.create(P2PMetrics, "p2p"),
        mempool=registry.create(MempoolMetrics, "mempool"),
        abci=registry.create(AbciMetrics, "abci"),
        evm=registry.create(EvmMetrics, "evm"),
        coins=registry.create(CoinMetrics, "coins"),
        storage=registry.create(StorageMetrics, "db"),
        rpc=registry.create(RpcMetrics, "rpc"),
        calls=registry.create(CallMetrics, "calls"),
    )


class BlockMetrics:
    """A commit listener that counts blocks, lanes, coins and who signed.

    `validators_at` returns the set that decides a height; `own` is this node's consensus address.
    """

    def __init__(
        self, metrics: NodeMetrics, validators_at: Callable[[int], ValidatorSet | None], own: bytes | None
    ) -> None:
        self._metrics = metrics
        self._validators_at = validators_at
        self._own = own
        self._last_timestamp: int | None = None
        self._transactions = 0

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Count one block."""
        metrics = self._metrics.consensus
        self._transactions += len(block.transactions)
        metrics.latest_block_height.set(block.height)
        metrics.num_txs.set(len(block.transactions))
        metrics.total_txs.set(self._transactions)
        metrics.block_size_bytes.observe(sum(len(transaction.raw) for transaction in block.transactions))
        if self._last_timestamp is not None:
            metrics.block_interval_seconds.observe(block.header.timestamp - self._last_timestamp)
        self._last_timestamp = block.header.timestamp
        self._count_signers(block)
        self._count_evidence(block)
        self._count_execution(outcome)

    def _count_signers(self, block: Block) -> None:
        commit = block.consensus.last_commit
        if not commit.signatures:
            return
        metrics = self._metrics.consensus
        members = self._members(commit.height)
        missing = [member for member, signed in zip(members, commit.signatures, strict=False) if signed is None]
        metrics.missing_validators.set(len(missing))
        metrics.missing_validators_power.set(sum(member.power for member in missing))
        if any(member.address == self._own for member in missing):
            metrics.validator_missed_blocks_total.inc()
        elif any(member.address == self._own for member in members):
            metrics.validator_last_signed_height.set(commit.height)

    def _count_evidence(self, block: Block) -> None:
        power: dict[bytes, int] = {}
        for raw in block.consensus.evidence:
            evidence = decode_evidence(raw)
            members = self._members(evidence.height)
            power[evidence.validator] = sum(m.power for m in members if m.address == evidence.validator)
        self._metrics.consensus.committed_evidence_total.inc(by=len(block.consensus.evidence))
        self._metrics.consensus.byzantine_validators.set(len(power))
        self._metrics.consensus.byzantine_validators_power.set(sum(power.values()))

    def _members(self, height: int) -> tuple[Validator, ...]:
        validators = self._validators_at(height)
        return () if validators is None else validators.validators

    def _count_execution(self, outcome: BlockOutcome) -> None:
        evm, coins = self._metrics.evm, self._metrics.coins
        for lane in Lane:
            gas = [transaction.gas_used for transaction in outcome.transactions if transaction.lane is lane]
            if gas:
                evm.gas_total.inc(lane.name.lower(), by=sum(gas))
                evm.txs_total.inc(lane.name.lower(), by=len(gas))
        evm.failed_txs_total.inc(by=sum(transaction.failure is not None for transaction in outcome.transactions))
        evm.compute_units_total.inc(by=outcome.compute_units)
        evm.free_slots_used.set(sum(transaction.lane is Lane.FREE for transaction in outcome.transactions))
        evm.free_gas_used.set(outcome.free_gas)
        coins.minted_wei_total.inc(by=outcome.minted)
        coins.fees_wei_total.inc(by=outcome.fees)
        coins.burnt_wei_total.inc(by=outcome.burnt)


class PoolMetrics:
    """Copies what the pool knows of itself; `copy` is called at each scrape."""

    def __init__(self, metrics: MempoolMetrics, mempool: MempoolService) -> None:
        self._metrics = metrics
        self._mempool = mempool
        self._refused = 0

    def copy(self) -> None:
        """Copy sizes, and count what was refused since the last call."""
        metrics, pool = self._metrics, self._mempool.pool
        pending = sum(max(0, sender.next_nonce - sender.nonce) for sender in pool.senders.values())
        metrics.size.set(len(pool))
        metrics.size_bytes.set(pool.size_bytes)
        metrics.pending.set(pending)
        metrics.queued.set(len(pool) - pending)
        metrics.senders.set(len(pool.senders))
        refused = self._mempool.refused_count
        metrics.failed_txs_total.inc(by=refused - self._refused)
        self._refused = refused


def copy_consensus(metrics: ConsensusMetrics, status: ConsensusStatus, own: bytes | None) -> None:
    """Copy where the height stands; called at each scrape."""
    total = status.total_power
    metrics.height.set(status.height)
    metrics.rounds.set(status.round)
    metrics.validators.set(len(status.validators))
    metrics.validators_power.set(total)
    metrics.validator_power.set(sum(v.power for v in status.validators if v.address == own))
    prevoted = sum(v.power for v in status.validators if v.prevote is not None)
    precommitted = sum(v.power for v in status.validators if v.precommit is not None)
    for vote_type, power in (("prevote", prevoted), ("precommit", precommitted)):
        metrics.round_voting_power_percent.set(100 * power // total if total else 0, vote_type)


def copy_sync(metrics: BlockSyncMetrics, progress: SyncProgress | None, height: int) -> None:
    """Copy how far block sync is, with the head's height; called at each scrape."""
    metrics.syncing.set(0 if progress is None else 1)
    metrics.latest_block_height.set(height)
    metrics.target_height.set(height if progress is None else max(progress.highest, height))


def copy_sizes(metrics: StorageMetrics, stores: dict[str, Path]) -> None:
    """Copy the stores' sizes on disk; called at each scrape."""
    for name, directory in stores.items():
        metrics.bytes.set(directory_bytes(directory), name)


async def count_events(metrics: NodeMetrics, subscribe: Callable[[], AsyncIterable[Event]]) -> NoReturn:
    """Count the pool's events until cancelled."""
    pool = metrics.mempool
    while True:
        async for event in subscribe():
            if isinstance(event, TransactionsAdmitted):
                pool.admitted_txs_total.inc(by=len(event.transactions))
                for transaction in event.transactions:
                    pool.tx_size_bytes.observe(len(transaction.raw))
            elif isinstance(event, TransactionDropped):
                pool.evicted_txs_total.inc()
        metrics.process.events_lost_total.inc()


async def measure_loop(metrics: ProcessMetrics, clock: Clock) -> NoReturn:
    """Sleep again and again and record how late it wakes, until cancelled."""
    while True:
        before = clock.monotonic()
        await clock.sleep(LAG_PROBE_SECONDS)
        metrics.loop_lag_seconds.observe(max(0.0, clock.monotonic() - before - LAG_PROBE_SECONDS))
