"""A call worker: a process that carries out jobs, one after another, and can be killed at any moment.

    python -m cybermiles.node.calls FD        FD: its end of a socket pair

It opens no file of the node, holds no key, and gives way to everything else on the machine. Its memory is bounded by
the system; so is the time of each job, even where the node is gone or stopped: the worker's own alarm kills it. It
ends when the node does, at the latest then.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from cybermiles.errors import CybermilesError, ProtocolViolation
from cybermiles.node.calls.remote_store import RemoteStore
from cybermiles.node.calls.wire import Channel, Closed, Kind, pickled
from cybermiles.node.chain_rules import chain_of, facts_of
from cybermiles.node.job_source import LocalSource
from cybermiles.runtime.executor import STACK_BYTES
from cybermiles.storage.database import Database
from cybermiles.vm.pyevm.startup import prepare_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.chain.params import ChainParams
    from cybermiles.node.chain_rules import ChainFacts
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jobs import Job

ALARM_AFTER_SECONDS = 1
"""What the worker's own alarm leaves the node to be first."""
FROM_NODE_MAX_BYTES = 1 << 31
_PARENT_DEATH_SIGNAL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker must know before its first job."""

    facts: ChainFacts
    params: ChainParams
    """Those of the genesis."""
    memory_max_bytes: int
    """Of the whole process."""
    cache_bytes: int
    result_max_bytes: int


def setup_of(document: GenesisDocument, limits: RpcLimits) -> Setup:
    """Return what the workers of a chain's node must know."""
    return Setup(
        facts=facts_of(document),
        params=document.params,
        memory_max_bytes=limits.call_memory_max_bytes,
        cache_bytes=limits.call_cache_bytes,
        result_max_bytes=2 * limits.response_max_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job, and what comes with it."""

    job: Job[object]
    seconds: float
    """It is killed after."""
    moving: Mapping[bytes, bytes]
    """Records of `remote_store.MOVING`."""
    epoch: int
    """Another one: what was read before is of another chain."""


class Session:
    """The chain as this process sees it."""

    def __init__(self, setup: Setup, channel: Channel) -> None:
        self._setup = setup
        self._channel = channel
        self._epoch = -1
        self._store = RemoteStore(channel, 0)
        self._database: Database | None = None
        self._chain = chain_of(setup.facts)

    def source(self, order: Order) -> LocalSource:
        """Return the chain as it was when the job was sent."""
        if self._database is None or order.epoch != self._epoch:
            self._store = RemoteStore(self._channel, self._setup.cache_bytes // 4)
            self._store.begin(order.moving)
            self._database = Database(self._store, node_cache_bytes=self._setup.cache_bytes // 2)
            self._epoch = order.epoch
        self._store.begin(order.moving)
        self._database.follow()
        return LocalSource(self._database, self._chain, self._setup.params)


def serve(channel: Channel) -> None:
    """Carry out jobs until the node hangs up."""
    setup: Setup = _expect(channel, Kind.SETUP)
    _bound(setup)
    prepare_runtime()
    session = Session(setup, channel)
    channel.send(Kind.READY)
    while True:
        order: Order = _expect(channel, Kind.JOB)
        signal.setitimer(signal.ITIMER_REAL, order.seconds + ALARM_AFTER_SECONDS)
        kind, payload = _carry_out(session, order, setup.result_max_bytes)
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.send(kind, payload)
        if kind is Kind.MEMORY:
            return
        del order, payload


def _carry_out(session: Session, order: Order, max_bytes: int) -> tuple[Kind, bytes]:
    """Return the answer to a job. Raises Closed where the node has hung up meanwhile."""
    try:
        kind, payload = Kind.DONE, pickled(order.job.run(session.source(order)))
    except CybermilesError as error:
        if isinstance(error, Closed):
            raise
        kind, payload = _raised(error)
    except MemoryError:
        return Kind.MEMORY, b""
    except Exception:  # noqa: BLE001  (a bug of a job is the node's to log; this process lives on)
        kind, payload = Kind.FAULT, _traceback()
    if len(payload) > max_bytes:
        return Kind.FAULT, f"a result of {len(payload)} bytes, at most {max_bytes} are allowed".encode()
    return kind, payload


def _raised(error: CybermilesError) -> tuple[Kind, bytes]:
    try:
        return Kind.RAISED, pickled(error)
    except Exception:  # noqa: BLE001  (whatever an error drags along that cannot be pickled)
        return Kind.FAULT, _traceback()


def _traceback() -> bytes:
    return traceback.format_exc(limit=-20).encode(errors="replace")[-10_000:]


def _expect(channel: Channel, wanted: Kind) -> Any:  # noqa: ANN401
    kind, payload = channel.receive()
    if kind != wanted:
        raise ProtocolViolation(f"the node said {kind} where {wanted} was expected")
    return pickle.loads(payload)  # noqa: S301  (the node is trusted by its worker)


def _bound(setup: Setup) -> None:
    """Give up what a worker does not need."""
    limits = {resource.RLIMIT_CORE: 0}
    if setup.memory_max_bytes:
        limits[resource.RLIMIT_AS] = setup.memory_max_bytes
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _die_with_the_node() -> None:
    """Ask Linux for a kill when the node's thread that started this ends; elsewhere the socket and the alarm do it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def main(descriptor: int) -> NoReturn:
    """Serve in a thread whose stack is deep enough for 1 024 nested calls, then end without ado."""
    _die_with_the_node()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    channel = Channel(socket.socket(fileno=descriptor), FROM_NODE_MAX_BYTES, lambda: None)
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=_serve_until_closed, args=(channel,), name="calls")
    thread.start()
    thread.join()
    os._exit(0)


def _serve_until_closed(channel: Channel) -> None:
    try:
        serve(channel)
    except Closed:
        return
