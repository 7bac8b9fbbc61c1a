"""Random proposals, votes, freezes, cancellations, claims, delegations, exits, slashes and time: what must never break.

Run with more steps: GOVERNANCE_EXAMPLES=500 pytest tests/unit/governance/test_machine.py (a hundred steps each).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.errors import Refusal
from cybermiles.governance.layout import (
    MEMBER_WORD,
    VAULT_WORD,
    WEIGHT_WORD,
    Kind,
    Status,
    bond_of,
    details_slot,
    head_of,
    hold_of,
    members_view,
    open_ids,
    powers_of,
    times_of,
    vault_slot,
    votes_of,
)
from cybermiles.staking import delegations
from cybermiles.staking.exits import pay_due_exits
from cybermiles.staking.layout import candidate_of
from cybermiles.staking.slashing import punish_absence
from tests.fakes.governance import (
    CMT,
    HOLDERS,
    OWNERS,
    STRANGER,
    THIEF,
    VICTIM_A,
    VICTIM_B,
    Chamber,
    tree,
    with_params,
)

FREEZE = 2_000
ACTORS = [*OWNERS[:4], *HOLDERS[:4], STRANGER]
SUSPECTS = [THIEF, HOLDERS[0]]
actors = st.sampled_from(ACTORS)
owners = st.sampled_from(OWNERS[:4])
ids = st.integers(0, 12)
amounts = st.integers(1, 3_000).map(lambda amount: amount * CMT)


class GovernanceMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        params = with_params(gov_freeze_seconds=FREEZE, unbonding_seconds=500, evidence_max_age_seconds=500)
        self.chamber = Chamber(params=params)
        self.coins = self.chamber.coins
        self.frozen_for = dict.fromkeys(SUSPECTS, 0)
        self.executed = {}
        self.taken = {}
        self.paid = {}
        self.powers = {}
        self.victims = {}

    def attempt(self, function, *arguments, **named):
        try:
            return function(*arguments, **named)
        except Refusal:
            return None

    @rule(proposer=actors, account=st.sampled_from(SUSPECTS), amount=amounts)
    def propose_recovery(self, proposer, account, amount):
        victims = {VICTIM_A: amount // 3, VICTIM_B: amount - amount // 3}
        id_ = self.attempt(self.chamber.recover, account, amount, victims, proposer=proposer)
        if id_ is not None:
            self.victims[id_] = victims

    @rule(proposer=actors, value=st.sampled_from(["60", "150", "180"]))
    def propose_param(self, proposer, value):
        self.attempt(self.chamber.param, value=value, proposer=proposer)

    def some_open(self, place):
        """An open proposal, mostly: an id that was never given every now and then."""
        ids = open_ids(self.storage)
        return ids[place % len(ids)] if ids and place else 77

    @rule(place=ids, voter=actors, choice=st.sampled_from([1, 1, 1, 2]))
    def vote(self, place, voter, choice):
        self.attempt(self.chamber.vote, self.some_open(place), voter, choice)

    @rule(place=ids, choice=st.sampled_from([1, 1, 1, 2]))
    def all_validators_vote(self, place, choice):
        id_ = self.some_open(place)
        for owner in OWNERS[:4]:
            self.attempt(self.chamber.vote, id_, owner, choice)

    @rule(place=ids, supporters=st.lists(owners, min_size=1, max_size=4, unique=True))
    def support(self, place, supporters):
        for owner in supporters:
            self.attempt(self.chamber.support, self.some_open(place), owner)

    @rule(place=ids, callers=st.lists(owners, min_size=1, max_size=2), serious=st.integers(0, 3))
    def cancel(self, place, callers, serious):
        if serious:
            return
        for caller in callers:
            self.attempt(self.chamber.cancel, self.some_open(place), caller)

    @rule(place=ids, milestones=st.integers(1, 3), against=owners)
    def carry(self, place, milestones, against):
        """Bring a proposal some way: most validators vote for it as soon as they can."""
        id_ = self.some_open(place)
        if not head_of(self.storage, id_).kind:
            return
        for milestone in range(1, milestones + 1):
            self.go_on_until(place=place, milestone=milestone)
            for owner in OWNERS[:4]:
                self.attempt(self.chamber.vote, id_, owner, 2 if owner == against == OWNERS[3] else 1)

    @rule(place=ids, milestone=st.sampled_from([1, 2, 3]))
    def go_on_until(self, place, milestone):
        """End a block just before the next one reaches a time of a proposal: votes open, they close, the lock ends."""
        time = times_of(self.storage, self.some_open(place))[milestone]
        if time > self.chamber.time:
            self.end_block(time - self.chamber.time)
        self.end_block(1)

    @rule(place=ids, victim=st.sampled_from([VICTIM_A, VICTIM_B]), listed=st.booleans())
    def claim(self, place, victim, listed):
        vaults = [id_ for id_, kind in self.executed.items() if kind == Kind.RECOVER_FUNDS]
        id_ = vaults[place % len(vaults)] if vaults else place
        victims = self.victims.get(id_, {VICTIM_A: 1, VICTIM_B: 2})
        amount = victims[victim] + (not listed)
        paid = self.attempt(self.chamber.claim, id_, victim, amount, tree(victims)[1][victim])
        if paid is not None:
            assert listed and (id_, victim) not in self.paid
            self.paid[id_, victim] = paid

    @rule(holder=st.sampled_from(HOLDERS[:4]), owner=owners, amount=amounts)
    def delegate(self, holder, owner, amount):
        def act(_):
            self.chamber.world.subtract_balance(holder, amount)
            self.chamber.world.add_balance(STAKING, amount)
            delegations.delegate(self.chamber.staking(), holder, owner, amount)

        if holder not in self.chamber.frozen() and self.chamber.world.balance(holder) >= amount:
            self.attempt(self.chamber.run, act)

    @rule(holder=st.sampled_from(HOLDERS[:4]), owner=owners)
    def undelegate(self, holder, owner):
        self.attempt(
            self.chamber.run, lambda _: delegations.undelegate(self.chamber.staking(), holder, owner, 2**256 - 1)
        )

    @rule(holder=st.sampled_from(HOLDERS[:4]), source=owners, towards=owners, amount=amounts)
    def redelegate(self, holder, source, towards, amount):
        move = lambda _: delegations.redelegate(self.chamber.staking(), holder, source, towards, amount)  # noqa: E731
        self.attempt(self.chamber.run, move)

    @rule(owner=owners)
    def slash(self, owner):
        candidate = candidate_of(self.chamber.staking().storage, owner)
        self.chamber.run(lambda _: punish_absence(self.chamber.staking(), candidate, self.chamber.height))

    @rule(seconds=st.sampled_from([1, 10, 60, 300, 300, 1_000, 5_000]))
    def end_block(self, seconds):
        frozen, was = self.chamber.frozen(), self.chamber.params
        self.chamber.run(lambda _: pay_due_exits(self.chamber.staking()))
        self.chamber.end_block(seconds)
        for account in self.chamber.frozen():
            self.frozen_for[account] += seconds if account in frozen else 0
        self.note_executions()
        changed = self.chamber.params.free_slots_per_block != was.free_slots_per_block
        assert changed <= any(kind == Kind.CHANGE_PARAM for kind in self.executed.values())

    @property
    def storage(self):
        return self.chamber.state().storage

    def note_executions(self):
        for id_ in range(1, self.storage.load(0) + 1):
            head = head_of(self.storage, id_)
            if head.status == Status.EXECUTED and id_ not in self.executed:
                self.executed[id_] = head.kind
                self.taken[id_] = VAULT_WORD.load(self.storage, vault_slot(id_)).recovered

    @invariant()
    def coins_are_kept(self):
        assert self.chamber.coins == self.coins

    @invariant()
    def governance_has_what_it_owes_and_no_more(self):
        storage = self.storage
        owed = sum(bond_of(storage, id_).bond for id_ in open_ids(storage))
        for id_ in self.executed:
            vault = VAULT_WORD.load(storage, vault_slot(id_))
            if not storage.load(vault_slot(id_) + 1) >> 64:
                owed += vault.recovered - vault.claimed
        assert self.chamber.world.balance(GOVERNANCE) == owed

    @invariant()
    def freezes_stay_under_their_bound_and_belong_to_open_recoveries(self):
        storage = self.storage
        held = {storage.load_address(details_slot(id_)) for id_ in open_ids(storage) if head_of(storage, id_).holds}
        for account in self.chamber.frozen():
            assert account in held
        for account in SUSPECTS:
            hold = hold_of(storage, account)
            assert hold.used <= FREEZE and self.frozen_for[account] <= FREEZE
            assert hold.until - hold.since + hold.used <= FREEZE if hold.since else True

    @invariant()
    def nothing_is_executed_twice_or_without_two_thirds(self):
        storage = self.storage
        for id_, kind in self.executed.items():
            assert head_of(storage, id_).status == Status.EXECUTED
            vault = VAULT_WORD.load(storage, vault_slot(id_))
            assert vault.recovered == self.taken[id_] and vault.claimed <= vault.recovered
            assert 3 * votes_of(storage, id_).yes > 2 * powers_of(storage, id_).total
            if kind == Kind.RECOVER_FUNDS:
                members = members_view(storage, id_)
                yes = [MEMBER_WORD.load(storage, members.slot_of(i)).choice == 1 for i in range(len(members))]
                assert sum(yes) >= 2

    @invariant()
    def tallies_are_the_votes_and_powers_are_the_snapshots(self):
        storage = self.storage
        for id_ in range(1, storage.load(0) + 1):
            votes, total = votes_of(storage, id_), powers_of(storage, id_).total
            assert votes.yes + votes.no <= total
            members = members_view(storage, id_)
            weights = [WEIGHT_WORD.load(storage, members.slot_of(i) + 1) for i in range(len(members))]
            assert all(weight.overridden <= weight.power for weight in weights)
            assert sum(weight.power for weight in weights) == total == self.powers.setdefault(id_, total)

    @invariant()
    def time_runs_out_for_every_proposal(self):
        storage = self.storage
        for id_ in open_ids(storage):
            times = times_of(storage, id_)
            if head_of(storage, id_).status == Status.VOTING:
                assert self.chamber.time <= times.closes + 5_001


GovernanceMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("GOVERNANCE_EXAMPLES", "30")),
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_governance_keeps_its_promises = GovernanceMachine.TestCase
