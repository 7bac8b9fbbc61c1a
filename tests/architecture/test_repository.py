"""What is committed works on every machine and installs only what the lock files pin by hash."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture import repository_rules as rules

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def committed() -> dict[str, str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
    return {path: (ROOT / path).read_bytes().decode(errors="replace") for path in paths}


@pytest.mark.parametrize("rule", [rules.registry_hosts, rules.machine_paths], ids=lambda rule: rule.__name__)
def test_no_committed_file_is_about_one_machine(committed, rule):
    assert {path: found for path, text in committed.items() if (found := rule(text))} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_pin_everything_by_hash_and_name_no_index(lock):
    assert rules.unpinned((ROOT / lock).read_text()) == []


def test_javascript_clients_are_pinned_by_hash_and_name_no_host(committed):
    for path, text in committed.items():
        if path.endswith("package-lock.json"):
            assert rules.unpinned_packages(text) == [], path


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_agree_with_the_declared_versions(lock):
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["fast"]]
    declared += PROJECT["dependency-groups"]["build"] + PROJECT["build-system"]["requires"]
    if lock == "requirements-dev.lock":
        declared += PROJECT["dependency-groups"]["dev"]
    locked = rules.pins((ROOT / lock).read_text())
    for name, version in rules.pins("\n".join(each.replace(";", " ;") for each in declared)).items():
        assert locked[name] == version, name


def test_every_declared_version_is_exact():
    project = PROJECT["project"]
    declared = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
        *PROJECT["build-system"]["requires"],
    ]
    assert [each for each in declared if "==" not in each] == []


def test_development_runs_on_the_versions_that_users_get():
    runtime, development = (rules.pins((ROOT / lock).read_text()) for lock in LOCKS)
    assert runtime.items() <= development.items()


def test_every_imported_library_is_declared():
    extras = [each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra]
    declared = rules.pins("\n".join([*PROJECT["project"]["dependencies"], *extras]))
    distributions = packages_distributions()
    for path in sorted((ROOT / "cybermiles").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"cybermiles"}:
                assert any(rules.normalised(each) in declared for each in distributions.get(top, [])), f"{path}: {top}"
