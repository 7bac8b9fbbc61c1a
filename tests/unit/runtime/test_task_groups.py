"""Tasks that end together and alone, deadlines by a clock, calls that cost only who caused them, files, choices."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.files import write_durably
from cybermiles.runtime.randomness import SeededRandomness, SystemRandomness
from cybermiles.runtime.tasks import TaskGroup, guarded, within


async def forever(ended=None):
    try:
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            ended.append("cancelled")


async def fails(error):
    raise error


@pytest.mark.asyncio
async def test_the_first_failure_ends_the_group_and_is_its_reason():
    ends, cancelled = [], []
    group = TaskGroup(ends.append)
    group.start("a", forever(cancelled))
    group.start("b", forever(cancelled))
    await asyncio.sleep(0)
    error = ValueError("first")
    group.start("c", fails(error))
    await group.wait()
    assert ends == [error]
    assert cancelled == ["cancelled"] * 2


@pytest.mark.asyncio
async def test_a_failure_while_ending_is_not_the_reason():
    async def fails_when_cancelled():
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("second")

    ends = []
    group = TaskGroup(ends.append)
    group.start("a", fails_when_cancelled())
    await asyncio.sleep(0)
    group.start("b", asyncio.sleep(0))
    await group.wait()
    assert ends == [None]


@pytest.mark.asyncio
async def test_cancelling_ends_once_and_nothing_starts_afterwards():
    ends = []
    group = TaskGroup(ends.append)
    group.start("a", forever())
    group.cancel()
    group.cancel()
    group.start("b", forever())
    await group.wait()
    group.cancel()
    assert ends == [None]
    empty = TaskGroup(ends.append)
    empty.cancel()
    assert ends == [None, None]


@pytest.mark.asyncio
async def test_a_task_may_end_its_own_group():
    ends = []
    group = TaskGroup(ends.append)

    async def leave():
        group.cancel()
        await asyncio.Event().wait()

    group.start("a", leave())
    await group.wait()
    assert ends == [None]


@pytest.mark.asyncio
async def test_a_deadline_follows_the_clock_it_was_given():
    clock, cancelled = ManualClock(), []
    task = asyncio.create_task(within(clock, 5, forever(cancelled)))
    await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    clock.advance(4_999)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    clock.advance(1)
    with pytest.raises(TimeoutError):
        await task
    assert cancelled == ["cancelled"]


@pytest.mark.asyncio
async def test_within_its_deadline_a_call_returns_or_raises_as_it_is():
    async def answer():
        return 42

    assert await within(ManualClock(), 1, answer()) == 42
    with pytest.raises(KeyError):
        await within(ManualClock(), 1, fails(KeyError("k")))
    task = asyncio.create_task(within(ManualClock(), 1, forever()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_guarded_call_reports_and_returns_what_went_wrong():
    with capture_logs() as logs:
        assert guarded(divmod, 1, 2) is None
        error = guarded(divmod, 1, 0)
    assert isinstance(error, ZeroDivisionError)
    assert [(entry["event"], entry["call"], bool(entry["exc_info"])) for entry in logs] == [
        ("call_failed", "divmod", True)
    ]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.json"
    for content in (b"one", b"two"):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_choices_are_in_range_and_follow_from_the_seed():
    one, two = SeededRandomness(5), SeededRandomness(5)
    assert [one.below(100) for _ in range(50)] == [two.below(100) for _ in range(50)]
    assert {SystemRandomness().below(3) for _ in range(200)} == {0, 1, 2}
