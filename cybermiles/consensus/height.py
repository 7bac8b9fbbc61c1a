"""One height: its engine, its log, its blocks, and what the engine asks for.

    input ─► log ─► engine.handle ─► effects, in order:
                                       SignProposal, SignVote   Speaker, then handed back as an input, then published
                                       Publish                  to Gossip
                                       Build                    to the runner, which knows the clock
                                       ScheduleTimeout          to the timers
                                       ReportEquivocation       to the evidence pool
                                       Decide                   kept for the runner, which finalizes and commits

What an own signature depends on is in the log before the engine acts on it (see `Speaker`). A decided height takes
precommits that come late: they make its commit better and ask for nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from cybermiles.consensus.application_calls import BuiltValue, CheckedValue, SyncedValue
from cybermiles.consensus.core.effects import (
    Build,
    Decide,
    Publish,
    ReportEquivocation,
    ScheduleTimeout,
    SignProposal,
    SignVote,
)
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.inputs import (
    CertificateReceived,
    CommitReceived,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    ValueChecked,
    VoteReceived,
)
from cybermiles.consensus.ports import KEPT_OUTCOMES
from cybermiles.consensus.privval import SigningRefused
from cybermiles.consensus.records import Start, encode_entry, entry_of
from cybermiles.consensus.replay import replay
from cybermiles.consensus.values import Values
from cybermiles.errors import InvalidBlock, InvariantViolation
from cybermiles.types.abci import Verdict
from cybermiles.types.part_set import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cybermiles.consensus.application_calls import Outcome
    from cybermiles.consensus.core.effects import Effect
    from cybermiles.consensus.core.inputs import Input
    from cybermiles.consensus.core.timeouts import EngineSettings
    from cybermiles.consensus.ports import Application, EvidenceSource, Gossip, Worker
    from cybermiles.consensus.records import Entry
    from cybermiles.consensus.speaker import Speaker
    from cybermiles.consensus.synced import SyncedBlock
    from cybermiles.consensus.timers import Timers
    from cybermiles.consensus.values import CompleteValue
    from cybermiles.consensus.wal import WriteAheadLog
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.abci import AppInfo
    from cybermiles.types.commit import Commit
    from cybermiles.types.part_set import PartSet


class Recovery(Enum):
    """What a log was good for."""

    RESUMED = auto()
    """The height goes on where it was."""
    ANEW = auto()
    """It was only followed: `begin_again`, voting or not."""
    LOST = auto()
    """It lacks what the signer signed at this height, so nobody knows the block it is locked on: follow only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every height works with."""

    address: bytes | None
    """The node's consensus address, None without a key."""
    speaker: Speaker | None
    application: Application
    evidence: EvidenceSource
    worker: Worker
    clock: Clock
    gossip: Gossip
    engine: EngineSettings
    max_value_bytes: int
    timers: Timers
    monotonic_ms: Callable[[], int]
    build: Callable[[Build], None]
    """Asks for a block; it comes back through `take_outcome`."""
    moved: Callable[[], None]
    """Called when the engine may stand elsewhere, before anything is published from there."""


