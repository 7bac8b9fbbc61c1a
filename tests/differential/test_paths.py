"""Compiled paths along conditions, loops and returns do what the single steps do, wherever they are left.

The programs are those of `structured.py`. Each is run many times on backends that compile after a few runs, with call data that goes
other ways than the path, in static and in other frames, with gas and compute units that end on the way.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from cybermiles.vm.rules import Fork
from tests.differential.programs import CONTRACTS, Scenario
from tests.differential.structured import Writer, call_data
from tests.differential.test_fusion import SINGLE, execute, fused, stretches

FORK = Fork.OSAKA
STATIC_CALL = (
    bytes.fromhex("3660005f375f80365f73")
    + CONTRACTS[1]
    + bytes.fromhex("5afa5f523d60205f3e3d602001 5ff3".replace(" ", ""))
)
"""Passes call data on in a static call, returns success and output."""


def scenarios(seed):
    rng = random.Random(seed)
    code = Writer(seed).program()
    while True:
        storage = {slot: rng.choice((0, 0, 1, 5, 2**255)) for slot in range(4)}
        yield Scenario(seed, (code,), storage, call_data(rng), rng.choice((0, 0, 7)), 400_000)


def limited(rng, item, expected):
    """Return the same with gas that ends on its way, and compute units that do."""
    used = expected[0].gas_used + expected[0].gas_refund
    gas = rng.randrange(30_000, max(used, 30_000) + 3_000)
    return replace(item, gas=gas), rng.choice((None, rng.randrange(40, expected[0].compute_units + 20)))


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_programs_as_compilers_write_them(first):
    compiled = 0
    for seed in range(first, first + 100):
        rng = random.Random(-seed)
        backend = fused(FORK, 1 + seed % 4)
        for item, _ in zip(scenarios(seed), range(12), strict=False):
            expected = execute(item, SINGLE[FORK], None)
            assert execute(item, backend, None) == expected, seed
            item, units = limited(rng, item, expected)
            assert execute(item, backend, units) == execute(item, SINGLE[FORK], units), (seed, units)
        compiled += len(stretches(backend))
    assert compiled > 300


def test_in_static_calls():
    for seed in range(120):
        backend = fused(FORK, 2)
        for item, turn in zip(scenarios(seed), range(9), strict=False):
            item = replace(item, codes=(STATIC_CALL, *item.codes) if turn % 3 else (item.codes[0], *item.codes))
            assert execute(item, backend, None) == execute(item, SINGLE[FORK], None), seed


@pytest.mark.parametrize("seed", range(3))
def test_every_limit(seed):
    """Each gas limit, and each budget of compute units, on what has been compiled before."""
    backend = fused(FORK, 2)
    items = [item for item, _ in zip(scenarios(seed), range(8), strict=False)]
    for item in items:
        execute(item, backend, None)
    assert stretches(backend)
    item = items[-1]
    result = execute(item, SINGLE[FORK], None)[0]
    used = result.gas_used + result.gas_refund
    step = max(1, (used - 24_000) // 1_500)
    for gas in range(24_000, used + 40, step):
        exact = replace(item, gas=gas)
        assert execute(exact, backend, None) == execute(exact, SINGLE[FORK], None), gas
    for units in range(40, min(result.compute_units, 600) + 3):
        assert execute(item, backend, units) == execute(item, SINGLE[FORK], units), units
