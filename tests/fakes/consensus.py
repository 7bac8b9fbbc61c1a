"""A network of real runners in one loop: real core, log and signer; fake disks, signatures, application and wires.

Wires         delivers what runners publish to the others, in order of time, as a test's rules allow
ChainStub     the application: a block is [height, parent, time, proposer, content]; its state is the hash of all
Machine       one node's disk and what runs on it: may be crashed and started again
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cybermiles.consensus.alone import NoEvidence
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.messages import PartMessage
from cybermiles.consensus.ports import RunnerPorts
from cybermiles.consensus.privval import FileSigner, create_state
from cybermiles.consensus.runner import ConsensusRunner
from cybermiles.consensus.settings import RunnerSettings
from cybermiles.consensus.validator_key import ValidatorKey
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.types import rlp
from cybermiles.types.abci import AppInfo, FinalizeResult, Proposal, Verdict
from cybermiles.types.commit import EMPTY_COMMIT, decode_commit
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.rotation import Rotation, first_rotation
from cybermiles.types.validator import Validator, ValidatorSet
from tests.fakes.disk import Crash, Disk, FakeDirectory, Inline

CHAIN_ID = 181818
GENESIS = Hash32(bytes(range(32)))
BLOCK = "block-"
"""Before the names of the stub's files."""
PATIENCE = 600.0
"""Virtual seconds; more than any test needs."""
START_MS = 1_800_000_000_000


def fake_sign(private: bytes, message: bytes) -> bytes:
    """A signature that anybody could make, and nobody in these tests does."""
    return hashlib.sha512(_public(private) + message).digest()


def fake_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    return hashlib.sha512(public + message).digest() == signature


def _public(private: bytes) -> bytes:
    return hashlib.sha256(b"public" + private).digest()


def fake_key(number: int) -> ValidatorKey:
    private = hashlib.sha256(b"key%d" % number).digest()
    return ValidatorKey(private, _public(private))


def validators(count: int, power: int = 10) -> ValidatorSet:
    return ValidatorSet(tuple(Validator(fake_key(n).public, bytes([n]) * 20, power) for n in range(count)))


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time moves only when nothing else can happen; then it jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        if self.now > 3 * PATIENCE:
            raise Stuck("something is waited for that never comes")
        super()._run_once()


class LoopClock:
    """`runtime.clock.Clock` of a virtual loop."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        return START_MS + self.offset_ms + round(asyncio.get_event_loop().time() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_event_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Transactions:
    """`consensus.ports.TransactionSource`."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.arrived = asyncio.Event()

    def add(self, content: bytes) -> None:
        self.waiting.append(content)
        self.arrived.set()

    def candidates(self):
        return tuple(self.waiting)

    async def wait_for_transactions(self) -> None:
        while not self.waiting:
            self.arrived.clear()
            await self.arrived.wait()


@dataclass(frozen=True)
class Block:
    height: int
    parent: bytes
    timestamp: int
    proposer: bytes
    content: bytes

    def encode(self) -> bytes:
        fields = (self.height, self.parent, self.timestamp, self.proposer, self.content)
        return rlp.encode([rlp.int_to_bytes(f) if isinstance(f, int) else f for f in fields])

    @property
    def hash(self) -> Hash32:
        return Hash32(hashlib.sha256(self.encode()).digest())


def decode_block(value: bytes) -> Block:
    height, parent, timestamp, proposer, content = rlp.as_list(rlp.decode(value), length=5)
    return Block(rlp.as_int(height), parent, rlp.as_int(timestamp), proposer, content)


