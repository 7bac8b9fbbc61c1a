"""The state sync reactor: asking, answers in time, late and unasked for, and serving within bounds."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.reactors.state_sync import (
    ANSWER_SECONDS,
    MAX_OPEN_REQUESTS,
    REQUEST_BURST,
    STATE_SYNC_CHANNEL,
    StateSyncReactor,
)
from cybermiles.p2p.scoring import Offence
from cybermiles.p2p.wire.state_sync import Answer, Question, decode_state_sync, encode_state_sync
from cybermiles.sync.snapshot_offers import Wanted
from tests.fakes.consensus import LoopClock, VirtualLoop
from tests.fakes.gossip import FakePeer

CHUNK = Question(Wanted.CHUNK, 7, 2)


class Source:
    def __init__(self):
        self.loads = []

    async def load(self, what, height, index):
        self.loads.append((what, height, index))
        return b"" if height == 404 else b"%d/%d" % (height, index)


def run(coroutine):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def connected(source=None):
    reactor, peer = StateSyncReactor(source, LoopClock()), FakePeer()
    reactor.peer_added(peer)
    return reactor, peer


def receive(reactor, peer, message):
    reactor.receive(peer, STATE_SYNC_CHANNEL, encode_state_sync(message))


def sent(peer):
    return [decode_state_sync(message) for _, message in peer.take()]


# Wire


@pytest.mark.parametrize(
    "message", [CHUNK, Question(Wanted.OFFERS, 0, 0), Answer(CHUNK, b""), Answer(CHUNK, b"x" * 99)]
)
def test_messages_round_trip(message):
    assert decode_state_sync(encode_state_sync(message)) == message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01\xc0",
        b"\x01\xc3\x09\x80\x80",
        b"\x02\xc3\x02\x07\x02",
        encode_state_sync(Answer(CHUNK, b"abc")) + b"\x00",
        encode_state_sync(CHUNK) + b"\x00" * 40,
        encode_state_sync(Question(Wanted.CHUNK, 2**64, 0)),
        encode_state_sync(Answer(Question(Wanted.CHUNK, 0, 2**64), b"")),
    ],
)
def test_anything_else_is_refused(raw):
    with pytest.raises(DecodingError):
        decode_state_sync(raw)


# Asking


def test_a_question_gets_its_answer():
    async def scenario():
        reactor, peer = connected()
        asking = asyncio.ensure_future(reactor.ask("peer", *_fields(CHUNK)))
        await asyncio.sleep(0)
        assert sent(peer) == [CHUNK]
        receive(reactor, peer, Answer(CHUNK, b"chunk"))
        return await asking

    assert run(scenario()) == b"chunk"


def _fields(question):
    return question.what, question.height, question.index


def test_silence_is_no_answer_and_an_offence_and_late_answers_are_none():
    async def scenario():
        reactor, peer = connected()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await reactor.ask("peer", *_fields(CHUNK)) is None
        assert loop.time() - began == pytest.approx(ANSWER_SECONDS)
        assert peer.disconnected[1] is Offence.UNRESPONSIVE
        peer.disconnected = None
        peer.take()
        again = asyncio.ensure_future(reactor.ask("peer", *_fields(CHUNK)))
        await asyncio.sleep(0)
        assert sent(peer) == [CHUNK], "it may be asked again"
        again.cancel()
        receive(reactor, peer, Answer(CHUNK, b"late"))
        with pytest.raises(ProtocolViolation):
            receive(reactor, peer, Answer(CHUNK, b"twice"))

    run(scenario())


def test_an_answer_to_nothing_is_an_offence():
    async def scenario():
        reactor, peer = connected()
        with pytest.raises(ProtocolViolation, match="unsolicited"):
            receive(reactor, peer, Answer(CHUNK, b"gift"))

    run(scenario())


def test_a_peer_that_leaves_answers_nothing():
    async def scenario():
        reactor, peer = connected()
        asking = asyncio.ensure_future(reactor.ask("peer", *_fields(CHUNK)))
        await asyncio.sleep(0)
        reactor.peer_removed(peer, "gone")
        assert await asking is None
        assert await reactor.ask("peer", *_fields(CHUNK)) is None
        assert reactor.peers == ()

    run(scenario())


def test_a_full_queue_is_no_answer():
    async def scenario():
        reactor, peer = connected()
        peer.accepts = False
        assert await reactor.ask("peer", *_fields(CHUNK)) is None

    run(scenario())


def test_a_liar_is_disconnected_for_lying():
    async def scenario():
        reactor, peer = connected()
        reactor.ban("peer", "wrong chunk")
        reactor.ban("nobody", "unknown")
        assert peer.disconnected == ("wrong chunk", Offence.LYING)

    run(scenario())


# Serving


async def served(reactor, seconds=1):
    task = asyncio.ensure_future(reactor.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_questions_are_answered_in_order():
    async def scenario():
        source = Source()
        reactor, peer = connected(source)
        questions = [CHUNK, Question(Wanted.MANIFEST, 404, 0), Question(Wanted.LIGHT_BLOCK, 9, 0)]
        for question in questions:
            receive(reactor, peer, question)
        await served(reactor)
        assert sent(peer) == [Answer(questions[0], b"7/2"), Answer(questions[1], b""), Answer(questions[2], b"9/0")]

    run(scenario())


def test_a_node_without_snapshots_says_so():
    async def scenario():
        reactor, peer = connected(None)
        receive(reactor, peer, CHUNK)
        await served(reactor)
        assert sent(peer) == [Answer(CHUNK, b"")]

    run(scenario())


def test_only_one_answer_is_loaded_while_the_queue_is_full():
    async def scenario():
        source = Source()
        reactor, peer = connected(source)
        peer.accepts = False
        for index in range(5):
            receive(reactor, peer, Question(Wanted.CHUNK, 7, index))
        await served(reactor)
        assert len(source.loads) == 1
        peer.accepts = True
        await served(reactor)
        assert [answer.question.index for answer in sent(peer)] == [0, 1, 2, 3, 4]

    run(scenario())


def test_too_many_open_questions_are_a_flood():
    async def scenario():
        reactor, peer = connected(Source())
        for index in range(MAX_OPEN_REQUESTS):
            receive(reactor, peer, Question(Wanted.CHUNK, 7, index))
        with pytest.raises(ProtocolViolation, match="flood"):
            receive(reactor, peer, CHUNK)

    run(scenario())


def test_too_many_questions_in_a_short_time_are_a_flood():
    async def scenario():
        reactor, peer = connected(Source())
        task = asyncio.ensure_future(reactor.run())
        with pytest.raises(ProtocolViolation, match="flood"):
            for _ in range(2 * REQUEST_BURST):
                receive(reactor, peer, CHUNK)
                await asyncio.sleep(0.001)
                peer.take()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(scenario())


def test_who_left_is_not_served():
    async def scenario():
        source = Source()
        reactor, peer = connected(source)
        receive(reactor, peer, CHUNK)
        reactor.peer_removed(peer, "gone")
        receive(reactor, peer, CHUNK)
        await served(reactor)
        assert not peer.sent

    run(scenario())
