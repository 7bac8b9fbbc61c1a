"""What the network counts, by channel: a node has a handful of them, whatever its peers send."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.runtime.metrics import Counter, Gauge, counter, gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class P2PMetrics:
    """Below `cmt_p2p_`."""

    peers: Gauge = gauge()
    """Connected peers."""
    outbound_peers: Gauge = gauge()
    """Connected peers that this node dialed."""
    known_addresses: Gauge = gauge()
    """Addresses of nodes in the address book."""
    peers_connected_total: Counter = counter()
    """Connections that got past the handshake."""
    peers_disconnected_total: Counter = counter()
    """Of those, connections that ended."""
    bans_total: Counter = counter()
    """Bans of node ids and of IP addresses."""
    message_receive_bytes_total: Counter = counter("message_type")
    """Bytes of whole messages received, by channel."""
    message_send_bytes_total: Counter = counter("message_type")
    """Bytes of whole messages queued for peers, by channel."""
    messages_received_total: Counter = counter("message_type")
    """Whole messages received, by channel."""
    messages_sent_total: Counter = counter("message_type")
    """Whole messages queued for peers, by channel."""
    send_queue_full_total: Counter = counter("message_type")
    """Messages not sent because a peer's queue was full or the peer was gone, by channel."""
    offences_total: Counter = counter("offence")
    """Offences of peers, by kind."""
