"""One planted bug: a piece of source and what stands there instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug that compiles, looks plausible, and breaks the protocol."""

    name: str
    file: str
    """Relative to the repository."""
    old: str
    """Stands in the file exactly once."""
    new: str
    killers: tuple[str, ...] = ("core",)
    """What is run against it, in this order, until one fails: `core` and `node` are the gate's schedules of the
    simulation, everything else is a path of unit tests."""
