"""Frames: any split of the stream, nothing changed, repeated, left out or reordered, and bounds before buffering."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.p2p import framing
from cybermiles.p2p.framing import MAX_PAYLOAD_BYTES, FrameKey, FrameReader
from cybermiles.p2p.scoring import Offence, PeerViolation

KEY = b"k" * 32
PAYLOADS = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=6)


def frames(payloads):
    sealer = FrameKey(KEY)
    return [sealer.seal(payload) for payload in payloads]


@given(PAYLOADS, st.data())
def test_the_stream_may_arrive_split_anywhere(payloads, data):
    stream = b"".join(frames(payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, received = FrameReader(KEY), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:stop])
    assert received == payloads


def test_one_byte_at_a_time():
    reader, stream = FrameReader(KEY), b"".join(frames([b"a", b"b" * 1000]))
    assert [p for byte in stream for p in reader.feed(bytes([byte]))] == [b"a", b"b" * 1000]


@given(PAYLOADS, st.data())
def test_a_changed_bit_ends_the_stream(payloads, data):
    stream = b"".join(frames(payloads))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    changed = (int.from_bytes(stream) ^ 1 << bit).to_bytes(len(stream))
    received = []
    try:
        received.extend(FrameReader(KEY).feed(changed))
    except PeerViolation as error:
        assert error.offence is Offence.BAD_FRAME
    assert received == payloads[: len(received)]
    assert len(received) < len(payloads)


@pytest.mark.parametrize("order", [(1,), (0, 0), (1, 0), (0, 2, 1), (0, 1, 1)])
def test_frames_that_are_lost_repeated_or_reordered_do_not_open(order):
    sealed = frames([b"zero", b"one", b"two"])
    with pytest.raises(PeerViolation, match="does not open"):
        list(FrameReader(KEY).feed(b"".join(sealed[index] for index in order)))


@pytest.mark.parametrize("size", [0, 1, 16, MAX_PAYLOAD_BYTES + 17, 65_535])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(size):
    with pytest.raises(PeerViolation, match=f"length {size}"):
        list(FrameReader(KEY).feed(size.to_bytes(2)))


def test_the_largest_frame_passes_and_larger_ones_are_not_made():
    payload = b"x" * MAX_PAYLOAD_BYTES
    assert list(FrameReader(KEY).feed(FrameKey(KEY).seal(payload))) == [payload]
    for wrong in (b"", payload + b"x"):
        with pytest.raises(ValueError, match="payload has 1 to"):
            FrameKey(KEY).seal(wrong)


def test_both_sides_take_the_next_key_at_the_same_frame(monkeypatch):
    monkeypatch.setattr(framing, "REKEY_FRAMES", 3)
    payloads = [bytes([index]) * 10 for index in range(10)]
    sealed = frames(payloads)
    assert list(FrameReader(KEY).feed(b"".join(sealed))) == payloads
    forgotten = FrameKey(KEY)
    for frame in sealed[:3]:
        forgotten.open(frame[2:])
    assert forgotten._key != KEY
    assert frames([payloads[0]] * 4)[3] != sealed[0]


def test_an_incomplete_frame_is_all_that_is_kept():
    reader = FrameReader(KEY)
    frame = FrameKey(KEY).seal(b"x" * MAX_PAYLOAD_BYTES)
    assert list(reader.feed(frame[:-1])) == []
    assert len(reader._buffer) == len(frame) - 1
