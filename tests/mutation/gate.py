"""Plants each bug in a copy of the repository and runs the gate's own tests there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutation import Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("cybermiles", "tests", "genesis", "pyproject.toml")
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", ".*_cache", "*.sock")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a bug."""

    mutation: Mutation
    killer: str
    """Empty where nothing found it."""
    detail: str
    seconds: float


def command(killer: str, schedules: int) -> list[str]:
    """Return what is run, in the copy."""
    if killer in ("core", "node"):
        count = schedules if killer == "core" else max(1, schedules // 10)
        return [
            sys.executable, "-m", "tests.simulation", "--tier", killer, "--schedules", str(max(2, count)),
            "--stop-after", "1", "--seed", "0",
        ]  # fmt: skip
    return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", killer]


def run(mutations: Iterable[Mutation], schedules: int) -> Iterator[Verdict]:
    """Yield a verdict on each bug."""
    with tempfile.TemporaryDirectory(prefix="mutation") as directory:
        copy = Path(directory)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=IGNORED)
            else:
                shutil.copy(source, copy / name)
        for mutation in mutations:
            target = copy / mutation.file
            original = target.read_text()
            target.write_text(planted(mutation, original))
            try:
                yield _judge(mutation, copy, schedules)
            finally:
                target.write_text(original)


def planted(mutation: Mutation, source: str) -> str:
    """Return the source with the bug. Raises ValueError where it does not apply exactly once."""
    if source.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: {source.count(mutation.old)} places for it in {mutation.file}")
    return source.replace(mutation.old, mutation.new)


def _judge(mutation: Mutation, copy: Path, schedules: int) -> Verdict:
    started = time.perf_counter()
    for killer in mutation.killers:
        if killer not in ("core", "node") and not (copy / killer).exists():
            continue
        done = subprocess.run(command(killer, schedules), cwd=copy, capture_output=True, text=True)
        if done.returncode == 1:
            return Verdict(mutation, killer, _first_line(killer, done.stdout), time.perf_counter() - started)
        if done.returncode != 0:
            return Verdict(mutation, "", f"cannot run: {done.stderr.strip()[-200:]}", time.perf_counter() - started)
    return Verdict(mutation, "", "", time.perf_counter() - started)


def _first_line(killer: str, output: str) -> str:
    start = "seed " if killer in ("core", "node") else "FAILED "
    return next((line for line in output.splitlines() if line.startswith(start)), "")[:110]
