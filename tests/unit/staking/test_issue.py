"""What blocks mint: the schedule where nothing is voted on, and from a vote on what members decided."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.issuance import SECONDS_PER_YEAR, IssuanceSchedule, supply_at
from cybermiles.chain.params import ChainParams
from cybermiles.staking.layout import GENESIS
from cybermiles.staking.records import GENESIS_WORD, Genesis
from cybermiles.staking.supply import issue
from tests.factories import MemoryChain
from tests.fakes.staking import CMT, Staking

START, SUPPLY = 1_700_000_000, 10**9 * CMT
YEAR = SECONDS_PER_YEAR
PARAMS = ChainParams()


class Mint:
    """Blocks that do nothing but mint."""

    def __init__(self, params=PARAMS):
        self.economy = Staking(params, founders=0, accounts=1)
        self.economy.time = START
        GENESIS_WORD.store(self.economy.storage, GENESIS, Genesis(SUPPLY, START))
        self.supply = SUPPLY

    def at(self, time, **changes):
        """A block at a time since genesis, under parameters that changed; what it mints."""
        self.economy.with_params(**changes)
        parent, self.economy.time = self.economy.time, START + time
        minted = issue(self.economy.state, parent)
        self.supply += minted
        assert self.economy.ledger.minted == self.supply - SUPPLY
        return minted


def test_a_voted_inflation_holds_from_the_next_block_on():
    chain = MemoryChain()
    before = chain.advance(seconds=1)[1].minted
    params = dataclasses.replace(chain.document.params, inflation_rate=Fraction(4, 100))
    chain.document = dataclasses.replace(chain.document, params=params)
    assert chain.advance(seconds=2)[1].minted in (before, before + 1)


@given(st.lists(st.integers(1, 12 * YEAR), min_size=1, unique=True), st.fractions(0, Fraction(1, 5), max_denominator=9))
def test_without_a_vote_every_cut_of_time_follows_the_schedule(times, after):
    mint = Mint(dataclasses.replace(PARAMS, inflation_rate_after=after))
    schedule = IssuanceSchedule(
        genesis_time=START, genesis_supply=SUPPLY, rate=PARAMS.inflation_rate, rate_after=after,
        max_supply=PARAMS.max_supply,
    )  # fmt: skip
    for time in sorted(times):
        mint.at(time)
        assert mint.supply == supply_at(schedule, START + time)


def test_a_vote_changes_what_follows_and_the_next_year_compounds_what_there_is():
    mint = Mint()
    assert mint.at(YEAR // 2) == SUPPLY * 4 // 100
    assert mint.at(YEAR, inflation_rate=Fraction(4, 100)) == SUPPLY * 2 // 100
    assert mint.at(2 * YEAR) == SUPPLY * 106 // 100 * 4 // 100


def test_issue_after_the_tenth_anniversary_begins_with_the_vote():
    mint = Mint()
    mint.at(10 * YEAR)
    assert mint.at(12 * YEAR) == 0
    supply = mint.supply
    assert mint.at(12 * YEAR + YEAR // 2, inflation_rate_after=Fraction(1, 100)) == supply // 200


def test_no_vote_mints_over_the_cap():
    cap = 11 * 10**8 * CMT
    mint = Mint(dataclasses.replace(PARAMS, max_supply=cap))
    mint.at(YEAR // 2)
    mint.at(2 * YEAR, inflation_rate=Fraction(1, 100))
    mint.at(9 * YEAR, inflation_rate=Fraction(1, 5))
    assert mint.supply == cap
    assert mint.at(9 * YEAR + 1, max_supply=cap // 2) == 0
    assert mint.at(9 * YEAR + 2, max_supply=2 * cap) == cap // 5 // YEAR + 1
