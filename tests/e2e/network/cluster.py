"""N real nodes: started, killed, paused, wiped and asked, as an operator with a bad day would.

    Cluster(directory).create()          cmt testnet init
      node.start() stop() kill()         the process, SIGTERM, SIGKILL
      node.pause() resume()              SIGSTOP, SIGCONT
      node.wipe()                        its data directory; keys and signer state stay
      node.rpc(…) status() metric(…)     JSON-RPC, /status, /metrics
      cluster.wait_for(condition)        polls; a node that ended by itself fails at once with its log

A node ends by itself only if it refuses to start or breaks: both are what these tests look for.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 180
"""Longest wait for anything; only a network that is stuck takes so long."""
FAST = {
    "CMT_CONSENSUS__TIMEOUT_PROPOSE_MS": "1000",
    "CMT_CONSENSUS__TIMEOUT_PREVOTE_MS": "500",
    "CMT_CONSENSUS__TIMEOUT_PRECOMMIT_MS": "500",
    "CMT_CONSENSUS__REBROADCAST_MS": "1000",
}
"""Waiting times of a network on one machine."""
QUICK_BLOCKS = ("block_interval_ms=200", "clock_precision_ms=86400000")
"""Chain parameters of a network that is not to be waited for: header times run ahead of the clock."""


class Trouble(AssertionError):
    """What must never happen happened; the message has the logs."""


class Node:
    """One node's home and, while it runs, its process."""

    def __init__(self, cluster, planned):
        self.cluster = cluster
        self.name = planned["name"]
        self.home = Path(planned["home"])
        self.url = planned["rpc"]
        self.p2p = planned["p2p"]
        self.validator = planned["validator"]
        self.log_path = self.home / "node.log"
        self.module = ("cybermiles", "node", "start")
        self.prefix = ()
        self.process = None
        self.starts = 0

    @property
    def runs(self):
        return self.process is not None

    def start(self):
        """Start the process; `self.module` says which program, `self.prefix` where."""
        assert not self.runs
        self.starts += 1
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CMT_")}
        environment |= self.cluster.environment
        command = [*self.prefix, sys.executable, "-m", *self.module, "--home", str(self.home)]
        with self.log_path.open("ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=ROOT
            )
        return self

    def stop(self):
        """SIGTERM; a node that does not end with code 0 is trouble, unless Python had not come as far as the node."""
        has_begun = self.status() is not None
        self.process.send_signal(signal.SIGTERM)
        code = self._ended()
        if code != 0 and (has_begun or code != -signal.SIGTERM):
            raise Trouble(f"{self.name} ended with code {code} when it was asked to stop:\n{self.tail()}")

    def kill(self):
        """SIGKILL, at whatever moment this is."""
        self.process.kill()
        self._ended()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def wipe(self):
        """Delete blocks, state and log; keys and what they signed stay."""
        assert not self.runs
        shutil.rmtree(self.home / "data", ignore_errors=True)

    def _ended(self):
        code = self.process.wait(DEADLINE_SECONDS)
        self.process = None
        return code

    def check_alive(self):
        """Raise Trouble where the process ended by itself."""
        if self.runs and self.process.poll() is not None:
            raise Trouble(f"{self.name} ended by itself with code {self.process.returncode}:\n{self.tail()}")

    def tail(self, lines=30):
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    # Questions; None or the error where the node does not answer now

    def get(self, path, body=None, timeout=10):
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.read()

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = json.loads(self.get("/", body))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def status(self):
        """Return /status, or None while it does not answer."""
        try:
            return json.loads(self.get("/status", timeout=5))
        except (OSError, ValueError):
            return None

    def ready(self, query=""):
        """Return (HTTP status, answer) of /readyz."""
        try:
            return 200, json.loads(self.get(f"/readyz{query}"))
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())

    def height(self):
        """Return the newest committed height, -1 while the node does not answer."""
        status = self.status()
        return -1 if status is None else status["sync_info"]["latest_block_height"]

    def block_hash(self, height):
        block = self.rpc("eth_getBlockByNumber", hex(height), False)
        return None if block is None else block["hash"]

    def metric(self, name):
        """Return a metric's value, summed over its label values."""
        values = [
            float(line.rpartition(" ")[2])
            for line in self.get("/metrics").decode().splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return sum(values)

    def explanation(self):
        try:
            return self.rpc("cmt_consensusState")["explanation"]
        except OSError as error:
            return f"(no answer: {error})"


class Cluster:
    """The nodes of one network."""

    def __init__(self, directory, *, validators=4, params=QUICK_BLOCKS, environment=FAST, hosts=None):
        self.directory = Path(directory)
        self.validators = validators
        self.params = params
        self.environment = dict(environment)
        self.hosts = hosts
        self.nodes = []

    def create(self):
        command = [sys.executable, "-m", "cybermiles", "testnet", "init", "--json"]
        command += ["--validators", str(self.validators), "--output", str(self.directory)]
        if self.hosts:
            command += ["--hosts", ",".join(self.hosts)]
        else:
            first = free_ports(2 * self.validators)
            command += ["--rpc-port", str(first), "--p2p-port", str(first + self.validators)]
        for param in self.params:
            command += ["--param", param]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            raise Trouble(done.stderr)
        self.nodes = [Node(self, planned) for planned in json.loads(done.stdout)["nodes"]]
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.running:
            node.resume()
            node.kill()

    @property
    def running(self):
        return [node for node in self.nodes if node.runs]

    def start(self):
        """Start whoever does not run, and return once all serve."""
        started = [node.start() for node in self.nodes if not node.runs]
        self.wait_for(lambda: all(node.status() is not None for node in started), "every node serves")
        return self

    def stop(self):
        for node in self.running:
            node.stop()

    def wait_for(self, condition, what):
        """Poll until the condition holds. Raises Trouble with what every node says where it does not."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            for node in self.nodes:
                node.check_alive()
            if time.monotonic() > deadline:
                said = "\n".join(f"{node.name} at {node.height()}: {node.explanation()}" for node in self.running)
                raise Trouble(f"not after {DEADLINE_SECONDS} s: {what}\n{said}")
            time.sleep(0.1)

    def height(self):
        """Return the newest height any running node has."""
        return max((node.height() for node in self.running), default=-1)

    def wait_for_blocks(self, count, nodes=None):
        """Return once each of the nodes has that many blocks more than the newest one has now."""
        nodes = self.running if nodes is None else nodes
        goal = max(node.height() for node in nodes) + count
        self.wait_for(lambda: all(node.height() >= goal for node in nodes), f"height {goal} everywhere")
        return goal

    def check_same_chain(self):
        """Compare every block hash that two running nodes have. Raises Trouble where two differ."""
        heights = {node: node.height() for node in self.running}
        for height in range(max(heights.values()) + 1):
            hashes = {node.name: node.block_hash(height) for node, newest in heights.items() if newest >= height}
            if len(set(hashes.values())) > 1:
                raise Trouble(f"two blocks at height {height}: {hashes}")


def free_ports(count):
    """Return the first of so many successive ports that are free now."""
    for _ in range(100):
        first = random.randrange(20_000, 32_000 - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise Trouble(f"no {count} successive free ports")


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
