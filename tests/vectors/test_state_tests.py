"""A fixed sample of the official state tests in every test run; all of them: `make test-vectors`."""

from __future__ import annotations

import threading
import traceback

import pytest

from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime
from tests.vectors import state_tests

SIZE = 300


@pytest.fixture(scope="module")
def sample():
    """The chosen cases; skipped where the archive is not."""
    if not state_tests.ARCHIVE.is_file():
        pytest.skip(f"no official state tests at {state_tests.ARCHIVE}; set CMT_VECTORS")
    return state_tests.sample(SIZE)


def failures_of(cases):
    """What went wrong in each failed case. Runs in a thread with the stack that block execution has."""
    failures = []

    def work():
        prepare_runtime()
        for case in cases:
            try:
                verdict = state_tests.run(case)
            except Exception:
                verdict = traceback.format_exc()
            if verdict is not None:
                failures.append(f"{case.name} {case.post['indexes']}: {verdict}")

    previous = threading.stack_size(EXECUTION_STACK_BYTES)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(previous)
    thread.join()
    return failures


@pytest.mark.slow
@pytest.mark.parametrize("fork", state_tests.FORKS)
def test_the_sampled_state_tests_pass(sample, fork):
    cases = [case for case in sample if case.fork == fork]
    assert cases
    assert failures_of(cases) == []


def test_the_sample_takes_from_every_folder_under_every_fork(sample):
    assert len({case.digest for case in sample}) == len(sample) == SIZE
    everywhere = {(case.folder, case.fork) for case in state_tests.cases()}
    assert {(case.folder, case.fork) for case in sample} == everywhere
