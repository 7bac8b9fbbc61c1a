"""Serves a foreign chain through the node's own RPC server: same dispatcher, handlers and serializers."""

from __future__ import annotations

import asyncio
import platform
import secrets
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from cybermiles import __version__
from cybermiles.conformance.methods import EthereumMethods, EthereumTransactions
from cybermiles.conformance.pool import ForeignPool
from cybermiles.conformance.serializer import ethereum_serializer
from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.rpc.call_jobs import JobExecutor
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.namespaces.eth_calls import EthCalls
from cybermiles.rpc.service import RpcPorts, build_server
from cybermiles.runtime.clock import SystemClock
from cybermiles.runtime.event_bus import EventBus
from cybermiles.runtime.executor import Worker
from cybermiles.runtime.tasks import Supervisor
from cybermiles.vm.ethereum import EthereumFork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.rpc.jobs import Job
    from cybermiles.rpc.node_status import ConsensusStatus, NodeIdentity, PeerStatus
    from cybermiles.rpc.ports import SyncProgress
    from cybermiles.rpc.server import RpcServer
    from cybermiles.types.events import Event

P = ParamSpec("P")
T = TypeVar("T")

NAMESPACES = ("eth", "net", "web3", "txpool", "debug")
LEFT_OUT = ("eth_config", "eth_sendRawTransactionSync", "eth_simulateV1")
"""They answer by CyberMiles' own rules."""
LIMITS = RpcLimits(call_gas_max=50_000_000, body_max_bytes=5 * 1024 * 1024)
"""Geth's, where an answer depends on them; the others are this node's own."""


class ForeignExecutor(JobExecutor):
    """`rpc.ports.Executor` in one thread: whoever serves a test chain is its only caller."""

    def __init__(self, chain: ForeignChain, worker: Worker) -> None:
        self._chain = chain
        self._worker = worker

    async def run(self, job: Job[T]) -> T:
        return await self._worker.run(job.run, self._chain)


@dataclass(frozen=True, slots=True)
class ForeignNode:
    """`rpc.ports.NodeInfo` of a process that has a chain and nobody to talk to."""

    network_id: int
    client_version: str = f"cybermiles/v{__version__}/{platform.system().lower()}/python{platform.python_version()}"
    peer_count: int = 0
    listening: bool = False
    syncing: SyncProgress | None = None

    @property
    def identity(self) -> NodeIdentity:
        raise InvariantViolation("a served foreign chain has no node identity")

    def peers(self) -> Sequence[PeerStatus]:
        return ()

    def consensus(self) -> ConsensusStatus:
        raise InvariantViolation("a served foreign chain has no consensus")


class _Silence:
    """`rpc.ports.Events` of a chain on which nothing happens."""

    def __init__(self) -> None:
        self._bus: EventBus[Event] = EventBus()

    async def subscribe(self) -> AsyncIterator[Event]:
        async for event in self._bus.subscribe():
            yield event


def conformance_server(
    chain: ForeignChain,
    worker: Worker,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    block_timestamps: bool | None = None,
) -> RpcServer:
    """Return a server of the chain. `block_timestamps` None decides by the chain's newest fork."""
    if block_timestamps is None:
        block_timestamps = any(fork >= EthereumFork.OSAKA for _, fork in chain.schedule.times)
    config = replace(RpcConfig(), host=host, port=port, namespaces=NAMESPACES, limits=LIMITS)
    ports = RpcPorts(
        chain=chain,
        executor=ForeignExecutor(chain, worker),
        pool=ForeignPool(chain),
        info=ForeignNode(chain.chain_id),
        events=_Silence(),
        clock=SystemClock(),
        id_secret=secrets.token_bytes(32),
    )
    serializer = ethereum_serializer(chain, block_timestamps=block_timestamps)
    own = EthereumMethods(chain, ports.executor, serializer, config.limits)
    calls = EthCalls(chain, ports.executor, config.limits)
    filling = EthereumTransactions(chain, ports.pool, calls, own.tip)
    extra = (*own.methods(), *filling.methods())
    return build_server(config, ports, serializer=serializer, extra_methods=extra, left_out=LEFT_OUT)


def serve(
    chain: ForeignChain,
    *,
    host: str,
    port: int,
    block_timestamps: bool | None,
    banner: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `banner` gets the address once it answers. Raises ConfigError for a bad port."""
    worker = Worker("calls")
    try:
        server = conformance_server(chain, worker, host=host, port=port, block_timestamps=block_timestamps)
        asyncio.run(_run(server, banner))
    finally:
        worker.close()


async def _run(server: RpcServer, banner: Callable[[str], None]) -> None:
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    try:
        await server.start()
    except OSError as error:
        raise ConfigError(f"JSON-RPC cannot listen: {error}; set another --port") from error
    try:
        supervisor.start("rpc", server.run())
        banner(server.url)
        await supervisor.wait()
    finally:
        await server.stop()
