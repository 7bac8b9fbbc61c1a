"""Prints what contracts say with `console.log`, on a chain for development.

A transaction's lines are printed once, when its block is committed, a call's and an estimate's when it is answered.
For that it is executed again, where jobs run, so that blocks and answers know nothing of it; and only after code was
seen that contains the console's address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cybermiles.chain.predeploys import SYSTEM_CONTRACTS
from cybermiles.errors import CybermilesError, InvalidTransaction
from cybermiles.rpc.call_jobs import Call, EstimateGas, JobExecutor
from cybermiles.runtime.logging import get_logger
from cybermiles.storage.schema import CODE
from cybermiles.types.events import BlockCommitted
from cybermiles.vm.console import MARK, ConsoleRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from typing import NoReturn

    from cybermiles.rpc.jobs import Job, JobSource
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.types.events import Event
    from cybermiles.types.primitives import Hash32

T = TypeVar("T")

log = get_logger("console")

METHODS = {Call: "eth_call", EstimateGas: "eth_estimateGas"}
"""What a job whose lines are printed was asked for by."""


@dataclass(frozen=True, slots=True)
class BlockConsole:
    """`rpc.jobs.Job`: what the transactions of a block said, (hash, lines) of those that said anything."""

    height: int
    block_hash: Hash32

    def run(self, source: JobSource) -> list[tuple[bytes, list[str]]]:
        """Execute the block again, if it has not been taken back."""
        recorders: list[ConsoleRecorder] = []

        def recorder(_index: int) -> ConsoleRecorder:
            recorders.append(ConsoleRecorder())
            return recorders[-1]

        block = source.block(self.height)
        if block is None or block.hash != self.block_hash:
            return []
        for _ in source.replay(self.height).trace(recorder):
            pass
        said = zip((transaction.hash for transaction in block.transactions), recorders, strict=True)
        return [(tx_hash, recorder.lines) for tx_hash, recorder in said if recorder.lines]


@dataclass(frozen=True, slots=True)
class CallConsole:
    """`rpc.jobs.Job`: what a call said, or an estimate's with all the gas it may have."""

    job: Call | EstimateGas

    def run(self, source: JobSource) -> list[str]:
        """Execute it again."""
        recorder = ConsoleRecorder()
        simulation = self.job.simulation(source)
        try:
            units = simulation.params.compute_units_per_transaction
            simulation.call(self.job.message, compute_units=units, tracer=recorder)
        except InvalidTransaction:  # nothing ran, and its caller knows
            return []
        return recorder.lines


class Console(JobExecutor):
    """`rpc.ports.Executor` over another one, that prints. Owned by the event loop."""

    def __init__(self, executor: JobExecutor, store: KeyValueReader) -> None:
        self._executor = executor
        self._is_used = any(MARK in code for _, code in store.iterate(CODE, bytes((CODE[0] + 1,))))

    async def watch(self, subscribe: Callable[[], AsyncIterable[Event]]) -> NoReturn:
        """Print what the blocks to come say, until cancelled. What comes while it is too far behind is not printed.

        Whoever calls the console has its address in the code; code comes to the chain in some transaction's data.
        """
        while True:
            async for event in subscribe():
                if isinstance(event, BlockCommitted) and event.block.transactions:
                    self._is_used = self._is_used or any(MARK in tx.data for tx in event.block.transactions)
                    if self._is_used:
                        await self._print_block(event.block.height, event.block.hash)

    async def run(self, job: Job[T]) -> T:
        try:
            result = await self._executor.run(job)
        except CybermilesError:
            await self._print_call(job)
            raise
        await self._print_call(job)
        return result

    async def _print_call(self, job: object) -> None:
        if not isinstance(job, Call | EstimateGas) or not self._may_say(job):
            return
        for line in await self._said(CallConsole(job)) or ():
            to = job.message.to
            log.info("console.log", text=line, call=METHODS[type(job)], to=None if to is None else "0x" + to.hex())

    def _may_say(self, job: Call | EstimateGas) -> bool:
        """Whether code that calls the console is on the chain, or comes with the call."""
        own = (override.code or b"" for override in job.overrides.values())
        return job.message.to not in SYSTEM_CONTRACTS and (
            self._is_used or MARK in job.message.data or any(MARK in code for code in own)
        )

    async def _print_block(self, height: int, block_hash: Hash32) -> None:
        for tx_hash, lines in await self._said(BlockConsole(height, block_hash)) or ():
            for line in lines:
                log.info("console.log", text=line, tx="0x" + tx_hash.hex())

    async def _said(self, job: Job[T]) -> T | None:
        try:
            return await self._executor.run(job)
        except CybermilesError as error:
            log.warning("console_unread", what=type(job).__name__, reason=str(error))
            return None
