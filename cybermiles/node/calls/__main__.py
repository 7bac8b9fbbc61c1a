"""A call worker's first steps: it gives way to the node before it loads anything."""

from __future__ import annotations

import importlib
import os
import sys

NICENESS = 10


def _run() -> None:
    os.nice(NICENESS)
    importlib.import_module("cybermiles.node.calls.worker").main(int(sys.argv[1]))


if __name__ == "__main__":
    _run()
