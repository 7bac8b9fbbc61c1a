"""Which stage of a node's work takes its time: a sampling profile of a real node under load, sorted into the budget's stages.

    python -m benchmarks.stages profile.txt --cpu-us 170

`profile.txt` is what `py-spy record --format raw --pid PID` writes (py-spy is no dependency of the project; any virtual environment
has it). A sample belongs to the first stage below of which a frame is on its stack. `--cpu-us` is what a transaction costs the node
in all, as `bench_throughput` prints it; without it shares are printed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

STAGES = (
    ("recover", ("recover_senders", "recover_address")),
    ("decode and hash", ("decode_transaction (", "Admission.decode", "decode_block")),
    ("state root", ("update_root",)),
    ("transaction and receipt roots", ("ordered_root",)),
    ("receipts and bloom", ("logs_bloom", "Receipt.encode", "encode_logs")),
    ("build: choice of transactions", ("MempoolService.candidates", "select (cybermiles")),
    ("execute", ("BlockExecution.", "apply_block", "build_block", "check_block")),
    ("storage", ("Database.commit", "LevelDB.")),
    ("hand-over between threads", ("ThreadPoolExecutor.submit", "_chain_future")),
    ("events and metrics", ("event_bus.py", "events.py", "count_events", "BlockMetrics", "MetricWrapper")),
    (
        "admission",
        ("MempoolService.submit", "MempoolService._admit", "MempoolService.block_committed", "SenderRecovery", "Pool."),
    ),
    ("gossip of transactions", ("MempoolReactor",)),
    ("RPC", ("cybermiles/rpc/", "aiohttp/")),
    ("links", ("cybermiles/p2p/", "asyncio/streams.py", "asyncio/selector_events.py")),
    ("consensus", ("cybermiles/consensus/", "cybermiles/types/vote", "cybermiles/types/parts")),
)
IDLE = (
    "_worker (concurrent/futures/thread.py",
    "Runner.run (asyncio/runners.py",
    "wait (threading.py",
    "select (selectors.py",
    "OsDirectory.sync (",
    "OsDirectory.sync_names (",
)
"""Innermost frames of threads that wait, for work or for the disk."""


def stages(profile):
    """Return samples by stage of a raw profile."""
    counts = Counter()
    for line in profile.splitlines():
        stack, _, samples = line.rpartition(" ")
        if stack.rpartition(";")[2].startswith(IDLE):
            continue
        name = next((name for name, marks in STAGES if any(mark in stack for mark in marks)), "other")
        counts[name] += int(samples)
    return counts


def main():
    """Print one line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--cpu-us", type=float, default=0)
    options = parser.parse_args()
    counts = stages(options.profile.read_text())
    total = counts.total()
    for name in [*(name for name, _ in STAGES), "other"]:
        share = counts[name] / total
        figure = {"us_per_transaction": round(share * options.cpu_us, 1)} if options.cpu_us else {}
        print(json.dumps({"stage": name, "share": round(share, 3), **figure}))


if __name__ == "__main__":
    main()
