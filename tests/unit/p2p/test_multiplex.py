"""Channels: order, priority, fairness, bounds, and what a peer may not send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.p2p.framing import MAX_PAYLOAD_BYTES
from cybermiles.p2p.multiplex import GUARD_FRAMES, ChannelSpec, Inbox, Outbox, Overflow, SendQueueOverflow
from cybermiles.p2p.scoring import Offence, PeerViolation

VOTES = ChannelSpec(0x22, 10, 2048)
BLOCKS = ChannelSpec(0x21, 6, 16 << 20, 1000, 32 << 20)
TRANSACTIONS = ChannelSpec(0x30, 3, 1 << 20, 1000, 32 << 20)
CHANNELS = (VOTES, BLOCKS, TRANSACTIONS)


def payloads(outbox):
    return list(iter(outbox.next_payload, b""))


def packet(channel, data, *, last=True):
    return bytes([channel]) + (len(data) | (0x8000 if last else 0)).to_bytes(2) + data


@given(
    st.lists(
        st.tuples(st.sampled_from(CHANNELS), st.one_of(st.integers(1, 200), st.integers(1, 60_000)), st.integers(0, 3)),
        max_size=30,
    )
)
def test_every_message_arrives_whole_and_in_the_order_of_its_channel(script):
    outbox, inbox = Outbox(CHANNELS), Inbox(CHANNELS)
    sent: dict[int, list[bytes]] = {spec.id: [] for spec in CHANNELS}
    received: dict[int, list[bytes]] = {spec.id: [] for spec in CHANNELS}
    for index, (spec, size, frames) in enumerate(script):
        message = (index.to_bytes(2) * size)[: min(size, spec.max_message_bytes)]
        assert outbox.put(spec.id, message)
        sent[spec.id].append(message)
        for _ in range(frames):
            for channel, whole in inbox.feed(outbox.next_payload()):
                received[channel].append(whole)
    for payload in payloads(outbox):
        assert len(payload) <= MAX_PAYLOAD_BYTES
        for channel, whole in inbox.feed(payload):
            received[channel].append(whole)
    assert received == sent
    assert (outbox.queued_bytes, inbox.buffered_bytes, outbox.has_messages) == (0, 0, False)


@pytest.mark.parametrize("frames_before", range(12))
def test_a_vote_leaves_with_the_next_frame_whatever_waits(frames_before):
    outbox, inbox = Outbox(CHANNELS), Inbox(CHANNELS)
    outbox.put(0x21, b"b" * (10 << 20))
    for _ in range(100):
        outbox.put(0x30, b"t" * 50_000)
    for _ in range(frames_before):
        list(inbox.feed(outbox.next_payload()))
    outbox.put(0x22, b"vote")
    assert (0x22, b"vote") in list(inbox.feed(outbox.next_payload()))


def test_a_flood_of_votes_does_not_starve_transactions():
    outbox, inbox = Outbox((ChannelSpec(0x22, 10, 2048, 10**6, 1 << 30), TRANSACTIONS)), Inbox(CHANNELS)
    for _ in range(20_000):
        outbox.put(0x22, b"v" * 200)
    outbox.put(0x30, b"transaction")
    received = [message for _ in range(GUARD_FRAMES + 1) for message in inbox.feed(outbox.next_payload())]
    assert (0x30, b"transaction") in received


def test_equal_channels_take_turns():
    outbox = Outbox((ChannelSpec(1, 5, 1 << 20), ChannelSpec(2, 5, 1 << 20)))
    for channel in (1, 2):
        outbox.put(channel, bytes(200_000))
    assert {payload[0] for payload in (outbox.next_payload() for _ in range(4))} == {1, 2}


def test_small_messages_share_a_frame_and_a_large_one_fills_it():
    outbox = Outbox(CHANNELS)
    for _ in range(100):
        outbox.put(0x22, b"v" * 100)
    assert len(payloads(outbox)) == 1
    outbox.put(0x21, b"b" * 100_000)
    sizes = [len(payload) for payload in payloads(outbox)]
    assert sizes[:-1] == [MAX_PAYLOAD_BYTES] * 6


def test_a_full_queue_follows_its_policy():
    def box(policy):
        return Outbox((ChannelSpec(1, 1, 100, send_queue_messages=3, send_queue_bytes=150, overflow=policy),))

    refusing = box(Overflow.REFUSE)
    assert [refusing.put(1, b"x") for _ in range(4)] == [True, True, True, False]
    refusing = box(Overflow.REFUSE)
    assert [refusing.put(1, b"x" * 80) for _ in range(2)] == [True, False]
    dropping = box(Overflow.DROP_OLDEST)
    assert all(dropping.put(1, bytes([index])) for index in range(1, 6))
    assert [m for p in payloads(dropping) for _, m in Inbox((ChannelSpec(1, 1, 100),)).feed(p)] == [
        b"\x03",
        b"\x04",
        b"\x05",
    ]
    ending = box(Overflow.DISCONNECT)
    for _ in range(3):
        ending.put(1, b"x")
    with pytest.raises(SendQueueOverflow, match="0x01 is full"):
        ending.put(1, b"x")


def test_a_message_that_has_begun_to_leave_is_not_dropped():
    spec = ChannelSpec(1, 1, 1 << 20, send_queue_messages=2, send_queue_bytes=1 << 20, overflow=Overflow.DROP_OLDEST)
    outbox, inbox = Outbox((spec,)), Inbox((spec,))
    outbox.put(1, b"a" * 30_000)
    received = list(inbox.feed(outbox.next_payload()))
    outbox.put(1, b"b")
    outbox.put(1, b"c")
    received += [message for payload in payloads(outbox) for message in inbox.feed(payload)]
    assert received == [(1, b"a" * 30_000), (1, b"c")]


def test_an_empty_queue_takes_one_message_of_any_allowed_size():
    outbox = Outbox((ChannelSpec(1, 1, 1000, send_queue_bytes=10),))
    assert outbox.put(1, bytes(1000))
    assert not outbox.put(1, b"x")


def test_what_may_not_be_sent_is_a_bug_of_the_caller():
    outbox = Outbox(CHANNELS)
    for channel, message in ((0x22, b""), (0x22, bytes(2049)), (0x77, b"x")):
        with pytest.raises(ValueError, match="channel"):
            outbox.put(channel, message)


@pytest.mark.parametrize(
    ("payload", "phrase"),
    [
        (packet(0x77, b"x"), "unknown channel 0x77"),
        (packet(0x22, b""), "packet of 0 bytes"),
        (packet(0x22, b"x", last=False) + packet(0x22, b""), "packet of 0 bytes"),
        (packet(0x22, b"x" * 10)[:-1], "packet of 10 bytes in 9"),
        (b"\x22", "packet of"),
        (b"\x22\x80", "packet of"),
        (packet(0x22, bytes(2049)), "message over 2048 bytes"),
        (packet(0x22, bytes(2000), last=False) + packet(0x22, bytes(49)), "message over 2048 bytes"),
    ],
)
def test_what_a_peer_may_not_send_is_its_offence(payload, phrase):
    with pytest.raises(PeerViolation, match=phrase) as refused:
        list(Inbox(CHANNELS).feed(payload))
    assert refused.value.offence is Offence.BAD_FRAME


def test_what_a_peer_can_make_us_keep_is_the_sum_of_the_limits():
    inbox = Inbox((VOTES,))
    list(inbox.feed(packet(0x22, bytes(2048), last=False)))
    assert inbox.buffered_bytes == 2048
    with pytest.raises(PeerViolation):
        list(inbox.feed(packet(0x22, b"x", last=False)))
    assert inbox.buffered_bytes == 2048


@given(st.binary(max_size=200))
def test_no_payload_raises_anything_else(payload):
    inbox = Inbox(CHANNELS)
    try:
        for channel, message in inbox.feed(payload):
            assert len(message) <= (256 if channel == 255 else 1 << 24)
    except PeerViolation:
        pass