class HeightHost:
    """Owned by the runner."""

    def __init__(self, tools: Tools, info: AppInfo, wal: WriteAheadLog) -> None:
        """Stand before the height above what the application has committed."""
        self.info = info
        self.height: int = info.height + 1
        self.engine = Engine(tools.address, tools.engine)
        self.values = Values(self.height, tools.max_value_bytes)
        self.decision: Commit | None = None
        self.is_following = False
        """Whether it was begun without voting."""
        self._tools = tools
        self._wal = wal
        self._entries: list[Entry] = []
        self._executions = 1
        """At most so many blocks of this height were executed, used or not; one may have been built before it."""

    async def begin(self, *, is_voting: bool) -> None:
        """Start round 0."""
        self.is_following = not is_voting
        await self._feed(StartHeight(height=self.height, rotation=self.info.rotation, is_voting=is_voting))

    async def begin_again(self, *, is_voting: bool) -> None:
        """Start round 0 as if everything known so far had only just arrived.

        Right only where nothing was signed at this height, or nothing will be.
        """
        entries, self._entries = self._entries, []
        await self._wal.remove()
        self._tools.timers.clear()
        self.engine = Engine(self._tools.address, self._tools.engine)
        await self.begin(is_voting=is_voting)
        for entry in entries:
            if self.decision is None and not isinstance(entry.input, Start | TimeoutElapsed | ValueBuilt):
                await self._feed(entry.input, entry.value)

    async def recover(self, entries: Sequence[Entry], last_signed: tuple[int, int, int]) -> Recovery:
        """Go on where the log of an earlier process ends; `last_signed` is the signer's.

        Raises InvariantViolation where the application refuses a block it accepted before.
        """
        await self._restore_values(entries)
        self._entries = list(entries)
        if not isinstance(entries[0].input, Start) or not entries[0].input.is_voting:
            return Recovery.LOST if last_signed >= (self.height, 0, 0) else Recovery.ANEW
        replayed = replay(self.engine, self.info.rotation, entries, self._tools.address)
        if last_signed > (self.height, *replayed.last_position):
            return Recovery.LOST
        self._tools.moved()
        for timer in replayed.timers:
            self._tools.timers.schedule(timer, self._tools.monotonic_ms())
        try:
            await self._perform(replayed.open)
        except SigningRefused:
            return Recovery.LOST
        for message in replayed.own:
            if message.round == self.engine.round:
                self._tools.gossip.publish(message)
        return Recovery.RESUMED

    async def receive(self, input_: ProposalReceived | VoteReceived | CertificateReceived) -> None:
        """Take a verified message."""
        await self._feed(input_)
        if isinstance(input_, ProposalReceived) and self.decision is None:
            needed = tuple(value.block_hash for value in (self.engine.locked, self.engine.valid) if value is not None)
            checked = self.values.expect(input_.proposal, needed)
            if checked is not None:
                await self._feed(checked)

    async def elapse(self, elapsed: TimeoutElapsed) -> None:
        """Take a timer that ran out."""
        await self._feed(elapsed)

    async def take_outcome(self, outcome: Outcome) -> None:
        """Take a block built or checked by the application; one that came too late for its round is dropped.

        Raises InvalidBlock for a synced block that is not valid or not its commit's.
        """
        match outcome:
            case SyncedValue():
                await self._apply_synced(outcome)
            case CheckedValue(complete, verdict):
                await self._feed_verdicts(self.values.checked(complete, verdict), complete.value)
            case BuiltValue() if outcome.round == self.engine.round and not self.engine.is_decided:
                verdict = Verdict(accepted=True, block_hash=outcome.block_hash, timestamp=outcome.timestamp)
                self.values.keep(outcome.value, outcome.parts, verdict)
                built = ValueBuilt(
                    height=self.height,
                    round=outcome.round,
                    block_hash=outcome.block_hash,
                    parts=outcome.parts.header,
                    timestamp=outcome.timestamp,
                )
                await self._feed(built, outcome.value)

    async def check(self, complete: CompleteValue) -> Outcome:
        """Ask the application about a block that came in parts."""
        return CheckedValue(complete, await self._process(complete.value))

    async def check_synced(self, block: SyncedBlock) -> Outcome:
        """Ask the application about a block whose commit is verified."""
        verdict = await self._process(block.value)
        parts = await self._tools.worker.run(split, block.value) if verdict.accepted else None
        return SyncedValue(block=block, parts=parts, verdict=verdict)

    async def commit(self, decision: Commit) -> None:
        """Make the decided block durable, and delete the log."""
        if self.engine.is_voting:
            await self._wal.flush()
        application = self._tools.application
        value = self.values.value(decision.block_hash)
        if value is not None and self._executions > KEPT_OUTCOMES:
            await application.process_proposal(value)
        await application.finalize_block(decision.block_hash)
        await application.commit(decision)
        await self._wal.remove()

    async def _process(self, value: bytes) -> Verdict:
        self._executions += 1
        return await self._tools.application.process_proposal(value)

    async def _apply_synced(self, synced: SyncedValue) -> None:
        """Decide by a block and its verified commit.

        Raises InvariantViolation where the block is really the decided one and this node finds it invalid: whoever
        supplied it is not at fault, and asking others for it would never end.
        """
        verdict, commit = synced.verdict, synced.block.commit
        if verdict.is_genuine and verdict.block_hash == commit.block_hash:
            raise InvariantViolation(
                f"more than two thirds of the power decided block {commit.block_hash.hex()} at height {self.height}, "
                f"which this node finds invalid: {verdict.reason}. Its version or its data are not the network's: "
                "start the version that the network runs, or move the data directory away and sync again."
            )
        if synced.parts is None:
            raise InvalidBlock(f"block {self.height}: {verdict.reason}")
        if verdict.block_hash != commit.block_hash:
            raise InvalidBlock("the commit is another block's", got=verdict.block_hash, expected=commit.block_hash)
        value = synced.block.value
        await self._feed_verdicts(self.values.keep(value, synced.parts, verdict), value)
        await self._feed(CommitReceived(commit))

    async def _feed_verdicts(self, verdicts: Iterable[ValueChecked], value: bytes) -> None:
        for checked in verdicts:
            await self._feed(checked, value if checked.accepted else b"")

    async def _feed(self, input_: Input, value: bytes = b"") -> None:
        await self._perform(self._handle(input_, value))

    def _handle(self, input_: Input, value: bytes = b"") -> tuple[Effect, ...]:
        """Log an input, then let the engine take it."""
        if self.decision is None:
            entry = entry_of(input_, value)
            self._entries.append(entry)
            self._wal.append(encode_entry(entry))
        effects = self.engine.handle(input_)
        self._tools.moved()
        return effects

    async def _perform(self, effects: Iterable[Effect]) -> None:
        queue = deque(effects)
        while queue:
            match queue.popleft():
                case SignVote() as asked:
                    vote = await self._voice.sign_vote(self._wal, asked)
                    queue.extend(self._handle(VoteReceived(vote)))
                    self._tools.gossip.publish(vote)
                case SignProposal() as asked:
                    proposal = await self._voice.sign_proposal(self._wal, asked)
                    queue.extend(self._handle(ProposalReceived(proposal, self._tools.clock.now_ms())))
                    self._tools.gossip.publish(proposal)
                case Publish(message):
                    self._tools.gossip.publish(message)
                case Build() as build:
                    self._executions += 1
                    self._tools.build(build)
                case ScheduleTimeout() as timer:
                    self._tools.timers.schedule(timer, self._tools.monotonic_ms())
                case ReportEquivocation(evidence):
                    self._tools.evidence.report(evidence)
                case Decide(commit):
                    self.decision = commit

    @property
    def _voice(self) -> Speaker:
        if self._tools.speaker is None:
            raise InvariantViolation("the engine of a node without key asked for a signature")
        return self._tools.speaker

    async def _restore_values(self, entries: Sequence[Entry]) -> None:
        """Have the application execute the logged blocks again: it kept their outcomes in memory only."""
        for entry in entries:
            input_ = entry.input
            if isinstance(input_, ProposalReceived):
                self.values.expect(input_.proposal, ())
            if not isinstance(input_, ValueBuilt | ValueChecked) or not entry.value:
                continue
            verdict = await self._process(entry.value)
            if not verdict.accepted or verdict.block_hash != input_.block_hash:
                raise InvariantViolation(
                    f"block {input_.block_hash.hex()} of height {self.height}, which this node accepted before it "
                    f"stopped, is not valid any more: {verdict.reason}. Start the version that accepted it."
                )
            parts: PartSet = await self._tools.worker.run(split, entry.value)
            self.values.keep(entry.value, parts, verdict)
