"""Drives the consensus core of one node: verifies, logs, hands inputs in, performs effects, paces heights.

One task (`run`) owns the engine, the log and everything else here. Reactors only leave messages and read.

    receive ─► inbox ─► wanted? ─► signatures (batch, threads) ─► log ─► engine.handle ─► effects in order
    timers ─────────────────────────────────────────────────────►│            │
    application (one call at a time, beside the loop) ──────────►│            ├─ sign: log fsync, signer fsync,
    apply_synced ───────────────────────────────────────────────►│            │  log, hand back, publish
                                                                              └─ decide: fsync, finalize, commit

An exception of the core, the signer, the disk or the application ends `run` and with it the node. What peers send
never does: it is dropped and reported to `Gossip.rejected`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from cybermiles.consensus.alone import Silence
from cybermiles.consensus.application_calls import ApplicationCalls, BuiltValue, SyncedValue
from cybermiles.consensus.building import Building
from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.deliveries import Deliveries
from cybermiles.consensus.gate import StartGate
from cybermiles.consensus.height import HeightHost, Recovery, Tools
from cybermiles.consensus.inbox import Inbox, Received
from cybermiles.consensus.intake import Intake
from cybermiles.consensus.messages import RoundView
from cybermiles.consensus.pacing import Moment, Pacing
from cybermiles.consensus.replay import read_entries
from cybermiles.consensus.speaker import Speaker
from cybermiles.consensus.synced import SyncedBlock, SyncedBlocks
from cybermiles.consensus.timers import Timers
from cybermiles.consensus.voting import VotingRight
from cybermiles.consensus.wal import WriteAheadLog, remove_before
from cybermiles.errors import InvalidBlock, InvariantViolation, ProtocolViolation
from cybermiles.runtime.background import Alarm
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.vote import Vote, VoteType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from cybermiles.consensus.core.engine import Engine
    from cybermiles.consensus.messages import ConsensusMessage
    from cybermiles.consensus.ports import Gossip, RunnerPorts
    from cybermiles.consensus.records import Entry
    from cybermiles.consensus.settings import RunnerSettings
    from cybermiles.types.abci import AppInfo
    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartSet
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import Validator, ValidatorSet


_BEFORE_RUN = RoundView(
    height=0, round=0, step=Step.UNSTARTED, is_started=False, is_catching_up=False, last_commit_round=-1
)


class ConsensusRunner:
    """Decides one height after another.

    Its task is `run`. Everything else is for reactors: plain calls return at once, and what they read is theirs to
    look at only.
    """

    def __init__(self, ports: RunnerPorts, settings: RunnerSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._gossip: Gossip = Silence()
        self._wake = asyncio.Event()
        self._alarm = Alarm(ports.clock, self._wake.set)
        self._timers = Timers()
        self._calls = ApplicationCalls(self._wake.set)
        self._inbox = Inbox()
        self._intake = Intake(ports.verifier, settings.chain_id, settings.genesis_hash)
        self._deliveries = Deliveries(self._inbox, self._intake, self._calls)
        pacing = Pacing(interval_ms=settings.block_interval_ms)
        self._gate = StartGate(
            ports,
            pacing,
            create_empty_blocks=settings.create_empty_blocks,
            inbox=self._inbox,
            intake=self._intake,
            wake=self._wake.set,
        )
        self._building = Building(ports, pacing, builds_ahead=settings.create_empty_blocks)
        self._synced = SyncedBlocks()
        self._info: AppInfo | None = None
        self._last_commit = EMPTY_COMMIT
        self._host: HeightHost | None = None
        """Of the height being decided; between two heights, of the one decided last."""
        self._is_started = False
        self._is_catching_up = False
        self._voting = VotingRight(ports, settings)
        self._view = _BEFORE_RUN

    # Its own task

    async def run(self) -> NoReturn:
        """Decide heights until cancelled. Raises what stops the node: ConfigError, InvariantViolation, StorageError."""
        try:
            self._info = await self._ports.application.info()
            self._last_commit = self._info.last_commit
            directory, height = self._ports.log_directory, self._info.height + 1
            await self._ports.worker.run(remove_before, directory, height)
            await self._run_height(self._info, await self._ports.worker.run(read_entries, directory, height))
            while True:
                await self._run_height(self._info, ())
        finally:
            self._synced.close()
            await self._calls.close()
            await self._alarm.close()
            await self._gate.close()

    async def _run_height(self, info: AppInfo, entries: Sequence[Entry]) -> None:
        """Decide one height and make it durable."""
        self._moved()
        if not entries:
            await self._wait_for_start(info)
        host = await self._start(info, entries)
        while host.decision is None:
            await self._pause(self._next_due_ms(info))
            await self._turn(host)
        await self._commit(host, host.decision)

    async def _wait_for_start(self, info: AppInfo) -> None:
        """Let the height's time come, and late precommits of the last one with it."""
        while self._synced.is_empty and not self._is_catching_up:
            now = Moment(wall_ms=self._ports.clock.now_ms(), monotonic_ms=self._monotonic_ms())
            wait = await self._gate.wait_ms(now, info, self._gossip)
            if wait == 0:
                break
            ahead = self._building.ahead_ms(info, wait)
            if ahead == 0 and wait is not None:
                self._calls.submit(self._building.ahead(info, wait, self.last_commit))
            due = min((time for time in (wait, ahead) if time), default=None)
            await self._pause(None if due is None else self._monotonic_ms() + due)
            await self._deliver(self._host)
            if isinstance(outcome := self._calls.take(), BuiltValue):
                self._building.keep(outcome)

    async def _start(self, info: AppInfo, entries: Sequence[Entry]) -> HeightHost:
        """Begin the height, or go on where the log of an earlier process ends."""
        await self._gate.close()
        self._last_commit = self.last_commit
        wal = WriteAheadLog(self._ports.log_directory, self._ports.worker, info.height + 1, exists=bool(entries))
        host = self._host = HeightHost(self._tools(), info, wal)
        self._gate.started(self._monotonic_ms())
        self._is_started = True
        self._inbox.height_started()
        self._wake.set()
        last_signed = self._voting.last_signed
        if not entries:
            self._voting.mute(info, is_lost=last_signed >= (host.height, 0, 0))
            await host.begin(is_voting=await self._may_vote(info))
            return host
        await self._voting.check_signer(info)
        recovery = await host.recover(entries, last_signed)
        self._voting.mute(info, is_lost=recovery is Recovery.LOST)
        if recovery is not Recovery.RESUMED:
            await host.begin_again(is_voting=await self._may_vote(info))
        return host

    async def _may_vote(self, info: AppInfo) -> bool:
        return await self._voting.may_vote(info, is_catching_up=self._is_catching_up)

    async def _turn(self, host: HeightHost) -> None:
        """Let the height take what has arrived, whatever it is."""
        if host.is_following and await self._may_vote(host.info):
            await host.begin_again(is_voting=True)
        await self._take_outcomes(host)
        while host.decision is None and (elapsed := self._timers.pop_due(self._monotonic_ms())) is not None:
            await host.elapse(elapsed)
        for block in self._synced.take(host.height):
            await self._take_synced(host, block)
        await self._deliver(host)
        if host.decision is None and (ready := self._building.take_ready()) is not None:
            await host.take_outcome(ready)
        if host.decision is None and (build := self._building.take_due(host.info)) is not None:
            now_ms = self._ports.clock.now_ms()
            self._calls.submit(partial(self._building.build, build, host.info, self.last_commit, at_ms=now_ms))

    async def _take_outcomes(self, host: HeightHost) -> None:
        while host.decision is None and (outcome := self._calls.take()) is not None:
            if isinstance(outcome, BuiltValue):
                self._building.keep(outcome)
                continue
            try:
                await host.take_outcome(outcome)
            except InvalidBlock as error:
                if not isinstance(outcome, SyncedValue):
                    raise
                self._synced.failed(outcome.block, error)

    async def _take_synced(self, host: HeightHost, block: SyncedBlock) -> None:
        try:
            await self._intake.check_commit(block.commit, host.info.validators)
        except ProtocolViolation as error:
            self._synced.failed(block, error)
        else:
            self._calls.submit(partial(host.check_synced, block))

    async def _deliver(self, host: HeightHost | None) -> None:
        if host is not None:
            await self._deliveries.deliver(host, self._gossip)
        if not self._inbox.is_empty:
            self._wake.set()

    async def _commit(self, host: HeightHost, decision: Commit) -> None:
        """Make the decided height durable and stand before the next one."""
        self._timers.clear()
        self._building.cancel()
        await self._calls.settle()
        await host.commit(decision)
        info = await self._ports.application.info()
        if info.height != host.height:
            raise InvariantViolation(f"the application stands at height {info.height} after commit of {host.height}")
        self._info = info
        self._is_started = False
        self._inbox.height_committed()
        self._synced.committed(host.height)

    async def _pause(self, due_ms: int | None) -> None:
        """Wait for anything to do, until `due_ms` (monotonic) at most."""
        if due_ms is not None:
            self._alarm.set(due_ms / 1000)
        await self._wake.wait()
        self._wake.clear()

    def _next_due_ms(self, info: AppInfo) -> int | None:
        """Return when the earliest timer elapses or a block may be built."""
        build_wait = self._building.wait_ms(info)
        times = [self._timers.next_ms, None if build_wait is None else self._monotonic_ms() + build_wait]
        return min((time for time in times if time is not None), default=None)

    def _monotonic_ms(self) -> int:
        # Rounded, not cut: a sleep until a whole millisecond must end at it or after.
        return round(self._ports.clock.monotonic() * 1000)

    def _tools(self) -> Tools:
        ports, settings = self._ports, self._settings
        signer = ports.signer
        return Tools(
            address=None if signer is None else signer.address,
            speaker=None if signer is None else Speaker(signer, settings.chain_id, settings.genesis_hash),
            application=ports.application,
            evidence=ports.evidence,
            worker=ports.worker,
            clock=ports.clock,
            gossip=self._gossip,
            engine=settings.engine,
            max_value_bytes=settings.max_value_bytes,
            timers=self._timers,
            monotonic_ms=self._monotonic_ms,
            build=self._building.request,
            moved=self._moved,
        )

    def _moved(self) -> None:
        """Tell gossip where the node stands, if that is news."""
        info, engine = self._info, self._engine
        if info is None:
            return
        view = RoundView(
            height=info.height + 1,
            round=0 if engine is None else engine.round,
            step=Step.UNSTARTED if engine is None else engine.step,
            is_started=self._is_started,
            is_catching_up=self._is_catching_up,
            last_commit_round=info.last_commit.round if info.height else -1,
        )
        if view != self._view:
            self._view = view
            self._gossip.view_changed(view)

    @property
    def _engine(self) -> Engine | None:
        """The engine of the height of the view, None while that has not started."""
        if self._host is None or not self._is_started or self._host.engine.height == 0:
            return None
        return self._host.engine

    # What reactors hand in

    def join(self, gossip: Gossip) -> None:
        """Speak through `gossip`. Called once, before `run`; without it the node is alone."""
        self._gossip = gossip

    def receive(self, message: ConsensusMessage, source: str) -> None:
        """Take a peer's decoded message; dropped where it is stale or where the source's room is full."""
        height = self._view.height
        is_next = message.height == height + self._is_started
        is_late = self._host is not None and not self._is_started and _is_late_precommit(message, height)
        if is_next or is_late or (self._is_started and message.height == height):
            received = Received(message, source, self._ports.clock.now_ms())
            self._inbox.put(received, early=is_next)
            self._wake.set()

    async def apply_synced(self, value: bytes, commit: Commit) -> None:
        """Decide the current height by a block and its commit, and return when it is durable.

        Returns at once where that height is committed already. Raises InvalidBlock or ProtocolViolation where block
        or commit are wrong, which is the supplier's fault, and ValueError for a height that is not next.
        """
        if self._info is not None and commit.height <= self._info.height:
            return
        block = SyncedBlock(value, commit, asyncio.get_running_loop().create_future())
        self._synced.put(block)
        self._wake.set()
        await block.done

    def set_catching_up(self, *, catching_up: bool) -> None:
        """Say whether others are more than one height ahead; such a node votes on nothing. Initially it is not."""
        if catching_up != self._is_catching_up:
            self._is_catching_up = catching_up
            self._voting.forget()
            self._moved()
            self.wake()

    def wake(self) -> None:
        """Look again whether a height should start, because evidence arrived."""
        self._wake.set()

    @property
    def interval_ms(self) -> int:
        """Least time from the start of one height to that of the next."""
        return self._settings.block_interval_ms

    # What reactors read: about the height of `view`, nothing while it has not started

    @property
    def view(self) -> RoundView:
        """Where the node stands."""
        return self._view

    @property
    def engine(self) -> Engine | None:
        """The core of the height being decided, or of the last one between two heights; only read it."""
        return None if self._host is None else self._host.engine

    @property
    def validators(self) -> ValidatorSet:
        """Who decides the height of the view. Raises InvariantViolation before `run`."""
        if self._info is None:
            raise InvariantViolation("the runner was asked about a height before it ran")
        return self._info.validators

    @property
    def last_commit(self) -> Commit:
        """Commit of the height before, with precommits that came late."""
        if self._host is not None and not self._is_started:
            return self._host.engine.commit() or self._last_commit
        return self._last_commit

    def proposer(self, round_: int) -> Validator | None:
        """Return who proposes in a round."""
        return None if self._engine is None else self._engine.proposer(round_)

    def proposal(self, round_: int) -> SignedProposal | None:
        """Return the proposal of a round."""
        return None if self._engine is None else self._engine.proposal(round_)

    def votes(self, round_: int, type_: VoteType) -> tuple[Vote | None, ...]:
        """Return the first vote of each validator in the order of the set; empty where nothing has started."""
        return () if self._engine is None else self._engine.votes(round_, type_)

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds of which any vote is known."""
        return () if self._engine is None else self._engine.rounds()

    def part_set(self, parts_id: Hash32) -> PartSet | None:
        """Return the parts of a proposed block as far as they are here."""
        return None if self._host is None or not self._is_started else self._host.values.part_set(parts_id)

    def explain(self) -> str:
        """Return one sentence: why the height does not advance and who is missing."""
        if self._engine is not None:
            return self._engine.explain()
        return f"Height {self._view.height} has not started: it waits for its time or for a transaction."


def _is_late_precommit(message: ConsensusMessage, height: int) -> bool:
    return isinstance(message, Vote) and message.height == height - 1 and message.type is VoteType.PRECOMMIT
