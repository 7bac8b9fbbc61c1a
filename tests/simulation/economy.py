"""Random lives of the economy: every operation, slash, award and parameter, audited after each block.

    python -m tests.simulation.economy --steps 100000 --seed 1

A step is one operation (accepted or refused) or the end of one block. After each block the books are found again from the
storage alone (`fakes.staking_audit`); snapshots are compared with copies made when they were opened; at the end of
each life everybody leaves, time passes, and nothing may be left that belongs to somebody. The same steps run under
Hypothesis in tests/unit/staking/test_economy_machine.py.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from random import Random

from cybermiles.chain.params import ChainParams
from cybermiles.crypto import ed25519
from cybermiles.errors import Refusal
from cybermiles.staking.delegations import ALL
from cybermiles.staking.layout import candidate_of, delegation_slot, delegators_view, status_of
from cybermiles.staking.offences import submit_evidence
from cybermiles.staking.records import POSITION_WORD, WITHDRAWN
from cybermiles.staking.snapshots import _pools_at, candidate_stake_at, delegation_at, open_snapshot
from cybermiles.types import rlp
from cybermiles.types.validator import consensus_address
from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.fakes.staking import CHAIN_ID, CMT, GENESIS_HASH, PROFILE, Staking, account, consensus_key
from tests.fakes.staking_audit import audit

ACCOUNTS = 14
FOUNDERS = 3
PARAMS = ChainParams(
    max_vals=3, backup_vals=2, unbonding_seconds=60, evidence_max_age_seconds=60, absence_window=20, max_absences=6,
    jail_seconds=15, evidence_max_age_blocks=50,
)  # fmt: skip
PARAM_CHANGES = (
    {"max_vals": 1}, {"max_vals": 3}, {"backup_vals": 0}, {"backup_vals": 4}, {"unbonding_seconds": 60},
    {"unbonding_seconds": 120}, {"absence_window": 20}, {"absence_window": 300}, {"power_unit": 1_000 * CMT},
    {"power_unit": 500_000 * CMT}, {"min_staking_amount": 1_000 * CMT}, {"min_staking_amount": 5_000 * CMT},
    {"slash_absence": 0}, {"slash_absence": 1}, {"self_staking_ratio": PARAMS.self_staking_ratio},
    {"validators_block_award_ratio": PARAMS.self_staking_ratio}, {"double_sign_slash": PARAMS.self_staking_ratio},
)  # fmt: skip


@dataclass(frozen=True)
class Offence:
    """What a block's evidence proves."""

    validator: object
    height: int
    evidence_hash: bytes


