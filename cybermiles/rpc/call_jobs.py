"""Calls, estimates and access lists as jobs, and an executor's methods in terms of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cybermiles.errors import InvariantViolation
from cybermiles.execution.simulate import BlockOverride, Simulation

if TYPE_CHECKING:
    from cybermiles.rpc.jobs import Job, JobSource
    from cybermiles.rpc.ports import StateOverrides
    from cybermiles.types.transaction import AccessList
    from cybermiles.vm.backend import CallMessage, ExecutionResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Execution:
    """One message on the state after a committed block."""

    message: CallMessage
    height: int
    overrides: StateOverrides = field(default_factory=dict)
    block: BlockOverride = field(default_factory=BlockOverride)

    def simulation(self, source: JobSource) -> Simulation:
        """Return what executes it. Raises StateUnavailable."""
        state = source.state(self.height)
        header = source.header(self.height)
        if header is None:
            raise InvariantViolation(f"block {self.height} has a state but no header")
        return Simulation(
            chain=source.constants,
            params=source.params_at(self.height),
            header=header,
            state=state,
            overrides=self.overrides,
            block=self.block,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(_Execution):
    """What it does."""

    def run(self, source: JobSource) -> ExecutionResult:
        """Execute it. Raises InvalidTransaction, StateUnavailable."""
        simulation = self.simulation(source)
        return simulation.call(self.message, compute_units=simulation.params.compute_units_per_transaction)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateGas(_Execution):
    """The gas with which it succeeds."""

    def run(self, source: JobSource) -> int:
        """Search. Raises CallFailed, InvalidTransaction, StateUnavailable."""
        return self.simulation(source).estimate_gas(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAccessList(_Execution):
    """What it touches."""

    def run(self, source: JobSource) -> tuple[AccessList, int, str | None]:
        """Return the list, the gas used with it, and the failure's phrase. Raises as `Call.run`."""
        access_list, result = self.simulation(source).create_access_list(self.message)
        return access_list, result.gas_used, None if result.failure is None else result.failure.value


CALLS: frozenset[type] = frozenset({Call, EstimateGas, CreateAccessList})
"""The jobs that one message is all of."""


class JobExecutor(ABC):
    """`rpc.ports.Executor` for who can run a job."""

    @abstractmethod
    async def run(self, job: Job[T]) -> T:
        """See `rpc.ports.Executor`."""

    async def call(
        self, message: CallMessage, height: int, overrides: StateOverrides, block_overrides: BlockOverride
    ) -> ExecutionResult:
        return await self.run(Call(message=message, height=height, overrides=overrides, block=block_overrides))

    async def estimate_gas(self, message: CallMessage, height: int, overrides: StateOverrides) -> int:
        return await self.run(EstimateGas(message=message, height=height, overrides=overrides))

    async def create_access_list(self, message: CallMessage, height: int) -> tuple[AccessList, int, str | None]:
        return await self.run(CreateAccessList(message=message, height=height))
