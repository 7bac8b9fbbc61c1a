"""What a whole node decides about: a stub chain that costs microseconds, or the real application over a memory store.

Both give the node the same parts: the application, the pool of transactions, evidence, and what is durable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING

from cybermiles.application.application import ChainApplication
from cybermiles.application.history import CommittedHistory
from cybermiles.chain.genesis import GenesisValidator
from cybermiles.chain.params import ChainParams
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.builder import build_block
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.parent import Chain
from cybermiles.mempool.admission import Admission
from cybermiles.mempool.limits import PoolLimits
from cybermiles.mempool.pool import Pool
from cybermiles.mempool.service import MempoolService
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.storage.flat_state import StateMoved
from cybermiles.storage.recovery import check_store
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.commit import EMPTY_COMMIT
from cybermiles.types.evidence import decode_evidence
from cybermiles.types.primitives import ZERO_HASH, Hash32
from cybermiles.types.validator import Validator
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork
from tests import factories
from tests.simulation import keys
from tests.simulation.stub_application import (
    GENESIS_TIME,
    Ledger,
    StubApplication,
    StubBlock,
    block_hash,
    decode_block,
    transactions_of,
)

if TYPE_CHECKING:
    from cybermiles.consensus.evidence_pool import EvidencePool
    from tests.simulation.whole_node import WholeNode

FREE_POOL = PoolLimits()


class Work:
    """`runtime` workers and application time of one life: virtual, and over when the life is."""

    def __init__(self, node: WholeNode) -> None:
        self._node = node
        self._life = node.life

    async def run(self, function, *args, **kwargs):
        await self.work()
        return function(*args, **kwargs)

    async def work(self) -> None:
        delay = self._node.world.application_ms()
        if delay:
            await asyncio.sleep(delay / 1_000)
        self._node.check_life(self._life)

    def persist(self, what: str) -> None:
        self._node.persist(self._life, what)


@dataclass(frozen=True, slots=True)
class StubTransaction:
    """Bytes with a hash."""

    raw: bytes
    type: int = 2

    @property
    def hash(self) -> Hash32:
        return Hash32(keccak256(self.raw))

    @property
    def size(self) -> int:
        return len(self.raw)


class StubPool:
    """`TransactionSource` and what the mempool reactor asks for, over opaque transactions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pool: dict[Hash32, StubTransaction] = {}
        self._listeners = []

    def candidates(self):
        return tuple(self._pool.values())[:20]

    async def wait_for_transactions(self) -> None:
        await asyncio.Event().wait()

    def lookup(self, tx_hash: Hash32):
        return self._pool.get(tx_hash)

    def pending(self):
        yield from self._pool.values()

    def listen(self, listener) -> None:
        self._listeners.append(listener)

    async def submit_batch(self, raws):
        return [self._submit(raw) for raw in raws]

    def _submit(self, raw: bytes):
        transaction = StubTransaction(raw)
        if raw not in self._ledger.transactions and transaction.hash not in self._pool:
            self._pool[transaction.hash] = transaction
            for listener in self._listeners:
                listener((transaction,))
        return transaction.hash

    def included(self, raws) -> None:
        """Forget what a block contains."""
        for raw in raws:
            self._pool.pop(StubTransaction(raw).hash, None)


