"""An asyncio event loop whose time is virtual: it never waits, it moves its clock to the next timer instead.

Threads, sockets and subprocesses do not exist here; whoever asks for one gets an error that says so, because a
simulation that touched the world would not repeat itself.
"""

from __future__ import annotations

import asyncio
import selectors
import threading


class OutsideWorld(BaseException):
    """Simulated code asked for a thread, a socket or another thing that virtual time cannot move."""


class Stalled(BaseException):
    """Nothing is scheduled: every task waits for something that will never happen."""


class Spinning(BaseException):
    """Tasks wake each other without end, and time does not move."""


MAX_STEPS_AT_ONCE = 20_000
"""Of the loop at one instant of virtual time."""


class _Selector(selectors.BaseSelector):
    """Knows no files; waiting is moving the clock."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._steps = 0

    def register(self, fileobj, events, data=None):
        raise OutsideWorld("a file or socket was registered in a simulation")

    def unregister(self, fileobj):
        raise OutsideWorld("a file or socket was unregistered in a simulation")

    def select(self, timeout=None):
        if timeout is None:
            raise Stalled("no task can continue and no timer runs")
        self._steps += 1
        if timeout > 0:
            self.loop.advance(timeout)
            self._steps = 0
        elif self._steps > MAX_STEPS_AT_ONCE:
            raise Spinning(f"{self._steps} steps of the loop at {self.loop.time()} s")
        return []

    def get_map(self):
        return {}

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.SelectorEventLoop):
    """Single thread, virtual seconds from 0."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = 1e-9
        self._owner = threading.get_ident()

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds

    def _make_self_pipe(self) -> None:
        """Wake-ups from other threads do not exist."""

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        if threading.get_ident() != self._owner:
            raise OutsideWorld("another thread called into a simulation")

    def run_in_executor(self, executor, func, *args):
        raise OutsideWorld(f"a thread was asked to run {func!r} in a simulation")

    def _refuse(self, *arguments, **options):
        raise OutsideWorld("a socket, pipe, process or signal was asked for in a simulation")

    add_reader = add_writer = create_connection = create_server = create_unix_connection = _refuse
    create_unix_server = create_datagram_endpoint = connect_read_pipe = connect_write_pipe = _refuse
    subprocess_exec = subprocess_shell = add_signal_handler = getaddrinfo = getnameinfo = _refuse
    sock_recv = sock_sendall = sock_connect = sock_accept = _refuse


class SimClock:
    """`runtime.clock.Clock` of one node: the loop's time, a wall clock that is off and may jump."""

    def __init__(self, loop: VirtualLoop, start_ms: int, skew_ms: int = 0) -> None:
        self._loop = loop
        self._start_ms = start_ms
        self.offset_ms = skew_ms
        """How far this wall clock is ahead of true time; changing it is a jump."""

    def now_ms(self) -> int:
        return self._start_ms + int(self._loop.time() * 1_000) + self.offset_ms

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
