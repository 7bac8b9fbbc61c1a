"""`rpc.ports.Executor`: calls and estimates in one worker thread, bounded in number and in compute units.

Compute units bound each call's time deterministically. A call holds the interpreter's lock while it runs, so a
long one slows the block thread by what the interpreter shares out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from cybermiles.errors import InvariantViolation
from cybermiles.execution.simulate import BlockOverride, Simulation
from cybermiles.rpc.ports import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.execution.simulate import AccountOverride
    from cybermiles.node.job_source import LocalSource
    from cybermiles.rpc.jobs import Job
    from cybermiles.runtime.executor import Worker
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import AccessList
    from cybermiles.vm.backend import CallMessage, ExecutionResult

P = ParamSpec("P")
T = TypeVar("T")

MAX_WAITING = 64
"""Calls that may wait for the worker; one more is refused."""


class Simulator:
    """Runs code on committed states."""

    def __init__(self, source: LocalSource, worker: Worker) -> None:
        self._source = source
        self._worker = worker
        self._waiting = 0

    async def call(
        self,
        message: CallMessage,
        height: int,
        overrides: dict[Address, AccountOverride],
        block_overrides: BlockOverride,
    ) -> ExecutionResult:
        simulation = self._simulation(height, overrides, block_overrides)
        budget = simulation.params.compute_units_per_transaction
        return await self._run(simulation.call, message, compute_units=budget)

    async def estimate_gas(self, message: CallMessage, height: int, overrides: dict[Address, AccountOverride]) -> int:
        simulation = self._simulation(height, overrides, BlockOverride())
        return await self._run(simulation.estimate_gas, message)

    async def create_access_list(self, message: CallMessage, height: int) -> tuple[AccessList, int, str | None]:
        simulation = self._simulation(height, {}, BlockOverride())
        access_list, result = await self._run(simulation.create_access_list, message)
        return access_list, result.gas_used, None if result.failure is None else result.failure.value

    async def run(self, job: Job[T]) -> T:
        return await self._run(job.run, self._source)

    def _simulation(self, height: int, overrides: dict[Address, AccountOverride], block: BlockOverride) -> Simulation:
        state = self._source.state(height)
        header = self._source.header(height)
        if header is None:
            raise InvariantViolation(f"block {height} has a state but no header")
        return Simulation(
            chain=self._source.constants,
            params=self._source.params_at(height),
            header=header,
            state=state,
            overrides=overrides,
            block=block,
        )

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("server busy: too many calls are waiting; try again later")
        self._waiting += 1
        try:
            return await self._worker.run(function, *args, **kwargs)
        finally:
            self._waiting -= 1
