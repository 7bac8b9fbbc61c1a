"""The fuzz command finds nothing in a few cases, and reports what it saw."""

from __future__ import annotations

from tests.fuzz.corpus import DECODERS, messages
from tests.fuzz.p2p import run


def test_a_few_thousand_cases_are_all_refused_with_a_reason():
    lines = []
    reasons = run(3_000, seed=7, report=lines.append)
    assert sum(reasons.values()) == 3_000
    assert len(reasons) > 10
    assert "3000 cases" in lines[-2]


def test_what_is_damaged_was_valid_before():
    for channel, valid in messages().items():
        for message in valid:
            DECODERS[channel](message)