class ChainStub:
    """`consensus.ports.Application` on a fake disk: a block becomes durable by one rename."""

    def __init__(self, directory: FakeDirectory, rotation: Rotation, transactions: Transactions) -> None:
        self.directory = directory
        self.transactions = transactions
        self.rotations = [rotation]
        self.chain: list[tuple[bytes, object]] = []
        self.executed: dict[bytes, bytes] = {}
        self.finalized: bytes | None = None
        self.calls: list[str] = []
        self.refuse: Callable[[Block], str] = lambda block: ""
        self.busy = False
        self.built = 0
        self.delay = 0.0
        self._load()

    def _load(self) -> None:
        for name in self.directory.names():
            if name.startswith(BLOCK):
                value, commit = rlp.as_list(rlp.decode(self.directory.read(name)), length=2)
                self.chain.append((value, decode_commit(commit)))
                self.rotations.append(self.rotations[-1].advanced())

    @property
    def height(self) -> int:
        return len(self.chain)

    @property
    def head(self) -> Block:
        return decode_block(self.chain[-1][0]) if self.chain else Block(0, bytes(32), START_MS // 1000 - 10, b"", b"")

    @property
    def app_hash(self) -> str:
        return hashlib.sha256(b"".join(value for value, _ in self.chain)).hexdigest()

    async def _call(self, name: str) -> None:
        assert not self.busy, "two calls of the application overlap"
        self.calls.append(name)
        if self.delay:
            self.busy = True
            await asyncio.sleep(self.delay)
            self.busy = False

    async def info(self) -> AppInfo:
        return AppInfo(
            height=self.height,
            block_hash=self.head.hash,
            timestamp=self.head.timestamp,
            last_commit=self.chain[-1][1] if self.chain else EMPTY_COMMIT,
            rotation=self.rotations[-1],
        )

    async def prepare_proposal(self, request, candidates) -> Proposal:
        await self._call("prepare")
        assert request.height == self.height + 1
        self.built += 1
        self.request = request
        content = b"".join(candidates) or b"%d" % self.built
        block = Block(request.height, self.head.hash, request.timestamp, request.proposer, content)
        self.executed[block.hash] = block.encode()
        return Proposal(block.hash, block.encode())

    async def process_proposal(self, value: bytes) -> Verdict:
        await self._call("process")
        try:
            block = decode_block(value)
        except Exception as error:
            return Verdict(accepted=False, block_hash=None, reason=str(error))
        reason = self.refuse(block)
        if (block.height, block.parent) != (self.height + 1, self.head.hash) or block.timestamp <= self.head.timestamp:
            reason = "not on this parent"
        if reason:
            return Verdict(accepted=False, block_hash=block.hash, reason=reason, is_genuine=True)
        self.executed[block.hash] = value
        return Verdict(accepted=True, block_hash=block.hash, timestamp=block.timestamp)

    async def finalize_block(self, block_hash) -> FinalizeResult:
        await self._call("finalize")
        self.finalized = self.executed[block_hash]
        self.directory.disk.note("finalize", str(self.height + 1), block_hash)
        return FinalizeResult(self.height + 1, block_hash, self.rotations[-1].validators)

    async def commit(self, commit) -> None:
        await self._call("commit")
        assert commit.block_hash == decode_block(self.finalized).hash
        self.chain.append((self.finalized, commit))
        self.rotations.append(self.rotations[-1].advanced())
        self.executed.clear()
        self.finalized = None
        self.directory.replace("new", rlp.encode([self.chain[-1][0], commit.to_item()]))
        self.directory.sync("new")
        self.directory.rename("new", f"{BLOCK}{self.height:06d}")
        self.directory.sync_names()
        self.directory.disk.note("committed", str(self.height), commit.block_hash)
        content = decode_block(self.chain[-1][0]).content
        self.transactions.waiting[:] = [tx for tx in self.transactions.waiting if tx not in content]

    async def load(self, height):
        return self.chain[height - 1] if 1 <= height <= self.height else None


@dataclass
class Machine:
    """One node; `start` builds it anew on the same disk."""

    number: int
    members: ValidatorSet
    has_key: bool = True
    disk: Disk = field(default_factory=Disk)
    interval_ms: int = 1_000
    create_empty_blocks: bool = True
    engine: EngineSettings = EngineSettings()
    watch: Callable[[str, object], None] = lambda what, subject: None
    """Called with what the node shows the world, at that moment."""
    runner: ConsensusRunner | None = None
    task: asyncio.Task | None = None

    def __post_init__(self) -> None:
        self.key = fake_key(self.number)
        self.name = f"node{self.number}"
        self.clock = LoopClock()
        if self.has_key:
            create_state(self.disk.directory("keys"), "state.json", CHAIN_ID, GENESIS)
        self.verifier = BatchVerifier(Inline(), fake_verify)

    def open(self, gossip=None) -> ConsensusRunner:
        self.transactions = Transactions()
        self.application = ChainStub(self.disk.directory("app"), first_rotation(self.members), self.transactions)
        self.signer = (
            FileSigner(
                self.key,
                directory=self.disk.directory("keys"),
                state_name="state.json",
                chain_id=CHAIN_ID,
                genesis_hash=GENESIS,
                worker=Inline(),
                sign_with=fake_sign,
            )
            if self.has_key
            else None
        )
        ports = RunnerPorts(
            application=self.application,
            transactions=self.transactions,
            evidence=NoEvidence(),
            signer=self.signer,
            verifier=self.verifier,
            clock=self.clock,
            log_directory=self.disk.directory("wal"),
            worker=Inline(),
        )
        settings = RunnerSettings(
            chain_id=CHAIN_ID,
            genesis_hash=GENESIS,
            engine=self.engine,
            block_interval_ms=self.interval_ms,
            create_empty_blocks=self.create_empty_blocks,
        )
        self.runner = ConsensusRunner(ports, settings)
        if gossip is not None:
            self.runner.join(gossip)
        return self.runner

    def start(self, wires: Wires | None = None) -> asyncio.Task:
        self.open(None if wires is None else wires.plug(self))
        self.task = asyncio.get_running_loop().create_task(_run(self.runner), name=self.name)
        return self.task

    async def stop(self) -> None:
        """End the process; whether it lost power is the disk's business."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self.signer is not None:
            self.signer.close()

    async def reach(self, height: int) -> None:
        """Return when a height is committed; raise what ended the runner."""
        await reach((self,), height)

    async def sync_from(self, source: Machine) -> None:
        """Take what another machine has and this one has not, as block sync would."""
        while source.application.height > self.application.height and not self.task.done():
            value, commit = source.application.chain[self.application.height]
            applied = asyncio.ensure_future(self.runner.apply_synced(value, commit))
            await asyncio.wait({applied, self.task}, return_when=asyncio.FIRST_COMPLETED)
            applied.cancel()
            await asyncio.gather(applied, return_exceptions=True)


async def reach(machines: Sequence[Machine], height: int, *, helpers: Sequence[Machine] = ()) -> None:
    """Return when all have committed a height; who is behind gets blocks from the others, and from `helpers`."""
    while any(machine.application.height < height for machine in machines):
        for machine in machines:
            if machine.task.done():
                raise RunnerEnded(machine.task.result())
            if asyncio.get_running_loop().time() > PATIENCE:
                raise Stuck(f"{machine.name} at {machine.runner.view}: {machine.runner.explain()}")
            for source in (*machines, *helpers):
                await machine.sync_from(source)
        await asyncio.sleep(0.01)


class Stuck(Exception):
    """The height does not come, in virtual time."""


class RunnerEnded(Exception):
    """The runner ended while its height was waited for; its argument is why."""


async def _run(runner: ConsensusRunner):
    """Return what ended the runner, so that an asyncio loop does not stop at a Crash."""
    try:
        await runner.run()
    except (Crash, Exception) as error:
        return error


class Plug:
    """`consensus.ports.Gossip` of one machine."""

    def __init__(self, wires: Wires, machine: Machine) -> None:
        self.wires = wires
        self.machine = machine
        self.rejections: list[tuple[str, str]] = []

    def publish(self, message) -> None:
        self.machine.disk.note("publish", type(message).__name__, repr(message).encode())
        self.machine.watch("publish", message)
        self.wires.published.append((self.machine.name, message))
        self.wires.send(self.machine, message)
        if isinstance(message, SignedProposal):
            self._send_parts(message)

    def _send_parts(self, proposal: SignedProposal) -> None:
        parts = self.machine.runner.part_set(proposal.parts.id)
        for index in range(proposal.parts.total):
            part = parts.part(index)
            if part is not None:
                self.wires.send(self.machine, PartMessage(proposal.height, proposal.parts.id, part))

    def accepted(self, message, source) -> None:
        pass

    def rejected(self, source, reason) -> None:
        self.rejections.append((source, reason))

    def view_changed(self, view) -> None:
        self.machine.watch("view", view)


class Wires:
    """Every message arrives everywhere after `latency` seconds, unless `allows` says no."""

    def __init__(self, latency: float = 0.01) -> None:
        self.latency = latency
        self.machines: list[Machine] = []
        self.plugs: dict[str, Plug] = {}
        self.published: list[tuple[str, object]] = []
        self.allows: Callable[[Machine, Machine, object], bool] = lambda sender, receiver, message: True

    def plug(self, machine: Machine) -> Plug:
        if machine not in self.machines:
            self.machines.append(machine)
        plug = self.plugs[machine.name] = Plug(self, machine)
        return plug

    def send(self, sender: Machine, message) -> None:
        loop = asyncio.get_running_loop()
        for receiver in self.machines:
            if receiver is not sender and self.allows(sender, receiver, message):
                loop.call_later(self.latency, self._deliver, sender, receiver, message)

    @staticmethod
    def _deliver(sender: Machine, receiver: Machine, message) -> None:
        if receiver.task is not None and not receiver.task.done():
            receiver.runner.receive(message, sender.name)


def network(count: int, **settings) -> tuple[Wires, list[Machine]]:
    members = validators(count)
    return Wires(), [Machine(number, members, **settings) for number in range(count)]


def run_virtual(coroutine):
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
