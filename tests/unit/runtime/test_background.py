"""Work beside its owner, collected by the owner."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.runtime.background import Alarm, Call
from cybermiles.runtime.clock import ManualClock


@pytest.mark.asyncio
async def test_a_call_wakes_its_owner_who_takes_the_result():
    woken = asyncio.Event()
    go = asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 7

    call = Call("work", work(), woken.set)
    assert not call.is_done
    go.set()
    await woken.wait()
    assert call.is_done
    assert call.result() == await call.wait() == 7


@pytest.mark.asyncio
async def test_a_failure_waits_for_the_owner():
    async def work() -> None:
        raise KeyError("a bug")

    call = Call("work", work(), lambda: None)
    with pytest.raises(KeyError):
        await call.wait()
    with pytest.raises(KeyError):
        call.result()


@pytest.mark.asyncio
async def test_a_cancelled_call_has_ended_when_cancel_returns():
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    call = Call("work", work(), lambda: None)
    await asyncio.sleep(0)
    await call.cancel()
    assert ended == [True]
    assert call.is_done


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_an_alarm_rings_at_the_earliest_time_asked_for():
    clock, rings = ManualClock(), []
    alarm = Alarm(clock, lambda: rings.append(clock.now_ms()))
    alarm.set(5.0)
    await turns()
    alarm.set(2.0)
    alarm.set(3.0)
    await turns()
    clock.advance(1_999)
    await turns()
    assert rings == []
    clock.advance(1)
    await turns()
    assert rings == [2_000]
    alarm.set(4.0)
    await turns()
    clock.advance(2_000)
    await turns()
    assert rings == [2_000, 4_000]
    clock.advance(10_000)
    await turns()
    assert rings == [2_000, 4_000]


@pytest.mark.asyncio
async def test_a_time_that_has_passed_rings_at_once_and_a_closed_alarm_never():
    clock, rings = ManualClock(10_000), []
    alarm = Alarm(clock, lambda: rings.append(1))
    alarm.set(3.0)
    await turns()
    clock.advance(0)
    await turns()
    assert rings == [1]
    alarm.set(11.0)
    await turns()
    await alarm.close()
    clock.advance(5_000)
    await turns()
    assert rings == [1]
