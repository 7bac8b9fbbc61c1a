"""The pull-request gate: 2,000 schedules of the bare core, 240 of whole nodes, and every fault among them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.campaign import Options, run_many, run_seed
from tests.simulation.faults import CORE_FAULTS, NODE_FAULTS, REAL_FAULTS

ROOT = Path(__file__).parents[2]
KINDS = {
    "core": (Options(), 2_000, CORE_FAULTS),
    "node": (Options(tier="node"), 200, NODE_FAULTS),
    "node with the real application": (Options(tier="node", application="real"), 40, REAL_FAULTS),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_schedule_breaks_an_invariant_and_every_fault_happens(kind):
    options, schedules, wanted = KINDS[kind]
    faults: Counter[str] = Counter()
    broken = {}
    for result in run_many(range(schedules), options, workers=2):
        faults += result.faults
        if result.violation:
            broken[result.seed] = result.violation
    assert not broken
    assert [fault for fault in wanted if not faults[fault]] == []


@pytest.mark.parametrize(("tier", "seeds"), [("core", range(20)), ("node", range(4))])
def test_the_same_seed_gives_the_same_trace_twice(tier, seeds):
    for seed in seeds:
        first, second = run_seed(Options(tier=tier), seed), run_seed(Options(tier=tier), seed)
        assert first.trace_hash == second.trace_hash != ""
        assert first.faults == second.faults


@pytest.mark.parametrize(("tier", "count"), [("core", "25"), ("node", "4")])
def test_the_same_seeds_give_the_same_traces_whatever_the_hash_seed(tier, count):
    traces = set()
    for hash_seed in ("0", "1", "4711"):
        options = ["--tier", tier, "--schedules", count, "--seed", "100", "--workers", "1"]
        command = [sys.executable, "-m", "tests.simulation", *options]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        traces.add(next(line for line in done.stdout.splitlines() if line.startswith("traces")))
    assert len(traces) == 1
