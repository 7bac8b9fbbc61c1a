"""Signatures are checked once each, in batches, and only right ones are remembered."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus import verifier as verifier_module
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.crypto import ed25519
from cybermiles.runtime.executor import Worker
from tests.fakes.consensus import fake_key, fake_sign, fake_verify
from tests.fakes.disk import Inline


def check(number, message, *, right=True):
    key = fake_key(number)
    return key.public, message, fake_sign(key.private, message if right else b"other")


@pytest.fixture
def verifier():
    return BatchVerifier(Inline(), fake_verify)


def test_answers_stand_in_the_order_of_the_questions(verifier):
    checks = [check(1, b"a"), check(2, b"b", right=False), check(3, b"c"), check(2, b"b", right=False)]
    assert asyncio.run(verifier.verify(checks)) == [True, False, True, False]
    assert asyncio.run(verifier.verify([])) == []


def test_each_distinct_signature_is_computed_once(verifier):
    checks = [check(1, b"a"), check(1, b"a"), check(2, b"a")]
    assert asyncio.run(verifier.verify(checks)) == [True, True, True]
    assert asyncio.run(verifier.verify(checks[:1])) == [True]
    assert verifier.verified_total == 2


def test_a_wrong_signature_is_computed_each_time(verifier):
    for _ in range(3):
        assert asyncio.run(verifier.verify([check(1, b"a", right=False)])) == [False]
    assert verifier.verified_total == 3


def test_memory_is_bounded_and_the_oldest_go(verifier, monkeypatch):
    monkeypatch.setattr(verifier_module, "REMEMBERED", 10)
    asyncio.run(verifier.verify([check(1, b"%d" % number) for number in range(12)]))
    asyncio.run(verifier.verify([check(1, b"%d" % number) for number in range(2, 12)]))
    assert verifier.verified_total == 12
    assert asyncio.run(verifier.verify([check(1, b"0")])) == [True]
    assert verifier.verified_total == 13


def test_a_large_batch_is_spread_over_threads_with_real_signatures():
    private = ed25519.generate()
    public = ed25519.public_key(private)
    checks = [(public, b"%d" % number, ed25519.sign(private, b"%d" % number)) for number in range(200)]
    checks[150] = (public, b"150", ed25519.sign(private, b"151"))
    worker = Worker("signatures", 2)
    try:
        answers = asyncio.run(BatchVerifier(worker).verify(checks))
    finally:
        worker.close()
    assert [number for number, answer in enumerate(answers) if not answer] == [150]
