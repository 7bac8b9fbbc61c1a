"""Each node in a network namespace of its own, on bridges that can be split: partitions the kernel makes.

    node i ── veth ── bridge 0 of the group it is in     split() moves some nodes to bridge 1, heal() moves them back

Needs root and `ip netns`; `available()` says whether this machine allows it. JSON-RPC is asked from inside a
node's namespace, so it is reached whatever the bridges do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.e2e.network.cluster import Node

_ASK = """
import sys, urllib.request
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(sys.argv[1], body, {"Content-Type": "application/json"})
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=10).read())
"""


def available():
    """Whether namespaces, bridges and pairs can be made here; tries it."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    with Namespaces(1) as spaces:
        return spaces.works


def _ip(*words, check=True):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check).returncode == 0


class Namespaces:
    """Namespaces for so many nodes. A context manager: what it makes is gone afterwards."""

    def __init__(self, count):
        self._tag = f"cmt{os.getpid() % 100_000}"
        self._count = count
        self.works = False

    def address(self, number):
        return f"10.199.77.{number + 1}"

    def name(self, number):
        return f"{self._tag}n{number}"

    def _port(self, number):
        return f"{self._tag}v{number}"

    def _bridge(self, side):
        return f"{self._tag}b{side}"

    def __enter__(self):
        try:
            self._make()
            self.works = True
        except subprocess.CalledProcessError:
            self._remove()
        return self

    def __exit__(self, *_):
        self._remove()

    def _make(self):
        for side in (0, 1):
            _ip("link", "add", self._bridge(side), "type", "bridge")
            _ip("link", "set", self._bridge(side), "up")
        for number in range(self._count):
            space, port = self.name(number), self._port(number)
            _ip("netns", "add", space)
            _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", port, "master", self._bridge(0))
            _ip("link", "set", port, "up")
            _ip("-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def _remove(self):
        for number in range(self._count):
            _ip("netns", "del", self.name(number), check=False)
            _ip("link", "del", self._port(number), check=False)
        for side in (0, 1):
            _ip("link", "del", self._bridge(side), check=False)

    def split(self, numbers):
        """Cut these nodes off from all others; among themselves they stay connected."""
        for number in numbers:
            _ip("link", "set", self._port(number), "master", self._bridge(1))

    def heal(self):
        for number in range(self._count):
            _ip("link", "set", self._port(number), "master", self._bridge(0))


class NamespacedNode(Node):
    """A node that lives, and is asked, in its namespace."""

    def __init__(self, cluster, planned, spaces, number):
        super().__init__(cluster, planned)
        self.prefix = ("ip", "netns", "exec", spaces.name(number))

    def get(self, path, body=None, timeout=10):
        done = subprocess.run(
            [*self.prefix, sys.executable, "-c", _ASK, self.url + path], input=body or b"", capture_output=True
        )
        if done.returncode != 0:
            raise OSError(done.stderr.decode()[-300:])
        return done.stdout


def move_into(cluster, spaces):
    """Make a created cluster's nodes live in the namespaces."""
    for number, node in enumerate(cluster.nodes):
        planned = {"name": node.name, "home": node.home, "rpc": node.url, "p2p": node.p2p, "validator": node.validator}
        cluster.nodes[number] = NamespacedNode(cluster, planned, spaces, number)
