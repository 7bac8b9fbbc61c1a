"""Every planted bug still applies to the source as it is now, and is still Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.catalogue import MUTATIONS
from tests.mutation.gate import planted

ROOT = Path(__file__).parents[2]
FAMOUS = 15
"""As many as the requirements name."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_bug_applies_exactly_once_and_compiles(mutation):
    source = (ROOT / mutation.file).read_text()
    broken = planted(mutation, source)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))
    assert all(killer in ("core", "node") or (ROOT / killer).exists() for killer in mutation.killers)


def test_a_bug_that_does_not_apply_is_noticed():
    with pytest.raises(ValueError, match="0 places"):
        planted(MUTATIONS[0], "nothing of the kind")


def test_names_are_unique_and_the_famous_bugs_are_there():
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)
    assert sum("core" in mutation.killers for mutation in MUTATIONS) >= FAMOUS
