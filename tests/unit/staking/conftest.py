"""Four founders with a million CMT each; accounts 0 to 39 with coins."""

from __future__ import annotations

import pytest

from cybermiles.chain.params import ChainParams
from tests.fakes.staking import Staking, account
from tests.fakes.staking_audit import audit

QUICK = ChainParams(
    unbonding_seconds=100, evidence_max_age_seconds=100, absence_window=20, max_absences=6, jail_seconds=30
)


@pytest.fixture
def staking():
    """A young economy, whose books are audited when the test is over."""
    economy = Staking(QUICK)
    yield economy
    accounts = [account(number) for number in range(40)]
    audit(economy.world, economy.storage, genesis=economy.genesis, minted=economy.minted, accounts=accounts)
