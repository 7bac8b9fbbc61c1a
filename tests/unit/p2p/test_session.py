"""A link without its socket: messages through, signs of life, goodbyes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.p2p.multiplex import CONTROL_CHANNEL, ChannelSpec
from cybermiles.p2p.scoring import PeerViolation
from tests.fakes.links import session_pair

CHANNELS = (ChannelSpec(1, 10, 1 << 20), ChannelSpec(2, 1, 1 << 20))


def carry(source, target):
    return list(target.receive(source.data_to_send(1 << 30)))


@given(st.lists(st.tuples(st.sampled_from((1, 2)), st.binary(min_size=1, max_size=500)), max_size=20))
def test_messages_go_both_ways(script):
    one, two = session_pair(CHANNELS)
    for source, target in ((one, two), (two, one)):
        for channel, message in script:
            assert source.send(channel, message)
        received = carry(source, target)
        for channel in (1, 2):
            assert [m for c, m in received if c == channel] == [m for c, m in script if c == channel]


def test_a_channel_the_peer_does_not_have_is_not_sent_on():
    one, _ = session_pair(CHANNELS, peer_channels=(1,))
    assert not one.send(2, b"x")
    assert one.send(1, b"x")


def test_a_ping_is_answered_and_a_flood_of_them_with_few():
    one, two = session_pair(CHANNELS)
    one.ping()
    assert carry(one, two) == []
    assert two.has_data
    assert carry(two, one) == []
    assert not one.has_data
    for _ in range(1000):
        one.ping()
        carry(one, two)
    assert two.buffered_bytes <= 4


def test_a_goodbye_carries_its_reason_and_ends_the_talk():
    one, two = session_pair(CHANNELS)
    one.send(1, b"never sent")
    one.close("bad frame: it does not open\n\x00é")
    one.close("only the first reason counts")
    assert not one.send(1, b"x")
    assert carry(one, two) == []
    assert two.farewell == "bad frame: it does not open???"
    assert not one.has_data


def test_nothing_is_read_after_a_goodbye():
    one, two = session_pair(CHANNELS)
    for message in (b"\x02bye", b"\x00"):
        one._outbox.put(CONTROL_CHANNEL, message)
    one._outbox.put(1, b"x")
    assert carry(one, two) == []
    assert not two.has_data


def test_an_unknown_control_message_is_an_offence():
    one, two = session_pair(CHANNELS)
    one._outbox.put(CONTROL_CHANNEL, b"\x07")
    with pytest.raises(PeerViolation, match="unknown control message 7"):
        carry(one, two)
