"""Mutated handshakes and frames against everything that reads a peer's bytes before a reactor does.

    python -m tests.fuzz.p2p --cases 1000000 [--seed N]

Nine cases of ten damage an established stream: either the ciphertext on the wire, which the framing must notice, or the
plaintext of a frame that is sealed properly afterwards, as a peer that holds the keys would send it. The tenth damages a
handshake: one message of either side is mutated, cut, repeated or replaced, and the handshake goes on. Messages that
come through are handed to peer exchange, and to the decoders of the other channels. A case passes when it raises
nothing but ProtocolViolation or DecodingError, with a reason, keeps no more than the bounds allow, and never ends in a
link after a message of the handshake was changed. At the end, memory must be where it was after the first tenth. The
same seed gives the same cases.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import resource
import time
from collections import Counter
from pathlib import Path

from cybermiles.crypto import x25519
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.address_book import AddressBook
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.framing import MAX_PAYLOAD_BYTES, FrameKey
from cybermiles.p2p.handshake import Established, Handshake, Identified, Role
from cybermiles.p2p.multiplex import CONTROL_CHANNEL, ChannelSpec
from cybermiles.p2p.reactors.pex import PEX_CHANNEL, PexReactor
from cybermiles.p2p.session import Session
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.randomness import SeededRandomness
from tests.fakes.links import ALICE, BOB, info
from tests.fuzz.corpus import DECODERS, messages

CHANNELS = (
    ChannelSpec(PEX_CHANNEL, 1, 32_768),
    ChannelSpec(0x20, 6, 16_384),
    ChannelSpec(0x21, 9, 1 << 17),
    ChannelSpec(0x22, 10, 1 << 20),
    ChannelSpec(0x30, 5, 1 << 19),
    ChannelSpec(0x38, 7, 16_384),
    ChannelSpec(0x40, 4, 1 << 24),
)
LIMIT = sum(spec.max_message_bytes for spec in CHANNELS) + 2 * MAX_PAYLOAD_BYTES
KEYS = (b"\x01" * 32, b"\x02" * 32)
ALLOWED = (ProtocolViolation, DecodingError)
MAX_GROWTH_BYTES = 8 << 20


class Failed(Exception):
    """A case broke a promise."""


class Sink:
    """The peer as the reactor sees it."""

    id, is_outbound, host = "ab" * 20, True, "8.8.8.8"

    def send(self, channel, message):
        return True

    def disconnect(self, reason, *, offence=None):
        pass


def kind_of(error):
    """Return the reason of a drop without the numbers in it, which would make every one different."""
    if not str(error):
        raise Failed("dropped without a reason") from error
    return re.sub(r"0x\w+|\d+", "N", str(error))[:70]


def mutated(rng, data):
    """Return the bytes with one to four small faults."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        position = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if position < len(data):
                data[position] ^= 1 << rng.randrange(8)
            case 1 if position < len(data):
                data[position] = rng.choice((0, 1, 0x7F, 0x80, 0xB8, 0xC0, 0xF8, 0xFF))
            case 2:
                del data[position : position + rng.randrange(1, 40)]
            case 3:
                data[position:position] = rng.randbytes(rng.randrange(1, 40))
            case 4:
                data[position:position] = data[position : position + rng.randrange(1, 60)]
            case 5:
                del data[position:]
            case _:
                data[position : position + 2] = rng.randbytes(2)
    return bytes(data)


def packet(rng, channel, data):
    size = len(data) if rng.random() < 0.9 else rng.randrange(0x8000)
    return bytes([channel]) + (size | (0x8000 if rng.random() < 0.7 else 0)).to_bytes(2) + data


