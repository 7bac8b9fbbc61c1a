"""Run schedules: `python -m tests.simulation --schedules 2000 --seed 0`. See docs/simulation.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.campaign import Options, campaign_hash, make_plan, minimal_trace, run_many, run_plan, shrink


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when no schedule broke an invariant."""
    given = _parse(arguments)
    options = Options(
        validators=tuple(int(n) for n in given.validators.split(",")),
        byzantine=given.byzantine,
        tier=given.tier,
        application=given.application,
    )
    if given.schedules == 1:
        return _one(given.seed, options)
    return _campaign(range(given.seed, given.seed + given.schedules), options, given.workers, given.stop_after)


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--seed", type=int, default=0, help="the first schedule; one schedule is shown in detail")
    parser.add_argument("--validators", default="4,7", help="network sizes to draw from")
    parser.add_argument("--byzantine", type=int, default=None, help="at most so many liars instead of a random number")
    parser.add_argument("--tier", choices=("core", "node"), default="core", help="bare engines or whole nodes")
    parser.add_argument("--application", choices=("stub", "real"), default="stub")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--stop-after", type=int, default=10, help="end after so many failures")
    return parser.parse_args(arguments)


def _campaign(seeds, options: Options, workers: int, stop_after: int) -> int:
    started = time.perf_counter()
    faults: Counter[str] = Counter()
    broken: list[tuple[int, str]] = []
    done = events = 0
    slowest = (0.0, 0)
    hashes: dict[int, str] = {}
    for result in run_many(seeds, options, workers):
        done += 1
        events += result.events
        faults += result.faults
        hashes[result.seed] = result.trace_hash
        slowest = max(slowest, (result.after_gst_ms, result.seed))
        if result.violation:
            broken.append((result.seed, result.violation))
            print(f"seed {result.seed}: {result.violation}", flush=True)
            if len(broken) >= stop_after:
                break
    seconds = time.perf_counter() - started
    print(
        f"{done} schedules, {events} events, {len(broken)} violations, {seconds:.1f} s, {done / seconds:.1f} schedules/s"
    )
    print(f"traces {campaign_hash(hashes)}")
    print(f"longest from GST to the goal: {slowest[0] / 1000:.1f} virtual seconds (seed {slowest[1]})")
    for kind, times in sorted(faults.items()):
        print(f"  {kind:40} {times}")
    return 1 if broken else 0


def _one(seed: int, options: Options) -> int:
    plan = make_plan(seed, options)
    result = run_plan(plan, options)
    print(plan)
    print(f"trace {result.trace_hash}, {result.events} events")
    if not result.violation:
        print(f"no violation; goal reached {result.after_gst_ms / 1000:.1f} virtual seconds after GST")
        return 0
    small = shrink(plan, options, result.invariant)
    print("\n".join(minimal_trace(small, options)))
    print(f"seed {seed}: {result.violation}\nsmallest plan that breaks the same: {small}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
