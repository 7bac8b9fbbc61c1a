"""Many schedules over several processes, and one failing schedule made small."""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

import structlog

from tests.simulation.checker import Violation
from tests.simulation.core_world import CoreWorld
from tests.simulation.node_world import NodeWorld
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.streams import Streams

TRACE_LINES = 400
SHRINK_RUNS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a campaign is run with."""

    validators: tuple[int, ...] = (4, 7)
    byzantine: int | None = None
    tier: str = "core"
    application: str = "stub"


@dataclass(slots=True)
class Result:
    """One schedule's outcome."""

    seed: int
    trace_hash: str
    events: int
    faults: Counter[str]
    violation: str = ""
    invariant: str = ""
    after_gst_ms: float = 0.0
    lines: list[str] = field(default_factory=list)


def make_plan(seed: int, options: Options) -> Plan:
    """Return the plan of a seed."""
    return draw_plan(Streams(seed), validators=options.validators, byzantine=options.byzantine)


@contextmanager
def silent_logs():
    """Drop log lines: schedules provoke thousands, and their time is not ours."""
    saved = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**saved)


def run_plan(plan: Plan, options: Options, *, keep_trace: int = 0) -> Result:
    """Run one plan."""
    world = _world(plan, options, keep_trace)
    violation = invariant = ""
    try:
        with silent_logs():
            world.run()
    except Violation as error:
        violation, invariant = str(error), error.invariant
    return Result(
        seed=plan.seed,
        trace_hash=world.trace.hash,
        events=world.trace.events,
        faults=world.faults + Counter({f"script: {plan.script}": 1}),
        violation=violation,
        invariant=invariant,
        after_gst_ms=world.now_ms - plan.gst_ms,
        lines=world.trace.lines(),
    )


def _world(plan: Plan, options: Options, keep_trace: int):
    if options.tier == "core":
        return CoreWorld(plan, keep_trace=keep_trace)
    return NodeWorld(plan, keep_trace=keep_trace, application=options.application)


def run_seed(options: Options, seed: int) -> Result:
    """Run the schedule of a seed. A bug that raises anything else is a violation too."""
    try:
        return run_plan(make_plan(seed, options), options)
    except Exception as error:  # the campaign goes on and reports the seed
        text = f"{type(error).__name__}: {error}"
        return Result(seed, "", 0, Counter(), violation=text, invariant=type(error).__name__)


def run_many(seeds: Iterable[int], options: Options, workers: int) -> Iterator[Result]:
    """Yield the result of every seed, in any order."""
    job: Callable[[int], Result] = partial(run_seed, options)
    if workers <= 1:
        yield from map(job, seeds)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap_unordered(job, seeds, chunksize=8)


def campaign_hash(hashes: dict[int, str]) -> str:
    """Return one hash for the traces of many seeds, whatever order they were run in."""
    return sha256(repr(sorted(hashes.items())).encode()).hexdigest()[:32]


def shrink(plan: Plan, options: Options, invariant: str) -> Plan:
    """Return a plan with as few faults as possible that still breaks the same invariant."""
    runs = 0
    improved = True
    while improved and runs < SHRINK_RUNS:
        improved = False
        for smaller in plan.parts():
            runs += 1
            if _breaks(smaller, options) == invariant:
                plan, improved = smaller, True
                break
    return plan


def _breaks(plan: Plan, options: Options) -> str:
    try:
        return run_plan(plan, options).invariant
    except Exception as error:
        return type(error).__name__


def minimal_trace(plan: Plan, options: Options) -> list[str]:
    """Return the last events of a failing plan."""
    world = _world(plan, options, TRACE_LINES)
    try:
        with silent_logs():
            world.run()
    except Exception as error:
        return [*world.trace.lines(), f"{type(error).__name__}: {error}"]
    return world.trace.lines()
