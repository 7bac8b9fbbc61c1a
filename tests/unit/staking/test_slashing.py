"""Faults: who pays for them, how much, once; and how an absent validator comes back."""

from __future__ import annotations

import pytest

from cybermiles.chain.params import ChainParams
from cybermiles.crypto import ed25519
from cybermiles.staking.delegations import ALL
from cybermiles.staking.errors import EvidenceRejected, ValidatorJailed
from cybermiles.staking.layout import MISSED, candidate_slot, watch_of
from cybermiles.staking.offences import submit_evidence
from cybermiles.staking.roles import Fault
from cybermiles.staking.supply import burnt_supply
from cybermiles.staking.views import delegation_view, signing_view, slash_view, validator_view
from cybermiles.state.slots import items_slot
from cybermiles.types import rlp
from cybermiles.types.validator import consensus_address
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.fakes.staking import CHAIN_ID, CMT, GENESIS_HASH, Staking, account, consensus_key

M = 1_000_000 * CMT
T = 1_000 * CMT


def vote(key, height, block_hash, *, type_=VoteType.PREVOTE, round_=0, chain_id=CHAIN_ID, signature=None):
    message = vote_sign_bytes(chain_id, GENESIS_HASH, type_, height, round_, block_hash)
    signature = ed25519.sign(key, message) if signature is None else signature
    encoded = Vote(type_, height, round_, block_hash, consensus_address(ed25519.public_key(key)), signature)
    return rlp.encode(encoded.to_item())


def submit(staking, first, second):
    return staking.call(
        lambda state, _: submit_evidence(state, first, second, chain_id=CHAIN_ID, genesis_hash=GENESIS_HASH),
        account(33),
    )


def double(staking, owner, height=None, key=None):
    """Show two votes of an owner's key."""
    key = consensus_key(owner) if key is None else key
    height = staking.height if height is None else height
    return submit(staking, vote(key, height, None), vote(key, height, b"\x01" * 32))


class Offence:
    def __init__(self, member, height):
        self.validator, self.height, self.evidence_hash = member, height, b"\x0f" * 32


def test_a_double_vote_costs_a_twentieth_of_every_pool_and_bars_for_ever(staking):
    staking.delegate(10, 0, 100 * T)
    burnt = double(staking, 0)
    assert burnt == M // 20 + 5 * T
    view = validator_view(staking.storage, 1)
    assert (view.tombstoned, view.active, view.stake) == (True, False, (M + 100 * T) * 19 // 20)
    assert delegation_view(staking.storage, account(10), 1)[1:4] == (100 * T, 0, 5 * T)
    assert staking.log.named("Slashed") == [
        (account(0), Fault.DOUBLE_VOTE, burnt, 1, slash_view(staking.storage, 1, 0).evidence)
    ]
    assert staking.log.named("Tombstoned") == [(account(0), 1)]
    staking.end(minted=0)
    assert burnt_supply(staking.storage) == burnt == staking.world.burnt
    assert account(0) not in [member.operator for member in staking.current.validators]


def test_an_offence_is_punished_once_whichever_way_it_comes(staking):
    staking.end()
    member = next(m for m in staking.sets[1].validators if m.operator == account(0))
    staking.begin(offences=[Offence(member, 1), Offence(member, 1)])
    assert len(staking.log.named("Slashed")) == 1
    stake = validator_view(staking.storage, 1).stake
    with pytest.raises(EvidenceRejected, match="punished already"):
        double(staking, 0)
    staking.end(minted=0)
    staking.end(minted=0, offences=[Offence(member, 1)])
    assert validator_view(staking.storage, 1).stake == stake


def test_delegators_of_the_barred_can_leave_with_the_rest(staking):
    staking.delegate(10, 0, 100 * T)
    double(staking, 0)
    staking.undelegate(10, 0, ALL)
    staking.undelegate(0, 0, ALL)
    staking.wait(200)
    assert staking.balance(10) == 100_000_000 * CMT - 5 * T
    assert staking.balance(0) == 99_000_000 * CMT + M * 19 // 20


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (lambda k: b"", lambda k: vote(k, 1, None), "not an encoded vote"),
        (lambda k: b"\xc0", lambda k: vote(k, 1, None), "not an encoded vote"),
        (lambda k: b"\x00" * 513, lambda k: vote(k, 1, None), "too long"),
        (lambda k: vote(k, 1, None), lambda k: vote(k, 1, None), "the votes do not conflict"),
        (lambda k: vote(k, 1, None), lambda k: vote(k, 2, b"\x01" * 32), "the votes do not conflict"),
        (lambda k: vote(k, 1, None), lambda k: vote(k, 1, b"\x01" * 32, round_=1), "the votes do not conflict"),
        (lambda k: vote(k, 1, None), lambda k: vote(k, 1, b"\x01" * 32, type_=VoteType.PRECOMMIT), "the votes do not conflict"),
        (lambda k: vote(k, 0, None), lambda k: vote(k, 0, b"\x01" * 32), "votes for a height that is not there yet"),
        (lambda k: vote(k, 9, None), lambda k: vote(k, 9, b"\x01" * 32), "votes for a height that is not there yet"),
        (lambda k: vote(k, 1, None), lambda k: vote(k, 1, b"\x01" * 32, chain_id=18), "wrong signature"),
        (lambda k: vote(k, 1, None, signature=b"\x00" * 64), lambda k: vote(k, 1, b"\x01" * 32), "wrong signature"),
        (lambda _: vote(consensus_key(99), 1, None), lambda _: vote(consensus_key(99), 1, b"\x01" * 32), "no candidate has or had this key"),
    ],
)  # fmt: skip
def test_what_proves_nothing_is_rejected(staking, first, second, why):
    key = consensus_key(0)
    with pytest.raises(EvidenceRejected) as rejected:
        submit(staking, first(key), second(key))
    assert rejected.value.arguments == (why,)
    assert validator_view(staking.storage, 1).stake == M


