"""Blocks taken back while the node runs: everything is where it was, nothing of what was undone is left, and crashes."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import weakref
from pathlib import Path

import pytest
import pytest_asyncio

from cybermiles.cli.init import initialise
from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.mempool.reasons import State
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.development import Development
from cybermiles.node.foundation import open_foundation, open_workers
from cybermiles.node.live_chain import LiveChain
from cybermiles.node.rollback import MARK
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from cybermiles.storage.recovery import verify_state
from cybermiles.storage.rollback import roll_back_to
from cybermiles.types.primitives import Address
from cybermiles.types.transaction_codec import UnsignedTransaction

SOMEBODY = Address(b"\xab" * 20)
CYCLES = 20


class Node:
    """The parts of a devnet's node below RPC, with the real engine, disk and threads."""

    def __init__(self, home, **flags):
        directory = DataDir(home)
        if not directory.is_initialised:
            initialise(directory, "devnet")
        settings = {"node.network": "devnet", "p2p.enabled": False, "consensus.create_empty_blocks": False}
        config = load_config(home, settings | {key.replace("__", "."): value for key, value in flags.items()}, {})
        self.document = directory.load_genesis()
        self.workers = open_workers()
        self.foundation = open_foundation(config, directory, self.document, self.workers)
        self.chain = LiveChain(self.foundation)
        self.clock = self.foundation.clock
        self.development = Development(self.clock, self.chain, 1_000, self.document.timestamp)
        self.running = asyncio.ensure_future(self.chain.run())

    @property
    def height(self):
        return self.chain.parts.height

    @property
    def mempool(self):
        return self.chain.parts.mempool

    def hash_of(self, height):
        return self.chain.parts.database.blocks.header(height).hash

    def balance(self, address=SOMEBODY):
        account = self.chain.parts.database.state.account(address)
        return 0 if account is None else account.balance

    def transaction(self, sender, nonce, value=1):
        return UnsignedTransaction(
            chain_id=self.document.chain_id,
            nonce=nonce,
            max_fee_per_gas=0,
            max_priority_fee_per_gas=0,
            gas_limit=21_000,
            to=SOMEBODY,
            value=value,
        ).claim(self.document.allocations[sender].address)

    async def submit(self, sender, nonce, value=1):
        transaction = self.transaction(sender, nonce, value)
        assert await self.mempool.submit(transaction.raw) == transaction.hash
        return transaction

    async def include(self, sender, nonce, value=1):
        transaction = await self.submit(sender, nonce, value)
        while self.chain.parts.database.transactions.find(transaction.hash) is None:
            await self.development.mine(1)
        return transaction

    async def close(self):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.workers.close()
        self.chain.parts.signer.close()
        self.foundation.log_directory.close()
        self.foundation.store.close()


@pytest_asyncio.fixture
async def node(tmp_path):
    opened = Node(tmp_path / "home")
    yield opened
    await opened.close()


@pytest.mark.asyncio
async def test_blocks_state_and_transactions_are_as_at_the_snapshot(node) -> None:
    kept = await node.include(0, 0, 5)
    number = await node.development.snapshot()
    height, hashes = node.height, [node.hash_of(at) for at in range(node.height + 1)]
    gone = await node.include(0, 1, 7)
    await node.development.mine(3)
    undone = node.hash_of(height + 1)
    assert node.balance() == 12
    assert await node.development.revert(number) == height
    database = node.chain.parts.database
    assert (node.height, node.balance()) == (height, 5)
    assert [node.hash_of(at) for at in range(height + 1)] == hashes
    assert database.transactions.find(kept.hash) is not None
    assert database.transactions.find(gone.hash) is None
    assert database.blocks.header(height + 1) is None
    verify_state(database)
    await node.include(0, 1, 9)
    assert node.balance() == 14
    assert node.hash_of(height + 1) != undone


@pytest.mark.asyncio
async def test_a_snapshot_serves_once_and_takes_the_later_ones_with_it(node) -> None:
    assert await node.development.revert(1) is None
    first = await node.development.snapshot()
    await node.development.mine(1)
    second, third = await node.development.snapshot(), await node.development.snapshot()
    assert (first, second, third) == (1, 2, 3)
    assert await node.development.revert(second) == 1
    assert await node.development.revert(second) is None
    assert await node.development.revert(third) is None
    assert await node.development.snapshot() == 4
    assert await node.development.revert(first) == 0
    assert await node.development.revert(4) is None


