"""Foundry and Hardhat as npm ships them; their tests are skipped where `make test-tools` did not install them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cybermiles.cli.init import initialise
from cybermiles.node.data_dir import DataDir
from tests.e2e.conftest import KEYS, Devnet

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@pytest.fixture(scope="session")
def installed():
    """The directory of the installed tools."""
    if not (MODULES / "hardhat").is_dir() or not (MODULES / ".bin" / "node").exists():
        pytest.skip("Foundry and Hardhat are not installed: make test-tools")
    return MODULES


@pytest.fixture(scope="session")
def devnet(installed, tmp_path_factory):
    home = tmp_path_factory.mktemp("tools") / "home"
    initialise(DataDir(home), "devnet")
    compiler = [str((installed / ".bin" / "node").resolve()), str(HERE / "solc.cjs")]
    with DataDir(home).config.open("a") as config:
        config.write(f"\n[verify]\nsolc = {json.dumps(compiler)}\n")
    net = Devnet(home).start()
    yield net
    assert net.stop() == 0


class Project:
    """A copy of one of the projects here, and its tool."""

    def __init__(self, directory, command, environment):
        self.directory = directory
        self._command = command
        self._environment = os.environ | environment

    def run(self, *arguments):
        """Return what the tool prints; a failure fails the test with it."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def attempt(self, *arguments):
        command = [*self._command, *map(str, arguments)]
        return subprocess.run(command, cwd=self.directory, env=self._environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def foundry_project(installed, tmp_path_factory):
    directory = tmp_path_factory.mktemp("foundry") / "project"
    shutil.copytree(HERE / "foundry", directory)
    return directory


def _foundry(installed, tool, directory, devnet):
    environment = {"ETH_RPC_URL": devnet.url, "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", "ETH_TIMEOUT": "60"}
    environment["FOUNDRY_SOLC"] = str(HERE / "solc.cjs")
    binary = next(installed.glob(f"@foundry-rs/{tool}-*/bin/{tool}"))
    return Project(directory, [str(binary)], environment)


@pytest.fixture(scope="session")
def cast(installed, foundry_project, devnet):
    return _foundry(installed, "cast", foundry_project, devnet)


@pytest.fixture(scope="session")
def forge(installed, foundry_project, devnet):
    return _foundry(installed, "forge", foundry_project, devnet)


@pytest.fixture(scope="session")
def hardhat(installed, devnet, tmp_path_factory):
    directory = tmp_path_factory.mktemp("hardhat") / "project"
    shutil.copytree(HERE / "hardhat", directory)
    (directory / "node_modules").symlink_to(installed)
    node, cli = installed / ".bin" / "node", installed / "hardhat" / "dist" / "src" / "cli.js"
    environment = {"NODE_URL": devnet.url, "NODE_KEY": KEYS[1], "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"}
    project = Project(directory, [str(node), str(cli)], environment)
    project.run("build")
    return project
