"""What a caller may ask of the RPC server, and how much of it.

Field names are the configuration keys below `[rpc]`; an error that a limit causes names its key. The
defaults suit a public node of one core: a limit is raised by whoever has the machine for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
PRIVATE_NAMESPACES = ("debug", "admin")
"""Served to the Unix socket and to who has the token; also by TCP where a network of one machine has no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcLimits:
    """Upper bounds. All are checked before the work they bound is done."""

    body_max_bytes: int = MIB
    """One HTTP body or WebSocket message."""
    json_max_depth: int = 16
    """Nested arrays and objects in a body, the batch and the request themselves included."""
    json_max_containers: int = 20_000
    """Arrays and objects in a request: bounds the time and memory that parsing takes."""
    batch_max_items: int = 100
    """Requests in one batch."""
    response_max_bytes: int = 10 * MIB
    """One answer, or all answers of a batch together."""
    answers_max_bytes: int = 128 * MIB
    """Answers of all connections that wait for their readers; past it a long one is replaced by an error."""
    header_max_bytes: int = 16 * 1024
    """The headers of one HTTP request."""
    header_timeout_seconds: int = 10
    """From the first to the last byte of an HTTP request's headers."""
    body_timeout_seconds: int = 10
    """From the headers to the last byte of a body."""
    handler_timeout_seconds: int = 10
    """One request."""
    batch_timeout_seconds: int = 30
    """All requests of one batch."""
    answer_timeout_seconds: int = 30
    """What a peer may take to read one answer or event."""
    keepalive_seconds: int = 30
    """Idle time after which an HTTP connection is closed."""

    connections_max: int = 200
    """Open connections."""
    connections_per_ip_max: int = 20
    """Of one remote address; the loopback addresses are exempt."""
    websockets_max: int = 50
    """Open WebSocket connections."""
    websocket_ping_seconds: int = 20
    """Between pings; a peer that does not answer is disconnected."""
    websocket_concurrency: int = 16
    """Messages of one WebSocket connection worked on at a time."""
    subscriptions_max: int = 500
    """Subscriptions of all connections."""
    subscriptions_per_connection_max: int = 20
    subscriber_queue_items: int = 1_000
    """Messages waiting for a slow WebSocket peer; one more disconnects it."""
    subscriber_queue_bytes: int = 4 * MIB
    """Their size."""

    requests_per_second: int = 50
    """Request weight that one remote address regains a second; the loopback addresses are exempt."""
    requests_burst: int = 200
    """Request weight that one remote address may spend at once."""

    call_gas_max: int = 16_777_216
    """Gas of eth_call, eth_estimateGas and eth_createAccessList: a transaction's own limit, 2^24."""
    call_workers: int = 0
    """Processes that run calls, traces, log queries and reads of long blocks; 0: by the machine, 1 to 4."""
    call_queue_max: int = 64
    """Calls, traces, log queries and reads of long blocks that run or wait; one more is refused."""
    call_timeout_seconds: int = 5
    """One call, estimate or access list, once it runs; its process is killed then."""
    job_timeout_seconds: int = 10
    """One trace, log query or simulation, the same."""
    call_memory_max_bytes: int = 1024 * MIB
    """Address space of one such process, the program itself included; 0: no limit."""
    call_cache_bytes: int = 64 * MIB
    """Trie nodes and records that one such process keeps."""
    overrides_max_accounts: int = 64
    """Accounts in the state overrides of one call."""
    overrides_max_bytes: int = 256 * 1024
    """Code and storage in the state overrides of one call."""

    simulate_max_blocks: int = 256
    """Blocks of one eth_simulateV1, empty ones that fill gaps included."""
    simulate_max_calls: int = 1_000
    """Calls of one eth_simulateV1, in all its blocks."""
    simulate_gas_max: int = 50_000_000
    """Gas of all these calls; they also share the compute units of one block."""
    send_sync_max_ms: int = 8_000
    """How long eth_sendRawTransactionSync waits, and at most; keep it below `handler_timeout_seconds`."""
    explorer_scan_max: int = 20_000
    """Blocks and transactions that one ots search looks at."""
    explorer_page_max: int = 100
    """Transactions on one page of an ots answer."""

    logs_max_blocks: int = 100_000
    """Blocks of one log query."""
    logs_max_results: int = 10_000
    """Logs in one answer."""
    logs_max_addresses: int = 100
    logs_max_topic_alternatives: int = 32
    """Alternatives at one of the four topic positions."""
    filters_max: int = 1_000
    """Filters of all callers."""
    filters_per_ip_max: int = 50
    """Filters of one remote address; the loopback addresses are exempt."""
    filter_idle_seconds: int = 300
    """A filter that nobody asked for this long is removed."""

    fee_history_max_blocks: int = 1_024
    fee_history_max_percentiles: int = 100
    proof_max_slots: int = 256
    """Storage slots of one eth_getProof."""
    storage_values_max_slots: int = 1_024
    """Storage slots of one eth_getStorageValues."""
    dev_mine_max_blocks: int = 256
    """Blocks of one evm_mine or anvil_mine, on a chain for development."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """How the server is reached."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback: whoever opens it to the world should want to."""
    port: int = 8545
    """HTTP and WebSocket; 0 takes a free one."""
    vhosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names accepted in the Host header, which stops DNS rebinding; "*" accepts any."""
    cors_origins: tuple[str, ...] = ()
    """Web origins that may read answers and open WebSockets: exact, "http://localhost:*",
    "moz-extension://*", the preset "wallets", or "*"."""
    namespaces: tuple[str, ...] = ("eth", "net", "web3", "txpool", "cmt")
    """Prefixes of the methods served by HTTP; "ots", "debug" and "admin" are off unless named."""
    websocket_namespaces: tuple[str, ...] = ()
    """The same by WebSocket; none: those of `namespaces`."""
    token: str = field(default="", repr=False)
    """What callers of private namespaces present; empty: the private namespaces that are named are for all."""
    ipc_path: Path | None = None
    """Unix socket for this user, with every namespace; None: there is none."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks whose X-Forwarded-For is believed."""
    loopback_exempt: bool = True
    """Whether the limits of one address leave this machine out."""
    method_rates: tuple[str, ...] = ()
    """"method=number": requests a second of one address for a method, besides its weight."""
    receipt_lane: bool = True
    """Whether receipts carry the extra field `cmtLane`, which Ethereum's own schema does not know."""
    limits: RpcLimits = field(default_factory=RpcLimits)
