"""The schedule of one run: who lies, what breaks and when. A pure function of the seed and the options.

A plan is data, so a failing one is shrunk by switching its parts off one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from tests.simulation.latency import Latency

if TYPE_CHECKING:
    from tests.simulation.streams import Streams

SCRIPTS = ("split", "hidden", "unlock", "late", "rounds", "halves", "amnesia", "noise")
"""split: one node decides, nobody else hears of it, then the liars push another block. hidden: one node sees the
polka. unlock: a newer polka must free a lock. late: the polka arrives after the precommit. rounds: who sees which
quorum is drawn for every round. halves: two proposals, one for each half, and double votes. amnesia: as split, and
the nodes that locked crash and restart. noise: no script, random garbage only."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Messages from `sources` to `targets` are lost for a while; the other direction may work."""

    start_ms: int
    end_ms: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Crash:
    """A node loses power."""

    node: int
    operation: int
    """At its n-th disk operation, counted over its whole life; 0: at `at_ms`."""
    at_ms: int
    down_ms: int


@dataclass(frozen=True, slots=True)
class Jump:
    """A node's wall clock is set to another time."""

    node: int
    at_ms: int
    by_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs besides the code."""

    seed: int
    powers: tuple[int, ...]
    """Descending; position is the validator's index."""
    byzantine: tuple[int, ...] = ()
    script: str = "noise"
    target: tuple[int, int] = (1, 0)
    """Height and round that the script is about."""
    gst_ms: int = 15_000
    """Global stabilization time: no fault of the network after it."""
    heights: int = 3
    """To be decided by every correct validator after GST."""
    latency: Latency = Latency("exponential", 20.0)
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Share of messages that are delayed for up to two more seconds."""
    lost_for_good: bool = False
    """What was dropped is not repeated at GST; only the protocol's own repetition heals it."""
    partitions: tuple[Partition, ...] = ()
    churn: int = 0
    """Connections that break and come back before GST."""
    bandwidth: int = 0
    """Bytes per second of one link, 0 for no limit."""
    queue_messages: int = 0
    """Messages that a peer's queue for a channel takes, 0 for what the channel says."""
    crashes: tuple[Crash, ...] = ()
    skews_ms: tuple[int, ...] = ()
    jumps: tuple[Jump, ...] = ()
    slow_disk_ms: int = 0
    slow_application_ms: int = 0
    block_interval_ms: int = 1_000
    noise: float = 0.0
    """Chance that a liar adds garbage to something it observes."""

    def parts(self) -> list[Plan]:
        """Return plans with one part less, for shrinking."""
        smaller: list[Plan] = []
        for name in ("partitions", "crashes", "jumps"):
            entries = getattr(self, name)
            smaller += [replace(self, **{name: entries[:i] + entries[i + 1 :]}) for i in range(len(entries))]
        defaults = {field.name: field.default for field in fields(self)}
        for name in _OPTIONAL:
            if getattr(self, name) != defaults[name]:
                smaller.append(replace(self, **{name: defaults[name]}))
        return smaller


_OPTIONAL = (
    "queue_messages", "drop", "duplicate", "reorder", "lost_for_good", "churn", "bandwidth", "skews_ms", "slow_disk_ms",
    "slow_application_ms", "noise", "latency",
)  # fmt: skip


