"""The bare-core simulation: engines, the smallest host around each, and an event heap in virtual milliseconds."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from cybermiles.consensus.core.inputs import TimeoutKind
from cybermiles.consensus.core.timeouts import EngineSettings, Timeouts
from cybermiles.errors import InvariantViolation, ProtocolViolation
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Hash32
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.simulation import keys
from tests.simulation.adversary import Adversary
from tests.simulation.checker import Checker, Violation
from tests.simulation.core_node import CoreNode, PowerLoss
from tests.simulation.director import Director
from tests.simulation.messages import Value, size_of
from tests.simulation.network import Links
from tests.simulation.streams import Streams
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit
    from tests.simulation.plan import Plan

START_MS = 1_700_000_000_000
"""Wall time at the start."""
GOSSIP_MS = 700
MAX_EVENTS = 400_000


def liveness_bound_ms(plan: Plan, timeouts: Timeouts) -> int:
    """Return the virtual time after GST within which every correct validator must decide the plan's heights.

    The worst case that Tendermint allows is a hidden lock: nothing is decided until the one that is locked proposes.
    That takes total power / its power rounds at most, and each lasts as long as its three timers. One minute on top is
    for the way to GST's round and for the other heights.
    """
    first = plan.gst_ms // 5_000
    correct = [power for index, power in enumerate(plan.powers) if index not in plan.byzantine]
    rounds = -(-sum(plan.powers) // min(correct)) + len(plan.powers)
    kinds = (TimeoutKind.PROPOSE, TimeoutKind.PREVOTE, TimeoutKind.PRECOMMIT)
    return 60_000 + sum(timeouts.after_ms(kind, round_) for round_ in range(first, first + rounds) for kind in kinds)


class CoreWorld:
    """One schedule."""

    def __init__(self, plan: Plan, *, keep_trace: int = 0) -> None:
        self.plan = plan
        self.streams = Streams(plan.seed)
        self.trace = Trace(keep_trace)
        self.faults: Counter[str] = Counter()
        self.keys, validators = keys.validator_keys(plan.powers)
        self.validators = validators
        self.checker = Checker(validators, [self.keys[i].address for i in plan.byzantine])
        self.correct = [i for i in range(len(plan.powers)) if i not in plan.byzantine]
        self.settings = EngineSettings(clock_precision_ms=1_000)
        self.genesis = Value(0, b"", 0, START_MS // 1_000 - 5, 0)
        self._rotations = {1: first_rotation(validators)}
        self._proposers: dict[tuple[int, int], int] = {}
        self._chain: dict[int, Value] = {0: self.genesis}
        self.director = Director(plan, self.streams, self.proposer)
        self.adversary = Adversary(self) if plan.byzantine else None
        self._links = Links(plan, self.streams, self.faults)
        self.nodes = {index: CoreNode(self, index) for index in self.correct}
        self.now_ms = 0.0
        self.is_stable = False
        self._heap: list[tuple[float, int, object, tuple[object, ...]]] = []
        self._order = count()
        self._held: list[tuple[int, int, object]] = []
        self._late: list[tuple[int, int, Vote]] = []
        self._verified: dict[Vote, bool] = {}
        self._precommitted: set[tuple[int, int, int]] = set()
        self._crashes = {(c.node, c.operation): c for c in plan.crashes if c.operation}
        self.first_decision_ms = 0.0

    # ---- running

    def run(self) -> None:
        """Run to the end. Raises Violation."""
        for node in self.nodes.values():
            self.later(self.streams["start"].uniform(0, 200), self._guarded, node, node.life, node.start)
        for crash in self.plan.crashes:
            if not crash.operation:
                self.later(crash.at_ms, self._crash, crash.node, crash.down_ms)
        self.later(self.plan.gst_ms, self._stabilize)
        self.later(GOSSIP_MS, self._gossip)
        goal = None
        bound = self.plan.gst_ms + liveness_bound_ms(self.plan, self.settings.timeouts)
        while self._heap:
            self.now_ms, _, function, arguments = heapq.heappop(self._heap)
            function(*arguments)
            if self.is_stable:
                goal = goal or self._highest() + self.plan.heights
                if self._lowest() >= goal:
                    return
                if self.now_ms > bound or self.trace.events > MAX_EVENTS:
                    raise Violation("liveness", self._stuck(goal))
        raise Violation("liveness", "nothing is left to happen")

    def _stuck(self, goal: int) -> str:
        where = {
            i: (
                self.checker.height_of(i),
                node.engine and (node.engine.height, node.engine.round, node.engine.step.name),
            )
            for i, node in self.nodes.items()
        }
        return f"height {goal} not reached {self.now_ms - self.plan.gst_ms:.0f} ms after GST: {where}"

    def _lowest(self) -> int:
        return min(self.checker.height_of(i) for i in self.correct)

    def _highest(self) -> int:
        return max(self.checker.height_of(i) for i in self.correct)

    def later(self, after_ms: float, function, *arguments) -> None:
        """Call the function after that much virtual time."""
        heapq.heappush(self._heap, (self.now_ms + after_ms, next(self._order), function, arguments))

    def later_in_life(self, node: CoreNode, after_ms: float, function, *arguments) -> None:
        """Call the function unless the node has crashed by then."""
        self.later(after_ms, self._guarded, node, node.life, function, *arguments)

    def _guarded(self, node: CoreNode, life: int, function, *arguments) -> None:
        if node.life != life or not (node.is_up or function == node.start):
            return
        try:
            function(*arguments)
        except PowerLoss:
            self._crash(node.index, self._crashes[node.index, node.disk.operations].down_ms)
        except InvariantViolation as error:
            raise Violation("no halt", f"node {node.index} halts: {error}") from error

    # ---- faults

    def fault(self, kind: str) -> None:
        """Count a fault that really happened."""
        self.faults[kind] += 1

    def dies_now(self, index: int, operation: int) -> bool:
        """Whether the plan ends a node at its n-th disk operation."""
        if (index, operation) not in self._crashes:
            return False
        self.fault("crash at a disk operation")
        return True

    def _crash(self, index: int, down_ms: int) -> None:
        node = self.nodes[index]
        if node.is_up:
            self.trace.record(self.now_ms, index, "crash")
            node.crash()
            self.later(down_ms, self._guarded, node, node.life, node.start)

    def _stabilize(self) -> None:
        """GST: what was kept back arrives, whoever is down comes back by itself."""
        self.is_stable = True
        self.trace.record(self.now_ms, "GST")
        held, self._held = self._held, []
        late, self._late = self._late, []
        for source, target, message in [*held, *late]:
            self.later(self.streams["release"].uniform(0, 500), self._arrive, source, target, message)

    def disk_ms(self) -> float:
        """Return how long a sync takes."""
        slow = self.plan.slow_disk_ms
        if not slow:
            return 0.0
        self.fault("slow disk")
        return self.streams["disk"].uniform(0, 2 * slow)

    def application_ms(self) -> float:
        """Return how long the application works on a block."""
        slow = self.plan.slow_application_ms
        if not slow:
            return 0.0
        self.fault("slow application")
        return self.streams["application"].uniform(0, 2 * slow)

    def wall_ms(self, index: int | None = None) -> int:
        """Return what a node's wall clock shows."""
        wall = START_MS + int(self.now_ms)
        if index is None:
            return wall
        if self.plan.skews_ms:
            self.fault("clock skew")
            wall += self.plan.skews_ms[index]
        for jump in self.plan.jumps:
            if jump.node == index and self.now_ms >= jump.at_ms:
                self.fault("clock jump")
                wall += jump.by_ms
        return wall

    # ---- the network

    def others(self, index: int) -> list[int]:
        """Return the other correct nodes; liars hear everything anyway."""
        return [i for i in self.correct if i != index]

    def send(self, source: int, target: int, message) -> None:
        """Send a correct node's message."""
        if self.adversary is not None:
            self.adversary.heard(source, message)
        if (
            not self.is_stable
            and self.plan.byzantine
            and self.director.holds(source, target, message, self._has_precommitted)
        ):
            self.fault("kept back")
            is_late = isinstance(message, Vote) and self.director.scene(message.height, message.round).late
            (self._late if is_late else self._held).append((source, target, message))
            return
        delays = self._links.fate(self.now_ms, source, target, size_of(message), stable=self.is_stable)
        if not delays and not self.plan.lost_for_good:
            self._held.append((source, target, message))
        for delay in delays:
            self.later(delay, self._arrive, source, target, message)

    def send_lie(self, source: int, target: int, message) -> None:
        """Send a liar's message; nothing keeps it from arriving."""
        self.later(self.streams["lies"].uniform(0.1, 40), self._arrive, source, target, message)

    def _arrive(self, source: int, target: int, message) -> None:
        node = self.nodes[target]
        if node.is_up:
            self._guarded(node, node.life, node.deliver, source, message)

    def _gossip(self) -> None:
        rng = self.streams["gossip"]
        for node in self.nodes.values():
            peer = self.nodes[rng.choice(self.correct)]
            if peer is not node and node.is_up and peer.is_up:
                node.gossip(peer)
        self.later(GOSSIP_MS, self._gossip)

    # ---- what nodes and liars ask

    def rotation(self, height: int):
        """Return the rotation of a height's round 0."""
        while height not in self._rotations:
            last = max(self._rotations)
            self._rotations[last + 1] = self._rotations[last].advanced()
        return self._rotations[height]

    def rotation_proposer(self, height: int, round_: int):
        """Return the validator who proposes."""
        return self.validators.validators[self.proposer(height, round_)]

    def proposer(self, height: int, round_: int) -> int:
        """Return the index of who proposes."""
        key = (height, round_)
        if key not in self._proposers:
            rotation = self.rotation(height)
            self._proposers[key] = (rotation.advanced(round_) if round_ else rotation).proposer_index
        return self._proposers[key]

    def make_value(self, liar: int, height: int, salt: int, *, is_valid: bool, ahead: int) -> Value:
        """Return a block of a liar's on the parent that correct nodes decided."""
        parent = self._chain.get(height - 1, self.genesis)
        timestamp = max(self.wall_ms() // 1000 + ahead, parent.timestamp + 1)
        return Value(height, parent.hash, liar, timestamp, salt, is_valid)

    def rubbish_parts(self, root: bytes) -> PartsHeader:
        """Return parts that are no block."""
        return PartsHeader(1, Hash32(root))

    def guarded_values(self) -> list[bytes]:
        """Return the blocks of the script's target round, which the liars push against."""
        return [] if self.adversary is None else self.adversary.announced(*self.plan.target)

    def verify_vote(self, vote: Vote) -> bool:
        """Check a vote's signature, once."""
        if vote not in self._verified:
            member = self.validators.by_address(vote.validator)
            message = vote.sign_bytes(keys.CHAIN_ID, keys.GENESIS_HASH)
            self._verified[vote] = member is not None and keys.verify(member.consensus_key, message, vote.signature)
        return self._verified[vote]

    def verify_commit(self, commit: Commit) -> None:
        """As types.commit.verify_commit, with the simulation's signatures. Raises ProtocolViolation."""
        members = self.validators.validators
        if len(commit.signatures) != len(members):
            raise ProtocolViolation("length")
        message = vote_sign_bytes(
            keys.CHAIN_ID, keys.GENESIS_HASH, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
        )
        power = 0
        for member, signature in zip(members, commit.signatures, strict=True):
            if signature is not None:
                if not keys.verify(member.consensus_key, message, signature):
                    raise ProtocolViolation("signature")
                power += member.power
        if not self.validators.has_quorum(power):
            raise ProtocolViolation("power")

    # ---- what nodes report

    def core_handled(self, node: CoreNode, before: tuple[int, int]) -> None:
        """A node's engine took an input."""
        engine = node.engine
        self.checker.core_handled(node.index, node.key.address, engine)
        now = (engine.height, engine.round)
        if now < before:
            raise Violation("integrity", f"node {node.index} went back from {before} to {now}")
        if now != before:
            self.checker.memory(node.index, len(engine.rounds()), engine.round)
            if self.adversary is not None:
                self.adversary.round_entered(*now)
        if self.plan.byzantine and engine.step >= 3:
            self._note_precommit(node.index, *now)

    def _has_precommitted(self, index: int, height: int, round_: int) -> bool:
        return (index, height, round_) in self._precommitted

    def _note_precommit(self, index: int, height: int, round_: int) -> None:
        if (index, height, round_) in self._precommitted:
            return
        self._precommitted.add((index, height, round_))
        released = [entry for entry in self._late if entry[1] == index and entry[2].round == round_]
        if released:
            self._late = [entry for entry in self._late if entry not in released]
            self.fault("late polka")
            for source, target, message in released:
                self.later(self.streams["release"].uniform(1, 300), self._arrive, source, target, message)

    def decided(self, index: int, value: Value, commit: Commit) -> None:
        """A node made a block durable."""
        self.trace.record(self.now_ms, index, "decided", value.height, value.hash.hex()[:8])
        self.checker.decided(index, commit)
        self.checker.committed(value.height, value.hash)
        self._chain.setdefault(value.height, value)
        hero_height, _ = self.director.muted.get(index, (0, 0))
        if self.plan.script == "amnesia" and hero_height == value.height and not self.is_stable:
            self._crash_locked(value.height)

    def _crash_locked(self, height: int) -> None:
        """amnesia: whoever is locked now loses power."""
        for node in self.nodes.values():
            if node.is_up and node.engine.height == height and node.engine.locked is not None:
                self.fault("crash of a locked node")
                self.later(self.streams["crash"].uniform(0, 100), self._crash, node.index, 50)

    def refused(self, index: int, position, last) -> None:
        """A signer refused."""
        self.trace.record(self.now_ms, index, "refused", position, last)
        self.faults["signer refused"] += 1

    def equivocation(self, index: int, evidence) -> None:
        """A node's core reports a double vote."""
        self.fault("evidence")
        self.checker.equivocation_reported(index, evidence)
