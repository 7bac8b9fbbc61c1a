"""Awards: the original's vectors where the rule is the same, exactness to the wei, and compounding by pools."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.chain.power import damped_powers
from cybermiles.crypto.hashing import sha256
from cybermiles.staking.awards import shares_of
from cybermiles.staking.book import Book
from cybermiles.staking.layout import awards_of
from cybermiles.staking.records import Awards, Pool, Status
from cybermiles.staking.views import awards_paid, delegation_view, validator_view
from cybermiles.types.validator import consensus_address
from tests.fakes.staking import CMT, Staking, account

AWARD = 10**27 * 2 // 25 // 3_153_600
PARAMS = ChainParams()
WHOLE_CMT = ChainParams(power_unit=CMT)


def test_vector_a3_the_pot_is_divided_nine_to_one():
    assert AWARD == 25_367_833_587_011_669_203
    pot = AWARD + 123_456_789 * 10**9
    assert pot == 25_491_290_376_011_669_203
    first, second = shares_of(pot, [(1, 1)], [(2, 1)], PARAMS)
    assert (first, second) == ((1, 22_942_161_338_410_502_282), (2, 2_549_129_037_601_166_920))
    assert pot - first[1] - second[1] == 1


def test_vector_a4_four_founders_of_a_million():
    powers = damped_powers([10**6 * CMT] * 4, WHOLE_CMT, 4 * 10**6 * CMT)
    assert powers == [480_000] * 4
    paid = shares_of(AWARD, list(enumerate(powers, start=1)), [], PARAMS)
    assert [amount for _, amount in paid] == [6_341_958_396_752_917_300] * 4
    assert AWARD - sum(amount for _, amount in paid) == 3
    # As a delegation of another account at 1/5: its part and the commission are the vector's.
    book = Book(
        1,
        Status(0, 0, 0, 0, 1, 1),
        Awards(6_341_958_396_752_917_300, 0, 0),
        [Pool(0, 1, 0), Pool(10**24, 10**24, 200_000)],
    )
    assert book.pools[1].tokens - 10**24 == 5_073_566_717_402_333_840
    assert book.pools[0].tokens == 1_268_391_679_350_583_460
    assert book.pending == 0


def test_vector_a5_mixed_rates_to_within_two_wei():
    """Ours knows neither wallet discounts nor a floor of whole CMT, so the vector's powers stand in for tokens."""
    a, b = 273_654 + 136_827 + 21_892, 427_434 + 8_548
    (_, to_a), (_, to_b) = shares_of(AWARD, [(1, a), (2, b)], [], PARAMS)
    pools = [Pool(273_654, 1, 0), Pool(136_827 + 21_892, 1, 200_000)]
    book = Book(1, Status(0, 0, 0, 0, 1, 1), Awards(to_a, 0, 0), pools)
    delegators = 3_197_774_703_857_335_455 + 511_636_473_918_486_759
    owner = 6_395_549_407_714_670_911 + 2_526_240_146_372_623_281
    assert abs(book.pools[1].tokens - (136_827 + 21_892) - delegators) <= 2
    assert abs(book.pools[0].tokens - 273_654 - owner) <= 2
    book = Book(2, Status(0, 0, 0, 0, 1, 1), Awards(to_b, 0, 0), [Pool(427_434, 1, 0), Pool(8_548, 1, 100_000)])
    assert abs(book.pools[1].tokens - 8_548 - 224_746_581_008_456_418) <= 2
    assert abs(book.pools[0].tokens - 427_434 - 8_740_840_102_264_076_408 - 3_771_046_171_876_019_967) <= 2
    assert 0 <= AWARD - to_a - to_b <= 4


def test_vector_a6_nineteen_and_five_leave_less_than_a_wei_each():
    validators = [(n, 1_000 + 37 * n) for n in range(19)]
    backups = [(n, 500 + 11 * n) for n in range(19, 24)]
    paid = shares_of(AWARD, validators, backups, PARAMS)
    nine, one = sum(amount for _, amount in paid[:19]), sum(amount for _, amount in paid[19:])
    assert 0 <= AWARD * 9 // 10 - nine < 19
    assert 0 <= AWARD // 10 - one < 5


