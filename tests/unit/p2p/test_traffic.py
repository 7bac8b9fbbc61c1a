"""What the network counted reaches the metrics once."""

from __future__ import annotations

from cybermiles.p2p.metrics import P2PMetrics
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.traffic import Traffic
from cybermiles.runtime.metrics import Registry


def test_counts_are_added_once_however_often_they_are_asked_for():
    registry, traffic = Registry(), Traffic([0x22])
    metrics = registry.create(P2PMetrics, "p2p")
    traffic.linked, traffic.parted, traffic.bans = 3, 2, 1
    traffic.offences[Offence.FLOOD] += 4
    counted = traffic.channels[0x22]
    counted.received, counted.received_bytes, counted.sent, counted.sent_bytes, counted.refused = 5, 6, 7, 8, 9
    for _ in range(2):
        traffic.publish(metrics)
        text = registry.render().decode().splitlines()
        for line in (
            "cmt_p2p_peers_connected_total 3.0",
            "cmt_p2p_peers_disconnected_total 2.0",
            "cmt_p2p_bans_total 1.0",
            'cmt_p2p_offences_total{offence="flood"} 4.0',
            'cmt_p2p_offences_total{offence="lying"} 0.0',
            'cmt_p2p_messages_received_total{message_type="0x22"} 5.0',
            'cmt_p2p_message_receive_bytes_total{message_type="0x22"} 6.0',
            'cmt_p2p_messages_sent_total{message_type="0x22"} 7.0',
            'cmt_p2p_message_send_bytes_total{message_type="0x22"} 8.0',
            'cmt_p2p_send_queue_full_total{message_type="0x22"} 9.0',
        ):
            assert line in text
