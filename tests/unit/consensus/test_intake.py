"""What peers may make a node compute before it knows that they are right."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.inputs import StartHeight
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.inbox import Received
from cybermiles.consensus.intake import VOTES_OF_MEMBER, AtWork, Intake
from cybermiles.types.certificate import RoundCertificate
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.fakes.consensus import CHAIN_ID, GENESIS, fake_key, fake_sign, fake_verify, validators

ROTATION = first_rotation(validators(4))


class Counting:
    """A verifier that counts, and finds everything wrong unless told otherwise."""

    def __init__(self):
        self.computed = 0
        self.is_right = lambda *check: False

    async def verify(self, checks):
        self.computed += len(checks)
        return [self.is_right(*check) for check in checks]


@pytest.fixture
def verifier():
    return Counting()


@pytest.fixture
def intake(verifier):
    return Intake(verifier, CHAIN_ID, GENESIS)


def flood(count):
    """Votes of one validator for as many blocks, in a certificate."""
    address = fake_key(0).address
    votes = (Vote(VoteType.PREVOTE, 1, 1, number.to_bytes(32), address, bytes(64)) for number in range(count))
    return [Received(RoundCertificate(1, 1, tuple(votes)), "liar", 0)]


def test_a_certificate_of_more_votes_than_can_be_cast_costs_its_sender_and_no_arithmetic(intake, verifier):
    engine = Engine(None, EngineSettings())
    engine.handle(StartHeight(height=1, rotation=ROTATION))
    most = 4 * VOTES_OF_MEMBER
    _, wrong = asyncio.run(intake.sort(flood(most + 1), engine))
    assert [reason for _, reason in wrong] == ["a certificate of more votes than can be cast"]
    assert verifier.computed == 0
    _, wrong = asyncio.run(intake.sort(flood(most), engine))
    assert [reason for _, reason in wrong] == ["a wrong signature"]
    assert verifier.computed == most


def test_such_a_certificate_does_not_say_who_is_at_work(intake, verifier):
    too_long = asyncio.run(intake.at_work(flood(4 * VOTES_OF_MEMBER + 1), ROTATION, ()))
    assert too_long == AtWork(False, frozenset(), {"liar": "a certificate of more votes than can be cast"})
    assert verifier.computed == 0
    wrong = asyncio.run(intake.at_work(flood(4 * VOTES_OF_MEMBER), ROTATION, ()))
    assert wrong == AtWork(False, frozenset(), {"liar": "a wrong signature"})


def early(member, source, round_=0, *, right=True):
    key = fake_key(member)
    message = vote_sign_bytes(CHAIN_ID, GENESIS, VoteType.PREVOTE, 1, round_, None)
    signature = fake_sign(key.private, message) if right else bytes(64)
    return Received(Vote(VoteType.PREVOTE, 1, round_, None, key.address, signature), source, 0)


def test_who_is_at_work_costs_one_signature_of_each_validator_a_peer_and_none_of_those_known(intake, verifier):
    verifier.is_right = fake_verify
    flood_of_one = [early(member, "liar", round_, right=False) for round_ in range(500) for member in range(4)]
    shown = asyncio.run(intake.at_work(flood_of_one, ROTATION, ()))
    assert shown == AtWork(False, frozenset(), {"liar": "a wrong signature"})
    assert verifier.computed == 4
    verifier.computed = 0
    honest = [early(member, f"peer{peer}") for peer in range(8) for member in range(3)]
    shown = asyncio.run(intake.at_work(honest, ROTATION, {fake_key(0).address}))
    assert shown == AtWork(False, frozenset(fake_key(member).address for member in (1, 2)), {})
    assert verifier.computed == 2, "what many peers relay is verified once"
    stranger = asyncio.run(intake.at_work([early(9, "liar"), early(1, "honest")], ROTATION, ()))
    assert stranger.wrong == {"liar": "a vote of somebody who is no validator of its height"}
    assert stranger.voters == {fake_key(1).address}
