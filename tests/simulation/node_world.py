"""The simulation of whole nodes: real runners, logs, signers and reactors on a virtual-time asyncio loop."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.p2p.reactors.block_sync import BLOCK_SYNC_CHANNEL
from cybermiles.p2p.wire.block_sync import (
    BlockRequest,
    BlockResponse,
    NoBlock,
    Status,
    decode_block_sync,
    encode_block_sync,
)
from cybermiles.types.part_set import PartsHeader, split
from cybermiles.types.primitives import ZERO_HASH, Hash32
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote
from tests.simulation import keys
from tests.simulation.adversary import Adversary
from tests.simulation.chains import RealChain, StubChain
from tests.simulation.checker import Checker, Violation
from tests.simulation.core_world import liveness_bound_ms
from tests.simulation.director import Director
from tests.simulation.loop import VirtualLoop
from tests.simulation.mesh import Mesh
from tests.simulation.messages import Body
from tests.simulation.network import Links
from tests.simulation.streams import Streams
from tests.simulation.stub_application import rotations_from
from tests.simulation.trace import Trace
from tests.simulation.whole_node import PowerLoss, WholeNode
from tests.simulation.wire import consensus_messages, encoded

if TYPE_CHECKING:
    from cybermiles.p2p.multiplex import ChannelSpec
    from tests.simulation.plan import Plan

START_MS = 1_700_000_000_000
STATUS_MS = 3_000
SYNC_ANSWERS = (
    "silence",
    "no block",
    "truth",
    "wrong commit",
    "commit of another height",
    "wrong block",
    "empty block",
)
"""What a liar says to who asks it for a block."""


@dataclass(frozen=True, slots=True)
class NodeValue:
    """A block, as liars handle it."""

    height: int
    value: bytes
    hash: Hash32
    parts: PartsHeader
    timestamp: int


class NodeWorld:
    """One schedule of whole nodes; the liars are minds without nodes."""

    start_ms = START_MS

    def __init__(self, plan: Plan, *, keep_trace: int = 0, application: str = "stub") -> None:
        self.plan = plan
        self.chain_type = StubChain if application == "stub" else RealChain
        self.streams = Streams(plan.seed)
        self.trace = Trace(keep_trace)
        self.faults: Counter[str] = Counter()
        self.keys, self.validators = keys.validator_keys(plan.powers)
        self.checker = Checker(self.validators, [self.keys[i].address for i in plan.byzantine])
        self.correct = [i for i in range(len(plan.powers)) if i not in plan.byzantine]
        self.settings = EngineSettings(clock_precision_ms=1_000)
        self.payload = self.streams["payload"].choice((0, 0, 100, 150_000))
        self.rotation = rotations_from(first_rotation(self.validators))
        self.loop = VirtualLoop()
        self.links = Links(plan, self.streams, self.faults)
        self.director = Director(plan, self.streams, self.proposer)
        self.adversary = Adversary(self) if plan.byzantine else None
        self.specs: dict[int, ChannelSpec] = {}
        """Of the nodes' reactors, by channel."""
        self.mesh = Mesh(self)
        self.nodes = {index: WholeNode(self, index) for index in self.correct}
        self.is_stable = False
        self._indices = {key.address: index for index, key in enumerate(self.keys)}
        self._crashes = {(c.node, c.operation): c for c in plan.crashes if c.operation}
        self._held: list[tuple[int, int, int, bytes]] = []
        self._late: list[tuple[int, int, int, bytes, int]] = []
        self._precommitted: set[tuple[int, int, int]] = set()
        self._junk: dict[bytes, bytes] = {}
        self._app_hashes = {0: ZERO_HASH}
        self._over = asyncio.Event()
        self._submitted = 0
        self._clients: set[asyncio.Task] = set()

    # ---- running

    def run(self) -> None:
        """Run to the end. Raises Violation."""
        self.loop.set_exception_handler(self._unhandled)
        self.checker.on_violation = self._over.set
        try:
            with keys.patched():
                self.loop.run_until_complete(self._main())
        finally:
            self._close()
        if self.checker.violation is not None:
            raise self.checker.violation

    async def _main(self) -> None:
        plan = self.plan
        for index, node in self.nodes.items():
            self.later(self.streams["start"].uniform(0, 200), self._start, node, node.life)
            for other in range(len(plan.powers)):
                is_first = other > index or other in plan.byzantine
                if other != index and is_first and self.is_connected(index, other):
                    self.later(300, self.mesh.connect, index, other)
        for crash in plan.crashes:
            if not crash.operation:
                self.later(crash.at_ms, self._crash, crash.node, crash.down_ms)
        for jump in plan.jumps:
            self.later(jump.at_ms, self._jump, jump)
        self.later(plan.gst_ms, self._stabilize)
        self.later(500, self._submit)
        if self.adversary is not None:
            self.later(1_000, self._lying_status)
        await self._over.wait()

    def is_connected(self, one: int, other: int) -> bool:
        """Whether two nodes keep a connection: everybody with everybody."""
        return True

    def _close(self) -> None:
        """End everything that still runs, so that nothing complains later."""
        for node in self.nodes.values():
            node.life += 1
            node._tasks = []
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def _unhandled(self, loop, context) -> None:
        error = context.get("exception")
        if isinstance(error, PowerLoss | None):
            return
        if self.checker.violation is None:
            self.fail("no halt", f"{context.get('message')}: {error!r}", error)

    def fail(self, invariant: str, detail: str, cause: BaseException | None = None) -> None:
        """End the run with a violation found in a callback."""
        self.cause = cause
        try:
            self.checker.fail(invariant, detail)
        except Violation:
            self._over.set()

    def _check_liveness(self, goal: int) -> None:
        if min(node.height() for node in self.nodes.values()) >= goal:
            self._over.set()
            return
        bound = self.plan.gst_ms + liveness_bound_ms(self.plan, self.settings.timeouts)
        if self.now_ms > bound:
            where = {i: node.is_up and (node.height(), node.runner.explain()) for i, node in self.nodes.items()}
            self.fail(
                "liveness", f"height {goal} not reached {self.now_ms - self.plan.gst_ms:.0f} ms after GST: {where}"
            )
            return
        self.later(250, self._check_liveness, goal)

    @property
    def now_ms(self) -> float:
        """Virtual milliseconds since the start."""
        return self.loop.time() * 1_000

    def later(self, after_ms: float, function, *arguments) -> None:
        """Call the function after that much virtual time."""
        self.loop.call_later(after_ms / 1_000, function, *arguments)

    def _submit(self) -> None:
        """Give some node a few transactions, while faults happen."""
        rng = self.streams["transactions"]
        node = self.nodes[rng.choice(self.correct)]
        if node.is_up:
            count = rng.randint(1, 3)
            raws = [self.chain_type.transaction(self._submitted + number, rng) for number in range(count)]
            self._submitted += count
            task = self.loop.create_task(node.chain.transactions.submit_batch(raws), name="client")
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
            self.fault("transactions")
        if not self.is_stable:
            self.later(rng.uniform(300, 2_000), self._submit)

    # ---- faults

    def fault(self, kind: str) -> None:
        """Count a fault that really happened."""
        self.faults[kind] += 1

    def is_up(self, index: int) -> bool:
        """Whether a node runs; liars always do."""
        return index not in self.nodes or self.nodes[index].is_up

    def is_cut(self, one: int, other: int) -> bool:
        """Whether no connection can be made now."""
        return not self.is_stable and bool(
            self.links.is_cut(self.now_ms, one, other) or self.links.is_cut(self.now_ms, other, one)
        )

    def dies_now(self, index: int, operation: int) -> bool:
        """Whether the plan ends a node at its n-th disk operation; it comes back."""
        crash = self._crashes.get((index, operation))
        if crash is None:
            return False
        self.fault("crash at a disk operation")
        self.later(crash.down_ms, self._start, self.nodes[index], None)
        return True

    def _start(self, node: WholeNode, life: int | None) -> None:
        if not node.is_up and life in (None, node.life) and not self._over.is_set():
            self.trace.record(self.now_ms, node.index, "start", node.height())
            node.start()

    def _crash(self, index: int, down_ms: int) -> None:
        node = self.nodes[index]
        if node.is_up:
            self.trace.record(self.now_ms, index, "crash")
            node.die()
            self.later(down_ms, self._start, node, None)

    def _jump(self, jump) -> None:
        self.fault("clock jump")
        self.nodes[jump.node].clock.offset_ms += jump.by_ms

    def _stabilize(self) -> None:
        self.is_stable = True
        self.trace.record(self.now_ms, "GST")
        held, self._held = self._held, []
        late, self._late = self._late, []
        for source, target, channel, message, *_ in [*held, *late]:
            self._release(source, target, channel, message)
        goal = max(node.height() for node in self.nodes.values()) + self.plan.heights
        self._check_liveness(goal)

    def _release(self, source: int, target: int, channel: int, message: bytes) -> None:
        self.later(self.streams["release"].uniform(1, 300), self.mesh.deliver, source, target, channel, message)

    def skew_of(self, index: int) -> int:
        """Return how far a node's wall clock is off."""
        if not self.plan.skews_ms:
            return 0
        self.fault("clock skew")
        return self.plan.skews_ms[index]

    def disk_ms(self) -> float:
        """Return how long blocking work takes."""
        if not self.plan.slow_disk_ms:
            return 0.0
        self.fault("slow disk")
        return self.streams["disk"].uniform(0, 2 * self.plan.slow_disk_ms)

    def application_ms(self) -> float:
        """Return how long the application works."""
        if not self.plan.slow_application_ms:
            return 0.0
        self.fault("slow application")
        return self.streams["application"].uniform(0, 2 * self.plan.slow_application_ms)

    def wall_ms(self) -> int:
        """Return the true time."""
        return START_MS + int(self.now_ms)

    # ---- messages

    def holds(self, source: int, target: int, channel: int, message: bytes) -> bool:
        """Tell the liars of a message, and keep it back where the director says so."""
        if self.adversary is None:
            return False
        content = consensus_messages(channel, message)
        for said in content:
            self.adversary.heard(source, said)
        if self.is_stable or not any(self._holds_one(source, target, said) for said in content):
            return False
        self.fault("kept back")
        votes = [said for said in content if isinstance(said, Vote)]
        if votes and self.director.scene(votes[0].height, votes[0].round).late:
            self._late.append((source, target, channel, message, votes[0].round))
        else:
            self._held.append((source, target, channel, message))
        return True

    def _holds_one(self, source: int, target: int, said) -> bool:
        author = self._indices.get(said.validator, source) if isinstance(said, Vote) else source
        return self.director.holds(author, target, said, self._has_precommitted) or (
            author != source and self.director.holds(source, target, said, self._has_precommitted)
        )

    def _has_precommitted(self, index: int, height: int, round_: int) -> bool:
        return (index, height, round_) in self._precommitted

    def trace_message(self, source: int, target: int, channel: int, message: bytes) -> None:
        """Note a delivery."""
        self.trace.record(round(self.now_ms, 3), target, "from", source, hex(channel), zlib.crc32(message))

    def send_lie(self, source: int, target: int, message) -> None:
        """Send a liar's message; nothing keeps it from arriving."""
        if isinstance(message, Body) and message.parts.root in self._junk:
            junk = self._junk[message.parts.root]
            message = Body(
                NodeValue(message.value.height, junk, message.hash, message.parts, 0), message.hash, message.parts
            )
        for channel, raw in encoded(message):
            delay = self.streams["lies"].uniform(0.1, 40)
            self.later(delay, self._deliver_lie, source, target, channel, raw)

    def _deliver_lie(self, source: int, target: int, channel: int, raw: bytes) -> None:
        if not self._over.is_set():
            self.mesh.deliver(source, target, channel, raw)

    def liar_received(self, source: int, liar: int, channel: int, message: bytes) -> None:
        """A correct node sent something to a liar; requests for blocks get an answer of sorts."""
        if channel != BLOCK_SYNC_CHANNEL:
            return
        request = decode_block_sync(message)
        if not isinstance(request, BlockRequest):
            return
        rng = self.streams["lying sync"]
        answer = rng.choice(SYNC_ANSWERS)
        self.fault(f"byzantine sync: {answer}")
        known = [node.chain for node in self.nodes.values() if node.height() >= request.height]
        if answer == "silence":
            return
        if answer == "no block" or not known:
            reply = NoBlock(request.height)
        else:
            value, commit = known[0].block(request.height)
            other = self.make_value(liar, request.height, rng.getrandbits(32), is_valid=True, ahead=0).value
            choices = {
                "truth": (value, commit),
                "wrong commit": (value, replace(commit, signatures=tuple(reversed(commit.signatures)))),
                "commit of another height": (value, replace(commit, height=commit.height + 1)),
                "wrong block": (other, commit),
                "empty block": (b"", commit),
            }
            reply = BlockResponse(request.height, *choices[answer])
        self.later(rng.uniform(1, 100), self._deliver_lie, liar, source, channel, encode_block_sync(reply))

    def _lying_status(self) -> None:
        """Claim heights, true and false, to whoever listens."""
        rng = self.streams["lying sync"]
        best = max(node.height() for node in self.nodes.values())
        for liar in self.plan.byzantine:
            target = rng.choice(self.correct)
            claim = Status(1, max(1, best + rng.choice((0, 0, 1, 5, 10**6))))
            self._deliver_lie(liar, target, BLOCK_SYNC_CHANNEL, encode_block_sync(claim))
        if not self._over.is_set():
            self.later(STATUS_MS, self._lying_status)

    # ---- what nodes and liars ask and tell

    def proposer(self, height: int, round_: int) -> int:
        """Return the index of who proposes."""
        rotation = self.rotation(height)
        return (rotation.advanced(round_) if round_ else rotation).proposer_index

    def round_entered(self, index: int, height: int, round_: int, step) -> None:
        """A node is in a round and step."""
        if self.adversary is not None:
            self.adversary.round_entered(height, round_)
            if step >= 3 and (index, height, round_) not in self._precommitted:
                self._precommitted.add((index, height, round_))
                self._release_late(index, round_)

    def _release_late(self, index: int, round_: int) -> None:
        ripe = [entry for entry in self._late if entry[1] == index and entry[4] == round_]
        if ripe:
            self.fault("late polka")
            self._late = [entry for entry in self._late if entry not in ripe]
            for source, target, channel, message, _ in ripe:
                self._release(source, target, channel, message)

    def make_value(self, liar: int, height: int, salt: int, *, is_valid: bool, ahead: int) -> NodeValue:
        """Return a liar's block on the parent that correct nodes decided."""
        nodes = [node for node in self.nodes.values() if node.chain is not None]
        node = next((n for n in nodes if n.height() == height - 1), max(nodes, key=WholeNode.height))
        on_top = min(height, node.height() + 1)
        timestamp = self.wall_ms() // 1_000 + ahead
        made = node.chain.make_value(liar, on_top, salt, is_valid=is_valid, timestamp=timestamp)
        return self._node_value(height, *made)

    def _node_value(self, height: int, value: bytes, hash_: Hash32, timestamp: int) -> NodeValue:
        return NodeValue(height, value, hash_, split(value).header, timestamp)

    def app_hash(self, height: int) -> bytes:
        """Return the application's hash after a height that a correct node decided."""
        return self._app_hashes[height]

    def value_built(self, height: int, value: bytes, hash_: Hash32, timestamp: int) -> None:
        """A correct node built a block."""
        if self.adversary is not None:
            self.adversary.learn_value(self._node_value(height, value, hash_, timestamp))

    def rubbish_parts(self, seed: bytes) -> PartsHeader:
        """Return parts that are no block."""
        junk = seed * 40
        header = split(junk).header
        self._junk[header.root] = junk
        self.fault("rubbish under a good hash")
        return header

    def guarded_values(self) -> list[bytes]:
        """Return the blocks of the script's target round."""
        return [] if self.adversary is None else self.adversary.announced(*self.plan.target)

    def state_after(self, height: int, app_hash: bytes) -> None:
        """A node's application hash after a height."""
        self._app_hashes.setdefault(height, app_hash)
        self.checker.committed(height, app_hash)

    def committed(self, node: WholeNode, commit) -> None:
        """A node made a block durable."""
        height = commit.height
        self.trace.record(self.now_ms, node.index, "decided", height, commit.block_hash.hex()[:8])
        self.checker.decided(node.index, commit)
        if self.plan.script == "amnesia" and node.index in self.director.muted and not self.is_stable:
            for other in self.nodes.values():
                engine = other.runner and other.runner.engine
                if (
                    other.is_up
                    and engine
                    and engine.height == height
                    and engine.locked is not None
                    and other is not node
                ):
                    self.fault("crash of a locked node")
                    self.later(self.streams["crash"].uniform(0, 100), self._crash, other.index, 50)
