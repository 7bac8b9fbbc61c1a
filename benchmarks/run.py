"""Run every benchmark: python -m benchmarks.run [name …]. Each prints one JSON line per figure."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("transaction", "trie", "block", "contracts", "compute_units", "system", "economy", "p2p", "trace", "rpc")


def main():
    """Run the named benchmarks, or all, each in a process of its own."""
    for name in sys.argv[1:] or NAMES:
        subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=True)


if __name__ == "__main__":
    main()
