"""What peers may make a node compute before it knows that they are right."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.inputs import StartHeight
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.consensus.inbox import Received
from cybermiles.consensus.intake import VOTES_OF_MEMBER, Intake
from cybermiles.types.certificate import RoundCertificate
from cybermiles.types.rotation import first_rotation
from cybermiles.types.vote import Vote, VoteType
from tests.fakes.consensus import CHAIN_ID, GENESIS, fake_key, validators

ROTATION = first_rotation(validators(4))


class Counting:
    """A verifier that finds everything wrong and counts."""

    def __init__(self):
        self.computed = 0

    async def verify(self, checks):
        self.computed += len(checks)
        return [False] * len(checks)


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
    assert asyncio.run(intake.at_work(flood(4 * VOTES_OF_MEMBER + 1), ROTATION)) == (False, ())
    assert verifier.computed == 0
    assert asyncio.run(intake.at_work(flood(4 * VOTES_OF_MEMBER), ROTATION)) == (False, ())
    assert verifier.computed == 4 * VOTES_OF_MEMBER
