"""Run the mutation gate: `python -m tests.mutation`. Ends with 0 when no planted bug survives."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from tests.mutation.catalogue import MUTATIONS
from tests.mutation.gate import run


def main(arguments: list[str] | None = None) -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="", help="bugs whose name contains this")
    parser.add_argument("--schedules", type=int, default=2_000, help="of the bare core, as the gate runs them")
    parser.add_argument("--killers", default="", help="instead of each bug's own: core, node or paths, with commas")
    given = parser.parse_args(arguments)
    chosen = [mutation for mutation in MUTATIONS if given.only in mutation.name]
    if given.killers:
        chosen = [replace(mutation, killers=tuple(given.killers.split(","))) for mutation in chosen]
    survivors = []
    for verdict in run(chosen, given.schedules):
        mark = verdict.killer or "SURVIVED"
        print(f"{verdict.mutation.name:58} {mark:28} {verdict.seconds:6.1f} s  {verdict.detail}", flush=True)
        if not verdict.killer:
            survivors.append(verdict.mutation.name)
    print(f"{len(chosen)} bugs planted, {len(survivors)} survived: {', '.join(survivors) or 'none'}")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
