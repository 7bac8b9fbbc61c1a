"""Connected peers as RPC shows them."""

from __future__ import annotations

from types import SimpleNamespace

from cybermiles.node.peer_view import peer_statuses
from cybermiles.p2p.switch import Departure
from cybermiles.rpc.node_status import PeerStatus

ALICE, BOB = "ab" * 20, "cd" * 20


class FakeSwitch:
    departures = (
        Departure(ALICE, "10.0.0.1", "flood: too much", 1),
        Departure(ALICE, "10.0.0.1", "went silent", 2),
        Departure("", "10.0.0.9", "bad handshake", 3),
    )

    def peers(self):
        return (
            SimpleNamespace(id=ALICE, host="10.0.0.1", port=5, is_outbound=True, score=20),
            SimpleNamespace(id=BOB, host="2001:db8::2", port=6, is_outbound=False, score=0),
        )


def test_links_heights_and_the_newest_reason_come_together():
    heights = {ALICE: (3, 9)}
    assert peer_statuses(FakeSwitch(), heights.get) == (
        PeerStatus(
            id=ALICE,
            address="10.0.0.1:5",
            is_outbound=True,
            score=20,
            last_reason="went silent",
            height=9,
            base_height=3,
        ),
        PeerStatus(
            id=BOB,
            address="[2001:db8::2]:6",
            is_outbound=False,
            score=0,
            last_reason=None,
            height=None,
            base_height=None,
        ),
    )