@pytest.mark.asyncio
async def test_the_pool_holds_what_it_held_also_what_was_decided_since(node) -> None:
    early, behind = node.transaction(1, 0), node.transaction(1, 2)
    for transaction in (early, behind):
        await node.mempool.submit(transaction.raw)
    number = await node.development.snapshot()
    await node.development.mine(2)
    late = await node.submit(2, 0)
    assert node.balance() == 1
    await node.development.revert(number)
    pool = node.mempool
    assert pool.status(early.hash).state is State.PENDING
    assert pool.status(behind.hash).state is State.QUEUED
    assert pool.status(late.hash) is None
    assert len(pool.pool) == 2
    await node.development.mine(2)
    assert node.balance() == 1


@pytest.mark.asyncio
async def test_time_goes_on_from_the_snapshot_also_a_time_that_was_set(node) -> None:
    await node.development.mine(1)
    before = node.clock.now_ms()
    number = await node.development.snapshot()
    await node.development.advance(86_400)
    await node.development.mine(1)
    assert node.chain.head.timestamp >= before // 1000 + 86_400
    await node.development.revert(number)
    assert before <= node.clock.now_ms() < before + 3_600_000
    at = node.chain.head.timestamp + 1_000
    await node.development.set_next_time(at)
    number = await node.development.snapshot()
    await node.development.mine(3)
    assert node.clock.pinned is None
    await node.development.revert(number)
    assert node.clock.pinned == at
    await node.development.mine(1)
    assert node.chain.head.timestamp == at


@pytest.mark.asyncio
async def test_a_change_of_time_that_waits_for_a_block_is_forgotten_with_it(node) -> None:
    number = await node.development.snapshot()
    at = node.clock.now_ms() // 1000 + 1_000_000
    changing = asyncio.ensure_future(node.development.set_next_time(at))
    await asyncio.sleep(0)
    changing.cancel()  # as a request is that takes too long
    await asyncio.gather(changing, return_exceptions=True)
    await node.development.revert(number)
    await node.development.mine(2)
    assert node.chain.head.timestamp < at


@pytest.mark.asyncio
async def test_a_revert_that_nobody_waits_for_any_longer_forgets_the_later_snapshots_too(node) -> None:
    number = await node.development.snapshot()
    await node.development.mine(2)
    later = await node.development.snapshot()
    reverting = asyncio.ensure_future(node.development.revert(number))
    await asyncio.sleep(0)
    reverting.cancel()
    await asyncio.gather(reverting, return_exceptions=True)
    await node.development.snapshot()
    await node.development.mine(1)
    while node.height > 1:
        await asyncio.sleep(0)
    assert await node.development.revert(later) is None
    assert await node.development.revert(number) is None


@pytest.mark.asyncio
async def test_a_reset_goes_to_the_genesis_block_and_to_the_machines_time(node) -> None:
    genesis = node.hash_of(0)
    await node.development.snapshot()
    await node.include(0, 0)
    await node.development.advance(86_400)
    assert await node.development.reset() == 0
    assert (node.height, node.balance(), node.hash_of(0)) == (0, 0, genesis)
    assert node.clock.ahead_ms <= max(0, node.document.timestamp * 1000 - node.clock.now_ms()) + 1
    assert await node.development.revert(1) is None
    await node.include(0, 0, 3)
    assert node.balance() == 3


@pytest.mark.asyncio
async def test_a_listener_and_a_follower_notice_every_new_set_of_parts(node) -> None:
    heights, followed = [], []

    class Listener:
        def block_committed(self, block, outcome):
            heights.append(block.height)

    node.chain.listen(Listener())
    node.chain.follow(followed.append)
    number = await node.development.snapshot()
    await node.development.mine(2)
    await node.development.revert(number)
    await node.development.mine(1)
    assert heights == [1, 2, 1]
    assert len(followed) == 2
    assert followed[1] is node.chain.parts is not followed[0]


@pytest.mark.asyncio
async def test_a_block_that_is_being_decided_is_undone_with_the_others(node) -> None:
    """The threads end what a stopped engine began; wherever it is stopped, the chain is back at the snapshot."""
    number = await node.development.snapshot()
    for turns in range(0, 60, 3):
        node.chain.parts.asked.ask()
        node.chain.parts.engine.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert await node.development.revert(number) == 0
        assert node.height == 0
        number = await node.development.snapshot()
    await node.include(0, 0, 4)
    assert node.balance() == 4
    verify_state(node.chain.parts.database)


