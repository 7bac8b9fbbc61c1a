"""Builds this node's blocks: waits until the clock allows the header time, then asks the application.

From a block interval of a second on a block's time is the proposer's clock. Where others started the height early, or
this clock lags, the proposer waits; voters would refuse a time ahead of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.application_calls import BuiltValue
from cybermiles.errors import InvariantViolation
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.block import MAX_EVIDENCE_BYTES
from cybermiles.types.part_set import split
from cybermiles.types.primitives import Height, Timestamp

if TYPE_CHECKING:
    from cybermiles.consensus.core.effects import Build
    from cybermiles.consensus.pacing import Pacing
    from cybermiles.consensus.ports import RunnerPorts
    from cybermiles.types.abci import AppInfo
    from cybermiles.types.commit import Commit


class Building:
    """Owned by the runner."""

    def __init__(self, ports: RunnerPorts, pacing: Pacing) -> None:
        self._ports = ports
        self._pacing = pacing
        self._requested: Build | None = None

    def request(self, build: Build) -> None:
        """Remember what the engine asks for; what it asked for in an earlier round is void."""
        self._requested = build

    def cancel(self) -> None:
        """Forget what was asked for."""
        self._requested = None

    def wait_ms(self, info: AppInfo) -> int | None:
        """Return how long the clock makes the request wait, None where nothing is requested."""
        if self._requested is None:
            return None
        return self._pacing.clock_wait_ms(self._ports.clock.now_ms(), info.timestamp)

    def take_due(self, info: AppInfo) -> Build | None:
        """Return and forget the request where the clock allows it, else None."""
        if self.wait_ms(info) != 0:
            return None
        requested, self._requested = self._requested, None
        return requested

    async def build(self, build: Build, info: AppInfo, last_commit: Commit) -> BuiltValue:
        """Return a block on top of `info`, cut into parts."""
        ports, signer = self._ports, self._ports.signer
        if signer is None:
            raise InvariantViolation("the engine of a node without key asked for a block")
        timestamp = self._pacing.timestamp(ports.clock.now_ms(), info.timestamp)
        request = PrepareRequest(
            height=Height(build.height),
            timestamp=Timestamp(timestamp),
            proposer=signer.address,
            last_commit=last_commit,
            evidence=ports.evidence.pending(MAX_EVIDENCE_BYTES),
        )
        proposal = await ports.application.prepare_proposal(request, ports.transactions.candidates())
        return BuiltValue(
            round=build.round,
            block_hash=proposal.block_hash,
            value=proposal.value,
            parts=await ports.worker.run(split, proposal.value),
            timestamp=timestamp,
        )