def test_vector_a7_a_slash_is_rounded_up_where_the_original_rounds_down(staking):
    """Shares 10^24 + 7 at 12/1000 cost 12 000 CMT and a wei: what is split into crumbs would else pay nothing."""
    tokens = 10**24 + 7
    assert tokens * 12 // 1000 == 12_000 * CMT
    assert -(-tokens * 12_000 // 10**6) == 12_000 * CMT + 1


def test_vector_a8_the_consensus_address():
    key = bytes(range(32))
    assert consensus_address(key).hex() == "630dcd2966c4336691125448bbb25b4ff412a49c" == sha256(key)[:20].hex()


signers = st.lists(st.integers(1, 2**40), max_size=24).map(lambda powers: list(enumerate(powers)))


@given(st.integers(0, 2**90), signers, signers)
def test_no_more_is_paid_than_there_is_and_every_remainder_is_small(pot, validators, backups):
    paid = shares_of(pot, validators, backups, PARAMS)
    rest = pot - sum(amount for _, amount in paid)
    assert [candidate for candidate, _ in paid] == [candidate for candidate, _ in [*validators, *backups]]
    assert (pot if not paid else 0) <= rest <= (pot if not paid else len(paid) + 1)
    if not backups and validators:
        total = sum(power for _, power in validators)
        assert all(amount == pot * power // total for (_, amount), (_, power) in zip(paid, validators, strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 10**27), st.integers(1, 999_999)), min_size=1, max_size=8),
    st.integers(0, 10**26),
    st.integers(0, 10**27),
)
def test_sharing_out_keeps_every_wei_and_gives_each_pool_its_part(pools, award, own):
    start = [Pool(own, max(own, 1), 0), *(Pool(tokens, tokens, rate) for tokens, rate in pools)]
    book = Book(1, Status(0, 0, 0, 0, len(pools), 1), Awards(award, 0, 0), list(start))
    total = sum(pool.tokens for pool in start)
    assert book.stake == total + award
    assert 0 <= book.pending <= (len(start) + 1 if total else award)
    for before, after in list(zip(start, book.pools, strict=True))[1:]:
        exact = Fraction(award * before.tokens * (10**6 - before.rate), total * 10**6) if total else 0
        assert 0 <= exact - (after.tokens - before.tokens) < 1


def test_paid_is_minted_and_fees_less_what_is_carried_to_the_wei(staking):
    staking.delegate(10, 0, 5_000 * CMT)
    carried = staking.state.pot
    for block in range(60):
        fees = 12_345_678_901 * block
        staking._move(account(30), fees)
        minted = 2_536_783_358_701_166_920 + block
        paid = staking.end(minted=minted, absent=[block % 4] if block % 5 == 0 else ())
        assert paid == minted + fees + carried - staking.state.pot
        carried = staking.state.pot
    assert carried < 8


def test_the_first_block_pays_nobody_and_the_second_pays_its_mint_too(staking):
    assert staking.end(minted=7 * CMT) == 0
    assert staking.state.pot == 7 * CMT
    assert staking.end(minted=1 * CMT) == 8 * CMT


def test_who_did_not_sign_earns_nothing_and_the_others_share_it(staking):
    staking.run(2)
    before = [validator_view(staking.storage, n).stake for n in range(1, 5)]
    staking.end(minted=9 * CMT, absent=[2])
    after = [validator_view(staking.storage, n).stake for n in range(1, 5)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3 * CMT, 3 * CMT, 0, 3 * CMT]
    assert awards_paid(staking.storage, 3) == [(owner, 3 * CMT) for owner, _ in awards_paid(staking.storage, 3)]
    assert len(awards_paid(staking.storage, 3)) == 3
    assert awards_of(staking.storage, 3).height == 2


def test_backups_share_a_tenth_and_where_none_signed_validators_get_all():
    economy = Staking(ChainParams(max_vals=3, backup_vals=2), founders=5)
    economy.run(2, minted=0)
    backups = [seat.operator for seat in economy.sets[1].validators[3:]]
    numbers = [next(n for n in range(5) if account(n) == owner) for owner in backups]
    economy.end(minted=100 * CMT)
    paid = dict(awards_paid(economy.storage, 3))
    assert [paid[owner] for owner in backups] == [5 * CMT, 5 * CMT]
    assert sum(paid.values()) == 100 * CMT
    economy.end(minted=90 * CMT, absent=numbers)
    assert dict(awards_paid(economy.storage, 4)) == {o: 30 * CMT for o in paid if o not in backups}
    economy.end(minted=10 * CMT, absent=[n for n in range(5) if n not in numbers])
    assert dict(awards_paid(economy.storage, 5)) == dict.fromkeys(backups, 5 * CMT)


def test_a_delegator_compounds_and_pays_its_rate(staking):
    staking.delegate(10, 0, 1_000_000 * CMT)
    staking.run(2, minted=0)
    staking.end(minted=40 * CMT)
    view = delegation_view(staking.storage, account(10), 1)
    assert (view.principal, view.awards, view.comp_rate_ppm) == (1_000_000 * CMT, 4 * CMT, 200_000)
    owner = delegation_view(staking.storage, account(0), 1)
    assert (owner.awards, owner.comp_rate_ppm) == (6 * CMT, 0), "its own 5 and a fifth of the delegator's 5"
    staking.run(200, minted=40 * CMT)
    grown = delegation_view(staking.storage, account(10), 1)
    assert grown.awards > view.awards + 200 * 4 * CMT * 99 // 100


def test_stake_that_joins_does_not_share_in_awards_of_before(staking):
    staking.delegate(10, 0, 100_000 * CMT)
    staking.run(10)
    worth = delegation_view(staking.storage, account(10), 1).awards
    assert worth > 0
    stake = staking.delegate(11, 0, 100_000 * CMT)
    assert 100_000 * CMT - 2 <= stake <= 100_000 * CMT
    assert delegation_view(staking.storage, account(10), 1).awards >= worth


def test_awards_lift_stake_over_the_cap_and_delegations_do_not():
    economy = Staking(ChainParams(), cap=1_000_000 * CMT)
    economy.run(5)
    view = validator_view(economy.storage, 1)
    assert view.stake > view.stake_cap
    with pytest.raises(Exception, match="StakeCapReached"):
        economy.delegate(10, 0, 1_000 * CMT)


def test_coins_forced_on_the_contract_are_awards(staking):
    staking.run(2)
    pot = staking.state.pot
    staking._move(account(20), 5)
    assert staking.state.pot == pot + 5


def test_a_year_of_blocks_mints_the_schedule_to_the_wei(staking):
    from tests.simulation.year import run_year

    year = run_year(blocks=500, members=3)
    assert year.minted == year.scheduled
    assert year.paid == year.minted + year.fees - year.carried
