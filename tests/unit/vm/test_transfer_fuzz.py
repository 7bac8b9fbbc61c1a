"""The direct path for transfers against the general one: some thousand cases agree, and no planted bug gets through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.vm.backend import Failure
from cybermiles.vm.pyevm import backend
from cybermiles.vm.validity import DELEGATION_PREFIX
from tests.fuzz.transfers import Disagreement, run

CASES = 4_000


def eligible(world, tx, precompiles, *, without=""):
    """The rule of the direct path, of which one condition may be left out."""
    conditions = {
        "recipient": tx.to is not None,
        "data": not tx.data,
        "access list": not tx.access_list,
        "authorizations": not tx.authorizations,
        "precompiles": tx.to not in precompiles,
        "code": tx.to is None or not world.code(tx.to),
    }
    return all(holds for name, holds in conditions.items() if name != without)


def leaves_out(condition):
    return lambda self, world, tx: eligible(world, tx, self._precompiles, without=condition)


def takes_delegated(self, world, tx):
    is_delegated = tx.to is not None and world.code(tx.to).startswith(DELEGATION_PREFIX)
    return eligible(world, tx, self._precompiles, without="code" if is_delegated else "")


def result(**changes):
    return lambda world, tx: replace(honest(world, tx), **changes)


honest = backend._transfer


def credits_what_was_there_before(world, tx):
    """Makes coins where somebody sends to himself."""
    balance = world.balance(tx.to)
    world.subtract_balance(tx.sender, tx.value)
    world.set_balance(tx.to, balance + tx.value)
    return backend._TRANSFERRED


def moves_nothing_of_nothing(world, tx):
    """Leaves an empty account where it is."""
    return honest(world, tx) if tx.value else backend._TRANSFERRED


def charges_the_limit(world, tx):
    return replace(honest(world, tx), gas_used=tx.gas_limit)


def burns_dust(world, tx):
    world.subtract_balance(tx.sender, tx.value)
    world.add_balance(tx.to, max(tx.value - 1, 0))
    return backend._TRANSFERRED


SELECTIONS = {
    "data is ignored": leaves_out("data"),
    "access lists are ignored": leaves_out("access list"),
    "authorizations are ignored": leaves_out("authorizations"),
    "precompiles do not run": leaves_out("precompiles"),
    "contracts do not run": leaves_out("code"),
    "delegated accounts do not run": takes_delegated,
}
TRANSFERS = {
    "a transfer to oneself makes coins": credits_what_was_there_before,
    "no value touches nobody": moves_nothing_of_nothing,
    "the whole gas limit is charged": charges_the_limit,
    "a wei is lost": burns_dust,
    "other compute units": result(compute_units=39),
    "a refund": result(gas_refund=1),
    "the receipt says failed": result(failure=Failure.OTHER),
}


def test_some_thousand_cases_agree():
    lines = []
    fuzzer = run(CASES, seed=11, report=lines.append)
    assert fuzzer.direct > CASES // 4
    kinds = {
        "free lane",
        "paid lane",
        "sponsored lane",
        "on a foreign chain",
        "traced",
        "AccountFrozen",
        "SenderHasCode",
    }
    assert kinds <= set(fuzzer.counts)
    assert "blocks agree" in lines[-1]


def test_the_rule_as_it_is_written_here_is_the_backends(monkeypatch):
    monkeypatch.setattr(backend.PyEvmBackend, "_is_transfer", leaves_out(""))
    run(300, seed=11, report=lambda line: None)


@pytest.mark.parametrize("bug", SELECTIONS)
def test_a_wrong_choice_of_transfers_is_seen(bug, monkeypatch):
    monkeypatch.setattr(backend.PyEvmBackend, "_is_transfer", SELECTIONS[bug])
    with pytest.raises(Disagreement, match="--cases 1 --seed"):
        run(CASES, seed=11, report=lambda line: None)


@pytest.mark.parametrize("bug", TRANSFERS)
def test_a_wrong_transfer_is_seen(bug, monkeypatch):
    monkeypatch.setattr(backend, "_transfer", TRANSFERS[bug])
    with pytest.raises(Disagreement, match="--cases 1 --seed"):
        run(CASES, seed=11, report=lambda line: None)


def test_compute_units_over_the_end_of_a_block_are_seen(monkeypatch):
    """A transfer is counted as what the block has left, as in the general path; a trace says so, too."""
    execute = backend.PyEvmBackend.execute_transaction

    def careless(self, *arguments, compute_units, **more):
        if not hasattr(self, "is_direct") or compute_units is None:
            return execute(self, *arguments, compute_units=compute_units, **more)
        return execute(self, *arguments, compute_units=max(compute_units, 40), **more)

    monkeypatch.setattr(backend.PyEvmBackend, "execute_transaction", careless)
    with pytest.raises(Disagreement, match="--cases 1 --seed"):
        run(CASES, seed=11, report=lambda line: None)
