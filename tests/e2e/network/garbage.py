"""Strangers who send rubbish: thousands of connections to one of four validators, and it signs every height meanwhile.

    python -m tests.e2e.network.garbage --connections 10000 [--seed N]

Each connection comes from an address of its own in 127.0.0.0/8, so that no ban spares the node the next, and sends one of:
nothing, random bytes, a first message cut short, one that repeats, an HTTP request, a large block of bytes. Up to 64 are
open at a time, of which the node talks to 20. The network must keep its pace, the validator its peers, and the blocks must
carry its signature of every height.
"""

from __future__ import annotations

import argparse
import random
import selectors
import socket
import sys
import tempfile
import time

from cybermiles.node.data_dir import DataDir
from cybermiles.storage.database import Database
from cybermiles.storage.leveldb import LevelDB, LevelDBOptions
from tests.e2e.network.audit import audit
from tests.e2e.network.cluster import Cluster, Trouble

OPEN_AT_A_TIME = 64
LEAVE_AFTER_SECONDS = 1.0


def rubbish(rng):
    """Return what a stranger sends."""
    kind = rng.randrange(6)
    if kind == 0:
        return b""
    if kind == 1:
        return rng.randbytes(rng.randrange(1, 600))
    if kind == 2:
        return rng.randbytes(32)[: rng.randrange(1, 32)]
    if kind == 3:
        return rng.randbytes(32) * rng.randrange(1, 40)
    if kind == 4:
        return b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    return rng.randbytes(65_536)


class Strangers:
    """Non-blocking connections that send what they have and go."""

    def __init__(self, target, rng):
        self._target = target
        self._rng = rng
        self._selector = selectors.DefaultSelector()
        self._open = {}
        self.made = 0
        self.closed_by_node = 0

    def add(self):
        stranger = socket.socket()
        stranger.setblocking(False)
        address = f"127.{self._rng.randrange(1, 255)}.{self._rng.randrange(256)}.{self._rng.randrange(1, 255)}"
        stranger.bind((address, 0))
        stranger.connect_ex(self._target)
        self._open[stranger] = [rubbish(self._rng), time.monotonic()]
        self._selector.register(stranger, selectors.EVENT_READ | selectors.EVENT_WRITE)
        self.made += 1

    def serve(self):
        """Send what can be sent, and drop who has been here long enough or was shown the door."""
        for key, events in self._selector.select(0.01):
            stranger = key.fileobj
            state = self._open[stranger]
            try:
                if events & selectors.EVENT_WRITE and state[0]:
                    state[0] = state[0][stranger.send(state[0]) :]
                if events & selectors.EVENT_READ and not stranger.recv(4_096):
                    self._leave(stranger, by_node=True)
            except OSError:
                self._leave(stranger, by_node=True)
        late = time.monotonic() - LEAVE_AFTER_SECONDS
        for stranger in [s for s, (_, since) in self._open.items() if since < late]:
            self._leave(stranger)

    def _leave(self, stranger, by_node=False):
        self.closed_by_node += by_node
        self._selector.unregister(stranger)
        del self._open[stranger]
        stranger.close()

    @property
    def count(self):
        return len(self._open)


def missed(cluster, validator, first, last):
    """Return the heights in a range of which the block above has no signature of the validator, as the last node knows."""
    directory = DataDir(cluster.nodes[-1].home)
    store = LevelDB(directory.chain, LevelDBOptions())
    try:
        database = Database(store)
        lacking = []
        for height in range(first, last + 1):
            above, members = database.blocks.block(height + 1), database.validators.validators(height)
            index = [address.hex() for address in members.addresses].index(validator.removeprefix("0x"))
            if above.consensus.last_commit.signatures[index] is None:
                lacking.append(height)
        return lacking
    finally:
        store.close()


def quiet(target, heights):
    """Let so many heights pass undisturbed and return (first, last, seconds)."""
    first, began = target.height() + 1, time.monotonic()
    while target.height() < first + heights - 1:
        time.sleep(0.05)
    return first, first + heights - 1, time.monotonic() - began


def attack(target, connections, rate, rng):
    """Make the connections and return (first, last, seconds) of the heights meanwhile, and who was shown the door."""
    host, _, port = target.p2p.rpartition("@")[2].removeprefix("tcp://").rpartition(":")
    strangers = Strangers((host, int(port)), rng)
    first, began = target.height() + 1, time.monotonic()
    while strangers.made < connections or strangers.count:
        due = min(connections, int((time.monotonic() - began) * rate) + 1)
        while strangers.made < due and strangers.count < OPEN_AT_A_TIME:
            strangers.add()
        strangers.serve()
        target.check_alive()
    return (first, target.height(), time.monotonic() - began), strangers.closed_by_node


def run(connections, rate, seed):
    """Return one line of figures. Raises Trouble where the strangers cost the network anything."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as home, Cluster(home, params=(), environment={}).create().start() as cluster:
        cluster.wait_for_blocks(3)
        target = cluster.nodes[0]
        before = quiet(target, 30)
        during, closed = attack(target, connections, rate, rng)
        cluster.wait_for_blocks(3)
        peers = target.metric("cmt_p2p_peers")
        cluster.stop()
        lacking = [len(missed(cluster, target.validator, first, last)) for first, last, _ in (before, during)]
        audit(cluster)
    heights = [last - first + 1 for first, last, _ in (before, during)]
    pace = [count / seconds for count, (_, _, seconds) in zip(heights, (before, during), strict=True)]
    line = (
        f"{connections} connections in {during[2]:.0f} s, {closed} closed by the node, {peers:.0f} peers kept; blocks a second "
        f"{pace[0]:.2f} before and {pace[1]:.2f} meanwhile; heights without its signature {lacking[0]} of {heights[0]} and "
        f"{lacking[1]} of {heights[1]}"
    )
    if pace[1] < 0.8 * pace[0] or peers < 3 or any(lacking):
        raise Trouble(line)
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=250, help="connections a second at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(run(options.connections, options.rate, options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
