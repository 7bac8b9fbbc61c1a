"""A liar that tells everybody something else cannot keep a node from a polka or a commit; found by the simulation."""

from __future__ import annotations

import pytest

from cybermiles.consensus.core import effects as out
from cybermiles.consensus.core import inputs as into
from cybermiles.consensus.core.engine import Engine
from cybermiles.consensus.core.timeouts import EngineSettings
from cybermiles.types.certificate import PolkaCertificate
from cybermiles.types.commit import Commit
from cybermiles.types.part_set import PartsHeader
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import Vote, VoteType

SET = ValidatorSet(tuple(Validator(bytes([n]) * 32, Address(bytes(20)), 1) for n in range(1, 5)))
WHO = SET.addresses
LIAR = 3
BLOCK, OTHER = Hash32(b"b" * 32), Hash32(b"o" * 32)
PARTS = PartsHeader(1, Hash32(b"p" * 32))


def vote(type_: VoteType, who: int, value: Hash32 | None) -> Vote:
    return Vote(type_, 1, 0, value, WHO[who], bytes(64))


@pytest.fixture
def engine() -> Engine:
    """A follower that has two votes of the liar for each step already."""
    engine = Engine(None, EngineSettings())
    engine.handle(into.StartHeight(height=1, rotation=first_rotation(SET)))
    for type_ in VoteType:
        for value in (None, OTHER):
            engine.handle(into.VoteReceived(vote(type_, LIAR, value)))
    return engine


def test_a_commit_that_needs_the_liars_third_vote_decides(engine):
    engine.handle(into.ValueChecked(height=1, block_hash=BLOCK, parts=PARTS, accepted=True, timestamp=1))
    commit = Commit(1, 0, BLOCK, tuple(bytes(64) if n != 0 else None for n in range(4)))
    effects = engine.handle(into.CommitReceived(commit))
    assert out.Decide(commit) in effects
    assert sum(isinstance(effect, out.ReportEquivocation) for effect in effects) == 1


def test_a_polka_certificate_that_needs_the_liars_third_vote_is_wanted_and_taken(engine):
    certificate = PolkaCertificate(1, 0, BLOCK, tuple(vote(VoteType.PREVOTE, n, BLOCK) for n in (1, 2, LIAR)))
    for who in (1, 2):
        engine.handle(into.VoteReceived(vote(VoteType.PREVOTE, who, BLOCK)))
    assert engine.wants(certificate)
    assert engine.news(certificate) == certificate.votes  # also those that are known: they prove the third
    engine.handle(into.CertificateReceived(certificate))
    assert engine.polka_certificate(0) == certificate
    assert not engine.wants(certificate)


def test_a_third_value_without_a_quorum_costs_no_memory(engine):
    third = Hash32(b"t" * 32)
    certificate = PolkaCertificate(1, 0, third, (vote(VoteType.PREVOTE, LIAR, third),))
    assert not engine.wants(certificate)
    engine.handle(into.CertificateReceived(certificate))
    kept = (*engine.votes(0, VoteType.PREVOTE), *engine.conflicting_votes(0, VoteType.PREVOTE))
    assert {vote.block_hash for vote in kept if vote is not None} == {None, OTHER}
