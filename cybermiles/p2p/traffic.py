"""Counts by channel, cheap enough for every message; copied into the metrics when those are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.p2p.scoring import Offence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.p2p.metrics import P2PMetrics


@dataclass(slots=True)
class ChannelTraffic:
    """What went over one channel with all peers since the start, or since it was last published."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    refused: int = 0
    """Messages that found a full queue or no peer."""


class Traffic:
    """The counts of all channels, and what happened to peers since it was last published."""

    def __init__(self, channels: Iterable[int]) -> None:
        self.channels = {channel: ChannelTraffic() for channel in channels}
        self.linked = 0
        self.parted = 0
        self.bans = 0
        self.offences = dict.fromkeys(Offence, 0)

    def publish(self, metrics: P2PMetrics) -> None:
        """Add what was counted since the last call to the metrics."""
        for channel, counted in self.channels.items():
            label = f"{channel:#04x}"
            metrics.messages_received_total.inc(label, by=counted.received)
            metrics.message_receive_bytes_total.inc(label, by=counted.received_bytes)
            metrics.messages_sent_total.inc(label, by=counted.sent)
            metrics.message_send_bytes_total.inc(label, by=counted.sent_bytes)
            metrics.send_queue_full_total.inc(label, by=counted.refused)
            self.channels[channel] = ChannelTraffic()
        metrics.peers_connected_total.inc(by=self.linked)
        metrics.peers_disconnected_total.inc(by=self.parted)
        metrics.bans_total.inc(by=self.bans)
        for offence, count in self.offences.items():
            metrics.offences_total.inc(offence.title, by=count)
        self.linked = self.parted = self.bans = 0
        self.offences = dict.fromkeys(Offence, 0)
