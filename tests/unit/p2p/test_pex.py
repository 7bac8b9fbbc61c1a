"""Peer exchange: who is asked, who is answered, and what costs a peer its link."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import CybermilesError, DecodingError
from cybermiles.p2p.address_book import AddressBook
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.identity import Endpoint, NodeId, PeerAddress
from cybermiles.p2p.node_info import address_fields
from cybermiles.p2p.reactors.pex import PEX_CHANNEL, PexReactor, decode, encode_answer, encode_request
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.runtime.clock import ManualClock
from cybermiles.runtime.randomness import SeededRandomness
from cybermiles.types import rlp


class Handle:
    def __init__(self, index=1, *, outbound=True, host="8.8.8.8"):
        self.id, self.is_outbound, self.host = f"{index:040x}", outbound, host
        self.sent, self.farewell = [], None

    def send(self, channel, message):
        assert channel == PEX_CHANNEL
        self.sent.append(message)
        return True

    def disconnect(self, reason, *, offence=None):
        self.farewell = reason


def addresses(count, start=100):
    return [PeerAddress(NodeId(f"{start + i:040x}"), Endpoint(f"{11 + i % 80}.{i // 80}.1.1", 5)) for i in range(count)]


def make(known=0, **config):
    book = AddressBook(secret=b"s", below=SeededRandomness(1).below)
    for each in addresses(known):
        book.add(each, each.endpoint.host)
    clock = ManualClock(10**6)
    return PexReactor(P2PConfig(**config), book, clock), book, clock


def test_only_peers_we_dialed_are_asked():
    reactor, _, _ = make()
    dialed, stranger = Handle(1), Handle(2, outbound=False)
    reactor.peer_added(dialed)
    reactor.peer_added(stranger)
    assert dialed.sent == [encode_request()]
    assert stranger.sent == []


def test_an_answer_fills_the_book_once():
    reactor, book, _ = make()
    peer = Handle()
    reactor.peer_added(peer)
    reactor.receive(peer, PEX_CHANNEL, encode_answer(addresses(50)))
    assert len(book) > 20
    assert {book.entry(a.id).source for a in addresses(50) if book.entry(a.id)} == {"8.8.0.0/16"}
    with pytest.raises(PeerViolation) as refused:
        reactor.receive(peer, PEX_CHANNEL, encode_answer(addresses(5, 900)))
    assert refused.value.offence is Offence.UNSOLICITED


def test_a_request_is_answered_but_not_many_of_them():
    reactor, _, clock = make(known=100, pex_interval_ms=10_000)
    peer = Handle(outbound=False)
    reactor.peer_added(peer)
    for _ in range(3):
        reactor.receive(peer, PEX_CHANNEL, encode_request())
    assert all(20 < len(decode(answer)) <= 32 for answer in peer.sent)
    with pytest.raises(PeerViolation) as refused:
        reactor.receive(peer, PEX_CHANNEL, encode_request())
    assert refused.value.offence is Offence.FLOOD
    clock.advance(10_000)
    reactor.receive(peer, PEX_CHANNEL, encode_request())
    assert len(peer.sent) == 4


def test_a_peer_is_not_told_about_itself():
    reactor, book, _ = make()
    peer = Handle(100, outbound=False)
    book.add(addresses(1)[0], "9.9.9.9")
    reactor.peer_added(peer)
    reactor.receive(peer, PEX_CHANNEL, encode_request())
    assert decode(peer.sent[0]) == ()


def test_messages_of_a_peer_that_is_gone_are_ignored():
    reactor, book, _ = make()
    peer = Handle()
    reactor.peer_added(peer)
    reactor.peer_removed(peer, "gone")
    reactor.receive(peer, PEX_CHANNEL, encode_answer(addresses(5)))
    assert len(book) == 0


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x80",
        rlp.encode([]),
        rlp.encode([b"\x02"]),
        rlp.encode([b"", b""]),
        rlp.encode([b"\x01"]),
        rlp.encode([b"\x01", address_fields(addresses(251))]),
        rlp.encode([b"\x01", [[[[b""]]]]]),
        rlp.encode([[b""], []]),
    ],
)
def test_what_is_neither_request_nor_answer_is_refused(message):
    with pytest.raises((DecodingError, PeerViolation)):
        decode(message)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(message):
    try:
        decode(message)
    except CybermilesError:
        pass


def test_the_largest_answer_fits_its_channel():
    book = [PeerAddress(NodeId(f"{i:040x}"), Endpoint(f"2600:{i:x}::1", 65_535)) for i in range(1, 300)]
    message = encode_answer(book)
    assert len(decode(message)) == 250
    assert len(message) <= make()[0].channels[0].max_message_bytes


@pytest.mark.asyncio
async def test_a_seed_asks_everybody_answers_and_parts():
    reactor, _, clock = make(known=40, seed_mode=True)
    inbound, outbound, silent = Handle(1, outbound=False), Handle(2), Handle(3)
    for peer in (inbound, outbound, silent):
        reactor.peer_added(peer)
        assert peer.sent == [encode_request()]
    task = asyncio.create_task(reactor.run())
    reactor.receive(inbound, PEX_CHANNEL, encode_request())
    reactor.receive(outbound, PEX_CHANNEL, encode_answer(addresses(5, 900)))
    await asyncio.sleep(0)
    assert inbound.farewell is None
    for _ in range(12):
        clock.advance(1_000)
        for _ in range(3):
            await asyncio.sleep(0)
    assert {peer.farewell for peer in (inbound, outbound, silent)} == {"seeds keep no peers"}
    task.cancel()


@pytest.mark.asyncio
async def test_peers_are_asked_again_until_there_are_enough():
    reactor, _, clock = make(pex_interval_ms=5_000)
    peer = Handle()
    reactor.peer_added(peer)
    task = asyncio.create_task(reactor.run())
    for _ in range(20):
        clock.advance(1_000)
        for _ in range(3):
            await asyncio.sleep(0)
        if reactor._peers[peer.id].awaiting:
            reactor.receive(peer, PEX_CHANNEL, encode_answer([]))
    assert 4 <= len(peer.sent) <= 5
    task.cancel()
