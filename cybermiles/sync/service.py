"""Runs block sync beside consensus: hands blocks over in order, tells consensus when it is far behind.

    peers ──► reactor ──► BlockSync (policy) ──next block──► runner.apply_synced ──► durable
                 ▲              │                                    │
                 └── Ask, Drop ─┘          wrong? the supplier goes ◄┘

Consensus decides every height, also those whose block and commit come from here, so there is no moment at which one
hands over to the other: blocks stop coming when nobody is ahead any more. While this node is more than one height
behind, `set_catching_up` keeps it from voting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from cybermiles.errors import DecodingError, InvalidBlock, ProtocolViolation
from cybermiles.runtime.logging import get_logger
from cybermiles.runtime.pacing import News
from cybermiles.sync.actions import Ask, SuppliedBlock, SyncLimits
from cybermiles.sync.block_sync import BlockSync
from cybermiles.sync.progress import LogProgress, Pace, ProgressOutput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.consensus.messages import RoundView
    from cybermiles.runtime.clock import Clock
    from cybermiles.sync.actions import Action, Fault
    from cybermiles.types.commit import Commit

log = get_logger("sync")

TICK_MS = 250


class Follower(Protocol):
    """The consensus runner, as block sync sees it."""

    @property
    def view(self) -> RoundView:
        """Where the node stands."""
        ...

    async def apply_synced(self, value: bytes, commit: Commit) -> None:
        """Decide the next height by a block and its commit; at once where it is decided already.

        Raises InvalidBlock, ProtocolViolation or DecodingError where they are wrong.
        """
        ...

    def set_catching_up(self, *, catching_up: bool) -> None:
        """Say whether others are more than one height ahead."""
        ...


class Suppliers(Protocol):
    """The peers."""

    def ask(self, peer: str, height: int) -> None:
        """Request a block."""
        ...

    def drop(self, peer: str, fault: Fault, reason: str) -> None:
        """End the connection and hold the fault against the peer."""
        ...


class SyncService:
    """Owns the policy. `run` belongs to a supervised task; the other methods are the reactor's."""

    def __init__(
        self,
        follower: Follower,
        clock: Clock,
        *,
        height: int,
        output: ProgressOutput | None = None,
        limits: SyncLimits | None = None,
    ) -> None:
        """`height` is the newest one that is durable here."""
        self._follower = follower
        self._news = News(clock)
        self._output = output or LogProgress()
        self._suppliers: Suppliers | None = None
        self._policy = BlockSync(height, self._news.now_ms(), limits)
        self._pace: Pace | None = None
        self._shown_ms = 0
        self._told = False
        """What consensus was told last."""

    @property
    def is_catching_up(self) -> bool:
        """Whether blocks applied show that this node is more than one height behind."""
        return self._policy.is_catching_up

    @property
    def best_height(self) -> int:
        """The highest height that a peer claims to have, 0 without peers."""
        return self._policy.best_height

    def heights(self, peer: str) -> tuple[int, int] | None:
        """Return the oldest and newest height a peer claims to have, None where it has said nothing."""
        return self._policy.heights(peer)

    def join(self, suppliers: Suppliers) -> None:
        """Ask and drop through `suppliers`. Called once, before anything else."""
        self._suppliers = suppliers

    async def run(self) -> NoReturn:
        """Apply what comes, in order, until cancelled."""
        while True:
            self.tick(self._news.now_ms())
            block = self._policy.next_block
            if block is None:
                await self._news.wait_until(self._news.now_ms() + TICK_MS)
            else:
                await self._apply(block)

    def tick(self, now_ms: int) -> None:
        """Take note of what consensus decided, judge silent peers, report."""
        self._perform(self._policy.applied(self._follower.view.height - 1, now_ms, synced=False))
        self._perform(self._policy.tick(now_ms))
        catching_up = self._policy.is_catching_up
        if catching_up != self._told:
            self._told = catching_up
            log.info("catching_up" if catching_up else "caught_up", height=self._policy.applied_height)
            self._follower.set_catching_up(catching_up=catching_up)
        self._report(now_ms, catching_up=catching_up)

    def status(self, peer: str, base: int, height: int) -> None:
        """A peer says which heights it has."""
        self._perform(self._policy.status(peer, base, height, self._news.now_ms()))

    def received(self, block: SuppliedBlock) -> None:
        """A peer sent a block."""
        self._perform(self._policy.received(block, self._news.now_ms()))
        self._news.tell()

    def no_block(self, peer: str, height: int) -> None:
        """A peer has no such block."""
        self._perform(self._policy.no_block(peer, height, self._news.now_ms()))

    def removed(self, peer: str) -> None:
        """A peer is gone."""
        self._perform(self._policy.removed(peer, self._news.now_ms()))

    async def _apply(self, block: SuppliedBlock) -> None:
        try:
            await self._follower.apply_synced(block.value, block.commit)
        except (InvalidBlock, ProtocolViolation, DecodingError) as error:
            log.warning("wrong_block", height=block.height, peer=block.peer, error=str(error))
            self._perform(self._policy.refused(block, str(error), self._news.now_ms()))
        else:
            self._perform(self._policy.applied(block.height, self._news.now_ms(), synced=True))

    def _perform(self, actions: Iterable[Action]) -> None:
        if self._suppliers is None:
            return
        for action in actions:
            if isinstance(action, Ask):
                self._suppliers.ask(action.peer, action.height)
            else:
                log.info("sync_peer_dropped", peer=action.peer, fault=action.fault.value, reason=action.reason)
                self._suppliers.drop(action.peer, action.fault, action.reason)

    def _report(self, now_ms: int, *, catching_up: bool) -> None:
        policy = self._policy
        if not catching_up:
            if self._pace is not None:
                self._output.done(policy.applied_height)
                self._pace = None
            return
        if self._pace is None:
            self._pace = Pace(policy.applied_height, now_ms)
        if now_ms - self._shown_ms >= self._output.interval_ms:
            self._shown_ms = now_ms
            self._output.show(self._pace.progress(policy.applied_height, policy.best_height, now_ms))
