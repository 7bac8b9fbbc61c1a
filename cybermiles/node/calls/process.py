"""One worker process as the node sees it: started, given jobs one by one, answered its reads, killed when it must be.

Everything here blocks and belongs to one thread of the pool, save `kill`, which any thread may call.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cybermiles
from cybermiles.errors import CybermilesError, InvariantViolation, ProtocolViolation, StorageError
from cybermiles.node.calls.remote_store import MOVING
from cybermiles.node.calls.wire import Channel, Closed, Kind, decode_scan, encode_items, pickled, unpickled
from cybermiles.node.calls.worker import Order, Setup
from cybermiles.rpc.ports import ExecutionAborted, ExecutionTimeout

if TYPE_CHECKING:
    from cybermiles.rpc.jobs import Job
    from cybermiles.runtime.clock import Clock
    from cybermiles.state.kv import KeyValueReader

START_SECONDS = 60
"""A worker that is not ready by then is given up: importing it takes about one."""
SCAN_MAX_BYTES = 1 << 18
FRAME_OVERHEAD = 1 << 16
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
"""All that a worker inherits: the node's own may hold secrets."""


class WorkerFault(InvariantViolation):
    """A job failed in a way that no caller can cause: a bug. The message is the traceback in the worker."""


class WorkerLost(CybermilesError):
    """The worker has to be replaced; `reason` is the error for whose job it was."""

    def __init__(self, reason: CybermilesError, outcome: str) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A job with its limits."""

    job: Job[Any]
    seconds: float
    limit: str
    """The limit that `seconds` comes from, in words with its key."""
    epoch: int


class CallProcess:
    """One worker process."""

    def __init__(self, setup: Setup, store: KeyValueReader, clock: Clock) -> None:
        """Start it. Raises OSError."""
        self._setup = setup
        self._store = store
        self._clock = clock
        self._deadline = clock.monotonic() + START_SECONDS
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as opened:
            opened.enter_context(ours)
            with theirs:
                self._process = _spawn(theirs.fileno())
            opened.pop_all()
        self._channel = Channel(ours, setup.result_max_bytes + FRAME_OVERHEAD, self._remaining)

    def prepare(self) -> None:
        """Wait until it is ready. Raises WorkerLost."""
        try:
            self._channel.send(Kind.SETUP, pickled(self._setup))
            kind, _ = self._channel.receive()
            if kind != Kind.READY:
                raise ProtocolViolation(f"a call worker began with frame {kind}")
        except (ProtocolViolation, TimeoutError) as error:
            raise self._lost(error, "") from None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def memory_bytes(self) -> int:
        """Memory it occupies now, 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def run(self, assignment: Assignment) -> Any:  # noqa: ANN401  (what the job returns)
        """Return what the job returns, or raise what it raises. Raises WorkerLost where the worker did not survive.

        Whatever else is raised, by the store or the system, ends it too: it may be in the middle of the job.
        """
        self._deadline = self._clock.monotonic() + assignment.seconds
        moving = {key: value for key in MOVING if (value := self._store.get(key)) is not None}
        order = Order(job=assignment.job, seconds=assignment.seconds, moving=moving, epoch=assignment.epoch)
        payload = pickled(order)
        is_idle = False
        try:
            self._channel.send(Kind.JOB, payload)
            kind, payload = self._answer_reads()
            is_idle = True
            return _outcome(kind, payload)
        except (ProtocolViolation, TimeoutError, MemoryError, StorageError) as error:
            raise self._lost(error, assignment.limit) from None
        except _Raised as raised:
            raise raised.error from None
        finally:
            if not is_idle:
                self.close()

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of what it occupied."""
        self.kill()
        self._process.wait()
        self._channel.close()

    def _answer_reads(self) -> tuple[int, bytes]:
        """Return the first frame that is no read."""
        channel = self._channel
        while True:
            kind, payload = channel.receive()
            if kind == Kind.GET:
                channel.send(*_read(self._store, payload))
            elif kind == Kind.SCAN:
                channel.send(*_scan(self._store, payload))
            else:
                return kind, payload

    def _remaining(self) -> float:
        return self._deadline - self._clock.monotonic()

    def _lost(self, error: Exception, limit: str) -> WorkerLost:
        """Return the error for a worker that ended, or that this ends."""
        self.close()
        if isinstance(error, TimeoutError):
            return WorkerLost(ExecutionTimeout(f"execution aborted ({limit})"), "timeout")
        if isinstance(error, MemoryError):
            most = f"{self._setup.memory_max_bytes} bytes (rpc.call_memory_max_bytes)"
            return WorkerLost(ExecutionAborted(f"execution aborted: it took more memory than {most}"), "memory")
        if isinstance(error, Closed):
            end = f"execution aborted: its process ended with {self._process.returncode}"
            return WorkerLost(ExecutionAborted(end), "crash")
        return WorkerLost(WorkerFault(str(error)), "fault")


class _Raised(Exception):
    """Carries what a job raised past the handlers of what its worker did."""

    def __init__(self, error: CybermilesError) -> None:
        super().__init__()
        self.error = error


def _outcome(kind: int, payload: bytes) -> Any:  # noqa: ANN401  (what the job returns)
    """Return what a job returned. Raises _Raised, MemoryError, ProtocolViolation."""
    match kind:
        case Kind.DONE:
            return unpickled(payload)
        case Kind.RAISED:
            error = unpickled(payload)
            if isinstance(error, CybermilesError):
                raise _Raised(error)
        case Kind.FAULT:
            raise _Raised(WorkerFault(payload.decode(errors="replace")))
        case Kind.MEMORY:
            raise MemoryError
    raise ProtocolViolation(f"a call worker answered with frame {kind}")


def _read(store: KeyValueReader, key: bytes) -> tuple[Kind, bytes]:
    value = store.get(key)
    return (Kind.ABSENT, b"") if value is None else (Kind.VALUE, value)


def _scan(store: KeyValueReader, payload: bytes) -> tuple[Kind, bytes]:
    start, stop, reverse, wanted = decode_scan(payload)
    return Kind.ITEMS, encode_items(store.iterate(start, stop, reverse=reverse), min(wanted, SCAN_MAX_BYTES))


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None}
    environment["PYTHONPATH"] = str(Path(cybermiles.__file__).parents[1])
    return subprocess.Popen(  # noqa: S603  (this program itself)
        [sys.executable, "-P", "-m", "cybermiles.node.calls", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        cwd="/",
        env=environment,
        start_new_session=True,
    )
