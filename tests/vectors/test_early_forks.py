"""Official state tests of the forks before Cancun, which foreign chains are executed under: all of them."""

from __future__ import annotations

import pytest

from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.pyevm.early import EarlyBackend
from tests.vectors import state_tests

FORKS = {
    "Frontier": EthereumFork.FRONTIER,
    "Homestead": EthereumFork.HOMESTEAD,
    "Byzantium": EthereumFork.BYZANTIUM,
    "ConstantinopleFix": EthereumFork.PETERSBURG,
    "Istanbul": EthereumFork.ISTANBUL,
    "Berlin": EthereumFork.BERLIN,
    "London": EthereumFork.LONDON,
    "Paris": EthereumFork.PARIS,
    "Shanghai": EthereumFork.SHANGHAI,
}
EMPTY_ACCOUNTS_STAY = (
    "test_zero_gas_price_and_touching[fork_Frontier",
    "test_zero_gas_price_and_touching[fork_Homestead",
    "test_create_deposit_oog[fork_Frontier",
)
"""Cases left out: before Spurious Dragon an account could stay in the state empty (docs/conformance.md)."""


def old_environment(context):
    """Fill in what environments before London do not say."""

    def of(env):
        difficulty = env.get("currentDifficulty", "0x0")
        return context({"currentBaseFee": "0x0", "currentRandom": difficulty} | env)

    return of


@pytest.mark.slow
def test_the_state_tests_of_early_forks_pass(monkeypatch):
    if not state_tests.ARCHIVE.is_file():
        pytest.skip(f"no official state tests at {state_tests.ARCHIVE}; set CMT_VECTORS")
    monkeypatch.setattr(state_tests, "FORKS", FORKS)
    monkeypatch.setattr(state_tests, "_backends", {name: EarlyBackend(fork, 1) for name, fork in FORKS.items()})
    monkeypatch.setattr(state_tests, "_context", old_environment(state_tests._context))
    cases = [case for case in state_tests.cases() if not any(part in case.name for part in EMPTY_ACCOUNTS_STAY)]
    failures, forks = state_tests.failures_of(cases), {case.fork for case in cases}
    assert failures == []
    assert forks == FORKS.keys()
