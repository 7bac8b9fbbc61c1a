"""`rpc.ports.Executor` over worker processes: a bounded queue, and a thread for each, which replaces it too.

    event loop ──job──► FairQueue ──► thread ──► CallProcess  a worker that must be killed costs the caller whose job it
                                         └── reads ◄──┘       had an error, and nobody else anything but the wait

Killing is how every limit ends that a job does not keep by itself. A thread blocks in its socket, so it takes the
interpreter from the event loop for the microseconds a read lasts and no longer.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from cybermiles.node.calls.process import Assignment, CallProcess, WorkerFault, WorkerLost
from cybermiles.node.calls.queue import FairQueue
from cybermiles.node.calls.worker import setup_of
from cybermiles.rpc.call_jobs import CALLS, JobExecutor
from cybermiles.rpc.jobs import CALLER
from cybermiles.rpc.ports import ExecutionTimeout, Overloaded
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.node.calls.metrics import CallMetrics
    from cybermiles.node.calls.worker import Setup
    from cybermiles.node.metrics import NodeMetrics
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jobs import Job
    from cybermiles.runtime.clock import Clock
    from cybermiles.state.kv import KeyValueReader

T = TypeVar("T")

log = get_logger("calls")

MOST_WORKERS = 4
SPARED_CPUS = 2
"""Left to consensus, execution and the event loop where there are more."""
LOOK_SECONDS = 1
"""How often an idle worker is looked after."""
ABANDONED_SECONDS = 2
"""What a job may still take whose caller is gone; a new worker costs about as much as that."""
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.25, 16.0
"""Between attempts to start a worker that will not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    job: Job[Any]
    caller: str
    seconds: int
    limit: str
    expires: float
    """Nobody waits for it any longer."""
    answer: Future[Any]


