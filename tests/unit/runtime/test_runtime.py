"""Clock, workers, supervised tasks, events, levels."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cybermiles.errors import ConfigError
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.event_bus import EventBus
from cybermiles.runtime.executor import Worker
from cybermiles.runtime.logging import parse_levels
from cybermiles.runtime.tasks import Supervisor


@pytest.mark.asyncio
async def test_a_manual_clock_wakes_sleepers_in_order_of_their_time():
    clock, woken = ManualClock(1_000), []

    async def sleeper(name, seconds):
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(name, s)) for name, s in (("late", 2), ("early", 1), ("never", 9))]
    await asyncio.sleep(0)
    clock.advance(2_000)
    for _ in range(3):
        await asyncio.sleep(0)
    assert woken == ["early", "late"]
    assert clock.now_ms() == 3_000
    tasks[2].cancel()


@pytest.mark.asyncio
async def test_a_worker_returns_results_raises_errors_and_has_one_thread():
    worker = Worker("test")
    assert await worker.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 1, 0)
    names = {await worker.run(lambda: threading.current_thread().name) for _ in range(4)}
    assert len(names) == 1
    worker.close()


@pytest.mark.asyncio
async def test_the_first_failing_task_stops_all_and_is_raised():
    supervisor, ended = Supervisor(), []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("forever")

    async def fails():
        raise ValueError("broken")

    supervisor.start("forever", forever())
    supervisor.start("fails", fails())
    with pytest.raises(ValueError, match="broken"):
        await supervisor.wait()
    assert ended == ["forever"]


@pytest.mark.asyncio
async def test_stopping_ends_every_task_and_raises_nothing():
    supervisor = Supervisor()
    supervisor.start("forever", asyncio.Event().wait())
    supervisor.stop()
    supervisor.stop()
    await supervisor.wait()


@pytest.mark.asyncio
async def test_subscribers_get_events_in_order_and_slow_ones_are_closed():
    bus = EventBus()
    quick, slow = bus.subscribe(10), bus.subscribe(2)
    for event in range(4):
        bus.publish(event)
    quick.close()
    slow.close()
    assert [event async for event in quick] == [0, 1, 2, 3]
    assert [event async for event in slow] == [0, 1]
    assert slow.overflowed
    assert not quick.overflowed
    bus.publish(9)


def test_levels_are_parsed_per_component():
    assert parse_levels("warning") == (30, {})
    assert parse_levels("consensus=debug, rpc=error,info") == (20, {"consensus": 10, "rpc": 40})
    with pytest.raises(ConfigError, match='"loud" is unknown; use one of debug'):
        parse_levels("rpc=loud")
