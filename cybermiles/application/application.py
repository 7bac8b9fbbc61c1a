"""The application below the consensus engine: builds, checks, executes and commits blocks.

The engine's calls arrive one after another on the event loop; the work runs in the one execution thread. A
block that was built or checked keeps its outcome, by hash, until its height is decided, so nothing is executed
twice. Whoever listens is told of a block after it is durable and before the next height begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvalidBlock, InvariantViolation
from cybermiles.execution.builder import build_block
from cybermiles.execution.parent import Parent
from cybermiles.execution.validation import apply_block, validate_consensus
from cybermiles.runtime.logging import get_logger
from cybermiles.types.abci import AppInfo, FinalizeResult, Proposal, Verdict
from cybermiles.types.block import decode_block
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.primitives import Height, Timestamp
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.application.ports import CommitListener, Worker
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.execution.parent import Chain
    from cybermiles.storage.database import Database
    from cybermiles.types.abci import PrepareRequest
    from cybermiles.types.block import Block
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction
    from cybermiles.types.validator import ValidatorSet

log = get_logger("chain")

BLOCK_OVERHEAD_BYTES = 256 * 1024
"""Header, commit and evidence beside the transactions."""
MAX_KEPT_OUTCOMES = 8
"""Undecided blocks of one height whose outcomes are kept; more than one round rarely needs."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A block and what it did."""

    block: Block
    outcome: BlockOutcome


class ChainApplication:
    """`consensus.ports.Application` over the execution layer and the database."""

    def __init__(
        self,
        *,
        chain: Chain,
        database: Database,
        params: ChainParams,
        validators: ValidatorSet,
        worker: Worker,
        listeners: Sequence[CommitListener],
    ) -> None:
        self._chain = chain
        self._database = database
        self._params = params
        self._validators = validators
        self._worker = worker
        self._listeners = listeners
        self._executed: dict[Hash32, Executed] = {}
        self._finalized: Executed | None = None

    @property
    def parent(self) -> Parent:
        """The committed head as the next block's parent."""
        database = self._database
        return Parent(
            header=self._head(),
            state=database.state.reader(),
            nodes=database.nodes,
            params=self._params,
            validators=self._validators,
            next_validators=self._validators,
        )

    async def info(self) -> AppInfo:
        """See `Application`."""
        header = self._head()
        commit = self._database.blocks.commit(header.height) if header.height else EMPTY_COMMIT
        if commit is None:
            raise InvariantViolation(f"block {header.height} is stored without its commit")
        return AppInfo(
            height=Height(header.height),
            block_hash=header.hash,
            timestamp=Timestamp(header.timestamp),
            last_commit=commit,
            validators=self._validators,
        )

    async def prepare_proposal(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Proposal:
        """See `Application`."""
        executed = await self._worker.run(self._build, request, candidates)
        self._keep(executed)
        return Proposal(executed.block.hash, executed.block.encode())

    async def process_proposal(self, value: bytes) -> Verdict:
        """See `Application`."""
        try:
            block = decode_block(value, max_bytes=self._params.max_block_bytes + BLOCK_OVERHEAD_BYTES)
        except DecodingError as error:
            return Verdict(accepted=False, block_hash=None, reason=str(error))
        if block.hash in self._executed:
            return Verdict(accepted=True, block_hash=block.hash, timestamp=block.header.timestamp)
        try:
            executed = await self._worker.run(self._check, block)
        except InvalidBlock as error:
            return Verdict(accepted=False, block_hash=block.hash, reason=str(error))
        self._keep(executed)
        return Verdict(accepted=True, block_hash=block.hash, timestamp=block.header.timestamp)

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """See `Application`."""
        executed = self._executed.get(block_hash)
        if executed is None:
            raise InvariantViolation(f"block {block_hash.hex()} was decided but never executed here")
        self._finalized = executed
        return FinalizeResult(Height(executed.block.height), block_hash, self._validators)

    async def commit(self, commit: Commit) -> None:
        """See `Application`."""
        executed = self._finalized
        if executed is None:
            raise InvariantViolation(f"commit of height {commit.height} before it was finalized")
        await self._worker.run(self._database.commit, executed.block, executed.outcome, commit)
        self._executed.clear()
        self._finalized = None
        for listener in self._listeners:
            listener.block_committed(executed.block, executed.outcome)
        _log_block(executed)

    def _build(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Executed:
        return Executed(*build_block(self._chain, self.parent, request, candidates))

    def _check(self, block: Block) -> Executed:
        parent = self.parent
        recover_senders(block.transactions)
        validate_consensus(self._chain, parent, self._validators, block.consensus)
        return Executed(block, apply_block(self._chain, parent, block))

    def _keep(self, executed: Executed) -> None:
        self._executed[executed.block.hash] = executed
        while len(self._executed) > MAX_KEPT_OUTCOMES:
            self._executed.pop(next(iter(self._executed)))

    def _head(self) -> Header:
        head = self._database.chain.head
        header = None if head is None else self._database.blocks.header(head.height)
        if header is None:
            raise InvariantViolation("the database has no head; it was opened without its genesis block")
        return header


def _log_block(executed: Executed) -> None:
    header, outcome = executed.block.header, executed.outcome
    paid = sum(1 for tx in outcome.transactions if tx.effective_gas_price)
    log.info(
        "block",
        height=header.height,
        hash=header.hash.hex()[:12],
        txs=len(outcome.transactions),
        free=len(outcome.transactions) - paid,
        gas=header.gas_used,
        cu=outcome.compute_units,
    )
