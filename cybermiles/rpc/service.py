"""Puts the RPC server together from the node's ports.

The one function that `node` calls. `extra_methods` come last and win, so that other packages can add
methods, and a development or conformance network can answer differently, without touching this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.rpc.access import is_open
from cybermiles.rpc.config import PRIVATE_NAMESPACES
from cybermiles.rpc.dispatcher import Dispatcher
from cybermiles.rpc.filters import FilterRegistry, IdSource
from cybermiles.rpc.namespaces.admin import Admin
from cybermiles.rpc.namespaces.cmt import Cmt
from cybermiles.rpc.namespaces.cmt_build import CmtBuild
from cybermiles.rpc.namespaces.cmt_governance import CmtGovernance
from cybermiles.rpc.namespaces.cmt_network import CmtNetwork
from cybermiles.rpc.namespaces.cmt_staking import CmtStaking
from cybermiles.rpc.namespaces.debug import Debug
from cybermiles.rpc.namespaces.debug_traces import DebugTraces
from cybermiles.rpc.namespaces.dev import LIKENESS, NAMESPACES, Dev
from cybermiles.rpc.namespaces.eth_calls import EthCalls
from cybermiles.rpc.namespaces.eth_chain import EthChain
from cybermiles.rpc.namespaces.eth_fees import EthFees
from cybermiles.rpc.namespaces.eth_filters import EthFilters
from cybermiles.rpc.namespaces.eth_node import EthNode
from cybermiles.rpc.namespaces.eth_raw import EthRaw
from cybermiles.rpc.namespaces.eth_send_sync import EthSendSync
from cybermiles.rpc.namespaces.eth_simulate import EthSimulate
from cybermiles.rpc.namespaces.eth_state import EthState
from cybermiles.rpc.namespaces.eth_transactions import EthTransactions
from cybermiles.rpc.namespaces.net import Net
from cybermiles.rpc.namespaces.ots import Ots
from cybermiles.rpc.namespaces.rpc import Rpc
from cybermiles.rpc.namespaces.txpool import TxPool
from cybermiles.rpc.namespaces.web3 import Web3
from cybermiles.rpc.serializers import Serializer
from cybermiles.rpc.server import Dispatchers, RpcServer
from cybermiles.rpc.subscriptions import SubscriptionHub
from cybermiles.rpc.system_reader import SystemReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cybermiles.rpc.config import RpcConfig, RpcLimits
    from cybermiles.rpc.methods import Method
    from cybermiles.rpc.namespaces.dev import Development
    from cybermiles.rpc.operator_pages import OperatorPages
    from cybermiles.rpc.ports import (
        ChainReader,
        Events,
        Executor,
        NodeInfo,
        Observer,
        TransactionPool,
    )
    from cybermiles.rpc.verification.api import VerificationApi
    from cybermiles.runtime.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcPorts:
    """Everything the RPC server needs of the node."""

    chain: ChainReader
    executor: Executor
    pool: TransactionPool
    info: NodeInfo
    events: Events
    clock: Clock
    id_secret: bytes
    """32 random bytes: filter and subscription ids are derived from it."""
    observer: Observer | None = None
    pages: OperatorPages | None = None
    """Served beside JSON-RPC; None serves none."""
    verification: VerificationApi | None = None
    """Served at /api; None serves none."""
    development: Development | None = None
    """None but on a chain for development: no `evm_*`, `anvil_*` and `hardhat_*` methods."""


def build_server(
    config: RpcConfig,
    ports: RpcPorts,
    *,
    serializer: Serializer | None = None,
    extra_methods: Iterable[Method] = (),
    left_out: Collection[str] = (),
) -> RpcServer:
    """Return a server that is ready to be started, without those of its own methods that `left_out` names."""
    if serializer is None:
        serializer = Serializer(receipt_lane=config.receipt_lane)
    ids = IdSource(ports.id_secret)
    filters = FilterRegistry(
        ports.chain, ports.executor, serializer=serializer, limits=config.limits, ids=ids, clock=ports.clock
    )
    hub = SubscriptionHub(serializer=serializer, limits=config.limits, ids=ids, filters=filters, info=ports.info)
    own = _methods(config, ports, serializer, filters, hub)
    methods = [*(method for method in own if method.name not in left_out), *extra_methods]

    def dispatcher(namespaces: Iterable[str]) -> Dispatcher:
        return _dispatcher(methods, dict.fromkeys(namespaces), config.limits, ports.observer)

    # Who may set balances may do anything: where strangers call, these are served to them only if they are named.
    dev = () if ports.development is None or is_open(config.host) else NAMESPACES
    public = [*_public(config, config.namespaces), *dev]
    dispatchers = Dispatchers(
        http=dispatcher(public),
        websocket=dispatcher([*(_public(config, config.websocket_namespaces) or public), *dev]),
        private=dispatcher(method.namespace for method in methods),
    )
    server = RpcServer(config, dispatchers, hub, events=ports.events, clock=ports.clock, pages=ports.pages)
    if ports.verification is not None:
        server.serve_verification(ports.verification)
    return server


def _methods(
    config: RpcConfig,
    ports: RpcPorts,
    serializer: Serializer,
    filters: FilterRegistry,
    hub: SubscriptionHub,
) -> list[Method]:
    chain, pool, limits = ports.chain, ports.pool, config.limits
    blocks = EthChain(chain, pool, ports.info, serializer, executor=ports.executor, limits=limits)
    calls = EthCalls(chain, ports.executor, limits)
    reader = SystemReader(chain, ports.executor, limits)
    transactions = EthTransactions(chain, pool, calls)
    methods = [
        *Web3(ports.info, likeness="" if ports.development is None else LIKENESS).methods(),
        *Net(ports.info).methods(),
        *blocks.methods(),
        *EthRaw(chain, pool, serializer).methods(),
        *EthNode(chain).methods(),
        *EthSendSync(pool, ports.events, blocks.receipt, limits).methods(),
        *EthState(chain, pool, limits).methods(),
        *calls.methods(),
        *EthSimulate(chain, ports.executor, serializer, limits).methods(),
        *EthFees(chain, limits).methods(),
        *transactions.methods(),
        *EthFilters(chain, ports.executor, filters, hub, serializer, limits).methods(),
        *TxPool(pool, serializer, limits).methods(),
        *Ots(chain, ports.executor, serializer, limits).methods(),
        *Cmt(chain, pool).methods(),
        *CmtNetwork(ports.info).methods(),
        *CmtStaking(chain, reader).methods(),
        *CmtGovernance(chain, reader).methods(),
        *CmtBuild(reader).methods(),
        *Admin(chain, ports.info).methods(),
        *Debug(chain, pool, serializer, executor=ports.executor, limits=limits).methods(),
        *DebugTraces(chain, ports.executor, calls, limits).methods(),
    ]
    if ports.development is not None:
        methods += Dev(chain, pool, transactions, ports.development, filters, limits).methods()
    return methods


def _public(config: RpcConfig, namespaces: Iterable[str]) -> list[str]:
    """Return the namespaces for callers without the token."""
    return [name for name in namespaces if not (config.token and name in PRIVATE_NAMESPACES)]


def _dispatcher(
    methods: Iterable[Method], namespaces: dict[str, None], limits: RpcLimits, observer: Observer | None
) -> Dispatcher:
    """Return a dispatcher of the methods in these namespaces, and of `rpc_*`."""
    served = [method for method in methods if method.namespace in namespaces]
    return Dispatcher([*served, *Rpc(namespaces, served).methods()], limits=limits, observer=observer)
