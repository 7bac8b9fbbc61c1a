"""The application's calls run one at a time, in order, and their results wait for the runner."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.application_calls import ApplicationCalls, CheckedValue


class Calls:
    """Calls that end when told, and what runs at any time."""

    def __init__(self) -> None:
        self.wakes = 0
        self.calls = ApplicationCalls(self.wake)
        self.running: list[int] = []
        self.gates: dict[int, asyncio.Future] = {}

    def wake(self) -> None:
        self.wakes += 1

    def submit(self, number: int) -> None:
        self.gates[number] = asyncio.get_running_loop().create_future()

        async def call():
            self.running.append(number)
            try:
                await self.gates[number]
            finally:
                self.running.remove(number)
            return CheckedValue(number, None)

        self.calls.submit(call)

    async def finish(self, number: int, error: Exception | None = None) -> None:
        if error is None:
            self.gates[number].set_result(None)
        else:
            self.gates[number].set_exception(error)
        await turns()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_one_runs_at_a_time_and_results_come_in_order():
    made = Calls()
    for number in (1, 2, 3):
        made.submit(number)
    await turns()
    assert made.running == [1]
    assert made.calls.take() is None
    await made.finish(1)
    assert made.wakes == 1
    assert made.running == [], "the next one begins when the result is taken"
    assert made.calls.take().complete == 1
    await turns()
    assert made.running == [2]
    await made.finish(2)
    assert made.calls.take().complete == 2
    await turns()
    await made.finish(3)
    assert made.calls.take().complete == 3
    assert made.calls.take() is None


@pytest.mark.asyncio
async def test_settling_waits_for_the_running_one_and_forgets_the_others():
    made = Calls()
    made.submit(1)
    made.submit(2)
    await turns()
    settled = asyncio.ensure_future(made.calls.settle())
    await turns()
    assert not settled.done()
    await made.finish(1)
    await settled
    assert made.running == []
    assert made.calls.take() is None
    made.submit(3)
    await turns()
    assert made.running == [3]
    await made.calls.close()
    assert made.running == []


@pytest.mark.asyncio
async def test_what_the_application_raises_reaches_the_runner():
    made = Calls()
    made.submit(1)
    await turns()
    await made.finish(1, KeyError("a bug"))
    with pytest.raises(KeyError):
        made.calls.take()
    made.submit(2)
    await turns()
    await made.finish(2, KeyError("a bug"))
    with pytest.raises(KeyError):
        await made.calls.settle()
