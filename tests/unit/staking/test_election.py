"""Elections: order, ties, damping, seats, the waiting heap, and never an empty set."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.chain.power import damped_powers
from cybermiles.crypto import ed25519
from cybermiles.staking.election import elect, role_of, seats_of
from cybermiles.staking.layout import CONTENDERS
from cybermiles.staking.roles import Role
from cybermiles.types.validator import consensus_address
from tests.fakes.staking import CMT, Staking, account, consensus_key

M = 1_000_000 * CMT


def owners(validators):
    return [int.from_bytes(member.operator[1:]) for member in validators.validators]


def by_address(numbers):
    return sorted(numbers, key=lambda n: consensus_address(ed25519.public_key(consensus_key(n))))


def test_equals_stand_in_order_of_their_consensus_addresses(staking):
    assert owners(staking.current) == by_address(range(4))
    assert [member.power for member in staking.current.validators] == [480] * 4, "12 % of 4 000 000 CMT each"


def test_damping_takes_votes_from_the_largest_and_no_place():
    economy = Staking(ChainParams(max_vals=12, backup_vals=0), founders=12)
    economy.delegate(20, 3, 5 * M)
    economy.delegate(20, 4, 1 * M)
    economy.end()
    powers = {owner: m.power for owner, m in zip(owners(economy.current), economy.current.validators, strict=True)}
    assert powers == {n: {3: 2_160, 4: 2_000}.get(n, 1_000) for n in range(12)}, "12 % of 18 M, 2 M, 1 M"
    assert owners(economy.current)[:2] == [3, 4]


def test_a_set_takes_effect_two_blocks_later_and_an_unchanged_one_is_none(staking):
    staking.declare(9, stake=2 * M, cap=20 * M)
    staking.end(minted=0)
    assert staking.sets[2] is staking.sets[1]
    assert len(staking.sets[3].validators) == 5
    staking.end(minted=0)
    assert len(staking.sets[4].validators) == 5, "the stake elected before counts from now on"
    staking.end(minted=0)
    assert staking.sets[5] is staking.sets[4]
    assert elect(staking.state) is None


def test_power_is_in_whole_units_so_awards_change_the_set_rarely(staking):
    staking.run(3)
    sets = {id(staking.sets[height]) for height in range(1, staking.height + 2)}
    staking.run(50, minted=CMT)
    assert {id(staking.sets[height]) for height in range(1, staking.height + 2)} == sets


def test_more_stake_takes_the_last_seat_and_equal_stake_does_not():
    economy = Staking(ChainParams(max_vals=2, backup_vals=1), founders=3)
    before = economy.current
    for number in (10, 11):
        economy.declare(number, stake=M, key=consensus_key(number))
    economy.end(minted=0)
    everybody = by_address([0, 1, 2, 10, 11])
    assert owners(economy.current) == everybody[:3], "of equals the smaller addresses, whoever sat there"
    loser = everybody[-1]
    economy.delegate(20, loser, 1_000 * CMT)
    economy.end(minted=0)
    assert sorted(owners(economy.current)) == sorted([*everybody[:2], loser])
    assert economy.current != before
    roles = [role_of(economy.storage, seat.candidate)[0] for seat in seats_of(economy.storage)]
    assert roles == [Role.VALIDATOR, Role.VALIDATOR, Role.BACKUP]
    assert role_of(economy.storage, economy.id(everybody[3])) == (Role.CANDIDATE, 0, 0)


def test_roles_are_reported_when_they_change(staking):
    staking.declare(9, stake=2 * M, cap=20 * M)
    staking.end(minted=0)
    assert staking.log.named("RoleChanged") == [(account(9), Role.CANDIDATE, Role.VALIDATOR)]
    staking.with_params(max_vals=4)
    staking.end(minted=0)
    (event,) = staking.log.named("RoleChanged")[1:]
    assert event[1:] == (Role.VALIDATOR, Role.BACKUP)
    staking.act("withdraw", 9)
    staking.end(minted=0)
    assert (account(9), Role.VALIDATOR, Role.EXITING) in staking.log.named("RoleChanged") or (
        account(9), Role.BACKUP, Role.EXITING,
    ) in staking.log.named("RoleChanged")  # fmt: skip


def test_fewer_seats_put_the_weakest_back_among_the_contenders(staking):
    for number in range(4):
        staking.delegate(20, number, (number + 1) * 10_000 * CMT)
    staking.with_params(max_vals=1, backup_vals=1)
    staking.end(minted=0)
    assert sorted(owners(staking.current)) == [2, 3]
    assert staking.storage.load(CONTENDERS) == 2
    staking.with_params(max_vals=19)
    staking.end(minted=0)
    assert sorted(owners(staking.current)) == [0, 1, 2, 3]


def test_where_nobody_is_eligible_the_last_set_stays(staking):
    for number in range(4):
        staking.act("deactivate", number)
    staking.run(5)
    assert owners(staking.current) == by_address(range(4))
    staking.act("activate", 2)
    staking.end()
    assert owners(staking.current) == [2]
    staking.act("deactivate", 2)
    staking.run(3)
    assert owners(staking.current) == [2]


def test_a_unit_larger_than_any_stake_keeps_the_last_set():
    economy = Staking(ChainParams(), stake=500_000 * CMT)
    economy.with_params(power_unit=M)
    economy.run(3, minted=0)
    assert len(economy.current.validators) == 4


def test_small_networks_have_votes_however_small_the_damped_stake():
    economy = Staking(ChainParams(), founders=2, stake=1_000 * CMT)
    economy.run(3, minted=0)
    assert [member.power for member in economy.current.validators] == [1, 1]


def test_without_founders_stake_there_are_no_elections():
    economy = Staking(ChainParams(), founders=0)
    economy.declare(5)
    assert elect(economy.state) is None
    assert economy.log.named("RoleChanged") == []


def test_a_new_owner_of_a_seated_candidate_is_a_new_set(staking):
    staking.end()
    offer = staking.act("offer_ownership", 0, account(30))
    staking.act("accept_ownership", 30, offer)
    before = staking.current
    staking.end()
    assert staking.current != before
    assert account(30) in [member.operator for member in staking.current.validators]
    after = staking.current
    staking.end()
    assert staking.current is after


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(4, 30), st.integers(0, 5)), max_size=25), st.integers(1, 4), st.integers(0, 3))
def test_the_elected_are_the_strongest_whatever_happened_before(moves, max_vals, backups):
    """Against a sort of everybody who stands."""
    economy = Staking(
        ChainParams(max_vals=max_vals, backup_vals=backups, unbonding_seconds=1, evidence_max_age_seconds=1), founders=3
    )
    standing = set(range(3))
    known = set(standing)
    for number, kind in moves:
        if number not in known:
            economy.declare(number, stake=(1_000 + 13 * kind) * CMT, cap=10_000 * CMT, key=consensus_key(number))
            known.add(number)
            standing.add(number)
        elif kind == 0 and number in standing:
            economy.act("deactivate", number)
            standing.discard(number)
        elif kind == 1 and number not in standing:
            economy.act("activate", number)
            standing.add(number)
        elif kind == 2:
            economy.act("update_candidacy", number, 0, 0, 77 * CMT, value=77 * CMT)
        elif kind == 3 and number in standing:
            economy.end(minted=0)
    economy.end(minted=0)
    economy.end(minted=0)
    stakes = {n: economy.state.storage and _stake(economy, n) for n in standing}
    size = max_vals + backups
    expected = sorted(standing, key=lambda n: (-stakes[n], by_address(range(40)).index(n)))[:size]
    assert sorted(owners(economy.current)) == sorted(expected)
    assert {m.power for m in economy.current.validators} <= set(
        damped_powers([stakes[n] for n in expected], economy.params, sum(stakes[n] for n in expected))
    )


def _stake(economy, number):
    from cybermiles.staking.layout import stake_of

    return stake_of(economy.storage, economy.id(number))