def test_evidence_grows_old(staking):
    staking.with_params(evidence_max_age_blocks=5)
    staking.run(6)
    with pytest.raises(EvidenceRejected, match="too old"):
        double(staking, 0, height=1)
    assert double(staking, 0, height=2)


def test_a_replaced_key_is_answered_for_while_it_still_voted_and_no_longer(staking):
    staking.run(3)
    staking.rotate(0, consensus_key(500))
    staking.run(4)
    with pytest.raises(EvidenceRejected, match="not in use at that height"):
        double(staking, 0, height=7)
    with pytest.raises(EvidenceRejected, match="not in use at that height"):
        double(staking, 0, height=3, key=consensus_key(500))
    assert double(staking, 0, height=6)
    with pytest.raises(EvidenceRejected, match="punished already"):
        double(staking, 0, height=6, key=consensus_key(500))


# What left


def test_an_exit_answers_for_faults_of_the_time_it_was_behind(staking):
    staking.delegate(10, 0, 100 * T)
    staking.run(5, minted=0)
    staking.undelegate(10, 0, 50 * T)  # height 6
    staking.run(2, minted=0)
    assert double(staking, 0, height=7), "the set of height 7 was elected with this stake"
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 100 * T + 50 * T * 19 // 20


def test_an_exit_does_not_answer_for_faults_after_it(staking):
    staking.delegate(10, 0, 100 * T)
    staking.run(5, minted=0)
    staking.undelegate(10, 0, 50 * T)
    staking.run(2, minted=0)
    assert double(staking, 0, height=8)
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 50 * T


def test_an_exit_after_the_slash_does_not_pay_twice(staking):
    staking.delegate(10, 0, 100 * T)
    double(staking, 0)
    staking.undelegate(10, 0, 50 * T)
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 50 * T


def test_moved_stake_answers_for_its_source_until_the_cooldown_ends(staking):
    staking.delegate(10, 0, 100 * T)
    staking.delegate(10, 1, 7 * T)
    staking.redelegate(10, 0, 1, 60 * T)
    double(staking, 0)
    view = delegation_view(staking.storage, account(10), 2)
    assert (view.principal, view.slashed, view.awards) == (67 * T, 3 * T, 0)
    staking.undelegate(10, 1, ALL)
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 107 * T + 64 * T


def test_moved_stake_is_free_of_its_source_after_the_cooldown(staking):
    staking.delegate(10, 0, 100 * T)
    staking.redelegate(10, 0, 1, 60 * T)
    staking.wait(100, minted=0)
    double(staking, 0, height=1)
    assert delegation_view(staking.storage, account(10), 2).slashed == 0
    staking.redelegate(10, 1, 2, 10 * T)


def test_moved_stake_that_leaves_takes_its_liability_along(staking):
    """What did not arrive from the source leaves first."""
    staking.delegate(10, 0, 60 * T)
    staking.delegate(10, 1, 40 * T)
    staking.redelegate(10, 0, 1, 60 * T)
    staking.undelegate(10, 1, 30 * T)
    staking.undelegate(10, 1, ALL)
    double(staking, 0, height=1)
    staking.wait(99, minted=0)
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 60 * T // 20
    assert staking.world.burnt == M // 20 + 60 * T // 20


def test_both_source_and_target_take_their_part(staking):
    staking.delegate(10, 0, 60 * T)
    staking.redelegate(10, 0, 1, 60 * T)
    double(staking, 0, height=1)
    double(staking, 1, height=1)
    staking.undelegate(10, 1, ALL)
    staking.wait(200, minted=0)
    assert staking.balance(10) == 100_000_000 * CMT - 60 * T + 60 * T * 19 * 19 // 400


