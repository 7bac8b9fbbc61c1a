"""Random programs have the same effects on our EVM and on revm, an independent implementation in Rust.

pyrevm brings Prague without its BLS12-381 precompiles, and Osaka as a name only (no CLZ, no P256VERIFY, Prague's price of
MODEXP); those rules have the official state tests.
"""

from __future__ import annotations

import pytest

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this Python; its comparison is skipped")

from tests.differential.programs import scenario
from tests.differential.revm import backend_for, difference

SEEDS_PER_BLOCK = 250
DIFFER = {("PRAGUE", 140): "it asks for the code hash of 0x0d, which is warm where BLS12-381 is a precompile"}
"""Scenarios that meet what pyrevm lacks."""


@pytest.mark.parametrize("spec", ["CANCUN", "PRAGUE"])
@pytest.mark.parametrize("first", [0, 250, 500])
def test_random_programs_do_the_same_on_revm(spec, first):
    backend = backend_for(spec)
    for seed in range(first, first + SEEDS_PER_BLOCK):
        found = difference(scenario(seed), backend, spec)
        assert (found is not None) == ((spec, seed) in DIFFER), found