@pytest.mark.asyncio
async def test_states_are_kept_for_a_snapshot_and_a_refused_reset_leaves_chain_and_pool(tmp_path) -> None:
    node = Node(tmp_path / "home", node__keep_states=2)
    await node.development.mine(3)
    number = await node.development.snapshot()
    waiting = await node.submit(3, 5)
    await node.development.mine(8)
    height, head = node.height, node.chain.head.hash
    with pytest.raises(ConfigError, match=r"state of block 0 is pruned.*node\.keep_states"):
        await node.development.reset()
    assert (node.height, node.chain.head.hash) == (height, head)
    assert node.mempool.status(waiting.hash).state is State.QUEUED
    await node.development.mine(1)
    assert node.height == height + 1
    assert await node.development.revert(number) == 3
    await node.development.mine(6)
    assert node.chain.parts.database.chain.oldest_state > 3
    await node.close()


@pytest.mark.asyncio
async def test_a_chain_that_others_have_is_not_taken_back(tmp_path) -> None:
    node = Node(tmp_path / "home", p2p__enabled=True)
    await node.development.mine(1)
    parts = node.chain.parts
    for going_back in (node.development.snapshot(), node.development.reset()):
        with pytest.raises(ConfigError, match=r"others have them too \(p2p\.enabled, validators\)"):
            await going_back
    assert await node.development.revert(1) is None
    assert node.chain.parts is parts
    await node.development.mine(1)
    assert node.height == 2
    await node.close()


@pytest.mark.asyncio
async def test_a_start_goes_on_after_blocks_were_taken_back(tmp_path) -> None:
    node = Node(tmp_path / "home")
    await node.development.mine(2)
    number = await node.development.snapshot()
    await node.development.mine(3)
    await node.development.revert(number)
    await node.close()
    node = Node(tmp_path / "home")
    assert node.height == 2
    await node.include(0, 0, 2)
    assert node.balance() == 2
    await node.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("undone", [0, 1, 3], ids=["before the blocks", "one block", "three blocks"])
@pytest.mark.parametrize("is_log_gone", [False, True])
async def test_a_start_finishes_what_a_crash_interrupted(tmp_path, undone, is_log_gone) -> None:
    node = Node(tmp_path / "home")
    await node.development.mine(4)
    await node.close()
    crash(tmp_path / "home", undone, is_log_gone=is_log_gone)
    node = Node(tmp_path / "home")
    assert node.height == 4 - undone
    await node.include(0, 0, 2)
    assert node.balance() == 2
    await node.close()
    assert not (tmp_path / "home" / "data" / MARK).exists()


@pytest.mark.asyncio
async def test_without_its_mark_a_signer_ahead_of_the_chain_stops_the_node(tmp_path) -> None:
    """So that the mark is what makes the test above pass."""
    node = Node(tmp_path / "home")
    await node.development.mine(4)
    await node.close()
    crash(tmp_path / "home", 2, is_log_gone=True)
    (tmp_path / "home" / "data" / MARK).unlink()
    node = Node(tmp_path / "home")
    node.chain.parts.asked.ask()
    with pytest.raises(InvariantViolation, match="refusing to sign"):
        await node.running
    await node.close()


def crash(home, undone, *, is_log_gone):
    """Leave a stopped node's directory as a crash leaves it while blocks are taken back."""
    directory = DataDir(home)
    (directory.chain.parent / MARK).touch()
    store = LevelDB(directory.chain, LevelDBOptions())
    if undone:
        roll_back_to(Database(store), 4 - undone)
    store.close()
    if is_log_gone:
        shutil.rmtree(directory.wal)


@pytest.mark.asyncio
async def test_nothing_is_left_of_undone_parts(node) -> None:
    """Neither tasks, threads and open files, nor the parts themselves."""
    await cycle(node)
    before = resources()
    ghosts = []
    for _ in range(CYCLES):
        parts = node.chain.parts
        ghosts += [weakref.ref(parts.engine), weakref.ref(parts.database), weakref.ref(parts.mempool)]
        del parts
        await cycle(node)
    assert resources() == before
    assert [ghost() for ghost in ghosts] == [None] * len(ghosts)


async def cycle(node):
    number = await node.development.snapshot()
    await node.include(0, 0)
    await node.development.revert(number)
    gc.collect()


def resources():
    """Open files but LevelDB's, which come and go, threads and tasks."""
    files = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum("chain" not in file.parts for file in files), threading.active_count(), len(asyncio.all_tasks())
