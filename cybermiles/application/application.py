"""The application below the consensus engine: builds, checks, executes and commits blocks.

The engine's calls arrive one after another on the event loop; the work runs in the one execution thread. A
block that was built or checked keeps its outcome, by hash, until its height is decided, so nothing is executed
twice. Whoever listens is told of a block after it is durable and before the next height begins. A block that
others decided takes the same path: processed, finalized, committed with the commit that came with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.application.governed import EffectiveParams, check_version
from cybermiles.application.history import CommittedHistory
from cybermiles.application.outcomes import Executed, KeptBlocks
from cybermiles.chain.fees import Lane
from cybermiles.errors import DecodingError, InvalidBlock, InvariantViolation
from cybermiles.execution.builder import build_block
from cybermiles.execution.parent import Parent
from cybermiles.execution.validation import check_block, check_height, is_genuine
from cybermiles.runtime.logging import get_logger
from cybermiles.types.abci import AppInfo, FinalizeResult, Proposal, Verdict
from cybermiles.types.block import decode_block
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.primitives import Height, Timestamp
from cybermiles.types.transaction import recover_senders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.application.ports import CommitListener, Worker
    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.parent import Chain
    from cybermiles.storage.database import Database
    from cybermiles.types.abci import PrepareRequest
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction
    from cybermiles.types.validator import ValidatorSet

log = get_logger("chain")


class ChainApplication:
    """`consensus.ports.Application` over the execution layer and the database."""

    def __init__(  # noqa: PLR0913  (each collaborator by name)
        self,
        *,
        chain: Chain,
        database: Database,
        params: ChainParams,
        worker: Worker,
        listeners: Sequence[CommitListener],
        pooled: Callable[[bytes], Transaction | None] = lambda _raw: None,
        recover: Callable[[Sequence[Transaction]], None] = recover_senders,
    ) -> None:
        """Check transactions of others: `pooled` ones are neither decoded nor recovered again.

        It is asked for wire bytes. `recover` fills in the senders of the rest. Both are called in the execution thread.
        """
        self._chain = chain
        self._database = database
        self._effective = EffectiveParams(params)
        self._worker = worker
        self._listeners = listeners
        self._pooled = pooled
        self._recover = recover
        self._history = CommittedHistory(database)
        self._kept = KeptBlocks()
        self._finalized: Executed | None = None

    @property
    def parent(self) -> Parent:
        """The committed head as the next block's parent."""
        database, header = self._database, self._head()
        return Parent(
            header=header,
            state=database.state.reader(),
            nodes=database.nodes,
            params=self._parameters(),
            history=self._history,
            validators=database.validators.rotation(header.height + 1).validators,
            next_validators=database.validators.rotation(header.height + 2).validators,
        )

    @property
    def base(self) -> int:
        """The lowest height that `load` returns, once there is one: 1, or that of the snapshot it began with."""
        return self._database.blocks.base

    @property
    def height(self) -> int:
        """The newest durable height, 0 before the first block."""
        return self._head().height

    async def info(self) -> AppInfo:
        """See `Application`. Raises UpgradeRequired where members decided on a version that this software has not."""
        header = self._head()
        check_version(self._database.state, header.height + 1)
        commit = self._database.blocks.commit(header.height) if header.height else EMPTY_COMMIT
        if commit is None:
            raise InvariantViolation(f"block {header.height} is stored without its commit")
        return AppInfo(
            height=Height(header.height),
            block_hash=header.hash,
            timestamp=Timestamp(header.timestamp),
            last_commit=commit,
            rotation=self._database.validators.rotation(header.height + 1),
        )

    def validator_set(self, height: int) -> ValidatorSet | None:
        """Return who decides a height, None before 1 and above the head's + 2."""
        return self._database.validators.validators(height)

    async def prepare_proposal(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Proposal:
        """See `Application`. Raises InvariantViolation where no block could be valid as it is asked for."""
        try:
            executed = await self._worker.run(self._build, request, candidates)
        except InvalidBlock as error:
            raise InvariantViolation(f"the engine asks for a block that nobody would accept: {error}") from error
        self._kept.add(executed)
        return Proposal(executed.block.hash, executed.value)

    async def process_proposal(self, value: bytes) -> Verdict:
        """See `Application`. Bytes of a block that is kept are not looked at again."""
        executed = self._kept.find(value)
        if executed is None:
            checked = await self._worker.run(self._check, value)
            if isinstance(checked, Verdict):
                return checked
            executed = checked
            self._kept.add(executed)
        header = executed.block.header
        return Verdict(accepted=True, block_hash=header.hash, timestamp=header.timestamp)

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """See `Application`."""
        executed = self._kept.get(block_hash) or await self._execute_again(block_hash)
        self._finalized = executed
        height = executed.block.height
        return FinalizeResult(Height(height), block_hash, self._database.validators.rotation(height + 1).validators)

    async def commit(self, commit: Commit) -> None:
        """See `Application`."""
        executed = self._finalized
        if executed is None:
            raise InvariantViolation(f"commit of height {commit.height} before it was finalized")
        await self._worker.run(self._database.commit, executed.block, executed.outcome, commit)
        self._kept.clear()
        self._finalized = None
        for listener in self._listeners:
            listener.block_committed(executed.block, executed.outcome)
        _log_block(executed)

    async def load(self, height: int) -> tuple[bytes, Commit] | None:
        """See `Application`."""
        return await self._worker.run(self._load, height)

    def _parameters(self) -> ChainParams:
        """Return the parameters of the next block."""
        return self._effective.at(self._database.state)

    async def _execute_again(self, block_hash: Hash32) -> Executed:
        """Return a valid block whose outcome had to go. Raises InvariantViolation for an unknown one."""
        value = self._kept.value(block_hash)
        if value is None:
            raise InvariantViolation(f"block {block_hash.hex()} was decided but is not among those executed here")
        checked = await self._worker.run(self._check, value)
        if isinstance(checked, Verdict):
            raise InvariantViolation(f"block {block_hash.hex()} was valid and is not any more: {checked.reason}")
        return checked

    def _build(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Executed:
        block, outcome = build_block(self._chain, self.parent, request, candidates)
        return Executed(block, block.encode(), outcome)

    def _check(self, value: bytes) -> Executed | Verdict:
        """Execute a block, or return why it is refused."""
        parent = self.parent
        try:
            block = decode_block(value, max_bytes=parent.params.max_value_bytes, known=self._pooled)
        except DecodingError as error:
            return Verdict(accepted=False, block_hash=None, reason=str(error))
        try:
            check_height(parent, block)
            self._recover([transaction for transaction in block.transactions if not transaction.has_sender])
            return Executed(block, value, check_block(self._chain, parent, block))
        except InvalidBlock as error:
            return Verdict(accepted=False, block_hash=block.hash, reason=str(error), is_genuine=is_genuine(block))

    def _load(self, height: int) -> tuple[bytes, Commit] | None:
        value, commit = self._database.blocks.raw_block(height), self._database.blocks.commit(height)
        return None if value is None or commit is None else (value, commit)

    def _head(self) -> Header:
        head = self._database.chain.head
        header = None if head is None else self._database.blocks.header(head.height)
        if header is None:
            raise InvariantViolation("the database has no head; it was opened without its genesis block")
        return header


def _log_block(executed: Executed) -> None:
    header, outcome = executed.block.header, executed.outcome
    free = sum(1 for tx in outcome.transactions if tx.lane is Lane.FREE)
    log.info(
        "block",
        height=header.height,
        hash=header.hash.hex()[:12],
        txs=len(outcome.transactions),
        free=free,
        gas=header.gas_used,
        cu=outcome.compute_units,
    )