class StubChain:
    """One life of a node over the stub application. Also the history that its evidence is judged by."""

    params = ChainParams()

    def __init__(self, node: WholeNode, store: Ledger) -> None:
        self._node = node
        self._ledger = store
        self._work = Work(node)
        world = node.world
        self.application = StubApplication(
            store, world.rotation, self, lambda: world.streams["values"].getrandbits(32), world.payload
        )
        self.transactions = StubPool(store)
        self.history = self
        self.base = 1
        self.load = self.application.load
        self.evidence: EvidencePool | None = None
        self.work = self._work.work
        self.persist = self._work.persist

    @staticmethod
    def new_store(world) -> Ledger:
        """Return an empty database."""
        return Ledger()

    @property
    def height(self) -> int:
        return len(self._ledger.blocks)

    def block(self, height: int):
        """Return (value, commit) of a durable height."""
        return self._ledger.blocks[height - 1]

    def block_accepted(self, height: int, hash_: bytes) -> None:
        self._node.world.checker.block_accepted(height, hash_)

    def proposed(self, height: int, value: bytes) -> None:
        self._node.world.value_built(height, value, block_hash(value), decode_block(value).timestamp)

    def committed(self, height: int, app_hash: bytes, commit) -> None:
        value = self._ledger.blocks[-1][0]
        block = decode_block(value)
        self._node.world.committed(self._node, commit)
        self._node.world.state_after(height, app_hash)
        raws = transactions_of(block)
        if raws:
            self._node.world.fault("transactions in a block")
        self.transactions.included(raws)
        for raw in block.evidence:
            self._node.world.fault("evidence in a block")
            self._node.committed_evidence.add(decode_evidence(raw).hash)
        committed = SimpleNamespace(
            height=height,
            header=SimpleNamespace(timestamp=block.timestamp),
            consensus=SimpleNamespace(evidence=block.evidence),
        )
        self.evidence.block_committed(committed, SimpleNamespace(next_params=self.params))

    def make_value(self, liar: int, height: int, salt: int, *, is_valid: bool, timestamp: int):
        """Return (bytes, hash, time) of a liar's block on what this node has decided."""
        parent, commit, before = ZERO_HASH, EMPTY_COMMIT, GENESIS_TIME
        if height > 1:
            value, commit = self.block(height - 1)
            parent, before = block_hash(value), decode_block(value).timestamp
        time = max(timestamp, before + 1)
        app_hash = self._node.world.app_hash(height - 1) if is_valid else b"\xee" * 32
        address = self._node.world.keys[liar].address
        value = StubBlock(height, parent, app_hash, address, time, salt, commit, (), b"").encode()
        return value, block_hash(value), time

    # History

    def validators(self, height: int):
        return self._node.world.validators

    def timestamp(self, height: int) -> int | None:
        if height == 0:
            return GENESIS_TIME
        return decode_block(self.block(height)[0]).timestamp if height <= self.height else None

    def has_evidence(self, key: bytes) -> bool:
        return key in self._node.committed_evidence

    @staticmethod
    def transaction(number: int, rng) -> bytes:
        """Return the n-th transaction of the load."""
        return b"transaction %d " % number + rng.randbytes(60)


@lru_cache(maxsize=8)
def real_document(powers: tuple[int, ...]):
    """Return a genesis document with the simulation's validators."""
    _, validators = keys.validator_keys(powers)
    members = [
        Validator(member.consensus_key, factories.ADDRESSES[number], member.power)
        for number, member in enumerate(validators.validators)
    ]
    document = factories.genesis_document()
    return replace(
        document.with_validators([GenesisValidator(f"v{n}", member) for n, member in enumerate(members)]),
        timestamp=GENESIS_TIME,
    )


class _LifeStore:
    """The database as one life sees it: each batch is atomic, and a life may end before or after one."""

    def __init__(self, store: MemoryStore, work: Work, written) -> None:
        self._store = store
        self._work = work
        self._written = written
        self.get = store.get
        self.iterate = store.iterate

    def write(self, batch, *, sync: bool) -> None:
        self._work.persist("before the batch")
        self._store.write(batch, sync=sync)
        self._written()
        self._work.persist("after the batch")


