"""The one-validator engine: its order of steps, its pace, and what it does after a crash at each of them."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.privval import FileSigner, create_state, generate_key, save_key
from cybermiles.consensus.solo import SoloEngine, SoloSettings
from cybermiles.consensus.wal import WriteAheadLog
from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.runtime.clock import ManualClock
from cybermiles.types.abci import AppInfo, FinalizeResult, Proposal, Verdict
from cybermiles.types.commit import EMPTY_COMMIT, verify_commit
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import Validator, ValidatorSet

CHAIN_ID, GENESIS = 181818, bytes(32)


class Crash(Exception):
    """The process died here."""


class FakeApplication:
    """Records the calls; its blocks are b"block <height>/<attempt>"."""

    def __init__(self, validators):
        self.validators = validators
        self.calls = []
        self.height, self.timestamp, self.commits = 0, 1_000, [EMPTY_COMMIT]
        self.attempts = 0
        self.crash_at = None
        self.verdict = True

    def step(self, name):
        self.calls.append(name)
        if self.crash_at == name:
            raise Crash(name)

    async def info(self):
        return AppInfo(
            height=self.height,
            block_hash=bytes(32),
            timestamp=self.timestamp,
            last_commit=self.commits[-1],
            rotation=first_rotation(self.validators),
        )

    async def prepare_proposal(self, request, candidates):
        self.step("prepare")
        self.request = request
        self.attempts += 1
        value = f"block {request.height}/{self.attempts}".encode()
        return Proposal(value.ljust(32, b"\0"), value)

    async def process_proposal(self, value):
        self.step("process")
        return Verdict(self.verdict, value.ljust(32, b"\0"), "" if self.verdict else "changed rules")

    async def finalize_block(self, block_hash):
        self.step("finalize")
        self.decided = block_hash
        return FinalizeResult(self.height + 1, block_hash, self.validators)

    async def commit(self, commit):
        self.step("commit")
        verify_commit(commit, self.validators, CHAIN_ID, GENESIS)
        assert commit.block_hash == self.decided
        self.height, self.timestamp = self.height + 1, self.request.timestamp
        self.commits.append(commit)


class Transactions:
    def __init__(self):
        self.arrived = asyncio.Event()

    def candidates(self):
        return ()

    async def wait_for_transactions(self):
        await self.arrived.wait()


class Setup:
    def __init__(self, directory):
        self.directory = directory
        self.key = generate_key()
        save_key(directory / "key.json", self.key)
        create_state(directory / "state.json", CHAIN_ID, GENESIS)
        self.application = FakeApplication(ValidatorSet((Validator(self.key.public, bytes(20), 1),)))
        self.clock = ManualClock(1_000_500)
        self.open()

    def open(self, *, empty=True, interval=1_000):
        self.signer = FileSigner(self.directory / "key.json", self.directory / "state.json", CHAIN_ID, GENESIS)
        self.transactions = Transactions()
        self.engine = SoloEngine(
            application=self.application,
            transactions=self.transactions,
            signer=self.signer,
            clock=self.clock,
            settings=SoloSettings(block_interval_ms=interval, create_empty_blocks=empty),
            wal_directory=self.directory / "wal",
            chain_id=CHAIN_ID,
            genesis_hash=GENESIS,
        )

    def restart(self, **settings):
        self.signer.close()
        self.open(**settings)

    async def decide(self, advance=0):
        task = asyncio.create_task(self.engine.decide_next())
        for _ in range(5):
            await asyncio.sleep(0)
        if advance:
            self.clock.advance(advance)
        await task


@pytest.fixture
def setup(tmp_path):
    made = Setup(tmp_path)
    yield made
    made.signer.close()


@pytest.mark.asyncio
async def test_a_height_takes_the_steps_in_order_and_leaves_no_log(setup):
    await setup.decide(500)
    assert setup.application.calls == ["prepare", "finalize", "commit"]
    assert setup.application.request.timestamp == 1_001
    assert list((setup.directory / "wal").iterdir()) == []
    await setup.decide(1_000)
    assert setup.application.request.height == 2
    assert setup.application.request.last_commit == setup.application.commits[1]


@pytest.mark.asyncio
async def test_blocks_are_at_least_an_interval_apart_and_take_the_clocks_time(setup):
    setup.restart(interval=3_000)
    task = asyncio.create_task(setup.engine.decide_next())
    for _ in range(5):
        await asyncio.sleep(0)
    setup.clock.advance(2_499)
    await asyncio.sleep(0)
    assert setup.application.calls == []
    setup.clock.advance(1)
    await task
    assert setup.application.request.timestamp == 1_003


@pytest.mark.asyncio
async def test_after_a_long_pause_the_time_is_the_clocks(setup):
    setup.clock.advance(77_000)
    await setup.decide()
    assert setup.application.request.timestamp == 1_077


@pytest.mark.asyncio
async def test_without_empty_blocks_a_height_begins_with_a_transaction(setup):
    setup.restart(empty=False)
    setup.clock.advance(5_000)
    task = asyncio.create_task(setup.engine.decide_next())
    for _ in range(5):
        await asyncio.sleep(0)
    assert setup.application.calls == []
    setup.transactions.arrived.set()
    await task
    assert setup.application.calls == ["prepare", "finalize", "commit"]


@pytest.mark.asyncio
@pytest.mark.parametrize("step", ["finalize", "commit"])
async def test_after_a_crash_the_logged_block_is_decided_and_no_other(setup, step):
    setup.application.crash_at = step
    with pytest.raises(Crash):
        await setup.decide(500)
    setup.application.crash_at = None
    setup.application.calls.clear()
    setup.restart()
    await setup.decide()
    assert setup.application.calls == ["process", "finalize", "commit"]
    assert setup.application.decided == b"block 1/1".ljust(32, b"\0")


@pytest.mark.asyncio
async def test_a_crash_before_the_log_builds_anew(setup):
    setup.application.crash_at = "prepare"
    with pytest.raises(Crash):
        await setup.decide(500)
    setup.application.crash_at = None
    setup.restart()
    await setup.decide()
    assert setup.application.height == 1


@pytest.mark.asyncio
async def test_a_logged_block_that_is_no_longer_valid_stops_the_node(setup):
    setup.application.crash_at = "finalize"
    with pytest.raises(Crash):
        await setup.decide(500)
    setup.application.crash_at, setup.application.verdict = None, False
    setup.restart()
    with pytest.raises(InvariantViolation, match="changed rules"):
        await setup.decide()


@pytest.mark.asyncio
async def test_losing_the_log_after_signing_cannot_lead_to_a_second_signature(setup):
    setup.application.crash_at = "finalize"
    with pytest.raises(Crash):
        await setup.decide(500)
    setup.application.crash_at = None
    WriteAheadLog(setup.directory / "wal", 1).remove()
    setup.restart()
    with pytest.raises(InvariantViolation, match="refusing to sign"):
        await setup.decide()
    assert setup.application.height == 0


@pytest.mark.asyncio
async def test_a_key_that_is_not_the_only_validator_is_refused(setup):
    other = Validator(generate_key().public, bytes(20), 1)
    setup.application.validators = ValidatorSet((other,))
    with pytest.raises(ConfigError, match="needs a genesis that names this node's key"):
        await setup.decide()
