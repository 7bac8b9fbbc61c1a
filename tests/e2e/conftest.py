"""The real `cmt` process, started as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from cybermiles.chain.networks import network_genesis
from cybermiles.chain.writing import format_genesis
from cybermiles.cli.init import initialise
from cybermiles.node.data_dir import DataDir

CONTRACTS = Path(__file__).parents[1] / "contracts"
KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
)


def artifact(name):
    return json.loads((CONTRACTS / f"{name}.json").read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def with_fast_blocks(home, **changes):
    """Make a devnet's home whose blocks follow five times faster, for tests that wait for many; return it."""
    document = network_genesis("devnet")
    params = replace(document.params, block_interval_ms=200, clock_precision_ms=86_400_000)
    genesis = home.parent / "genesis.json"
    genesis.write_text(format_genesis(replace(document, params=params, **changes)))
    initialise(DataDir(home), "devnet", genesis)
    return home


class Devnet:
    """A `cmt devnet` in a home directory; can be stopped, killed and started again."""

    def __init__(self, home, *arguments):
        self.home = Path(home)
        self.arguments = arguments
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.log = (self.home.parent / f"{self.home.name}.log").open("a")
        command = [sys.executable, "-m", "cybermiles", "devnet", "--home", str(self.home), "--port", str(self.port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CMT_")}
        self.process = subprocess.Popen([*command, *self.arguments], stdout=self.log, stderr=self.log, env=environment)
        self.wait_for(lambda: self.try_rpc("eth_blockNumber") is not None)
        return self

    def wait_for(self, condition):
        """Poll until the condition holds; a node that ended fails the test with its log."""
        while not condition():
            if self.process.poll() is not None:
                pytest.fail(f"the node ended with {self.process.returncode}:\n{self.output()[-3000:]}")
            time.sleep(0.05)

    def output(self):
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def try_rpc(self, method, *params):
        try:
            return self.rpc(method, *params)
        except OSError:
            return None

    def post(self, body, headers=None):
        request = urllib.request.Request(self.url, body, headers or {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def rpc(self, method, *params):
        answer = self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def height(self):
        return int(self.rpc("eth_blockNumber"), 16)

    def stop(self):
        """SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait()
        self.log.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def devnet(tmp_path_factory):
    """One running devnet for the tests of a module."""
    net = Devnet(tmp_path_factory.mktemp("devnet") / "home").start()
    yield net
    assert net.stop() == 0


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture(scope="session")
def node_directory():
    """Where the JavaScript clients are installed; their tests are skipped where they are not."""
    directory = Path(__file__).parent / "node"
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (directory / "node_modules").is_dir():
        pytest.skip("the JavaScript clients are not installed: npm ci --prefix tests/e2e/node")
    return directory
