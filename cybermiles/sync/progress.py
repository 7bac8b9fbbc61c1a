"""How far block sync has come and how long it will take, for a person or for a log. The arithmetic is pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger("sync")

RATE_WINDOW_MS = 10_000
TERMINAL_MS = 250
LOG_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of block sync."""

    height: int
    """Applied."""
    target: int
    """Best height that peers claim."""
    percent: int
    """Of the heights that were missing when it began, rounded down."""
    blocks_per_second: int
    """Lately."""
    eta_seconds: int | None
    """At that rate; None while it stands still."""

    def line(self) -> str:
        """Return it as one line for a terminal."""
        eta = "unknown" if self.eta_seconds is None else _clock(self.eta_seconds)
        done = self.percent // 5
        bar = "█" * done + "░" * (20 - done)
        return (
            f"syncing {bar} {self.percent} %  block {self.height:,} of {self.target:,}  "
            f"{self.blocks_per_second:,} blocks/s  ETA {eta}"
        )


class Pace:
    """Measures from applied heights."""

    def __init__(self, height: int, now_ms: int) -> None:
        self._start = height
        self._samples: deque[tuple[int, int]] = deque([(now_ms, height)])

    def progress(self, height: int, target: int, now_ms: int) -> Progress:
        """Return where it stands; call it at each report."""
        samples = self._samples
        samples.append((now_ms, height))
        while len(samples) > 2 and now_ms - samples[1][0] >= RATE_WINDOW_MS:
            samples.popleft()
        elapsed = max(now_ms - samples[0][0], 1)
        blocks = height - samples[0][1]
        missing = max(target - height, 0)
        return Progress(
            height=height,
            target=max(target, height),
            percent=100 * (height - self._start) // max(target - self._start, height - self._start, 1),
            blocks_per_second=blocks * 1000 // elapsed,
            eta_seconds=-(-missing * elapsed // (blocks * 1000)) if blocks else (None if missing else 0),
        )


class ProgressOutput(Protocol):
    """Where progress is shown."""

    @property
    def interval_ms(self) -> int:
        """How often."""
        ...

    def show(self, progress: Progress) -> None:
        """Show a moment."""
        ...

    def done(self, height: int) -> None:
        """It has caught up."""
        ...


class LogProgress:
    """Structured log lines."""

    interval_ms = LOG_MS

    def show(self, progress: Progress) -> None:
        log.info(
            "block_sync_progress",
            height=progress.height,
            target=progress.target,
            percent=progress.percent,
            blocks_per_second=progress.blocks_per_second,
            eta_seconds=progress.eta_seconds,
        )

    def done(self, height: int) -> None:
        log.info("block_sync_done", height=height)


class TerminalProgress:
    """One line that is written over and over."""

    interval_ms = TERMINAL_MS

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def show(self, progress: Progress) -> None:
        self._write(f"\r\x1b[2K{progress.line()}")

    def done(self, height: int) -> None:
        self._write(f"\r\x1b[2Ksynced to block {height:,}\n")


def progress_output(stream: TextIO) -> ProgressOutput:
    """Return a line on a terminal, log lines everywhere else."""
    if not stream.isatty():
        return LogProgress()

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return TerminalProgress(write)


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
