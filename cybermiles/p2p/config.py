"""What an operator may set about the network; plain values, validated where they come from (`node/config.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.p2p.identity import Endpoint, NodeId, PeerAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class P2PConfig:
    """[p2p]."""

    listen_host: str = "0.0.0.0"  # noqa: S104  (a node is there to be reached)
    """Address to listen on."""
    listen_port: int = 26_656
    """Port to listen on; 0 takes a free one."""
    external_address: Endpoint | None = None
    """Where peers reach this node, if that is not where it listens: behind NAT or a load balancer."""
    moniker: str = ""
    """A name for people, up to 64 printable ASCII characters."""
    persistent_peers: tuple[PeerAddress, ...] = ()
    """Dialed for ever, outside all limits, never banned."""
    seeds: tuple[PeerAddress, ...] = ()
    """Asked for addresses when there are none to dial."""
    private_ids: tuple[NodeId, ...] = ()
    """Nodes whose addresses are told to nobody, such as validators behind sentries."""
    pex: bool = True
    """Learn addresses from peers and tell them; off: only persistent peers are dialed."""
    seed_mode: bool = False
    """Only collect and tell addresses: answer a peer, then part from it."""
    allow_private_addresses: bool = False
    """Take addresses the Internet does not route into the address book; for test networks and closed ones."""
    max_inbound: int = 40
    """Peers that dialed us, persistent ones apart."""
    max_outbound: int = 10
    """Peers we dialed, persistent ones apart; each from another network group."""
    max_inbound_per_ip: int = 2
    """Inbound peers from one IP address (IPv6: from one /64, as everywhere below), persistent ones apart."""
    max_inbound_per_group: int = 8
    """Inbound peers from one IPv4 /16 or IPv6 /32."""
    max_half_open: int = 20
    """Connections from outside whose handshake has not ended; more are closed at once, but not of persistent peers."""
    max_half_open_per_ip: int = 4
    """The same for one IP address other than loopback."""
    accepts_per_ip: int = 10
    """Connections one IP address other than loopback may open in a row; one more every `accept_refill_ms`."""
    accept_refill_ms: int = 5_000
    receive_bytes_per_second: int = 16 << 20
    """A peer that sends faster is read more slowly; as much may come at once."""
    receive_messages_per_second: int = 20_000
    """The same for messages."""
    dial_timeout_ms: int = 3_000
    """To connect."""
    handshake_timeout_ms: int = 5_000
    """From the connection to the verdict."""
    ping_interval_ms: int = 20_000
    """Silence after which a sign of life is asked for."""
    pong_timeout_ms: int = 20_000
    """Further silence after which the peer is given up."""
    stall_timeout_ms: int = 30_000
    """A peer that takes no bytes for so long is given up."""
    goodbye_timeout_ms: int = 1_000
    """For the last frame, the reason, to leave."""
    dial_interval_ms: int = 250
    """How often it is looked whom to dial."""
    reconnect_base_ms: int = 1_000
    """Delay before the first new attempt to reach a persistent peer; doubles with each failure."""
    reconnect_cap_ms: int = 30_000
    """Longest such delay."""
    pex_interval_ms: int = 10_000
    """Least time between two requests for addresses to one peer; a peer that asks more often is scored."""
    save_interval_ms: int = 120_000
    """How often the address book is written."""