class Life:
    """One economy and the choices that move it. `pick(n)` returns an integer below n."""

    def __init__(self, pick):
        self.pick = pick
        self.staking = Staking(PARAMS, founders=FOUNDERS, accounts=ACCOUNTS)
        self.accounts = [account(number) for number in range(ACCOUNTS)]
        self.keys = {number: consensus_key(number) for number in range(FOUNDERS)}
        self.next_key = 5_000
        self.offers = 0
        self.snapshots = []
        self.outcomes = Counter()
        self.operations = (
            self.delegate, self.delegate, self.delegate, self.undelegate, self.undelegate, self.redelegate,
            self.redelegate, self.grant, self.declare, self.update, self.rotate, self.activate, self.activate,
            self.deactivate, self.withdraw, self.offer, self.accept, self.verify, self.evidence, self.donate,
            self.change_params, self.snapshot, self.profile,
        )  # fmt: skip

    def step(self):
        if self.pick(3) == 0:
            self.block()
        else:
            self.operation(self.pick(len(self.operations)))

    def operation(self, index):
        operation = self.operations[index]
        try:
            operation()
            self.outcomes[operation.__name__, "done"] += 1
        except Refusal as refusal:
            self.outcomes[operation.__name__, type(refusal).__name__] += 1

    # Operations

    def who(self):
        return self.pick(ACCOUNTS)

    def owner(self):
        """Mostly somebody who owns a candidacy."""
        number = self.who()
        for _ in range(ACCOUNTS if self.pick(8) else 0):
            if candidate_of(self.staking.storage, account(number)):
                break
            number = (number + 1) % ACCOUNTS
        return number

    def delegator(self):
        """Mostly (holder, owner) of a delegation there is."""
        owner = self.owner()
        candidate = candidate_of(self.staking.storage, account(owner))
        if candidate and self.pick(8):
            listed = delegators_view(self.staking.storage, candidate)
            if len(listed):
                word = self.staking.storage.load(listed.slot_of(self.pick(len(listed))))
                return word & 0xFFFF, owner
        return self.who(), owner

    def amount(self):
        return (1, 999 * CMT, 1_000 * CMT, 1_000 * CMT + self.pick(10**9), 30_000 * CMT + 7, 400_000 * CMT, ALL)[
            self.pick(7)
        ]

    def delegate(self):
        holder, validator = self.who(), self.owner()
        self.staking.delegate(holder, validator, min(self.amount(), self.staking.balance(holder)))

    def undelegate(self):
        self.staking.undelegate(*self.delegator(), self.amount())

    def redelegate(self):
        holder, source = self.delegator()
        self.staking.redelegate(holder, source, self.owner(), self.amount())

    def grant(self):
        holder, owner = self.delegator()
        self.staking.grant(owner, holder, (1, 50_000, 100_000, 199_999, 200_000, 500_000)[self.pick(6)])

    def declare(self):
        if self.staking.ledger.candidates >= 10:
            return
        owner = self.who()
        self.next_key += 1
        key = consensus_key(self.next_key)
        stake = (1_000, 200_000, 1_500_000)[self.pick(3)] * CMT
        self.staking.declare(owner, stake=stake, cap=stake * (1 + self.pick(11)), rate=1 + self.pick(400_000), key=key)
        self.keys[owner] = key

    def update(self):
        owner = self.owner()
        cap = (0, 0, 50_000, 2_000_000, 20_000_000)[self.pick(5)] * CMT
        value = min((0, 0, 1, 50_000 * CMT)[self.pick(4)], self.staking.balance(owner))
        self.staking.act("update_candidacy", owner, cap, self.pick(3) * 100_000, value, value=value)

    def profile(self):
        self.staking.act("update_profile", self.owner(), PROFILE)

    def rotate(self):
        owner = self.owner()
        self.next_key += 1
        key = consensus_key(self.next_key)
        self.staking.rotate(owner, key)
        self.keys[owner] = key

    def activate(self):
        self.staking.act("activate", self.owner())

    def deactivate(self):
        self.staking.act("deactivate", self.owner())

    def withdraw(self):
        if self.pick(8) == 0:
            self.staking.act("withdraw", self.owner())

    def offer(self):
        self.offers = self.staking.act("offer_ownership", self.owner(), account(self.who()))

    def accept(self):
        self.staking.act("accept_ownership", self.who(), self.offers)

    def verify(self):
        self.staking.act("set_verified", ACCOUNTS - 1, account(self.who()), verified=bool(self.pick(2)))

    def donate(self):
        """Coins forced on the contract, as a self-destruction can: they are the pot's."""
        giver = self.who()
        self.staking._move(account(giver), min(self.pick(10**6), self.staking.balance(giver)))

    def change_params(self):
        self.staking.with_params(**PARAM_CHANGES[self.pick(len(PARAM_CHANGES))])

    def evidence(self):
        """Two votes by somebody's key, shown by anybody."""
        owner = self.owner()
        if owner not in self.keys or self.pick(8):
            return
        key, staking = self.keys[owner], self.staking
        height = max(1, staking.height - self.pick(5))
        votes = [
            Vote(
                VoteType.PRECOMMIT, height, 0, block_hash, consensus_address(ed25519.public_key(key)),
                ed25519.sign(key, vote_sign_bytes(CHAIN_ID, GENESIS_HASH, VoteType.PRECOMMIT, height, 0, block_hash)),
            )
            for block_hash in (None, bytes([self.pick(255)]) * 32)
        ]  # fmt: skip
        encoded = [rlp.encode(vote.to_item()) for vote in votes]
        staking.call(
            lambda state, _sender: submit_evidence(state, *encoded, chain_id=CHAIN_ID, genesis_hash=GENESIS_HASH),
            account(self.who()),
        )

    def snapshot(self):
        if len(self.snapshots) >= 12:
            return
        storage = self.staking.storage
        number = open_snapshot(storage)
        stakes = {}
        for candidate in range(1, self.staking.ledger.candidates + 1):
            pools = _pools_at(storage, candidate, number)
            stakes[candidate] = sum(pool.tokens for pool in pools)
            for holder in self.accounts:
                position = POSITION_WORD.load(storage, delegation_slot(holder, candidate))
                pool = pools[position.pool]
                stakes[holder, candidate] = position.shares * pool.tokens // pool.shares if position.shares else 0
        self.snapshots.append((number, stakes))

    # Blocks

    def block(self):
        staking = self.staking
        absent = [number for number in range(ACCOUNTS) if self.pick(5) == 0]
        offences = ()
        if self.pick(60) == 0 and staking.height > 1:
            members = staking.sets[staking.height - 1].validators
            offences = (Offence(members[self.pick(len(members))], staking.height - 1, b"\x0e" * 32),)
        pot, minted = staking.state.pot, self.pick(3) * CMT + self.pick(10**18)
        paid = staking.end(seconds=1 + self.pick(8) ** 2, minted=minted, absent=absent, offences=offences)
        if staking.state.pot < 0 or paid > pot + minted + staking.state.pot + 10**24:
            raise AssertionError("paid more than there was")
        if not staking.current.validators:
            raise AssertionError("a chain without validators")
        self.audit()

    def audit(self):
        staking = self.staking
        audit(staking.world, staking.storage, genesis=staking.genesis, minted=staking.minted, accounts=self.accounts)
        if self.snapshots:
            number, stakes = self.snapshots[self.pick(len(self.snapshots))]
            for key, stake in stakes.items():
                if isinstance(key, int):
                    found = candidate_stake_at(staking.storage, key, number)
                else:
                    found = delegation_at(staking.storage, *key, number)
                if found != stake:
                    raise AssertionError(f"snapshot {number} says {found} of {key}, which had {stake}")

    def drain(self):
        """Everybody leaves: nobody may be stuck, and nothing that belongs to somebody may be left."""
        staking = self.staking
        for _ in range(3):
            for number in range(ACCOUNTS):
                candidate = candidate_of(staking.storage, account(number))
                if candidate and not status_of(staking.storage, candidate).flags & WITHDRAWN:
                    self._try(lambda n=number: staking.act("withdraw", n))
                for owner in range(ACCOUNTS):
                    self._try(lambda n=number, o=owner: staking.undelegate(n, o, ALL))
            for _ in range(10):
                staking.end(seconds=100, minted=0)
            self.audit()
        if staking.ledger.liabilities:
            raise AssertionError(f"{staking.ledger.liabilities} wei are stuck")

    def _try(self, call):
        try:
            call()
        except Refusal as refusal:
            self.outcomes["drain", type(refusal).__name__] += 1


def live(pick, steps):
    """Run one life and return what happened in it."""
    life = Life(pick)
    for _ in range(steps):
        life.step()
    life.drain()
    return life


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life", type=int, default=1_000, help="steps of one life")
    arguments = parser.parse_args()
    outcomes = Counter()
    start = time.perf_counter()
    lives = -(-arguments.steps // arguments.life)
    for number in range(lives):
        random = Random(f"{arguments.seed}/{number}")
        try:
            outcomes += live(random.randrange, arguments.life).outcomes
        except BaseException:
            print(f"seed {arguments.seed}, life {number}")
            raise
    for (operation, outcome), count in sorted(outcomes.items()):
        print(f"{operation:15} {outcome:22} {count}")
    print(f"{lives * arguments.life} steps in {lives} lives, 0 violations, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
