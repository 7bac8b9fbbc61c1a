"""Nodes of one machine as background processes.

Whether a node runs is asked of its lock and not of a file with a process id: the lock is gone with the process, so
a machine that lost power leaves nothing that looks alive.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click

from cybermiles.cli.output import CommandError
from cybermiles.cli.rpc_client import fetch_status
from cybermiles.node.config import load_config
from cybermiles.runtime.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from cybermiles.node.data_dir import DataDir

POLL_SECONDS = 0.1
START_SECONDS = 60
STOP_SECONDS = 20
"""After that a node that does not stop is killed, which loses nothing it has reported."""
_TAIL_BYTES = 64 * 1024


def log_path(home: DataDir) -> Path:
    """Return where a node's output goes."""
    return home.home / "node.log"


def rpc_url(home: DataDir) -> str:
    """Return a node's JSON-RPC address, from this machine."""
    config = load_config(home.home, environment={}).rpc
    return f"http://{config.host}:{config.port}"


def start(home: DataDir) -> subprocess.Popen[bytes]:
    """Start a node that outlives this process; its settings come from its home alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CMT_")}
    command = [sys.executable, "-m", "cybermiles", "node", "start", "--home", str(home.home), "--log-format", "console"]
    with log_path(home).open("ab") as output:
        return subprocess.Popen(  # noqa: S603  (this program itself)
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )


def wait_until_serving(home: DataDir, process: subprocess.Popen[bytes]) -> None:
    """Return when the node answers. Raises CommandError with the end of its log where it ended, or takes too long."""

    def serves() -> bool:
        if process.poll() is not None:
            raise CommandError(
                f"{home.home.name} ended with code {process.returncode}; its log {log_path(home)} ends with:\n"
                + "\n".join(last_lines(log_path(home), 5))
            )
        return try_status(home) is not None

    if not wait_for(serves, START_SECONDS):
        raise CommandError(f"{home.home.name} does not answer after {START_SECONDS} s; see {log_path(home)}")


def try_status(home: DataDir) -> dict[str, Any] | None:
    """Return a node's `/status`, None where it does not answer."""
    try:
        return fetch_status(rpc_url(home))
    except CommandError:
        return None


def stop(homes: Iterable[DataDir]) -> list[str]:
    """Stop nodes cleanly, all at once; return the names of those that had to be killed."""
    running = [home for home in homes if home.running_process()]
    for home in running:
        _signal(home, signal.SIGTERM)
    wait_for(lambda: not any(home.running_process() for home in running), STOP_SECONDS)
    killed = [home for home in running if home.running_process()]
    for home in killed:
        _signal(home, signal.SIGKILL)
    wait_for(lambda: not any(home.running_process() for home in killed), STOP_SECONDS)
    return [home.home.name for home in killed]


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until the condition holds, or the time is over."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a text file, none where there is no file."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:] if count else []


def follow(paths: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, line) of what is appended to files from now on, for ever."""
    offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            if not path.exists() or path.stat().st_size <= offsets[name]:
                continue
            with path.open("rb") as file:
                file.seek(offsets[name])
                whole, newline, _ = file.read().rpartition(b"\n")
            offsets[name] += len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                yield name, line
        time.sleep(POLL_SECONDS)


def _signal(home: DataDir, number: signal.Signals) -> None:
    process = home.running_process()
    if process is None:
        return
    try:
        os.kill(process, number)
    except ProcessLookupError:
        click.echo(f"{home.home.name} ended by itself", err=True)
