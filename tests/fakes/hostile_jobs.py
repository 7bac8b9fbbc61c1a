"""Jobs that do to their process what no job should, for tests of what that costs others."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from cybermiles.errors import CybermilesError, InvalidTransaction
from cybermiles.rpc.jsonrpc import RawJson, RpcError
from cybermiles.state.kv import MemoryStore


class Explosive:
    """Runs a function in whoever unpickles it."""

    def __reduce__(self):
        return os.abort, ()


class Unfit(CybermilesError):
    """An error that drags along what cannot be pickled."""

    def __init__(self):
        super().__init__("unfit")
        self.lock = threading.Lock()


def _loop(_source):
    while True:
        pass


def _stop(_source):
    """Stop all threads; this one may run on for a moment, and must not come to an answer."""
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        pass


def _allocate(_source):
    kept = []
    while True:
        kept.append(bytearray(1 << 24))


def _deep(_source):
    def deeper(n):
        return deeper(n + 1)

    return deeper(0)


def _descriptors():
    return sorted(str(path.readlink()) for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink())


ACTS = {
    "nothing": lambda source: "nothing",
    "pid": lambda source: os.getpid(),
    "head": lambda source: source.head_height(),
    "header": lambda source: source.header(0),
    "params": lambda source: source.params,
    "genesis state": lambda source: source.state(0).account(b"\x11" * 20),
    "flat state": lambda source: source._database.state.account(b"\x11" * 20),
    "write": lambda source: source._database.store.write({b"m:head": b""}, sync=True),
    "raw": lambda source: RawJson(b"[" + b"1," * 400_000 + b"1]"),
    "huge": lambda source: bytes(30_000_000),
    "loop": _loop,
    "allocate": _allocate,
    "deep": _deep,
    "abort": lambda source: os.abort(),
    "exit": lambda source: os._exit(7),
    "system exit": lambda source: exec("raise SystemExit(3)"),
    "stop": _stop,
    "unpicklable": lambda source: threading.Lock(),
    "explosive": lambda source: Explosive(),
    "a store": lambda source: MemoryStore(),
    "odd": lambda source: exec("raise KeyError('/secret/path')"),
    "base": lambda source: exec("raise BaseException('odd')"),
    "unfit": lambda source: exec("raise Unfit()", {"Unfit": Unfit}),
    "timeout error": lambda source: exec("raise TimeoutError('mine')"),
    "refuse": lambda source: exec("raise E('no')", {"E": InvalidTransaction}),
    "rpc error": lambda source: exec("raise E(-32000, 'no', '0x01')", {"E": RpcError}),
    "garbage": lambda source: os.write(source._database.store._channel._end.fileno(), b"\xff" * 64),
    "descriptors": lambda source: _descriptors(),
    "environment": lambda source: dict(os.environ),
    "niceness": lambda source: os.nice(0),
    "session": lambda source: os.getsid(0),
}


@dataclass(frozen=True, slots=True)
class Act:
    """A job by its name in `ACTS`."""

    name: str

    def run(self, source):
        return ACTS[self.name](source)
