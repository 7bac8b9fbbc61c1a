"""A fixed sample of the official state tests in every test run; all of them: `make test-vectors`."""

from __future__ import annotations

import pytest

from tests.vectors import state_tests

SIZE = 300


@pytest.fixture(scope="module")
def sample():
    """The chosen cases; skipped where the archive is not."""
    if not state_tests.ARCHIVE.is_file():
        pytest.skip(f"no official state tests at {state_tests.ARCHIVE}; set CMT_VECTORS")
    return state_tests.sample(SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("fork", state_tests.FORKS)
def test_the_sampled_state_tests_pass(sample, fork):
    cases = [case for case in sample if case.fork == fork]
    assert cases
    assert state_tests.failures_of(cases) == []


def test_the_sample_takes_from_every_folder_under_every_fork(sample):
    assert len({case.digest for case in sample}) == len(sample) == SIZE
    everywhere = {(case.folder, case.fork) for case in state_tests.cases()}
    assert {(case.folder, case.fork) for case in sample} == everywhere
