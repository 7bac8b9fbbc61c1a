"""Call workers are real processes here: what a job does to its own costs its caller an error and nobody else anything."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from cybermiles.errors import InvalidTransaction, InvariantViolation, StorageError
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.parent import Chain
from cybermiles.node.calls.metrics import CallMetrics
from cybermiles.node.calls.pool import CallPool, default_workers
from cybermiles.node.calls.process import WorkerFault
from cybermiles.node.calls.worker import setup_of
from cybermiles.node.job_source import LocalSource
from cybermiles.rpc.call_jobs import Call, CreateAccessList, EstimateGas
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jobs import CALLER
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.ports import ExecutionAborted, ExecutionTimeout, Overloaded, StateUnavailable
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.metrics import Registry
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.system.registry import native_contracts
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, genesis_document
from tests.fakes.hostile_jobs import Act

LIMITS = RpcLimits(call_workers=1, call_memory_max_bytes=700 << 20, handler_timeout_seconds=60)
SHORT = replace(LIMITS, job_timeout_seconds=1, handler_timeout_seconds=60)


class CountingStore(MemoryStore):
    reads = 0
    broken = False

    odd = False

    def get(self, key):
        if self.odd and key[:1] not in (b"m", b"M"):
            raise ZeroDivisionError
        if self.broken:
            raise StorageError("database /secret: broken")
        self.reads += 1
        return super().get(key)


def chain_in(store):
    document = genesis_document()
    database = Database(store)
    database.commit_genesis(genesis_block(document))
    return document, database


def pool_of(limits, store=None):
    store = CountingStore() if store is None else store
    document, _ = chain_in(store)
    setup = setup_of(document, limits)
    registry = Registry()
    pool = CallPool(setup, store, limits=limits, clock=SystemClock(), metrics=registry.create(CallMetrics, "calls"))
    registry.before_render(pool.copy)
    pool.registry = registry
    return pool


@asynccontextmanager
async def running(limits=LIMITS, store=None):
    pool = pool_of(limits, store)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()
        assert pool.pids == ()


def in_process(store):
    document, database = chain_in(store)
    rules = ChainRules(fork=Fork.OSAKA, chain_id=document.chain_id)
    constants = Chain(
        chain_id=document.chain_id,
        genesis_hash=document.hash,
        allow_unprotected=False,
        backend=PyEvmBackend(rules, native_contracts()),
    )
    return LocalSource(database, constants, document.params)


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.asyncio
async def test_a_worker_answers_as_this_process_would():
    store = MemoryStore()
    source = in_process(store)
    message = CallMessage(sender=ADDRESSES[0], to=ADDRESSES[1], gas=100_000, value=5)
    jobs = [Act(name) for name in ("nothing", "head", "header", "params", "genesis state", "raw")]
    jobs += [kind(message=message, height=0) for kind in (Call, EstimateGas, CreateAccessList)]
    async with running(store=store) as pool:
        for job in jobs:
            answer, expected = await pool.run(job), job.run(source)
            assert type(answer) is type(expected)
            assert getattr(answer, "data", answer) == getattr(expected, "data", expected)
        poor = replace(message, value=1 << 200)
        with pytest.raises(InvalidTransaction, match="insufficient funds"):
            await pool.run(Call(message=poor, height=0))
        with pytest.raises(StateUnavailable):
            await pool.run(Call(message=message, height=7))


@pytest.mark.asyncio
async def test_what_cannot_change_is_read_once():
    store = CountingStore()
    job = EstimateGas(message=CallMessage(sender=ADDRESSES[0], to=ADDRESSES[1], gas=100_000), height=0)
    async with running(store=store) as pool:
        await pool.run(job)
        before = store.reads
        await pool.run(job)
        assert store.reads - before == 3
        pool.forget()
        await pool.run(job)
        assert store.reads - before > 6 + 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("act", "error", "words", "survives"),
    [
        ("loop", ExecutionTimeout, r"execution aborted \(timeout = 1s, rpc.job_timeout_seconds\)", False),
        ("stop", ExecutionTimeout, r"rpc.job_timeout_seconds", False),
        ("allocate", ExecutionAborted, r"more memory than 734003200 bytes \(rpc.call_memory_max_bytes\)", False),
        ("abort", ExecutionAborted, f"ended with -{int(signal.SIGABRT)}", False),
        ("exit", ExecutionAborted, "ended with 7", False),
        ("system exit", ExecutionAborted, "ended with 0", False),
        ("base", ExecutionAborted, "ended with 0", False),
        ("garbage", WorkerFault, "frame", False),
        ("explosive", WorkerFault, "which is no value", False),
        ("a store", WorkerFault, "which is no value", False),
        ("deep", WorkerFault, "RecursionError", True),
        ("unpicklable", WorkerFault, "cannot pickle", True),
        ("unfit", WorkerFault, "cannot pickle", True),
        ("huge", WorkerFault, "a result of 30000", True),
        ("odd", WorkerFault, "KeyError", True),
        ("timeout error", WorkerFault, "TimeoutError", True),
        ("flat state", InvariantViolation, "by their roots", True),
        ("write", InvariantViolation, "writes nothing", True),
        ("refuse", InvalidTransaction, "no", True),
        ("rpc error", RpcError, "no", True),
    ],
)
async def test_what_a_job_does_to_its_process_is_its_callers_error_alone(act, error, words, survives):
    # Only what ends by the limit of time needs it short: on a slow machine memory takes longer to fill.
    async with running(SHORT if error is ExecutionTimeout else LIMITS) as pool:
        first = await pool.run(Act("pid"))
        after = asyncio.gather(
            pool.run(Act(act)), pool.run(Act("pid")), pool.run(Act("nothing")), return_exceptions=True
        )
        failed, second, answer = await after
        assert isinstance(failed, error)
        assert re.search(words, str(failed))
        assert answer == "nothing"
        assert (second == first) is survives
        assert is_there(second)
        assert is_there(first) is survives


@pytest.mark.asyncio
async def test_a_worker_killed_from_outside_is_replaced():
    async with running() as pool:
        first = await pool.run(Act("pid"))
        os.kill(first, signal.SIGKILL)
        (meanwhile,) = await asyncio.gather(pool.run(Act("pid")), return_exceptions=True)
        assert meanwhile != first
        second = await pool.run(Act("pid"))
        assert second != first
        doomed = asyncio.gather(pool.run(Act("loop")), return_exceptions=True)
        while not pool._running:
            await asyncio.sleep(0.01)
        while b"R" not in subprocess.run(["ps", "-L", "-o", "stat=", "-p", str(second)], capture_output=True).stdout:
            await asyncio.sleep(0.05)
        os.kill(second, signal.SIGKILL)
        assert isinstance((await doomed)[0], ExecutionAborted)
        assert await pool.run(Act("nothing")) == "nothing"


@pytest.mark.asyncio
async def test_one_more_than_may_wait_is_refused_in_words_and_others_are_answered():
    async with running(replace(SHORT, call_queue_max=3)) as pool:
        jobs = [Act("loop"), Act("nothing"), Act("nothing"), Act("nothing")]
        answers = await asyncio.gather(*map(pool.run, jobs), return_exceptions=True)
        assert isinstance(answers[0], ExecutionTimeout)
        assert answers[1:3] == ["nothing", "nothing"]
        assert isinstance(answers[3], Overloaded)
        assert str(answers[3]) == "server busy: 3 calls are waiting (rpc.call_queue_max); try again later"
        assert await pool.run(Act("nothing")) == "nothing"
        page = pool.registry.render().decode()
        for line in (
            'outcome="timeout"} 1.0',
            'outcome="busy"} 1.0',
            'outcome="answered"} 3.0',
            "cmt_calls_workers 1.0",
            "starts_total 2.0",
        ):
            assert line in page
        assert "workers_bytes 0.0" not in page


@pytest.mark.asyncio
async def test_a_job_whose_caller_is_gone_is_not_begun():
    async with running(SHORT) as pool:
        pid = await pool.run(Act("pid"))
        abandoned = asyncio.gather(pool.run(Act("abort")))
        first = asyncio.gather(pool.run(Act("nothing")))
        abandoned.cancel()
        await first
        assert await pool.run(Act("pid")) == pid


@pytest.mark.asyncio
async def test_callers_that_are_gone_leave_nothing_in_the_queue():
    async with running(replace(SHORT, call_queue_max=3)) as pool:
        loop = asyncio.gather(pool.run(Act("loop")), return_exceptions=True)
        for _ in range(20):
            abandoned = asyncio.gather(pool.run(Act("abort")), pool.run(Act("abort")))
            await asyncio.sleep(0)
            abandoned.cancel()
            with pytest.raises(asyncio.CancelledError):
                await abandoned
        assert len(pool._tasks) == 1
        assert await pool.run(Act("nothing")) == "nothing"
        await loop


@pytest.mark.asyncio
async def test_a_job_that_runs_on_without_its_caller_is_cut_off(monkeypatch):
    monkeypatch.setattr("cybermiles.node.calls.pool.ABANDONED_SECONDS", 0.1)
    async with running(replace(LIMITS, job_timeout_seconds=3_600, handler_timeout_seconds=3_600)) as pool:
        pid = await pool.run(Act("pid"))
        abandoned = asyncio.gather(pool.run(Act("loop")))
        while not pool._running:
            await asyncio.sleep(0.01)
        abandoned.cancel()
        assert await pool.run(Act("pid")) != pid
        assert 'outcome="abandoned"} 1.0' in pool.registry.render().decode()


@pytest.mark.asyncio
async def test_a_caller_that_fills_the_queue_makes_room_for_another():
    async with running(replace(SHORT, call_queue_max=4)) as pool:
        hog = [asyncio.ensure_future(pool.run(Act(act))) for act in ("loop", "nothing", "nothing", "nothing")]
        while not pool._running:
            await asyncio.sleep(0.01)
        CALLER.set("other")
        assert await pool.run(Act("nothing")) == "nothing"
        ended = await asyncio.gather(*hog, return_exceptions=True)
        assert [type(error) for error in ended] == [ExecutionTimeout, str, str, Overloaded]


@pytest.mark.asyncio
async def test_a_store_that_fails_oddly_leaves_no_worker_in_the_middle_of_a_job():
    store = CountingStore()
    async with running(store=store) as pool:
        pid = await pool.run(Act("pid"))
        store.odd = True
        with pytest.raises(ZeroDivisionError):
            await pool.run(Act("header"))
        store.odd = False
        assert (await pool.run(Act("header"))).height == 0
        assert await pool.run(Act("pid")) != pid


@pytest.mark.asyncio
async def test_a_store_that_fails_is_not_the_callers_business_to_read_about():
    store = CountingStore()
    async with running(store=store) as pool:
        await pool.run(Act("nothing"))
        store.broken = True
        with pytest.raises(StorageError):
            await pool.run(Act("header"))
        store.broken = False
        assert (await pool.run(Act("header"))).height == 0


@pytest.mark.asyncio
async def test_a_worker_inherits_nothing_and_gives_way(monkeypatch, tmp_path):
    monkeypatch.setenv("CMT_SECRET", "token")
    secret = (tmp_path / "key").open("w")
    os.set_inheritable(secret.fileno(), True)
    async with running() as pool:
        pid = await pool.run(Act("pid"))
        assert set(await pool.run(Act("environment"))) <= {
            "PATH",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
            "LD_LIBRARY_PATH",
            "PYTHONHOME",
            "PYTHONPATH",
            "TMPDIR",
        }
        if sys.platform == "linux":
            opened = await pool.run(Act("descriptors"))
            assert not any("key" in name for name in opened)
            assert sum(name.startswith("socket:") for name in opened) == 1
        assert await pool.run(Act("niceness")) >= 10
        assert await pool.run(Act("session")) == pid
    secret.close()


@pytest.mark.asyncio
async def test_closing_ends_a_worker_that_loops_and_answers_who_waits():
    pool = pool_of(LIMITS)
    pool.start()
    pid = await pool.run(Act("pid"))
    waiting = asyncio.gather(pool.run(Act("loop")), pool.run(Act("nothing")), return_exceptions=True)
    await asyncio.sleep(0)
    pool.close()
    pool.close()
    assert not is_there(pid)
    assert [type(error) for error in await waiting][1] is Overloaded
    with pytest.raises(Overloaded):
        await pool.run(Act("nothing"))


def test_closing_does_not_wait_for_a_worker_that_starts():
    pool = pool_of(LIMITS)
    pool.start()
    pool.close()
    assert pool.pids == ()


def test_a_worker_too_small_to_start_is_tried_again_and_does_not_keep_the_pool_from_closing():
    pool = pool_of(replace(LIMITS, call_memory_max_bytes=1 << 20))
    pool.start()
    pool.close()
    assert pool.pids == ()


PARENT = """
import asyncio, os, sys
from tests.unit.node.calls.test_pool import LIMITS, pool_of
from tests.fakes.hostile_jobs import Act
async def main():
    pool = pool_of(LIMITS)
    pool.start()
    print(await pool.run(Act("pid")), flush=True)
    if sys.argv[1] == "loop":
        await pool.run(Act("loop"))
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("busy", ["loop", "idle"])
def test_a_killed_node_leaves_no_worker(busy):
    with subprocess.Popen([sys.executable, "-c", PARENT, busy], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        assert is_there(worker)
        parent.kill()
    handle = os.pidfd_open(worker) if is_there(worker) else None
    if handle is not None:
        assert select.select([handle], [], [], 30)[0]


@pytest.mark.asyncio
async def test_a_job_that_nobody_waits_for_any_longer_is_not_begun():
    async with running(replace(SHORT, handler_timeout_seconds=0)) as pool:
        with pytest.raises(ExecutionTimeout, match="rpc.handler_timeout_seconds"):
            await pool.run(Act("abort"))
        assert 'outcome="crash"' not in pool.registry.render().decode()


def test_how_many_workers_suit_a_machine():
    assert [default_workers(cpus) for cpus in (1, 2, 3, 4, 6, 64)] == [1, 1, 1, 2, 4, 4]
