"""Jobs that wait for a worker: bounded, in turns of their callers, and forgotten when nobody waits for them.

Callers are served in turns, each one's jobs in their order. In a full queue whoever has most in it makes room: by the
newest of its jobs that wait, or by being refused where it asks itself. So a caller that fills the queue is in the way
of nobody but itself.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Used by any thread. `T` is compared by identity or by value, as it likes; one is in here once."""

    def __init__(self, limit: int) -> None:
        """At most `limit` jobs run or wait."""
        self._limit = limit
        self._changed = Condition()
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        """By caller, whose turn it is first; none is empty."""
        self._held: Counter[str] = Counter()
        """Jobs that run or wait, by caller."""
        self._size = 0
        """Their sum."""
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many run or wait."""
        return self._size

    def put(self, job: T, caller: str) -> tuple[bool, T | None]:
        """Return whether the job waits now, and which other one does not any longer."""
        with self._changed:
            evicted = None
            if self._is_closed:
                return False, None
            if self._size >= self._limit:
                evicted = self._make_room(caller)
                if evicted is None:
                    return False, None
            self._held[caller] += 1
            self._size += 1
            self._waiting.setdefault(caller, deque()).append(job)
            self._changed.notify()
            return True, evicted

    def take(self, seconds: float) -> tuple[T, str] | None:
        """Return the next job and its caller; None where none came in time, or the queue is closed."""
        with self._changed:
            if not self._waiting and not self._is_closed:
                self._changed.wait(seconds)
            if not self._waiting or self._is_closed:
                return None
            caller, jobs = next(iter(self._waiting.items()))
            job = jobs.popleft()
            if jobs:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            return job, caller

    def give_back(self, job: T, caller: str) -> bool:
        """Let a job that was taken and not begun be its caller's next one; False where the queue is closed."""
        with self._changed:
            if self._is_closed:
                return False
            self._waiting.setdefault(caller, deque()).appendleft(job)
            self._changed.notify()
            return True

    def done(self, caller: str) -> None:
        """Count off a job that was taken."""
        with self._changed:
            self._count_off(caller)

    def drop(self, job: T, caller: str) -> bool:
        """Forget a job that waits; False where it does not wait any longer."""
        with self._changed:
            jobs = self._waiting.get(caller, deque())
            if job not in jobs:
                return False
            jobs.remove(job)
            if not jobs:
                del self._waiting[caller]
            self._count_off(caller)
            return True

    def close(self) -> list[T]:
        """Take and give nothing any more; return the jobs that waited."""
        with self._changed:
            self._is_closed = True
            left = [job for jobs in self._waiting.values() for job in jobs]
            self._waiting.clear()
            self._changed.notify_all()
            return left

    def _make_room(self, caller: str) -> T | None:
        """Return the newest job of whoever waits with most, and with more than `caller` would have; None: nobody's."""
        most = max(self._waiting, key=lambda other: self._held[other], default=caller)
        if self._held[most] <= self._held[caller] + 1:
            return None
        jobs = self._waiting[most]
        job = jobs.pop()
        if not jobs:
            del self._waiting[most]
        self._count_off(most)
        return job

    def _count_off(self, caller: str) -> None:
        self._held[caller] -= 1
        self._size -= 1
        if not self._held[caller]:
            del self._held[caller]
