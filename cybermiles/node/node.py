"""Starts the services of a node in order, waits, and stops them in reverse.

SIGTERM and SIGINT stop the node: RPC first, then the engine between two steps of a height. Nothing needs a clean
stop to be safe: a block is one synced batch, and the height in progress is in the write-ahead log.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError
from cybermiles.node.data_dir import DataDir
from cybermiles.node.foundation import Workers, open_workers
from cybermiles.node.metrics import count_events, measure_loop
from cybermiles.node.state_sync import sync_state
from cybermiles.node.wiring import Components, build
from cybermiles.runtime.logging import configure, get_logger
from cybermiles.runtime.tasks import Supervisor, stop_on_signals
from cybermiles.vm.pyevm.startup import prepare_runtime, probe_execution

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.node.config import NodeConfig
    from cybermiles.node.network import NodeNetwork
    from cybermiles.rpc.operator_server import OperatorServer
    from cybermiles.rpc.server import RpcServer

log = get_logger("node")

SWITCH_SECONDS = 0.000_5
"""How long a thread that has work waits for another to hand over the interpreter: a tenth of Python's default. A block
gives it away at each read and write of the store, and would wait the default each time while requests keep it busy."""

GC_THRESHOLDS = (10_000, 20, 50)
"""A node makes few cycles and many objects. With Python's own thresholds 2 % of its time went into looking for cycles,
in pauses of up to 20 ms; with these 0.2 to 0.6 %, in 10 ms (benchmarks/README.md)."""


def run_node(config: NodeConfig, *, banner: Callable[[str], None] | None = None) -> None:
    """Run a node until it is told to stop. Raises CybermilesError where it cannot start or must stop.

    `banner` is called with the RPC address once everything serves.
    """
    configure(config.log.level, config.log.format)
    prepare_runtime()
    sys.setswitchinterval(SWITCH_SECONDS)
    directory = DataDir(config.home)
    lock = directory.lock()
    workers = open_workers()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(config, directory, workers, banner))
    finally:
        workers.close()
        lock.close()


async def _run(
    config: NodeConfig,
    directory: DataDir,
    workers: Workers,
    banner: Callable[[str], None] | None,
) -> None:
    supervisor = Supervisor()
    await workers.blocks.run(probe_execution)
    document = directory.load_genesis()
    if not await sync_state(config, directory, document, workers.log):
        return
    stop_on_signals(supervisor)
    # What was imported is for ever; the parts of a chain for development are not.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    components = build(config, directory, document, workers)
    try:
        if components.operators is not None:
            await _listen(components.operators, "metrics", "metrics.listen")
        if components.rpc is not None:
            components.calls.start()
            await _listen(components.rpc, "JSON-RPC", "rpc.host or rpc.port")
            supervisor.start("rpc", components.rpc.run())
            if banner is not None:
                banner(components.rpc.url)
        if components.verification is not None:
            supervisor.start("verification", components.verification.run())
        if components.network is not None:
            await _listen(components.network, "p2p", "p2p.listen_host or p2p.listen_port")
            for name, coroutine in components.network.tasks().items():
                supervisor.start(name, coroutine)
        _watch(supervisor, components)
        supervisor.start("engine", components.chain.run())
        await supervisor.wait()
    finally:
        log.info("stopping")
        if components.rpc is not None:
            await components.rpc.stop()
        if components.operators is not None:
            await components.operators.stop()
        workers.close()
        components.close()


def _watch(supervisor: Supervisor, components: Components) -> None:
    """Start what looks on and changes nothing."""
    subscribe = components.events.subscribe
    supervisor.start("metrics", count_events(components.metrics, subscribe))
    supervisor.start("loop", measure_loop(components.metrics.process, components.clock))
    if components.console is not None:
        supervisor.start("console", components.console.watch(subscribe))


async def _listen(server: RpcServer | OperatorServer | NodeNetwork, what: str, keys: str) -> None:
    try:
        await server.start()
    except OSError as error:
        raise ConfigError(f"{what} cannot listen: {error}; set another {keys}") from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (an optional extra)
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