def test_a_slash_after_the_stake_left_does_not_touch_who_stayed_twice(staking):
    staking.delegate(10, 0, 50 * T)
    staking.delegate(11, 0, 50 * T)
    staking.undelegate(10, 0, ALL)
    double(staking, 0)
    assert delegation_view(staking.storage, account(11), 1).slashed == 50 * T // 20


# Absence


def test_too_many_absences_jail_and_cost_a_thousandth(staking):
    staking.delegate(10, 1, 100 * T)
    for _ in range(8):
        staking.end(minted=0, absent=[1])
    view = validator_view(staking.storage, 2)
    assert view.stake == (M + 100 * T) * 999 // 1000
    assert view.jailed_until > staking.time
    assert staking.log.named("Jailed") == [(account(1), view.jailed_until)]
    assert account(1) not in [member.operator for member in staking.current.validators]
    assert slash_view(staking.storage, 2, 0)[1:4] == (Fault.ABSENCE, 1_000, (M + 100 * T) // 1000)
    with pytest.raises(ValidatorJailed):
        staking.act("activate", 1)
    staking.wait(40, minted=0)
    assert account(1) not in [member.operator for member in staking.current.validators], "not by itself"
    staking.act("update_candidacy", 1, 9 * M, 0, 0)
    staking.act("activate", 1)
    staking.end(minted=0)
    assert account(1) in [member.operator for member in staking.current.validators]
    assert watch_of(staking.storage, 2).missed == 0


def test_absence_can_be_free(staking):
    staking.with_params(slash_absence=0)
    for _ in range(8):
        staking.end(minted=0, absent=[1])
    view = validator_view(staking.storage, 2)
    assert (view.stake, bool(view.jailed_until)) == (M, True)
    assert slash_view(staking.storage, 2, 0).amount == 0


def test_absences_leave_the_window_again(staking):
    for block in range(100):
        staking.end(minted=0, absent=[1] if block % 4 == 0 else ())
    assert watch_of(staking.storage, 2).missed == 5, "one block in four of twenty"
    assert validator_view(staking.storage, 2).jailed_until == 0
    for _ in range(20):
        staking.end(minted=0)
    assert watch_of(staking.storage, 2).missed == 0
    assert staking.storage.load(items_slot(candidate_slot(2) + MISSED)) == 0


def test_presence_writes_no_word(staking):
    staking.run(3, minted=0)
    before = staking.world.changes()
    staking.begin()
    assert staking.world.changes() == before


def test_the_view_of_presence_knows_the_last_height_signed(staking):
    staking.run(6, minted=0)
    seen = lambda: signing_view(staking.storage, 2, height=staking.height - 1, limit=6, window=20)  # noqa: E731
    assert seen().last_signed == staking.height - 2
    for _ in range(3):
        staking.end(minted=0, absent=[1])
    assert seen() == (staking.height - 5, 3, 20, 6, 0, False)


def test_a_changed_window_begins_anew(staking):
    for _ in range(5):
        staking.end(minted=0, absent=[1])
    assert watch_of(staking.storage, 2).missed == 4
    staking.with_params(absence_window=300)
    staking.end(minted=0, absent=[1])
    assert watch_of(staking.storage, 2)[:2] == (1, 300)


def test_who_is_out_is_not_counted_absent(staking):
    staking.run(2, minted=0)
    staking.act("deactivate", 1)
    for _ in range(5):
        staking.end(minted=0, absent=[1])
    assert watch_of(staking.storage, 2).missed == 0


def test_stepping_down_for_a_block_makes_no_absence_forgotten(staking):
    for _ in range(5):
        staking.end(minted=0, absent=[1])
    assert watch_of(staking.storage, 2).missed == 4
    staking.act("deactivate", 1)
    staking.end(minted=0, absent=[1])
    staking.act("activate", 1)
    staking.end(minted=0, absent=[1])
    assert watch_of(staking.storage, 2)[:3] == (4, 20, staking.height - 1)
    for _ in range(20):
        staking.end(minted=0, absent=[1])
    assert validator_view(staking.storage, 2).jailed_until


def test_a_chain_of_founders_without_stake_punishes_nobody():
    economy = Staking(ChainParams(), founders=0)
    economy.sets[1] = economy.sets[2] = economy.current = None
    stranger = Staking().sets[1]
    economy.sets = dict.fromkeys(range(1, 10), stranger)
    economy.run(3, absent=[0], offences=[Offence(stranger.validators[0], 1)])
    assert economy.state.pot == 30 * CMT
