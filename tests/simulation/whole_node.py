"""A correct node as it is in production: runner, log, signer, reactors and block sync, over the simulation's ports.

What is simulated is around it: disk, worker, clock, connections, application. `start` and `die` are its lives.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cybermiles.consensus.evidence_pool import EvidencePool
from cybermiles.consensus.ports import RunnerPorts
from cybermiles.consensus.privval import FileSigner, create_state
from cybermiles.consensus.runner import ConsensusRunner
from cybermiles.consensus.settings import RunnerSettings
from cybermiles.consensus.validator_key import ValidatorKey
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.p2p.reactors.block_sync import BlockSyncReactor
from cybermiles.p2p.reactors.consensus import ConsensusReactor
from cybermiles.p2p.reactors.evidence import EvidenceReactor
from cybermiles.p2p.reactors.mempool import MempoolReactor
from cybermiles.sync.service import SyncService
from cybermiles.types.evidence import verify_evidence
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.disk import Disk
from tests.simulation import keys
from tests.simulation.loop import SimClock

if TYPE_CHECKING:
    from tests.simulation.chains import RealChain, StubChain
    from tests.simulation.mesh import SimPeer
    from tests.simulation.node_world import NodeWorld

STATE = "state.json"


class PowerLoss(BaseException):
    """The node died at this operation, or this is a task of a life that is over."""


class LifeDirectory:
    """One directory as one life of the node sees it: counts operations, and none happens after death."""

    def __init__(self, node: WholeNode, name: str) -> None:
        self._node = node
        self._life = node.life
        self._directory = node.disk.directory(name)
        self._name = name

    def __getattr__(self, operation: str):
        method = getattr(self._directory, operation)

        def run(*arguments):
            is_alive = self._life == self._node.life
            try:
                self._node.persist(self._life, f"{operation} {self._name}")
            except PowerLoss:
                if is_alive and operation in ("append", "replace") and self._node.tears():
                    name, content = arguments
                    method(name, content[: len(content) // 2])
                raise
            return method(*arguments)

        return method if operation in ("names", "read") else run


class SimWorker:
    """`consensus.ports.Worker`: the call takes virtual time where the disk is slow."""

    def __init__(self, node: WholeNode) -> None:
        self._node = node
        self._life = node.life

    async def run(self, function, *args, **kwargs):
        delay = self._node.world.disk_ms()
        if delay:
            await asyncio.sleep(delay / 1_000)
        self._node.check_life(self._life)
        return function(*args, **kwargs)


class WatchedSigner:
    """`consensus.ports.Signer` that tells the checker what was signed."""

    def __init__(self, signer: FileSigner, world: NodeWorld) -> None:
        self._signer = signer
        self._world = world
        self.public_key = signer.public_key
        self.address = signer.address

    @property
    def last_signed(self) -> tuple[int, int, int]:
        return self._signer.last_signed

    async def sign(self, height: int, round_: int, step, sign_bytes: bytes) -> bytes:
        signature = await self._signer.sign(height, round_, step, sign_bytes)
        body = sign_bytes[16 + 8 + 32 :]
        if sign_bytes.startswith(b"cmt/vote"):
            type_, nil, voted = VoteType(body[0]), body[13], Hash32(body[14:46])
            self._world.checker.vote_signed(
                Vote(type_, height, round_, None if nil else voted, self.address, signature)
            )
        else:
            pol_round = int.from_bytes(body[12:16]) - 1
            proposal = SignedProposal(height, round_, pol_round, Hash32(body[16:48]), None, signature)
            self._world.checker.proposal_signed(proposal, self.address)
        return signature


class WatchedGossip:
    """`consensus.ports.Gossip`: the reactor, and the invariants of the core on the way."""

    def __init__(self, node: WholeNode, reactor: ConsensusReactor) -> None:
        self._node = node
        self.publish = reactor.publish
        self.accepted = reactor.accepted
        self.rejected = reactor.rejected
        self._view_changed = reactor.view_changed

    def view_changed(self, view) -> None:
        self._node.moved(view)
        self._view_changed(view)


class PendingEvidence:
    """Storage of the evidence pool: small records that survive."""

    def __init__(self, node: WholeNode) -> None:
        self._node = node
        self._life = node.life

    def pending(self) -> tuple[bytes, ...]:
        return tuple(self._node.evidence_records.values())

    def save_pending(self, evidence_hash, raw: bytes) -> None:
        self._node.check_life(self._life)
        self._node.evidence_records[evidence_hash] = raw

    def remove_pending(self, hashes) -> None:
        self._node.check_life(self._life)
        for key in hashes:
            self._node.evidence_records.pop(key, None)


class WatchedEvidence:
    """`consensus.ports.EvidenceSource`: the pool, told to the checker."""

    def __init__(self, pool: EvidencePool, world: NodeWorld, index: int) -> None:
        self._pool = pool
        self._world = world
        self._index = index
        self.pending = pool.pending

    def report(self, evidence) -> None:
        self._world.fault("evidence")
        self._world.checker.equivocation_reported(self._index, evidence)
        self._pool.report(evidence)


class WholeNode:
    """One validator through all its lives."""

    def __init__(self, world: NodeWorld, index: int) -> None:
        self.world = world
        self.index = index
        self.key = world.keys[index]
        self.disk = Disk()
        self.store = world.chain_type.new_store(world)
        self.evidence_records: dict[bytes, bytes] = {}
        self.committed_evidence: set[bytes] = set()
        self.clock = SimClock(world.loop, world.start_ms, world.skew_of(index))
        self.life = 0
        self.operations = 0
        self.is_up = False
        self.runner: ConsensusRunner | None = None
        self.chain: StubChain | RealChain | None = None
        self._tasks: list[asyncio.Task] = []
        create_state(self.disk.directory("signer"), STATE, keys.CHAIN_ID, keys.GENESIS_HASH)

    # ---- life and death

    def start(self) -> None:
        """Begin a life with what the disk holds."""
        self.life += 1
        self.is_up = True
        world, worker = self.world, SimWorker(self)
        self.chain = chain = world.chain_type(self, self.store)
        key = ValidatorKey(self.key.private, self.key.public)
        signer = FileSigner(
            key,
            directory=LifeDirectory(self, "signer"),
            state_name=STATE,
            chain_id=keys.CHAIN_ID,
            genesis_hash=keys.GENESIS_HASH,
            worker=worker,
            sign_with=keys.sign,
        )
        chain.evidence = EvidencePool(
            params=chain.params,
            history=chain.history,
            storage=PendingEvidence(self),
            verify=lambda evidence, validators: verify_evidence(evidence, validators, keys.CHAIN_ID, keys.GENESIS_HASH),
            head_height=chain.height,
        )
        ports = RunnerPorts(
            application=chain.application,
            transactions=chain.transactions,
            evidence=WatchedEvidence(chain.evidence, world, self.index),
            signer=WatchedSigner(signer, world),
            verifier=BatchVerifier(worker, keys.verify),
            clock=self.clock,
            log_directory=LifeDirectory(self, "log"),
            worker=worker,
        )
        settings = RunnerSettings(
            chain_id=keys.CHAIN_ID,
            genesis_hash=keys.GENESIS_HASH,
            engine=world.settings,
            block_interval_ms=world.plan.block_interval_ms,
        )
        self.runner = ConsensusRunner(ports, settings)
        consensus = ConsensusReactor(self.runner, self.clock)
        self.runner.join(WatchedGossip(self, consensus))
        service = SyncService(_Follower(self), self.clock, height=chain.height)
        sync = BlockSyncReactor(chain, service, self.clock)
        service.join(sync)
        evidence = EvidenceReactor(chain.evidence, consensus.peer_height, self.clock, arrived=self.runner.wake)
        mempool = MempoolReactor(chain.transactions, lambda: service.is_catching_up, self.clock)
        self.reactors = (consensus, sync, evidence, mempool)
        self._by_channel = {spec.id: reactor for reactor in self.reactors for spec in reactor.channels}
        world.specs |= {spec.id: spec for reactor in self.reactors for spec in reactor.channels}
        loops = {"runner": self.runner, "sync": service} | {type(r).__name__: r for r in self.reactors}
        for name, part in loops.items():
            task = world.loop.create_task(part.run(), name=f"{self.index} {name}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task) -> None:
        if task.cancelled() or isinstance(task.exception(), PowerLoss) or task not in self._tasks:
            return
        error = task.exception()
        if self.world.checker.violation is None:
            self.world.fail("no halt", f"{task.get_name()} of node {self.index} ended: {error!r}", error)

    def die(self) -> None:
        """Die at once."""
        world, rng = self.world, self.world.streams["crash"]
        self.is_up = False
        self.life += 1
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        self._lose(rng)
        world.fault("crash")
        world.mesh.node_down(self.index)

    def _lose(self, rng) -> None:
        """A killed process leaves what it wrote to the kernel; a loss of power only what was synced."""
        if rng.random() < 0.4:
            self.world.fault("process killed")
            self.disk.crash()
            return
        torn = rng.choice((0, 0, 1, 7, 40, 4_000))
        files = [file for directory in self.disk.directories.values() for file in directory.files.values()]
        if any(len(file.content) > len(file.durable) for file in files):
            self.world.fault("crash with loss of unsynced log")
            if torn:
                self.world.fault("torn write")
        self.disk.lose_power(torn_bytes=torn)

    def tears(self) -> bool:
        """Whether half of the write that the node dies at reaches the disk."""
        is_torn = self.world.streams["crash"].random() < 0.5
        if is_torn:
            self.world.fault("torn write")
        return is_torn

    def check_life(self, life: int) -> None:
        """Raise PowerLoss in a life that is over."""
        if life != self.life:
            raise PowerLoss

    def persist(self, life: int, what: str) -> None:
        """Count a disk operation; the plan may end this life in its place."""
        self.check_life(life)
        self.operations += 1
        if self.world.dies_now(self.index, self.operations):
            self.world.trace.record(self.world.now_ms, self.index, "dies at", what)
            self.die()
            raise PowerLoss

    # ---- the network's side

    def peer_added(self, peer: SimPeer) -> None:
        """Tell the reactors."""
        for reactor in self.reactors:
            reactor.peer_added(peer)

    def peer_removed(self, peer: SimPeer, reason: str) -> None:
        """Tell the reactors."""
        for reactor in self.reactors:
            reactor.peer_removed(peer, reason)

    def receive(self, peer: SimPeer, channel: int, message: bytes) -> None:
        """Hand a message to its reactor."""
        self._by_channel[channel].receive(peer, channel, message)

    # ---- watching

    def moved(self, view) -> None:
        """The runner's view changed: check the core."""
        engine = self.runner.engine
        if engine is None or not view.is_started or engine.height != view.height:
            return
        if self.runner._voting._is_muted:
            self.world.checker.fail("durability", f"node {self.index} lost the log of height {view.height}")
        if engine.is_voting:
            self.world.checker.core_handled(self.index, self.key.address, engine)
        self.world.checker.memory(self.index, len(engine.rounds()), engine.round)
        self.world.round_entered(self.index, view.height, view.round, engine.step)

    def height(self) -> int:
        """The last durable height."""
        return 0 if self.chain is None else self.chain.height


class _Follower:
    """`sync.service.Follower`: the runner; what block sync applied is counted."""

    def __init__(self, node: WholeNode) -> None:
        self._world = node.world
        self._runner = node.runner
        self.set_catching_up = node.runner.set_catching_up

    @property
    def view(self):
        return self._runner.view

    async def apply_synced(self, value: bytes, commit) -> None:
        await self._runner.apply_synced(value, commit)
        self._world.fault("block synced")
