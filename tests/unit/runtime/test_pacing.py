"""News with a deadline, and ticks that come when they are due or soon after news."""

from __future__ import annotations

import asyncio

from cybermiles.runtime.pacing import News, Pacemaker
from tests.fakes.consensus import LoopClock, VirtualLoop


def run(main):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def test_a_wait_ends_with_news_or_at_its_time():
    async def main():
        clock = LoopClock()
        news = News(clock)
        assert await news.wait_until(500) is False
        assert news.now_ms() == 500
        news.tell()
        assert await news.wait_until(900) is True  # told before the wait
        asyncio.get_running_loop().call_later(0.1, news.tell)
        assert await news.wait_until(900) is True
        assert news.now_ms() == 600
        assert await news.wait_until(0) is False  # in the past: a millisecond, so that nothing spins
        assert news.now_ms() == 601

    run(main)


def test_ticks_come_when_they_are_due_and_soon_after_news():
    ticks = []

    async def main():
        clock = LoopClock()

        def tick(now_ms):
            ticks.append(now_ms)
            return now_ms + 1_000

        pacemaker = Pacemaker(clock, tick, soon_ms=20)
        task = asyncio.get_running_loop().create_task(pacemaker.run())
        await clock.sleep(2.5)
        pacemaker.wake()
        pacemaker.wake()  # together
        await clock.sleep(1.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)
    assert ticks == [0, 1000, 2000, 2520, 3520]
