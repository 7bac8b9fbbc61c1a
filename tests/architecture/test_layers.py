"""The import contracts hold, and each of them notices a planted import."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = [
    c["name"] for c in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]

PLANTED = [
    ("types.header", "cybermiles.storage.leveldb", "One way only"),
    ("chain.fees", "random", "Pure packages"),
    ("state.world", "cybermiles.runtime.clock", "Pure packages"),
    ("rpc.service", "cybermiles.vm.pyevm.backend", "The rest of the node"),
    ("execution.block", "eth", "One door: py-evm"),
    ("system.codec", "eth_abi", "No door: eth-abi"),
    ("node.wiring", "plyvel", "One door: plyvel"),
    ("vm.rules", "coincurve", "One door: cryptography"),
    ("storage.schema", "click", "One door: strangers' data"),
    ("rpc.service", "pydantic", "One door: strangers' data"),
    ("mempool.service", "structlog", "One door: logs"),
]


def _lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> str:
    copy = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copytree(ROOT / "cybermiles", copy / "cybermiles", ignore=shutil.ignore_patterns("__pycache__"))
    for module, imported, _ in PLANTED:
        path = (copy / "cybermiles").joinpath(*module.split(".")).with_suffix(".py")
        path.write_text(f"{path.read_text()}\nimport {imported}\n")
    (copy / "cybermiles" / "utils").mkdir()
    (copy / "cybermiles" / "utils" / "__init__.py").touch()
    run = _lint_imports(copy)
    assert run.returncode == 1, run.stdout
    return run.stdout


def test_imports_go_one_way_and_through_the_doors():
    run = _lint_imports(ROOT)
    assert run.returncode == 0, run.stdout
    assert run.stdout.count(" KEPT") == len(CONTRACTS)


@pytest.mark.parametrize(("module", "imported", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(planted, module, imported, contract):
    name = next(name for name in CONTRACTS if name.startswith(contract))
    assert f"{name} BROKEN" in planted
    assert f"cybermiles.{module} -> {imported} (l." in planted


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_is_broken_by_some_plant(planted, name):
    assert f"{name} BROKEN" in planted


def test_a_new_package_must_be_given_a_layer(planted):
    assert "utils" in planted
