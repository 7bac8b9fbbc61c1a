"""A fixed sample of random logs, the engine against the paper; `python -m tests.fuzz.consensus_core` runs any number."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz.consensus_core import run

SAMPLE, CHUNK = 400, 20
SITUATIONS = {
    "L22 voted", "L22 refused", "L22 untimely", "L22 voted, locked on another", "L28 voted", "L28 refused",
    "L28 voted, locked later", "L29 older lock", "L34", "L36 in prevote", "L36 in precommit", "L36 in prevote, relock",
    "L36 in prevote, other lock", "L36 in precommit, other lock", "L44", "L47", "L49 past round", "L49 present round",
    "L49 future round", "L55", "halt", "equivocation", "polka", "round certificate",
}  # fmt: skip


@pytest.mark.parametrize("first", range(0, SAMPLE, CHUNK))
def test_engine_and_paper_agree_on_random_logs(first):
    for seed in range(first, first + CHUNK):
        run(seed)


@pytest.mark.slow
def test_the_sample_meets_every_situation():
    counts = sum((run(seed) for seed in range(SAMPLE)), Counter())
    assert {situation for situation in SITUATIONS if not counts[situation]} == set()