class CallPool(JobExecutor):
    """Runs jobs. Its methods belong to the event loop."""

    def __init__(
        self, setup: Setup, store: KeyValueReader, *, limits: RpcLimits, clock: Clock, metrics: CallMetrics
    ) -> None:
        self._setup = setup
        self._store = store
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._tasks: FairQueue[_Task] = FairQueue(limits.call_queue_max)
        self._epoch = 0
        self._closing = Event()
        self._lock = Lock()
        self._processes: dict[int, CallProcess] = {}
        """Alive, by process id; under the lock."""
        self._running: dict[_Task, CallProcess] = {}
        """Under the lock."""
        count = limits.call_workers or default_workers(_cpus())
        self._threads = [Thread(target=self._keep, name=f"calls-{number}", daemon=True) for number in range(count)]

    def start(self) -> None:
        """Begin to start the workers; jobs wait for them."""
        for thread in self._threads:
            thread.start()

    async def run(self, job: Job[T]) -> T:
        limits = self._limits
        seconds, key = limits.job_timeout_seconds, "rpc.job_timeout_seconds"
        if type(job) in CALLS:
            seconds, key = limits.call_timeout_seconds, "rpc.call_timeout_seconds"
        task = _Task(
            job=job,
            caller=CALLER.get(),
            seconds=seconds,
            limit=f"timeout = {seconds}s, {key}",
            expires=self._clock.monotonic() + limits.handler_timeout_seconds,
            answer=Future(),
        )
        waits, evicted = self._tasks.put(task, task.caller)
        if evicted is not None and evicted.answer.set_running_or_notify_cancel():
            evicted.answer.set_exception(self._busy())
        if not waits:
            raise self._busy()
        try:
            result: T = await asyncio.wrap_future(task.answer)
        except asyncio.CancelledError:
            if not self._tasks.drop(task, task.caller):
                asyncio.get_running_loop().call_later(ABANDONED_SECONDS, self._cut, task)
            raise
        return result

    def _busy(self) -> Overloaded:
        self._metrics.jobs_total.inc("busy")
        return Overloaded(f"server busy: {len(self._tasks)} calls are waiting (rpc.call_queue_max); try again later")

    def _cut(self, task: _Task) -> None:
        """Kill the worker that still carries out a task nobody waits for."""
        with self._lock:
            process = self._running.pop(task, None)
            if process is not None:
                process.kill()

    def forget(self) -> None:
        """Make the workers forget what they read: committed blocks were taken back, as a development network may."""
        self._epoch += 1

    def copy(self) -> None:
        """Copy sizes into the metrics; called at each scrape."""
        with self._lock:
            processes = list(self._processes.values())
        self._metrics.waiting.set(len(self._tasks))
        self._metrics.workers.set(len(processes))
        self._metrics.workers_bytes.set(sum(process.memory_bytes for process in processes))

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers."""
        with self._lock:
            return tuple(self._processes)

    def close(self) -> None:
        """Kill the workers, whatever they do, and end the threads; jobs that wait get an error. Again is harmless."""
        self._closing.set()
        waiting = self._tasks.close()
        with self._lock:
            for process in self._processes.values():
                process.kill()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for task in waiting:
            if task.answer.set_running_or_notify_cancel():
                task.answer.set_exception(Overloaded("server busy: the node is stopping"))

    def _keep(self) -> None:
        """Keep one worker alive and busy until the pool closes."""
        process: CallProcess | None = None
        while not self._closing.is_set():
            if process is None or not process.is_alive():
                self._lose(process)
                process = self._start()
                continue
            taken = self._tasks.take(LOOK_SECONDS)
            if taken is None:
                continue
            task, caller = taken
            if not process.is_alive() and self._tasks.give_back(task, caller):
                continue
            if task.answer.set_running_or_notify_cancel():
                self._carry_out(process, task)
            self._tasks.done(caller)
        self._lose(process)

    def _start(self) -> CallProcess | None:
        """Start a worker, as often as it takes. Returns None when the pool closes."""
        delay = FIRST_DELAY_SECONDS
        while not self._closing.is_set():
            process: CallProcess | None = None
            try:
                process = CallProcess(self._setup, self._store, self._clock)
                self._register(process)
                process.prepare()
            except (WorkerLost, OSError) as error:
                self._lose(process)
                if self._closing.is_set():
                    break
                log.error(  # noqa: TRY400  (the traceback is the worker's, and it is gone)
                    "call_worker_cannot_start",
                    error=str(error),
                    advice="give it more of rpc.call_memory_max_bytes, or memory and processes to the node's user",
                )
                self._closing.wait(delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
                continue
            self._metrics.starts_total.inc()
            return process
        return None

    def _register(self, process: CallProcess) -> None:
        """Put a process where `close` finds it, or end it where `close` was there before."""
        with self._lock:
            self._processes[process.pid] = process
            if self._closing.is_set():
                process.kill()

    def _carry_out(self, process: CallProcess, task: _Task) -> None:
        """Settle a task, whatever happens to the worker."""
        started = self._clock.monotonic()
        seconds = min(task.seconds, task.expires - started)
        if seconds <= 0:
            task.answer.set_exception(ExecutionTimeout("no process was free in time (rpc.handler_timeout_seconds)"))
            return
        assignment = Assignment(job=task.job, seconds=seconds, limit=task.limit, epoch=self._epoch)
        outcome, result = "answered", None
        error: Exception | None = None
        with self._lock:
            self._running[task] = process
        try:
            result = process.run(assignment)
        except WorkerLost as lost:
            outcome, error = lost.outcome, lost.reason
            if not self._closing.is_set() and task in self._running:
                log.warning("call_worker_killed", pid=process.pid, why=outcome, job=type(task.job).__name__)
        except Exception as raised:  # noqa: BLE001  (whatever a job or the store raises is its caller's to see)
            outcome, error = "fault" if isinstance(raised, WorkerFault) else outcome, raised
        with self._lock:
            if self._running.pop(task, None) is None:
                outcome = "abandoned"
        self._metrics.jobs_total.inc(outcome)
        self._metrics.seconds.observe(self._clock.monotonic() - started)
        if error is None:
            task.answer.set_result(result)
        else:
            task.answer.set_exception(error)

    def _lose(self, process: CallProcess | None) -> None:
        if process is not None:
            with self._lock:
                self._processes.pop(process.pid, None)
            process.close()


def open_pool(
    document: GenesisDocument, limits: RpcLimits, store: KeyValueReader, clock: Clock, metrics: NodeMetrics
) -> CallPool:
    """Return the pool of a node, not started yet."""
    pool = CallPool(setup_of(document, limits), store, limits=limits, clock=clock, metrics=metrics.calls)
    metrics.registry.before_render(pool.copy)
    return pool


def default_workers(cpus: int) -> int:
    """Return how many workers suit a machine."""
    return min(MOST_WORKERS, max(1, cpus - SPARED_CPUS))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
