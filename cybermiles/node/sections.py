"""The sections of the configuration that pydantic validates: their keys, defaults, bounds and descriptions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cybermiles.p2p.config import P2PConfig
from cybermiles.rpc.config import RpcConfig


class Section(BaseModel):
    """A table of config.toml; keys it does not know are errors."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


class NodeSection(Section):
    """[node]."""

    network: str = Field("devnet", pattern="^(devnet|testnet|mainnet)$", description="Named network.")
    keep_states: int = Field(1024, ge=0, description="State roots kept for historical queries; 0 keeps all.")


class ConsensusSection(Section):
    """[consensus]; the times of `consensus.core.timeouts.Timeouts` are keys here too, with `timeout_` before."""

    create_empty_blocks: bool = Field(
        default=True, description="Make a block every interval, even without transactions."
    )
    block_interval_ms: int = Field(0, ge=0, le=600_000, description="Least time between blocks; 0: the chain's.")
    rebroadcast_ms: int = Field(5_000, ge=100, le=600_000, description="How often a node that waits repeats itself.")
    double_sign_check_height: int = Field(
        10, ge=0, le=1_000, description="Recent commits searched for signatures that the signer's state lacks."
    )


class StorageSection(Section):
    """[storage]."""

    cache_mb: int = Field(64, ge=8, le=65_536, description="LevelDB block cache.")


class LogSection(Section):
    """[log]."""

    level: str = Field("info", description='Level, or levels by component: "consensus=debug,info".')
    format: str = Field("auto", pattern="^(auto|console|json)$", description="auto: console on a terminal.")


class RpcSection(Section):
    """[rpc]; the limits of `rpc.config.RpcLimits` are keys here too."""

    enabled: bool = Field(default=True, description="Serve JSON-RPC.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8545, ge=0, le=65_535, description="HTTP and WebSocket; 0 takes a free one.")
    vhosts: tuple[str, ...] = Field(RpcConfig().vhosts, description="Accepted Host headers.")
    cors_origins: tuple[str, ...] = Field((), description='Web origins; the preset "wallets".')
    namespaces: tuple[str, ...] = Field(RpcConfig().namespaces, description="Method prefixes served.")
    websocket_namespaces: tuple[str, ...] = Field((), description="The same for WebSockets; empty: as `namespaces`.")
    token_file: str = Field("", description="File with the bearer token for private namespaces; empty: no token.")
    ipc: bool = Field(default=True, description="Serve every namespace to this user at `HOME/cmt.ipc`.")
    trusted_proxies: tuple[str, ...] = Field(
        RpcConfig().trusted_proxies, description="Addresses and networks whose X-Forwarded-For is believed."
    )
    loopback_exempt: bool = Field(default=True, description="Leave this machine out of the limits of one address.")
    method_rates: tuple[str, ...] = Field(
        RpcConfig().method_rates, description='"method=number": requests a second of one address for a method.'
    )


class P2PSection(Section):
    """[p2p]; the limits and times of `p2p.config.P2PConfig` are keys here too."""

    enabled: bool = Field(default=True, description="Talk to other nodes.")
    listen_host: str = Field(P2PConfig().listen_host, min_length=1, description="Address to listen on.")
    listen_port: int = Field(P2PConfig().listen_port, ge=0, le=65_535, description="0 takes a free one.")
    external_address: str = Field("", description="host:port where peers reach this node, if that differs.")
    moniker: str = Field("", pattern="^[ -~]{0,64}$", description="A name for people.")
    persistent_peers: tuple[str, ...] = Field((), description="id@host:port of nodes to stay connected with.")
    seeds: tuple[str, ...] = Field((), description="id@host:port of nodes to ask for addresses.")
    private_ids: tuple[str, ...] = Field((), description="Ids of nodes whose addresses are told to nobody.")
    pex: bool = Field(default=True, description="Learn addresses from peers and tell them.")
    seed_mode: bool = Field(default=False, description="Only collect and tell addresses.")
    allow_private_addresses: bool = Field(
        default=False, description="Take addresses the Internet does not route; for test and closed networks."
    )


class MetricsSection(Section):
    """[metrics]."""

    listen: str = Field(
        "",
        description="host:port that serves /metrics, /status, /readyz and /livez apart from JSON-RPC; empty: none.",
    )


class VerifySection(Section):
    """[verify]; the limits of `rpc.verification.config.VerifyLimits` are keys here too."""

    enabled: bool = Field(default=False, description="Serve `/api`, where contracts' sources are verified.")
    solc: tuple[str, ...] = Field(
        (),
        description='Command of the compiler; "{version}" in it becomes "0.8.30+commit.73712a01", "{short}" "0.8.30". '
        "Empty: nothing is recompiled, only metadata compared.",
    )


class StateSyncSection(Section):
    """[state_sync]."""

    enabled: bool = Field(default=False, description="Begin with a peer's snapshot where there is no chain yet.")
    trust_height: int = Field(
        0, ge=0, description="Height of a block you trust; 0: block 0, while it is younger than the trusting period."
    )
    trust_hash: str = Field("", pattern="^(0x[0-9a-f]{64})?$", description="That block's hash.")
    trusting_period_seconds: int = Field(
        0, ge=0, description="How old what is trusted may be; 0: two thirds of the genesis document's unbonding time."
    )
    snapshot_interval: int = Field(0, ge=0, description="Make a snapshot for others every so many blocks; 0: none.")
    keep_snapshots: int = Field(2, ge=1, le=16, description="Own snapshots kept.")
