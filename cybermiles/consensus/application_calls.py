"""The application's calls of one height, one at a time beside the runner, which goes on counting votes meanwhile.

    Build   ─► wait for the clock ─► prepare_proposal ─► cut into parts ─► BuiltValue
    complete value ─► process_proposal ─► CheckedValue
    synced block ─► process_proposal ─► cut into parts ─► SyncedValue

Results wait until the runner takes them: it alone tells the engine. Before it finalizes it settles what still runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.runtime.background import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from cybermiles.consensus.synced import SyncedBlock
    from cybermiles.consensus.values import CompleteValue
    from cybermiles.types.abci import Verdict
    from cybermiles.types.part_set import PartSet
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltValue:
    """A block for a round in which this node proposes."""

    round: int
    block_hash: Hash32
    value: bytes
    parts: PartSet
    timestamp: int


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """What the application says of a block that came in parts."""

    complete: CompleteValue
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedValue:
    """What the application says of a block that others decided."""

    block: SyncedBlock
    parts: PartSet | None
    """None of a refused block, which may be anything, even empty."""
    verdict: Verdict


Outcome: TypeAlias = BuiltValue | CheckedValue | SyncedValue


class ApplicationCalls:
    """Owned by the runner; `wake` is called when a result may be taken."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: deque[Callable[[], Coroutine[Any, Any, Outcome]]] = deque()
        self._running: Call[Outcome] | None = None

    def submit(self, call: Callable[[], Coroutine[Any, Any, Outcome]]) -> None:
        """Run a call when those before it are done."""
        self._waiting.append(call)
        self._start_next()

    def take(self) -> Outcome | None:
        """Return the oldest result, None where there is none yet. Raises what the application raised."""
        if self._running is None or not self._running.is_done:
            return None
        finished, self._running = self._running, None
        self._start_next()
        return finished.result()

    async def settle(self) -> None:
        """Forget the waiting calls and return when the running one has ended; its result is dropped."""
        self._waiting.clear()
        if self._running is not None:
            running, self._running = self._running, None
            await running.wait()

    async def close(self) -> None:
        """Stop everything."""
        self._waiting.clear()
        if self._running is not None:
            await self._running.cancel()

    def _start_next(self) -> None:
        if self._running is None and self._waiting:
            self._running = Call("application", self._waiting.popleft()(), self._wake)
