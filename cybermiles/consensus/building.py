"""Builds this node's blocks: waits until the clock allows the header time, then asks the application.

From a block interval of a second on a block's time is the proposer's clock. Where others started the height early, or
this clock lags, the proposer waits; voters would refuse a time ahead of theirs.

While a height waits for its time, its proposer has nothing else to do: it begins as long before the start as its last
block took, so that the proposal is there when the height starts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cybermiles.consensus.application_calls import BuiltValue
from cybermiles.consensus.core.effects import Build
from cybermiles.errors import InvariantViolation
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.block import MAX_EVIDENCE_BYTES
from cybermiles.types.part_set import split
from cybermiles.types.primitives import Height, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from cybermiles.consensus.pacing import Pacing
    from cybermiles.consensus.ports import RunnerPorts
    from cybermiles.types.abci import AppInfo
    from cybermiles.types.commit import Commit


MAX_AGE_MS = 10_000
"""A block is proposed until its header time is this old; voters allow 15 s and more for its way to them."""


class Building:
    """Owned by the runner."""

    def __init__(self, ports: RunnerPorts, pacing: Pacing, *, builds_ahead: bool) -> None:
        """`builds_ahead` allows building before the height starts."""
        self._ports = ports
        self._pacing = pacing
        self._builds_ahead = builds_ahead
        self._requested: Build | None = None
        self._is_running = False
        self._lead_ms = 0
        """How long the last block took."""
        self._height_ahead = 0
        """For which a block is built ahead, or was."""
        self._ready: BuiltValue | None = None

    def ahead_ms(self, info: AppInfo, wait_ms: int | None) -> int | None:
        """Return in how long to build for a height that starts in `wait_ms`, None for not before it starts."""
        signer = self._ports.signer
        if not self._builds_ahead or not wait_ms or signer is None or self._height_ahead == info.height + 1:
            return None
        if info.rotation.proposer.address != signer.address:
            return None
        return max(0, wait_ms - min(self._lead_ms, self._pacing.interval_ms // 2))

    def ahead(self, info: AppInfo, wait_ms: int, last_commit: Commit) -> Callable[[], Coroutine[Any, Any, BuiltValue]]:
        """Return the call that builds for round 0 of a height that starts in `wait_ms`. Asked for once a height."""
        self._height_ahead = info.height + 1
        self._is_running = True
        at_ms = self._ports.clock.now_ms() + wait_ms
        return partial(self.build, Build(info.height + 1, 0), info, last_commit, at_ms=at_ms)

    def request(self, build: Build) -> None:
        """Remember what the engine asks for; what it asked for in an earlier round is void."""
        self._requested = build

    def cancel(self) -> None:
        """Forget everything: the height is over, and no build is running."""
        self._requested = self._ready = None
        self._is_running = False

    def wait_ms(self, info: AppInfo) -> int | None:
        """Return how long the clock makes the request wait, None where nothing is to be begun."""
        if self._requested is None or self._is_running:
            return None
        return self._pacing.clock_wait_ms(self._ports.clock.now_ms(), info.timestamp)

    def take_due(self, info: AppInfo) -> Build | None:
        """Return the request where a build is to begin now, else None."""
        if self.wait_ms(info) != 0:
            return None
        self._is_running = True
        return self._requested

    def keep(self, built: BuiltValue) -> None:
        """Hold a block until it is asked for."""
        self._is_running = False
        self._ready = built

    def take_ready(self) -> BuiltValue | None:
        """Return the block that answers the request; one for another round or of another time is dropped."""
        if self._requested is None or self._ready is None:
            return None
        ready, self._ready = self._ready, None
        if ready.round != self._requested.round or not self._is_timely(ready):
            return None
        self._requested = None
        return ready

    def _is_timely(self, built: BuiltValue) -> bool:
        """Whether voters will find the block's time credible; one built ahead may have waited, or wait still."""
        age_ms = self._ports.clock.now_ms() - built.timestamp * 1000
        return not self._pacing.follows_clock or 0 <= age_ms < MAX_AGE_MS

    async def build(self, build: Build, info: AppInfo, last_commit: Commit, *, at_ms: int) -> BuiltValue:
        """Return a block on top of `info` for the wall time `at_ms`, cut into parts."""
        ports, signer = self._ports, self._ports.signer
        if signer is None:
            raise InvariantViolation("the engine of a node without key asked for a block")
        began = ports.clock.monotonic()
        timestamp = self._pacing.timestamp(at_ms, info.timestamp)
        request = PrepareRequest(
            height=Height(build.height),
            timestamp=Timestamp(timestamp),
            proposer=signer.address,
            last_commit=last_commit,
            evidence=ports.evidence.pending(MAX_EVIDENCE_BYTES),
        )
        proposal = await ports.application.prepare_proposal(request, ports.transactions.candidates())
        parts = await ports.worker.run(split, proposal.value)
        self._lead_ms = round((ports.clock.monotonic() - began) * 1000)
        return BuiltValue(
            round=build.round,
            block_hash=proposal.block_hash,
            value=proposal.value,
            parts=parts,
            timestamp=timestamp,
        )
