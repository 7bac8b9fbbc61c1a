"""Kill -9 at random for minutes, then look whether anything came of it.

    python -m tests.e2e.network.soak --minutes 10 --seed 1 [--validators 4] [--wipe] [--keep DIR]

Any node is killed at any time, often while others are down, and started again after a moment; now and then one is
paused, stopped politely or, with --wipe, started without its data. Transactions flow to whoever runs. At the end every
node runs, agrees with the others and goes on, and the disks are audited. Exit code 0: no node ended by itself or refused
to start, no two blocks at one height, no double sign. The last line is a JSON object with the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account

from tests.e2e.conftest import KEYS
from tests.e2e.network.audit import audit
from tests.e2e.network.cluster import Cluster, Trouble

BACK_SECONDS = 5
"""A restarted node should be back in consensus after so long."""


@dataclass
class Tally:
    """What was done, and how long it took to recover."""

    kills: int = 0
    stops: int = 0
    pauses: int = 0
    wipes: int = 0
    transactions: int = 0
    back: list = field(default_factory=list)
    """Seconds from each start to where the others were."""

    def figures(self):
        ordered = sorted(self.back) or [0.0]
        return {
            "kills": self.kills, "stops": self.stops, "pauses": self.pauses, "wipes": self.wipes,
            "transactions": self.transactions, "restarts": len(self.back),
            "back_p50_seconds": round(ordered[len(ordered) // 2], 2),
            "back_max_seconds": round(ordered[-1], 2),
            "back_late": sum(seconds > BACK_SECONDS for seconds in ordered),
        }  # fmt: skip


class Soak:
    """One run: a schedule drawn from the seed, though not its exact times."""

    def __init__(self, cluster, rng, *, wipe):
        self.cluster = cluster
        self.rng = rng
        self.wipe = wipe
        self.tally = Tally()
        self.returning = {}
        """Node to (when it was started, the height it has to reach)."""
        self.due = {}
        """Node to when it is started again, or goes on."""
        self.nonces = dict.fromkeys(KEYS, 0)

    def run(self, seconds):
        end = time.monotonic() + seconds
        next_blow = 0.0
        while time.monotonic() < end:
            now = time.monotonic()
            for node in self.cluster.nodes:
                node.check_alive()
            for node in [node for node, due in self.due.items() if due <= now]:
                self.bring_back(node)
            self.note_returned(now)
            if now >= next_blow:
                self.strike()
                next_blow = now + self.rng.uniform(0.3, 4.0)
            self.send_transaction()
            time.sleep(0.05)
        for node in list(self.due):
            self.bring_back(node)

    def strike(self):
        """Do something bad to a running node."""
        candidates = [node for node in self.cluster.running if node not in self.due]
        if not candidates:
            return
        node, manner = self.rng.choice(candidates), self.rng.random()
        self.returning.pop(node, None)
        if manner < 0.1:
            node.pause()
            self.tally.pauses += 1
        elif manner < 0.2:
            node.stop()
            self.tally.stops += 1
        else:
            node.kill()
            self.tally.kills += 1
            if self.wipe and self.rng.random() < 0.1:
                node.wipe()
                self.tally.wipes += 1
        self.due[node] = time.monotonic() + self.rng.uniform(0.0, 4.0)

    def bring_back(self, node):
        del self.due[node]
        if node.runs:
            node.resume()
        else:
            goal = self.cluster.height()
            node.start()
            self.returning[node] = (time.monotonic(), goal)

    def note_returned(self, now):
        for node, (since, goal) in list(self.returning.items()):
            status = node.status() if node not in self.due else None
            if status and not status["sync_info"]["catching_up"] and status["consensus"]["height"] >= goal:
                self.tally.back.append(now - since)
                del self.returning[node]

    def send_transaction(self):
        """Send a transfer to some running node; whether it arrives is not the question here."""
        candidates = [node for node in self.cluster.running if node not in self.due]
        if not candidates or self.rng.random() > 0.3:
            return
        key = self.rng.choice(KEYS)
        transaction = {
            "to": "0x" + "33" * 20, "value": 1, "gas": 21_000, "gasPrice": 2 * 10**9, "chainId": 181818,
            "nonce": self.nonces[key],
        }  # fmt: skip
        raw = Account.from_key(key).sign_transaction(transaction).raw_transaction
        try:
            self.rng.choice(candidates).rpc("eth_sendRawTransaction", "0x" + raw.hex())
        except (OSError, RuntimeError):
            return
        self.nonces[key] += 1
        self.tally.transactions += 1


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--wipe", action="store_true", help="sometimes delete a killed node's data")
    parser.add_argument("--keep", type=Path, help="directory to leave the homes and logs in")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="cmt-soak-") as temporary:
        directory = options.keep or Path(temporary) / "net"
        with Cluster(directory, validators=options.validators) as cluster:
            soak = Soak(cluster, random.Random(options.seed), wipe=options.wipe)
            try:
                cluster.create().start()
                soak.run(options.minutes * 60)
                cluster.wait_for_blocks(5)
                cluster.check_same_chain()
                cluster.stop()
                found = audit(cluster)
            except Trouble as trouble:
                print(json.dumps({"ok": False, "seed": options.seed} | soak.tally.figures()))
                print(trouble, file=sys.stderr)
                return 1
    print(json.dumps({"ok": True, "seed": options.seed, "height": found.height} | soak.tally.figures()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
