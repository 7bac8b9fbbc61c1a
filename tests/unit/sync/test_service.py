"""The sync service beside a stub of consensus, and its progress."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from cybermiles.errors import DecodingError, InvalidBlock, ProtocolViolation
from cybermiles.sync.actions import Fault, SuppliedBlock, SyncLimits
from cybermiles.sync.progress import LogProgress, Pace, TerminalProgress, progress_output
from cybermiles.sync.service import SyncService
from cybermiles.types.commit import EMPTY_COMMIT
from tests.fakes.consensus import LoopClock, VirtualLoop


class Follower:
    """Applies one block after another, ten milliseconds each; b"wrong" is refused."""

    def __init__(self, clock, error=InvalidBlock):
        self.clock = clock
        self.height = 1
        self.applied = []
        self.catching_up = []
        self.error = error

    @property
    def view(self):
        return SimpleNamespace(height=self.height, is_catching_up=bool(self.catching_up and self.catching_up[-1]))

    async def apply_synced(self, value, commit):
        await self.clock.sleep(0.01)
        if value == b"wrong":
            raise self.error("it is wrong")
        self.applied.append(value)
        self.height += 1

    def set_catching_up(self, *, catching_up):
        self.catching_up.append(catching_up)


class Peers:
    """Peers that serve heights as b"1", b"2"… after a delay, in order."""

    def __init__(self, clock, service, *, wrong=()):
        self.clock, self.service, self.wrong = clock, service, wrong
        self.dropped = []
        self.tasks = []

    def ask(self, peer, height):
        async def answer():
            await self.clock.sleep(0.05)
            value = b"wrong" if (peer, height) in self.wrong else b"%d" % height
            self.service.received(SuppliedBlock(height, peer, value, EMPTY_COMMIT))

        self.tasks.append(asyncio.get_running_loop().create_task(answer()))

    def drop(self, peer, fault, reason):
        self.dropped.append((peer, fault))
        self.service.removed(peer)


class Output:
    interval_ms = 250

    def __init__(self):
        self.shown, self.finished = [], []

    def show(self, progress):
        self.shown.append(progress)

    def done(self, height):
        self.finished.append(height)


def simulate(script, *, wrong=(), error=InvalidBlock):
    """Run `script(world)` beside the service in virtual time and return the world."""

    async def main():
        clock = LoopClock()
        follower, output = Follower(clock, error), Output()
        service = SyncService(follower, clock, height=0, output=output)
        peers = Peers(clock, service, wrong=wrong)
        service.join(peers)
        world = SimpleNamespace(clock=clock, follower=follower, service=service, peers=peers, output=output)
        running = asyncio.get_running_loop().create_task(service.run())
        await script(world)
        running.cancel()
        await asyncio.gather(running, *peers.tasks, return_exceptions=True)
        return world

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def test_blocks_are_applied_in_order_and_consensus_hears_that_it_is_behind_and_when_no_more():
    async def script(world):
        world.service.status("a", 1, 200)
        world.service.status("b", 1, 200)
        await world.clock.sleep(10)

    world = simulate(script)
    assert world.follower.applied == [b"%d" % height for height in range(1, 201)]
    assert world.follower.catching_up == [True, False]
    assert world.peers.dropped == []
    assert world.output.finished == [199]
    assert world.output.shown[-1].target == 200
    assert 50 <= world.output.shown[-1].blocks_per_second <= 100


@pytest.mark.parametrize("error", [InvalidBlock, ProtocolViolation, DecodingError])
def test_a_wrong_block_costs_its_supplier_and_comes_from_another(error):
    async def script(world):
        world.service.status("liar", 1, 50)
        world.service.status("honest", 1, 50)
        await world.clock.sleep(20)

    world = simulate(script, wrong={("liar", height) for height in range(1, 51)}, error=error)
    assert world.follower.applied == [b"%d" % height for height in range(1, 51)]
    assert world.peers.dropped == [("liar", Fault.WRONG_BLOCK)]


def test_another_error_ends_the_service():
    async def script(world):
        world.service.status("a", 1, 50)
        await world.clock.sleep(1)

    async def main():
        clock = LoopClock()
        follower = Follower(clock, ValueError)
        service = SyncService(follower, clock, height=0)
        peers = Peers(clock, service, wrong={("a", 1)})
        service.join(peers)
        service.status("a", 1, 5)
        await service.run()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.raises(ValueError, match="wrong"):
        runner.run(main())


def test_what_consensus_decides_itself_is_not_asked_for():
    async def script(world):
        for height in range(1, 30):
            world.service.status("a", 1, height)
            await world.clock.sleep(0.3)
            world.follower.height = height + 1
            await world.clock.sleep(0.7)

    world = simulate(script)
    assert world.follower.applied == [] and world.follower.catching_up == []


def test_a_node_that_falls_behind_again_catches_up_again():
    async def script(world):
        world.service.status("a", 1, 20)
        await world.clock.sleep(5)
        world.follower.height = 31  # consensus went on
        world.service.status("a", 1, 30)
        await world.clock.sleep(5)
        world.service.status("a", 1, 60)
        await world.clock.sleep(5)

    world = simulate(script)
    assert world.follower.catching_up == [True, False, True, False]
    assert world.follower.height == 61


def test_the_policys_view_is_readable():
    async def script(world):
        assert not world.service.is_catching_up
        world.service.status("a", 1, 9_000)
        assert world.service.best_height == 9_000
        await world.clock.sleep(1)
        assert world.service.is_catching_up
        world.service.no_block("a", 9_999)
        assert world.service.best_height == 0

    assert simulate(script).peers.dropped == [("a", Fault.UNSOLICITED)]


# Progress


def test_the_pace_is_that_of_the_last_ten_seconds():
    pace = Pace(100, 0)
    assert pace.progress(100, 1100, 0).eta_seconds is None
    for second in range(1, 31):
        progress = pace.progress(100 + 10 * second, 1100, second * 1000)
    assert (progress.height, progress.percent, progress.blocks_per_second, progress.eta_seconds) == (400, 30, 10, 70)
    for second in range(31, 45):
        progress = pace.progress(400, 1100, second * 1000)
    assert progress.blocks_per_second == 0 and progress.eta_seconds is None


def test_a_target_that_is_reached_is_a_hundred_percent():
    progress = Pace(0, 0).progress(50, 40, 1000)
    assert (progress.target, progress.percent, progress.eta_seconds) == (50, 100, 0)


def test_a_terminal_gets_one_line_that_is_written_over():
    written = []
    output = TerminalProgress(written.append)
    pace = Pace(0, 0)
    output.show(pace.progress(12_345, 50_000, 10_000))
    output.done(50_000)
    assert written == [
        "\r\x1b[2Ksyncing ████░░░░░░░░░░░░░░░░ 24 %  block 12,345 of 50,000  1,234 blocks/s  ETA 00:31",
        "\r\x1b[2Ksynced to block 50,000\n",
    ]


def test_long_times_have_hours_and_a_standstill_has_none():
    pace = Pace(0, 0)
    assert pace.progress(1, 10_000, 1_000).line().endswith("ETA 2:46:39")
    assert Pace(0, 0).progress(0, 10, 1_000).line().endswith("ETA unknown")


def test_a_terminal_is_told_from_a_file():
    stream = io.StringIO()
    assert isinstance(progress_output(stream), LogProgress)
    stream.isatty = lambda: True
    output = progress_output(stream)
    output.done(7)
    assert stream.getvalue() == "\r\x1b[2Ksynced to block 7\n"


def test_a_log_gets_the_same_numbers():
    output = LogProgress()
    with capture_logs() as lines:
        output.show(Pace(0, 0).progress(5, 10, 1_000))
        output.done(10)
    assert [line["event"] for line in lines] == ["block_sync_progress", "block_sync_done"]
    assert lines[0]["percent"] == 50


def test_the_limits_are_what_the_documentation_says():
    limits = SyncLimits()
    assert (limits.requests_per_peer, limits.window, limits.silence_ms) == (20, 500, 10_000)
