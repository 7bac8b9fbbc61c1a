"""The pull-request gate: 2,000 schedules of the bare core without a violation, and every fault among them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.campaign import Options, run_many, run_seed
from tests.simulation.faults import CORE_FAULTS

ROOT = Path(__file__).parents[2]
CORE_SCHEDULES = 2_000


@pytest.mark.slow
def test_no_schedule_of_the_core_breaks_an_invariant_and_every_fault_happens():
    faults: Counter[str] = Counter()
    broken = {}
    for result in run_many(range(CORE_SCHEDULES), Options(), workers=2):
        faults += result.faults
        if result.violation:
            broken[result.seed] = result.violation
    assert not broken
    assert [kind for kind in CORE_FAULTS if not faults[kind]] == []


def test_the_same_seed_gives_the_same_trace_twice():
    for seed in range(20):
        first, second = run_seed(Options(), seed), run_seed(Options(), seed)
        assert first.trace_hash == second.trace_hash != ""
        assert first.faults == second.faults


def test_the_same_seeds_give_the_same_traces_whatever_the_hash_seed():
    traces = set()
    for hash_seed in ("0", "1", "4711"):
        command = [sys.executable, "-m", "tests.simulation", "--schedules", "25", "--seed", "100", "--workers", "1"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        traces.add(next(line for line in done.stdout.splitlines() if line.startswith("traces")))
    assert len(traces) == 1
