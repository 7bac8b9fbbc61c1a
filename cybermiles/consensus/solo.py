"""The engine of a network with one validator: every height is decided by this node alone, in round 0.

It takes the same steps through the same seams as any engine: prepare, log, sign, finalize, commit.

    wait for the time (and, without empty blocks, for a transaction)
      → application.prepare_proposal → WAL, fsync → sign proposal, prevote, precommit → Commit
      → application.finalize_block → application.commit → next height

After a crash the logged proposal is decided again, so the signer never sees two blocks at one height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.consensus.privval import Step
from cybermiles.consensus.wal import Record, RecordType, WriteAheadLog, remove_before
from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.types.abci import AppInfo, PrepareRequest, Proposal
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import split
from cybermiles.types.primitives import Height, Timestamp
from cybermiles.types.proposal import proposal_sign_bytes
from cybermiles.types.vote import VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from cybermiles.consensus.ports import Application, TransactionSource
    from cybermiles.consensus.privval import FileSigner
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.primitives import Hash32

ROUND = 0
"""A single validator never needs a second round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloSettings:
    """How blocks are paced."""

    block_interval_ms: int
    """Least wall time between two blocks, at least 1000: header times are whole seconds and increase."""
    create_empty_blocks: bool
    """False: a height starts only when a transaction waits."""


class SoloEngine:
    """Decides one block after another. One task owns it."""

    def __init__(  # noqa: PLR0913  (the composition root wires every port by name)
        self,
        *,
        application: Application,
        transactions: TransactionSource,
        signer: FileSigner,
        clock: Clock,
        settings: SoloSettings,
        wal_directory: Path,
        chain_id: int,
        genesis_hash: Hash32,
    ) -> None:
        self._application = application
        self._transactions = transactions
        self._signer = signer
        self._clock = clock
        self._settings = settings
        self._wal_directory = wal_directory
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash

    async def run(self) -> NoReturn:
        """Decide heights until cancelled."""
        while True:
            await self.decide_next()

    async def decide_next(self) -> None:
        """Decide exactly one height: the one after what the application has committed."""
        info = await self._application.info()
        self._check_alone(info)
        height = info.height + 1
        remove_before(self._wal_directory, height)
        wal = WriteAheadLog(self._wal_directory, height)
        try:
            proposal = await self._recover(wal, height)
            if proposal is None:
                await self._wait(info)
                proposal = await self._propose(info)
                wal.append(_record(proposal))
            commit = self._sign(height, proposal)
            await self._application.finalize_block(proposal.block_hash)
            await self._application.commit(commit)
        finally:
            wal.close()
        wal.remove()

    def _check_alone(self, info: AppInfo) -> None:
        validators = info.validators.validators
        if len(validators) != 1 or validators[0].address != self._signer.address:
            raise ConfigError(
                f"this node's consensus address is {self._signer.address.hex()}, but height "
                f"{info.height + 1} is decided by {[v.address.hex() for v in validators]}: the "
                "one-validator engine needs a genesis that names this node's key and no other"
            )

    async def _wait(self, info: AppInfo) -> None:
        if not self._settings.create_empty_blocks:
            await self._transactions.wait_for_transactions()
        due_ms = info.timestamp * 1000 + self._settings.block_interval_ms
        while (remaining_ms := due_ms - self._clock.now_ms()) > 0:
            await self._clock.sleep(remaining_ms / 1000)

    async def _propose(self, info: AppInfo) -> Proposal:
        request = PrepareRequest(
            height=Height(info.height + 1),
            timestamp=Timestamp(max(self._clock.now_ms() // 1000, info.timestamp + 1)),
            proposer=self._signer.address,
            last_commit=info.last_commit,
        )
        return await self._application.prepare_proposal(request, self._transactions.candidates())

    async def _recover(self, wal: WriteAheadLog, height: int) -> Proposal | None:
        """Return the proposal an earlier run logged for this height, checked again."""
        for record in wal.records:
            value = record.payload[4:]
            verdict = await self._application.process_proposal(value)
            if not verdict.accepted or verdict.block_hash is None:
                raise InvariantViolation(
                    f"the block this node proposed at height {height} before it stopped is not valid "
                    f"any more: {verdict.reason}. Start the version that built it."
                )
            return Proposal(verdict.block_hash, value)
        return None

    def _sign(self, height: int, proposal: Proposal) -> Commit:
        """Sign the round's three messages in order; after a crash, from the one that was signed last."""
        chain = (self._chain_id, self._genesis_hash)
        block_hash = proposal.block_hash
        messages = {
            Step.PROPOSE: proposal_sign_bytes(*chain, height, ROUND, -1, block_hash, split(proposal.value).header),
            Step.PREVOTE: vote_sign_bytes(*chain, VoteType.PREVOTE, height, ROUND, block_hash),
            Step.PRECOMMIT: vote_sign_bytes(*chain, VoteType.PRECOMMIT, height, ROUND, block_hash),
        }
        last_signed = self._signer.last_signed
        signature = b""
        for step, message in messages.items():
            if step is Step.PRECOMMIT or (height, ROUND, step) >= last_signed:
                signature = self._signer.sign(height, ROUND, step, message)
        return Commit(height, ROUND, block_hash, (signature,))


def _record(proposal: Proposal) -> Record:
    return Record(RecordType.PROPOSAL, ROUND.to_bytes(4) + proposal.value)
