"""Run the official state tests: python -m tests.vectors.run_state_tests [--fork Osaka] [--filter text] [--jobs 2] [--fuse-after 1].

Prints every failure, the slowest cases on demand, and a last line with the counts. Exit code 1 where any case fails.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from multiprocessing import get_context

from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime
from tests.vectors import state_tests


def worker(arguments: tuple[str, str, int, int, int]) -> list[tuple[str, str, str, float]]:
    """Run every jobs-th case from a start; return (fork, name, verdict, seconds) of each."""
    results: list[tuple[str, str, str, float]] = []
    threading.stack_size(EXECUTION_STACK_BYTES)
    thread = threading.Thread(target=_work, args=(arguments, results))
    thread.start()
    thread.join()
    return results


def _work(arguments: tuple[str, str, int, int, int], results: list[tuple[str, str, str, float]]) -> None:
    name_filter, fork, start, jobs, state_tests.fuse_after = arguments
    prepare_runtime()
    for index, case in enumerate(state_tests.cases(name_filter, fork)):
        if index % jobs != start:
            continue
        reason = state_tests.exclusion(case)
        began = time.perf_counter()
        if reason is not None:
            verdict = f"excluded: {reason}"
        else:
            verdict = state_tests.run(case) or "passed"
        results.append((case.fork, case.name, verdict, time.perf_counter() - began))


def main() -> int:
    """Parse the arguments, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fork", default="", choices=["", *state_tests.FORKS])
    parser.add_argument("--filter", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fuse-after", type=int, default=state_tests.fuse_after, help="1 compiles all code at once")
    parser.add_argument("--slowest", type=int, default=0)
    options = parser.parse_args()
    tasks = [(options.filter, options.fork, n, options.jobs, options.fuse_after) for n in range(options.jobs)]
    with get_context("spawn").Pool(options.jobs) as pool:
        results = [row for rows in pool.map(worker, tasks) for row in rows]
    counts: dict[str, Counter[str]] = {fork: Counter() for fork in state_tests.FORKS}
    for fork, name, verdict, _ in results:
        kind = verdict.split(":")[0] if verdict.startswith("excluded") else verdict
        counts[fork]["failed" if kind not in ("passed", "excluded") else kind] += 1
        if kind not in ("passed", "excluded"):
            print(f"FAILED {fork} {name}\n       {verdict}")
    for _, name, _, seconds in sorted(results, key=lambda row: -row[3])[: options.slowest]:
        print(f"{seconds:8.2f} s  {name}")
    total: Counter[str] = Counter()
    for fork, counter in counts.items():
        total += counter
        print(f"{fork}: {counter['passed']} passed, {counter['failed']} failed, {counter['excluded']} excluded")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['excluded']} excluded")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
