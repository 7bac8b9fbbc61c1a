"""The package keeps the rules of `source_rules`; what is pure is said once, in the import contract of pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.architecture import source_rules as rules

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cybermiles"
FILES = sorted(PACKAGE.rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PURE = next(c["source_modules"] for c in CONTRACTS if c["name"].startswith("Pure packages"))

MUST_BE_PURE = (
    "staking", "governance", "system", "consensus.core", "sync.block_sync", "sync.state_sync", "sync.light", "p2p.handshake",
    "p2p.framing", "p2p.multiplex", "p2p.scoring", "p2p.rate_limit",
)  # fmt: skip
"""Joins the contract on the day it exists."""
LONG_BY_DESIGN = {
    "cybermiles/vm/pyevm/dispatch.py": "the interpreter loop: one arm per kind of step, calls would cost a third",
    "cybermiles/vm/pyevm/stepping.py": "the same loop for tracers, arm by arm, so that both can be read side by side",
}
JSON_ITSELF = "cybermiles/rpc/jsonrpc.py"
"""Names the type of a JSON number; quantities are hex text."""
CATCH_ALL = {
    "cybermiles/rpc/dispatcher.py",
    "cybermiles/runtime/tasks.py",
    "cybermiles/node/calls/pool.py",
    "cybermiles/node/calls/wire.py",
    "cybermiles/node/calls/worker.py",
}
"""Where every failure is carried to whom it concerns: a caller, a log, the other process."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PURE_FILES = [f for f in FILES if any(_module(f) == p or _module(f).startswith(f"{p}.") for p in PURE)]


@pytest.mark.parametrize("path", PURE_FILES, ids=_name)
def test_pure_modules_compute_the_same_everywhere(path):
    source = path.read_text()
    assert rules.set_iterations(source) == []
    assert bool(rules.inexact_numbers(source)) == (_name(path) == JSON_ITSELF), rules.inexact_numbers(source)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_modules_are_small_and_tell_their_story(path):
    source = path.read_text()
    assert rules.missing_story(source) == []
    assert rules.long_file(source) == []
    assert bool(rules.long_functions(source)) == (_name(path) in LONG_BY_DESIGN), rules.long_functions(source)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_errors_are_raised_and_caught_by_name(path):
    source = path.read_text()
    assert rules.asserts(source) == []
    if _name(path) not in CATCH_ALL:
        assert rules.broad_handlers(source) == []


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "benchmarks").rglob("*.py"))], ids=_name)
def test_open_work_is_in_issues(path):
    assert rules.left_overs(path.read_text()) == []


@pytest.mark.parametrize("module", MUST_BE_PURE)
def test_a_pure_package_enters_the_contract_when_it_appears(module):
    path = PACKAGE.joinpath(*module.split("."))
    if path.is_dir() or path.with_suffix(".py").exists():
        assert f"cybermiles.{module}" in PURE


def test_every_pure_module_of_the_contract_exists():
    assert PURE_FILES
    for module in PURE:
        assert any(_module(f) == module for f in FILES), module
