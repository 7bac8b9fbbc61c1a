"""A signer state that is older than its key is found out by the newest commits."""

from __future__ import annotations

import asyncio

import pytest

from cybermiles.consensus.lookback import check_signer_remembers
from cybermiles.consensus.verifier import BatchVerifier
from cybermiles.errors import ConfigError
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import Hash32
from cybermiles.types.vote import VoteType, vote_sign_bytes
from tests.fakes.consensus import CHAIN_ID, GENESIS, fake_key, fake_sign, fake_verify
from tests.fakes.disk import Inline

HASH = Hash32(b"h" * 32)


class SignerAt:
    def __init__(self, *last_signed):
        self.last_signed = last_signed
        self.public_key = fake_key(1).public


def commit(height, *signers, round_=0):
    message = vote_sign_bytes(CHAIN_ID, GENESIS, VoteType.PRECOMMIT, height, round_, HASH)
    return Commit(height, round_, HASH, (None, *(fake_sign(fake_key(n).private, message) for n in signers)))


def check(signer, *commits):
    verifier = BatchVerifier(Inline(), fake_verify)
    asyncio.run(check_signer_remembers(signer, verifier, commits, chain_id=CHAIN_ID, genesis_hash=GENESIS))
    return verifier.verified_total


@pytest.mark.parametrize("last_signed", [(0, 0, 0), (6, 0, 3), (7, 1, 3), (7, 2, 2)])
def test_an_own_signature_above_the_state_is_refused(last_signed):
    with pytest.raises(ConfigError, match=r"precommit of height 7, round 2.*Restore the newest state"):
        check(SignerAt(*last_signed), commit(8, 2, 3), commit(7, 2, 1, round_=2))


@pytest.mark.parametrize("last_signed", [(7, 2, 3), (7, 3, 1), (8, 0, 1)])
def test_a_state_at_or_above_the_signature_is_fine_and_costs_nothing(last_signed):
    assert check(SignerAt(*last_signed), commit(7, 2, 1, round_=2)) == 0


def test_commits_of_others_say_nothing():
    assert check(SignerAt(1, 0, 1), commit(8, 2, 3), commit(7, 3, 4)) == 4
