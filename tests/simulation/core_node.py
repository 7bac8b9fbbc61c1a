"""A correct validator of the bare-core simulation: the real engine, and around it the smallest host that keeps the
engine's contract: verified inputs, a log written before the engine sees anything, and the order of durability.

    message ─► wanted? verified? ─► log ─► engine ─► effects
    own signature: log synced ─► signer's state saved ─► own message logged and synced ─► engine ─► published

Each arrow is a point where the power may fail; then the log loses what was not synced, a new engine replays the rest,
and what it asked for without an answer is done again.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cybermiles.consensus.core import effects as out
from cybermiles.consensus.core import inputs as into
from cybermiles.consensus.core.engine import Engine
from cybermiles.errors import ProtocolViolation
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.proposal import SignedProposal, proposal_sign_bytes
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.simulation import keys
from tests.simulation.messages import Body, Synced, Value, height_of

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit
    from tests.simulation.core_world import CoreWorld

CHAIN = (keys.CHAIN_ID, keys.GENESIS_HASH)
MAX_BODIES = 16
"""Of one round."""


class PowerLoss(BaseException):
    """The node died at this disk operation."""


@dataclass(slots=True)
class Disk:
    """What survives: the log of one height up to `synced`, the signer's state, and decided blocks."""

    log: list[into.Input] = field(default_factory=list)
    synced: int = 0
    values: dict[bytes, Value] = field(default_factory=dict)
    """Blocks of the log's height, written with the log."""
    signed: tuple[tuple[int, int, int], bytes, bytes] = ((0, 0, 0), b"", b"")
    """Position, sign bytes and signature of the last message."""
    blocks: list[tuple[Value, Commit]] = field(default_factory=list)
    operations: int = 0