def plaintext(rng, corpus):
    """Return a frame's payload: well-formed packets of valid, mutated or random messages, or noise."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(1, 400))
    packets = []
    for _ in range(rng.randrange(1, 5)):
        channel = rng.choice(list(corpus))
        message = rng.choice(corpus[channel]) if rng.random() < 0.9 else rng.randbytes(rng.randrange(1, 200))
        message = mutated(rng, message) if rng.random() < 0.7 else message
        packets.append(packet(rng, channel if rng.random() < 0.9 else rng.randrange(256), message))
    payload = b"".join(packets)
    return (mutated(rng, payload) if rng.random() < 0.3 else payload)[:MAX_PAYLOAD_BYTES] or b"\x00"


class FrameFuzzer:
    """Streams of an established link."""

    def __init__(self, rng):
        self.rng = rng
        self.corpus = messages() | {CONTROL_CHANNEL: [b"\x00", b"\x01", b"\x02goodbye"]}
        book = AddressBook(secret=b"s", below=SeededRandomness(1).below)
        self.clock = ManualClock(10**9)
        self.pex = PexReactor(P2PConfig(), book, self.clock)

    def case(self):
        """Return the reason of the drop, or None where the bytes did no harm."""
        rng = self.rng
        keys = Established(KEYS[0], KEYS[1], b"")
        session, sealer = Session(keys, CHANNELS, [spec.id for spec in CHANNELS]), FrameKey(KEYS[1])
        frames = [sealer.seal(plaintext(rng, self.corpus)) for _ in range(rng.randrange(1, 4))]
        stream = b"".join(frames)
        if rng.random() < 0.4:
            stream = mutated(rng, stream)
        peer = Sink()
        self.clock.advance(20_000)
        self.pex.peer_added(peer)
        try:
            cut = rng.randrange(len(stream) + 1)
            for part in (stream[:cut], stream[cut:]):
                for channel, message in session.receive(part):
                    if channel == PEX_CHANNEL:
                        self.pex.receive(peer, channel, message)
                    else:
                        DECODERS[channel](message)
                if session.buffered_bytes > LIMIT:
                    raise Failed(f"{session.buffered_bytes} bytes are kept")
                session.data_to_send(1 << 16)
        except ALLOWED as error:
            return f"stream: {kind_of(error)}"
        finally:
            self.pex.peer_removed(peer, "")
        return None


class HandshakeFuzzer:
    """Handshakes of which one message is not what it was."""

    def __init__(self, rng):
        self.rng = rng
        self.recorded = [[] for _ in range(4)]

    def case(self):
        """Return the reason of the drop, or None for the few handshakes that are left as they are."""
        faulty = self.rng.randrange(5)
        one = Handshake(Role.INITIATOR, key=ALICE, ephemeral=x25519.generate(), info=info(), expected_id=BOB.id)
        two = Handshake(Role.RESPONDER, key=BOB, ephemeral=x25519.generate(), info=info())
        intact, event = True, None
        try:
            for index, (source, target) in enumerate(((one, two), (two, one), (one, two), (two, one))):
                sent = source.data_to_send()
                message = self._damage(index, sent) if index == faulty else sent
                intact = intact and (message == sent or (index == 3 and message.startswith(sent)))
                event = target.receive(message) if message else None
                if isinstance(event, Identified):
                    target.accept()
                if index != faulty and len(self.recorded[index]) < 50:
                    self.recorded[index].append(message)
        except ALLOWED as error:
            return f"handshake: {kind_of(error)}"
        if isinstance(event, Established) != intact:
            raise Failed("a link after a changed handshake" if not intact else "no link after an intact one")
        return None if intact else "handshake: waits for more until its deadline"

    def _damage(self, index, message):
        kind = self.rng.random()
        if kind < 0.2 and self.recorded[index]:
            return self.rng.choice(self.recorded[index])
        if kind < 0.3:
            return message[: self.rng.randrange(len(message) + 1)]
        return mutated(self.rng, message)


def resident_bytes():
    """Return what the process occupies now, and at most so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(cases, seed, report=print):
    """Run, report and return the number of drops by reason. Raises what a case must not raise."""
    rng = random.Random(seed)
    frames, handshakes = FrameFuzzer(rng), HandshakeFuzzer(rng)
    reasons: Counter[str] = Counter()
    began, baseline, earlier_peak = time.monotonic(), 0, 0
    for number in range(cases):
        try:
            reasons[(handshakes if number % 10 == 9 else frames).case() or "no harm done"] += 1
        except Exception:
            report(f"case {number} of seed {seed}:")
            raise
        if number == cases // 10:
            gc.collect()
            baseline, earlier_peak = resident_bytes()
    gc.collect()
    now, peak = resident_bytes()
    for reason, count in reasons.most_common():
        report(f"{count:9} {reason}")
    report(f"{cases} cases in {time.monotonic() - began:.0f} s from seed {seed}")
    report(f"resident: {baseline >> 10} kB after a tenth, {now >> 10} kB at the end, {peak >> 10} kB at most")
    if max(now - baseline, peak - earlier_peak) > MAX_GROWTH_BYTES:
        raise Failed("memory grew")
    return reasons


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    run(options.cases, options.seed)


if __name__ == "__main__":
    main()