class RealChain:
    """One life of a node over the real application, mempool and storage."""

    def __init__(self, node: WholeNode, store: MemoryStore) -> None:
        self._node = node
        work = Work(node)
        self._document = document = real_document(node.world.plan.powers)
        self._commit = None
        database = Database(_LifeStore(store, work, self._decided))
        check_store(database)
        self._chain = Chain(
            chain_id=document.chain_id,
            genesis_hash=keys.GENESIS_HASH,
            allow_unprotected=document.allow_unprotected,
            backend=PyEvmBackend(ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id)),
        )
        self.params = document.params
        self.history = CommittedHistory(database)
        rules = ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id)
        self.transactions = MempoolService(
            pool=Pool(FREE_POOL, document.params),
            admission=Admission(rules, document.params, allow_unprotected=document.allow_unprotected),
            head=lambda: database.state,
            clock=node.clock,
            threads=work,
            publish=lambda event: None,
        )
        self.evidence: EvidencePool | None = None
        self._inner = ChainApplication(
            chain=self._chain, database=database, params=document.params, worker=work, listeners=(self,)
        )
        self.application = self
        self.load = self._inner.load
        self.info = self._inner.info
        self.finalize_block = self._inner.finalize_block
        self._database = database

    @staticmethod
    def new_store(world) -> MemoryStore:
        """Return a database with the genesis block."""
        store = MemoryStore()
        Database(store).commit_genesis(genesis_block(real_document(world.plan.powers)))
        return store

    @property
    def base(self) -> int:
        return self._inner.base

    @property
    def height(self) -> int:
        return self._inner.height

    def block(self, height: int):
        """Return (value, commit) of a durable height."""
        stored = self._database.blocks.block(height), self._database.blocks.commit(height)
        return stored[0].encode(), stored[1]

    async def prepare_proposal(self, request, candidates):
        proposal = await self._inner.prepare_proposal(request, candidates)
        world = self._node.world
        world.checker.block_accepted(request.height, proposal.block_hash)
        world.value_built(request.height, proposal.value, proposal.block_hash, request.timestamp)
        return proposal

    async def process_proposal(self, value: bytes):
        verdict = await self._inner.process_proposal(value)
        if verdict.accepted:
            self._node.world.checker.block_accepted(self.height + 1, verdict.block_hash)
        return verdict

    async def commit(self, commit) -> None:
        self._commit = commit
        await self._inner.commit(commit)

    def _decided(self) -> None:
        """A batch was written: that of the commit, where one is under way."""
        if self._commit is not None:
            commit, self._commit = self._commit, None
            self._node.world.committed(self._node, commit)

    def block_committed(self, block, outcome) -> None:
        """The application's listener: the block is durable."""
        world = self._node.world
        world.state_after(block.height, block.header.state_root)
        for _ in block.consensus.evidence:
            world.fault("evidence in a block")
        if block.transactions:
            world.fault("transactions in a block")
        self.transactions.block_committed(block, outcome)
        self.evidence.block_committed(block, outcome)

    def make_value(self, liar: int, height: int, salt: int, *, is_valid: bool, timestamp: int):
        """Return (bytes, hash, time) of a liar's block; junk where this node is not right below it."""
        try:
            parent = self._inner.parent
        except StateMoved:  # this node is committing
            parent = None
        if not is_valid or parent is None or parent.header.height != height - 1:
            junk = sha256(b"%d %d" % (height, salt)).digest() * 8
            return junk, Hash32(sha256(junk).digest()), timestamp
        time = max(timestamp, parent.header.timestamp + 1) + salt % 2  # so that two blocks of a liar differ
        commit = self._database.blocks.commit(height - 1) if height > 1 else EMPTY_COMMIT
        request = PrepareRequest(
            height=height, timestamp=time, proposer=self._node.world.keys[liar].address, last_commit=commit
        )
        block, _ = build_block(self._chain, parent, request, ())
        return block.encode(), block.hash, time

    @staticmethod
    def transaction(number: int, rng) -> bytes:
        """Return the n-th transaction of the load: transfers of few accounts, in the order of their nonces."""
        sender, nonce = number % 20, number // 20
        return factories.sign(factories.KEYS[sender], nonce, value=rng.randrange(1, 100), price=factories.PAID).raw