class CoreNode:
    """One validator."""

    def __init__(self, world: CoreWorld, index: int) -> None:
        self.world = world
        self.index = index
        self.key = world.keys[index]
        self.disk = Disk()
        self.life = 0
        """Counts starts; timers of an earlier life are void."""
        self.is_up = False
        self.engine: Engine | None = None

    # ---- life and death

    def start(self) -> None:
        """Start, or start again after a crash."""
        self.life += 1
        self.is_up = True
        self.engine = Engine(self.key.address, self.world.settings)
        self._inbox: deque[object] = deque()
        self._effects: deque[out.Effect] = deque()
        self._bodies: dict[bytes, Value] = {}
        """Blocks that were checked, by hash."""
        self._roots: set[bytes] = set()
        """Of the parts that are here or were."""
        self._early: list[tuple[int, object]] = []
        self._is_blocked = False
        self._started_ms = self.world.now_ms
        if self.disk.log and self.disk.log[0].height != self.height:
            self.disk.log, self.disk.synced, self.disk.values = [], 0, {}  # died between the commit and the removal
        if self.disk.log:
            self._replay()
        else:
            self._schedule_height(0)

    def crash(self) -> None:
        """Lose power: of the unsynced end of the log, a random piece made it to the disk."""
        rng = self.world.streams["crash"]
        unsynced = len(self.disk.log) - self.disk.synced
        kept = self.disk.synced + (rng.randint(0, unsynced) if unsynced and rng.random() < 0.5 else 0)
        if kept < len(self.disk.log):
            self.world.fault("crash with loss of unsynced log")
        self.world.fault("crash")
        del self.disk.log[kept:]
        self.disk.synced = kept
        self.is_up = False
        self.engine = None

    def _replay(self) -> None:
        """Bring a new engine to where the log ends, then do what is still open."""
        log = self.disk.log
        opened: list[out.Effect] = []
        for entry in log:
            opened += self.engine.handle(entry)
        self.world.checker.core_handled(self.index, self.key.address, self.engine)
        self._bodies = dict(self.disk.values)
        self._effects.extend(self._open(opened, log))
        self._run()

    def _open(self, opened: list[out.Effect], log: list[into.Input]) -> list[out.Effect]:
        """Return what was asked for and has no answer in the log; a timer may be asked for again in one round."""
        elapsed = Counter(entry for entry in log if isinstance(entry, into.TimeoutElapsed))
        still: list[out.Effect] = []
        for effect in opened:
            if isinstance(effect, out.ScheduleTimeout):
                timer = into.TimeoutElapsed(effect.kind, effect.height, effect.round)
                if elapsed[timer]:
                    elapsed[timer] -= 1
                    continue
            if not self._is_done(effect, log):
                still.append(effect)
        return still

    def _is_done(self, effect: out.Effect, log: list[into.Input]) -> bool:
        match effect:
            case out.SignProposal():
                return any(
                    isinstance(e, into.ProposalReceived) and self._is_own(e.proposal)
                    and (e.proposal.height, e.proposal.round) == (effect.height, effect.round)
                    for e in log
                )  # fmt: skip
            case out.SignVote():
                return any(
                    isinstance(e, into.VoteReceived) and e.vote.validator == self.key.address
                    and (e.vote.type, e.vote.height, e.vote.round) == (effect.type, effect.height, effect.round)
                    for e in log
                )  # fmt: skip
            case out.Build():
                return any(isinstance(e, into.ValueBuilt) and e.round == effect.round for e in log)
            case out.ReportEquivocation():
                return True
        return False

    def _is_own(self, proposal: SignedProposal) -> bool:
        return self.world.proposer(proposal.height, proposal.round) == self.index

    def _persist(self) -> None:
        """Count one disk operation; the plan may end this life before it, or after it at the next one."""
        self.disk.operations += 1
        if self.world.dies_now(self.index, self.disk.operations):
            raise PowerLoss

    def _sync(self) -> None:
        self._persist()
        self.disk.synced = len(self.disk.log)

    # ---- heights

    @property
    def height(self) -> int:
        """The height being decided or waited for."""
        return len(self.disk.blocks) + 1

    def _schedule_height(self, after_ms: float) -> None:
        self.world.later_in_life(self, after_ms, self._start_height)

    def _start_height(self) -> None:
        height = self.height
        if self.engine.height == height:
            return
        self._started_ms = self.world.now_ms
        self._bodies = {}
        self._roots = set()
        self._feed(into.StartHeight(height=height, rotation=self.world.rotation(height)))
        early, self._early = self._early, []
        for source, message in early:
            self._take(source, message)
        self._run()

    def _decide(self, commit: Commit) -> None:
        self._sync()
        value = self._bodies[commit.block_hash]
        self._persist()
        self.disk.blocks.append((value, commit))  # one atomic batch
        self.world.decided(self.index, value, commit)
        self._persist()
        self.disk.log, self.disk.synced, self.disk.values = [], 0, {}
        self._effects.clear()
        self._schedule_height(self._pause_ms(value))

    def _pause_ms(self, value: Value) -> float:
        """Wait until a header time after the parent's has come."""
        header = (value.timestamp + 1) * 1_000 - self.world.wall_ms(self.index)
        interval = self._started_ms + self.world.plan.block_interval_ms - self.world.now_ms
        return min(max(0.0, float(header), interval), 5_000.0)

    # ---- messages

    def deliver(self, source: int, message) -> None:
        """Take a message from the network."""
        self._inbox.append((source, message))
        self._run()

    def _take(self, source: int, message) -> None:
        height = height_of(message)
        if height == self.height and self.engine.height != height:
            if len(self._early) < 500 and not isinstance(message, Synced):
                self._early.append((source, message))  # the height has not started here yet
            return
        if height == self.height + 1 and self._waits_outside(message):
            if len(self._early) < 500:
                self._early.append((source, message))
            return
        if isinstance(message, Body):
            self._take_body(message)
        elif isinstance(message, Synced):
            self._take_synced(message)
        elif self.engine.wants(message) and self._verifies(message):
            self._feed(self._as_input(message))

    def _waits_outside(self, message) -> bool:
        """Whether a message of the next height waits here and not in the engine.

        What waits in the engine is not in the next height's log, so a replay would lack it.
        """
        return isinstance(message, Body) or bool(self.world.plan.crashes) or self.world.plan.script == "amnesia"

    def _as_input(self, message) -> into.Input:
        if isinstance(message, SignedProposal):
            return into.ProposalReceived(message, self.world.wall_ms(self.index))
        if isinstance(message, Vote):
            return into.VoteReceived(message)
        return into.CertificateReceived(replace(message, votes=self.engine.news(message)))

    def _verifies(self, message) -> bool:
        if isinstance(message, SignedProposal):
            member = self.world.rotation_proposer(message.height, message.round)
            signed = message.sign_bytes(*CHAIN)
            return keys.verify(member.consensus_key, signed, message.signature)
        if isinstance(message, Vote):
            return self.world.verify_vote(message)
        if isinstance(message, PolkaCertificate | RoundCertificate):
            return all(self.world.verify_vote(vote) for vote in message.votes)
        return False

    def _take_body(self, body: Body) -> None:
        if (
            body.value.height != self.height
            or body.parts.root in self._roots
            or len(self._roots) >= MAX_BODIES * (1 + self.engine.round)
        ):
            return
        self._roots.add(body.parts.root)
        self.world.later_in_life(self, self.world.application_ms(), self._checked, body)

    def _checked(self, body: Body) -> None:
        value = body.value
        if value.height != self.height or self.engine.height != value.height:
            return
        if body.parts != value.parts:
            self.world.fault("rubbish under a good hash")
            self._feed(self._verdict(body, accepted=False))
        else:
            accepted = self.accepts(value)
            self._bodies[body.hash] = self.disk.values[body.hash] = value
            self._feed(self._verdict(body, accepted=accepted))
        self._run()

    def _verdict(self, body: Body, *, accepted: bool) -> into.ValueChecked:
        return into.ValueChecked(
            height=body.value.height,
            block_hash=body.hash,
            parts=body.parts,
            accepted=accepted,
            timestamp=body.value.timestamp if accepted else 0,
        )

    def accepts(self, value: Value) -> bool:
        """The application's verdict: a function of the block and its parent."""
        parent = self.disk.blocks[-1][0] if self.disk.blocks else self.world.genesis
        accepted = value.is_valid and value.parent == parent.hash and value.timestamp > parent.timestamp
        if accepted:
            self.world.checker.block_accepted(value.height, value.hash)
        return accepted

    def _take_synced(self, message: Synced) -> None:
        value, commit = message.value, message.commit
        if value.height != self.height or self.engine.is_decided or commit.block_hash != value.hash:
            return
        try:
            self.world.verify_commit(commit)
        except ProtocolViolation:
            return
        if not self.accepts(value):
            return
        self._bodies[value.hash] = value
        self.disk.values[value.hash] = value
        self.world.fault("sync")
        self._feed(into.CommitReceived(commit))
        if self.height == value.height and not self.engine.is_decided:
            self._feed(self._verdict(Body(value, value.hash, value.parts), accepted=True))

    # ---- the engine and its effects

    def _feed(self, entry: into.Input) -> None:
        """Log an input, hand it to the engine, and note the effects."""
        if isinstance(entry, into.StartHeight) or self.engine.height == self.height:
            self.disk.log.append(entry)  # what comes late for a decided height need not survive
        self.world.trace.record(self.world.now_ms, self.index, _shown(entry))
        before = (self.engine.height, self.engine.round)
        self._effects.extend(self.engine.handle(entry))
        self.world.core_handled(self, before)

    def _run(self) -> None:
        """Perform effects, then take messages, until a disk makes this node wait."""
        while not self._is_blocked and (self._effects or self._inbox):
            if self._effects:
                self._perform(self._effects.popleft())
            else:
                self._take(*self._inbox.popleft())
        if not self._is_blocked and self.engine.is_voting:
            self.world.checker.core_settled(self.index, self.key.address, self.engine)

    def _perform(self, effect: out.Effect) -> None:
        match effect:
            case out.SignVote() | out.SignProposal():
                self._sync()
                self._block(self._sign, effect)
            case out.Publish():
                self.publish(effect.message)
            case out.Build():
                self.world.later_in_life(self, self.world.application_ms(), self._built, effect)
            case out.ScheduleTimeout():
                self.world.later_in_life(self, effect.after_ms, self._timeout, effect)
            case out.Decide():
                self._decide(effect.commit)
            case out.ReportEquivocation():
                self.world.equivocation(self.index, effect.evidence)

    def _block(self, step, *arguments) -> None:
        """Continue with `step` when the disk has answered; nothing else happens here until then."""
        delay = self.world.disk_ms()
        if not delay:
            step(*arguments)
            return
        self._is_blocked = True

        def unblock() -> None:
            self._is_blocked = False
            step(*arguments)
            self._run()

        self.world.later_in_life(self, delay, unblock)

    def _sign(self, effect) -> None:
        if isinstance(effect, out.SignVote):
            step = 2 if effect.type is VoteType.PREVOTE else 3
            message = vote_sign_bytes(*CHAIN, effect.type, effect.height, effect.round, effect.block_hash)
        else:
            step = 1
            message = proposal_sign_bytes(
                *CHAIN, effect.height, effect.round, effect.pol_round, effect.block_hash, effect.parts
            )
        position = (effect.height, effect.round, step)
        last, last_bytes, signature = self.disk.signed
        if position < last or (position == last and message != last_bytes):
            self.world.refused(self.index, position, last)
            return
        if position > last:
            signature = keys.sign(self.key.private, message)
            self._persist()
            self.disk.signed = (position, message, signature)
        signed = self._signed(effect, signature)
        self._block(self._log_own, signed)

    def _signed(self, effect, signature: bytes) -> SignedProposal | Vote:
        checker = self.world.checker
        if isinstance(effect, out.SignVote):
            vote = Vote(effect.type, effect.height, effect.round, effect.block_hash, self.key.address, signature)
            checker.vote_signed(vote)
            return vote
        proposal = SignedProposal(
            effect.height, effect.round, effect.pol_round, effect.block_hash, effect.parts, signature
        )
        checker.proposal_signed(proposal, self.key.address)
        return proposal

    def _log_own(self, message: SignedProposal | Vote) -> None:
        self._feed(self._as_input(message))
        self._sync()
        self.publish(message)

    def _built(self, effect: out.Build) -> None:
        if self.engine.height != effect.height:
            return
        parent = self.disk.blocks[-1][0] if self.disk.blocks else self.world.genesis
        timestamp = max(self.world.wall_ms(self.index) // 1_000, parent.timestamp + 1)
        value = Value(effect.height, parent.hash, self.index, timestamp, self.world.streams["values"].getrandbits(32))
        self._bodies[value.hash] = self.disk.values[value.hash] = value
        self.world.checker.block_accepted(value.height, value.hash)
        self._feed(into.ValueBuilt(effect.height, effect.round, value.hash, value.parts, value.timestamp))
        self._run()

    def _timeout(self, effect: out.ScheduleTimeout) -> None:
        if self.engine.height == effect.height == self.height:
            self.world.fault(f"timeout: {effect.kind.name.lower()}")
            self._feed(into.TimeoutElapsed(effect.kind, effect.height, effect.round))
            self._run()

    def publish(self, message) -> None:
        """Send to everybody; a proposal with its block."""
        for target in self.world.others(self.index):
            self.world.send(self.index, target, message)
            if isinstance(message, SignedProposal) and message.block_hash in self._bodies:
                self.world.send(self.index, target, self._body(message))

    def _body(self, proposal: SignedProposal) -> Body:
        value = self._bodies[proposal.block_hash]
        return Body(value, proposal.block_hash, value.parts)

    # ---- what it tells peers again

    def gossip(self, peer: CoreNode) -> None:
        """Send a peer what it lacks, as gossip over bit arrays would."""
        if peer.height < self.height:
            value, commit = self.disk.blocks[peer.height - 1]
            self.world.send(self.index, peer.index, Synced(value, commit))
        elif (
            peer.height == self.height == self.engine.height == peer.engine.height and not self.world.plan.lost_for_good
        ):
            for round_ in self.engine.rounds():
                self._gossip_round(peer, round_)

    def _gossip_round(self, peer: CoreNode, round_: int) -> None:
        for proposal in self.engine.proposals(round_):
            if proposal not in peer.engine.proposals(round_):
                self.world.send(self.index, peer.index, proposal)
            if proposal.block_hash in self._bodies and proposal.block_hash not in peer._bodies:
                self.world.send(self.index, peer.index, self._body(proposal))
        for type_ in VoteType:
            theirs = set(peer.engine.votes(round_, type_)) | set(peer.engine.conflicting_votes(round_, type_))
            ours = (*self.engine.votes(round_, type_), *self.engine.conflicting_votes(round_, type_))
            for vote in ours:
                if vote is not None and vote not in theirs:
                    self.world.send(self.index, peer.index, vote)


def _shown(entry: into.Input) -> str:  # noqa: PLR0911  (one line a kind)
    """Return an input for the trace, without signatures."""
    match entry:
        case into.VoteReceived(vote):
            value = "nil" if vote.block_hash is None else vote.block_hash.hex()[:8]
            return f"{vote.type.name.lower()} {vote.height}/{vote.round} {value} of {vote.validator.hex()[:4]}"
        case into.ProposalReceived(proposal, received_ms):
            return f"proposal {proposal.height}/{proposal.round} {proposal.block_hash.hex()[:8]} pol {proposal.pol_round} at {received_ms}"
        case into.StartHeight():
            return f"start {entry.height}"
        case into.CertificateReceived(certificate):
            return (
                f"{type(certificate).__name__} {certificate.height}/{certificate.round} {len(certificate.votes)} votes"
            )
        case into.CommitReceived(commit):
            return f"commit {commit.height}/{commit.round} {commit.block_hash.hex()[:8]}"
        case into.ValueChecked():
            return f"checked {entry.block_hash.hex()[:8]} {entry.accepted}"
        case into.ValueBuilt():
            return f"built {entry.height}/{entry.round} {entry.block_hash.hex()[:8]}"
        case into.TimeoutElapsed():
            return f"timeout {entry.kind.name} {entry.height}/{entry.round}"
    return repr(entry)
