"""Messages wait in bounded room, apart for each peer."""

from __future__ import annotations

import pytest

from cybermiles.consensus import inbox as inbox_module
from cybermiles.consensus.inbox import MAX_BYTES, MAX_MESSAGES, MAX_TOTAL_BYTES, Inbox, Received, size_of
from cybermiles.consensus.messages import PartMessage
from cybermiles.types.certificate import RoundCertificate
from cybermiles.types.part_set import PART_BYTES, Part
from cybermiles.types.primitives import Hash32
from cybermiles.types.vote import Vote, VoteType

PART = PartMessage(1, Hash32(bytes(32)), Part(0, bytes(PART_BYTES), ()))


def vote(number, type_=VoteType.PREVOTE):
    return Vote(type_, 1, number, None, bytes(20), bytes(64))


def received(message, source="peer"):
    return Received(message, source, 0)


@pytest.fixture
def inbox():
    return Inbox()


def test_messages_leave_in_order_and_no_more_than_asked_for(inbox):
    for number in range(5):
        assert inbox.put(received(vote(number), f"peer{number % 2}"), early=False)
    assert [found.message.round for found in inbox.take(3)] == [0, 1, 2]
    assert [found.message.round for found in inbox.take(3)] == [3, 4]
    assert inbox.is_empty


def test_a_peer_that_sends_too_many_loses_its_own_and_room_comes_back(inbox):
    for number in range(MAX_MESSAGES + 10):
        inbox.put(received(vote(number), "liar"), early=number % 2 == 0)
    assert inbox.dropped_total == 10
    assert inbox.put(received(vote(0), "honest"), early=False)
    inbox.take(MAX_MESSAGES)
    assert inbox.put(received(vote(0), "liar"), early=False)


def test_bytes_count_too(inbox):
    room = MAX_BYTES // size_of(PART)
    assert [inbox.put(received(PART), early=False) for _ in range(room + 1)] == [True] * room + [False]
    assert size_of(RoundCertificate(1, 1, (vote(0),) * 100)) > 100 * 100


def test_what_waits_for_the_next_height_does_not_keep_out_the_current_one(inbox):
    """Else a few peers that send the next height's parts keep this one, and so themselves, waiting for ever."""
    sources = [f"liar{number}" for number in range(2 * MAX_TOTAL_BYTES // MAX_BYTES)]
    taken = [
        inbox.put(received(PART, source), early=True) for source in sources for _ in range(MAX_BYTES // size_of(PART))
    ]
    assert not all(taken), "there is a bound"
    assert inbox.put(received(PART, "honest"), early=False)
    assert inbox.put(received(vote(0), "honest"), early=False)
    inbox.height_started()
    inbox.take(len(taken))
    assert inbox.put(received(PART, "honest"), early=True), "the room comes back"


def test_everybody_together_is_bounded(inbox, monkeypatch):
    monkeypatch.setattr(inbox_module, "MAX_TOTAL_BYTES", 10 * size_of(PART))
    assert [inbox.put(received(PART, f"peer{n}"), early=False) for n in range(11)] == [True] * 10 + [False]
    inbox.take(1)
    assert inbox.put(received(PART, "peer99"), early=False)


def test_early_messages_wait_for_their_height(inbox):
    inbox.put(received(vote(1)), early=True)
    inbox.put(received(vote(2)), early=False)
    assert [found.message.round for found in inbox.take(9)] == [2]
    assert [found.message.round for found in inbox.fresh_early()] == [1]
    inbox.height_committed()
    inbox.height_started()
    assert inbox.fresh_early() == []
    assert [found.message.round for found in inbox.take(9)] == [1]
    assert inbox._held == {}
    assert (inbox._current_bytes, inbox._early_bytes) == (0, 0)


def test_an_early_message_is_looked_at_once_before_its_height_and_again_in_it(inbox):
    for number in range(3):
        inbox.put(received(vote(number)), early=True)
        assert [found.message.round for found in inbox.fresh_early()] == [number]
        assert inbox.fresh_early() == []
    inbox.height_started()
    assert len(inbox.take(9)) == 3
    inbox.put(received(vote(9)), early=True)
    assert [found.message.round for found in inbox.fresh_early()] == [9]


def test_all_that_waits_of_a_rejected_source_goes_and_nothing_of_others(inbox):
    for number in range(6):
        inbox.put(received(vote(number), "liar" if number % 2 else "honest"), early=number < 3)
    inbox.fresh_early()
    inbox.put(received(PART, "liar"), early=True)
    inbox.put(received(vote(7), "honest"), early=True)
    inbox.drop("liar")
    inbox.drop("nobody")
    assert [found.message.round for found in inbox.fresh_early()] == [7]
    inbox.height_started()
    assert [(found.source, found.message.round) for found in inbox.take(9)] == [
        ("honest", 4), ("honest", 0), ("honest", 2), ("honest", 7),
    ]  # fmt: skip
    assert inbox._held == {}
    assert (inbox._current_bytes, inbox._early_bytes) == (0, 0)


def test_of_a_committed_height_only_precommits_are_kept(inbox):
    inbox.put(received(vote(1)), early=False)
    inbox.put(received(vote(2, VoteType.PRECOMMIT)), early=False)
    inbox.put(received(PART), early=False)
    inbox.height_committed()
    assert [found.message for found in inbox.take(9)] == [vote(2, VoteType.PRECOMMIT)]
    assert inbox._held == {}