def draw_plan(streams: Streams, *, validators: tuple[int, ...] = (4, 7), byzantine: int | None = None) -> Plan:
    """Return the plan of a seed."""
    rng = streams["plan"]
    count = rng.choice(validators)
    powers = _powers(rng, count)
    liars = _liars(rng, powers, byzantine)
    script = rng.choice(SCRIPTS) if liars else rng.choice(("hidden", "late", "rounds", "noise", "noise"))
    gst_ms = rng.randrange(6_000, 40_000)
    calm = rng.random() < (0.15 if script == "noise" else 0.6)  # a script needs a network that lets it happen
    correct = [index for index in range(count) if index not in liars]
    return Plan(
        seed=streams.seed,
        powers=powers,
        byzantine=liars,
        script=script,
        target=(rng.choice((1, 1, 2)), rng.choice((0, 0, 0, 1, 2))),
        gst_ms=gst_ms,
        latency=Latency(rng.choice(("uniform", "exponential", "heavy", "zones")), rng.choice((5.0, 20.0, 80.0))),
        drop=0.0 if calm else rng.choice((0.0, 0.05, 0.2, 0.4)),
        duplicate=rng.choice((0.0, 0.1)),
        reorder=0.0 if calm else rng.choice((0.0, 0.1)),
        lost_for_good=rng.random() < 0.3,
        partitions=() if calm else _partitions(rng, count, gst_ms),
        churn=0 if calm else rng.choice((0, 3)),
        bandwidth=rng.choice((0, 0, 0, 50_000)),
        queue_messages=rng.choice((0, 0, 0, 0, 3)),
        crashes=_crashes(rng, correct, gst_ms, script),
        skews_ms=tuple(rng.randint(-200, 200) for _ in range(count)) if rng.random() < 0.5 else (),
        jumps=() if calm else _jumps(rng, correct, gst_ms),
        slow_disk_ms=rng.choice((0, 0, 5, 60)),
        slow_application_ms=rng.choice((0, 0, 10, 200)),
        block_interval_ms=rng.choice((1_000, 1_000, 2_000)),
        noise=rng.choice((0.0, 0.05, 0.2)) if liars else 0.0,
    )


def _powers(rng, count) -> tuple[int, ...]:
    if rng.random() < 0.6:
        return (1,) * count
    return tuple(sorted((rng.randint(1, 9) for _ in range(count)), reverse=True))


def _liars(rng, powers, wanted) -> tuple[int, ...]:
    """Return indices whose power together is less than a third."""
    order = rng.sample(range(len(powers)), len(powers))
    limit = wanted if wanted is not None else rng.choice((0, 1, len(powers) // 3, len(powers) // 3))
    chosen: list[int] = []
    for index in order:
        if len(chosen) < limit and 3 * (sum(powers[i] for i in chosen) + powers[index]) < sum(powers):
            chosen.append(index)
    return tuple(sorted(chosen))


def _partitions(rng, count, gst_ms) -> tuple[Partition, ...]:
    partitions = []
    for _ in range(rng.choice((0, 1, 2, 4))):
        start = rng.randrange(gst_ms)
        group = tuple(sorted(rng.sample(range(count), rng.randint(1, count - 1))))
        rest = tuple(index for index in range(count) if index not in group)
        end = min(gst_ms, start + rng.randrange(500, 15_000))
        partitions.append(Partition(start, end, group, rest))
        if rng.random() < 0.6:  # else one direction only
            partitions.append(Partition(start, end, rest, group))
    return tuple(partitions)


def _crashes(rng, correct, gst_ms, script) -> tuple[Crash, ...]:
    crashes = []
    for _ in range(rng.choice((0, 0, 1, 2, 4, 6)) if script != "amnesia" else 0):
        by_operation = rng.random() < 0.6
        crashes.append(
            Crash(
                node=rng.choice(correct),
                operation=rng.randrange(1, 60) if by_operation else 0,
                at_ms=rng.randrange(gst_ms),
                down_ms=rng.choice((0, 50, 1_000, 5_000)),
            )
        )
    return tuple(crashes)


def _jumps(rng, correct, gst_ms) -> tuple[Jump, ...]:
    """Return jumps away and back, so that clocks agree again after GST."""
    jumps = []
    if rng.random() < 0.2:
        node, by_ms = rng.choice(correct), rng.choice((-3_000, 700, 2_000, 20_000))
        start = rng.randrange(gst_ms)
        jumps = [Jump(node, start, by_ms), Jump(node, rng.randrange(start, gst_ms), -by_ms)]
    return tuple(jumps)
