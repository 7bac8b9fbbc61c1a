"""Staking without an EVM: a world, accounts with coins, calls that revert when they are refused, blocks that end."""

from __future__ import annotations

from dataclasses import replace

from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import STAKING
from cybermiles.crypto import ed25519
from cybermiles.errors import Refusal
from cybermiles.execution.begin_block import begin_block
from cybermiles.staking import candidates, delegations
from cybermiles.staking.awards import pay_awards, share_out_one
from cybermiles.staking.candidates import Declaration, open_candidacy
from cybermiles.staking.election import elect, seat_first, seats_of, validator_set
from cybermiles.staking.exits import pay_due_exits
from cybermiles.staking.keys import key_proof_bytes
from cybermiles.staking.layout import FOUNDATION, candidate_of, identity_of, ledger_of
from cybermiles.staking.state import staking_state
from cybermiles.staking.supply import count_burnt, mint
from cybermiles.state.reader import NoState
from cybermiles.state.slots import Storage
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import Address

CMT = 10**18
COINS = 100_000_000 * CMT
"""What every account starts with."""
CHAIN_ID, GENESIS_HASH = 181818, b"\x47" * 32
PROFILE = ("name", "web", "here", "mail", "about")


def account(number: int) -> Address:
    """Return a test account."""
    return Address(b"\xac" + number.to_bytes(19))


def consensus_key(number: int) -> bytes:
    """Return the private key of a test validator."""
    return b"\x5e" + number.to_bytes(31)


class Log:
    """Keeps events."""

    def __init__(self):
        self.entries = []

    def emit(self, name, *arguments):
        self.entries.append((name, *arguments))

    def named(self, name):
        return [entry[1:] for entry in self.entries if entry[0] == name]


class Staking:
    """A chain's staking: block 0 founds it, `end` closes a block, everything else happens inside one."""

    def __init__(self, params=None, *, founders=4, stake=1_000_000 * CMT, rate=200_000, accounts=40, cap=None):
        self.params = params or ChainParams()
        self.world = WorldState(NoState())
        self.world.begin_transaction()
        self.world.set_nonce(STAKING, 1)
        self.height, self.time = 0, 1_700_000_000
        self.minted = 0
        self.log = Log()
        self.keys = 1_000
        for number in range(accounts):
            self.world.set_balance(account(number), COINS)
        self.genesis = accounts * COINS
        self.storage.store_address(FOUNDATION, account(accounts - 1))
        ids = []
        for number in range(founders):
            self._move(account(number), stake)
            key = ed25519.public_key(consensus_key(number))
            declared = Declaration(key=key, cap=cap or 10 * stake, rate=rate, stake=stake, profile=PROFILE)
            ids.append(open_candidacy(self.state, account(number), declared))
        if ids:
            seat_first(self.state, ids)
        self.sets = {}
        self.current = validator_set(self.storage, seats_of(self.storage)) if ids else None
        self.sets[1] = self.sets[2] = self.current
        self.log.entries.clear()
        self.height, self.time = 1, self.time + 1
        self.begun = False

    @property
    def storage(self):
        return Storage(self.world, STAKING)

    @property
    def state(self):
        return staking_state(
            self.world, self.params, height=self.height, time=self.time, events=self.log, faults=self.log
        )

    # Calls

    def call(self, function, sender, *arguments, value=0, **options):
        """Call a rule as the EVM would: value moves first, a refusal undoes everything and is raised."""
        mark = self.world.snapshot()
        entries = len(self.log.entries)
        try:
            self._move(sender, value)
            return function(self.state, sender, *arguments, **options)
        except Refusal:
            self.world.revert(mark)
            del self.log.entries[entries:]
            raise

    def delegate(self, holder, validator, amount):
        return self.call(delegations.delegate, account(holder), account(validator), amount, value=amount)

    def undelegate(self, holder, validator, amount):
        return self.call(delegations.undelegate, account(holder), account(validator), amount)

    def redelegate(self, holder, source, target, amount):
        return self.call(delegations.redelegate, account(holder), account(source), account(target), amount)

    def grant(self, owner, delegator, rate):
        return self.call(delegations.set_rate_for, account(owner), account(delegator), rate)

    def declare(self, owner, *, stake=1_000_000 * CMT, cap=10_000_000 * CMT, rate=200_000, key=None, **changes):
        if key is None:
            self.keys += 1
            key = consensus_key(self.keys)
        public = changes.pop("public", ed25519.public_key(key))
        message = key_proof_bytes(CHAIN_ID, GENESIS_HASH, account(owner))
        proof = changes.pop("proof", ed25519.sign(key, message))
        declared = Declaration(key=public, cap=cap, rate=rate, stake=stake, profile=changes.pop("profile", PROFILE))
        return self.call(candidates.declare, account(owner), declared, proof, message, value=stake)

    def rotate(self, owner, key, *, signer=None, chain_id=CHAIN_ID):
        message = key_proof_bytes(chain_id, GENESIS_HASH, account(owner if signer is None else signer))
        right = key_proof_bytes(CHAIN_ID, GENESIS_HASH, account(owner))
        public = ed25519.public_key(key)
        return self.call(candidates.rotate_key, account(owner), public, ed25519.sign(key, message), right)

    def act(self, name, owner, *arguments, value=0, **options):
        """Call a rule of `candidates` by name."""
        return self.call(getattr(candidates, name), account(owner), *arguments, value=value, **options)

    # Blocks

    def signed(self, absent=()):
        """Return who signed the parent: everybody but the owners in `absent`."""
        if self.height < 2:
            return ()
        members = self.sets[self.height - 1]
        gone = {account(number) for number in absent}
        return tuple((member.address, member.power, member.operator not in gone) for member in members.validators)

    def begin(self, *, absent=(), offences=()):
        """Begin the block; `end` does it where a test does not."""
        begin_block(self.state, self.signed(absent), offences)
        self.begun = True

    def end(self, seconds=1, *, minted=10 * CMT, absent=(), offences=()):
        """End the block: returns what it paid."""
        if not self.begun:
            self.begin(absent=absent, offences=offences)
        mint(self.state, minted)
        self.minted += minted
        pay_due_exits(self.state)
        paid = pay_awards(self.state, self.signed(absent))
        share_out_one(self.state)
        elected = elect(self.state)
        self.current = elected or self.sets[self.height + 1]
        self.sets[self.height + 2] = self.current
        burnt = self.world.burnt
        count_burnt(self.storage, burnt - self.counted)
        self.counted = burnt
        self.height += 1
        self.time += seconds
        self.begun = False
        self.world.end_transaction()
        self.world.begin_transaction()
        return paid

    counted = 0

    def run(self, blocks, **options):
        for _ in range(blocks):
            self.end(**options)

    def wait(self, seconds, **options):
        """Let time pass, then end a block that sees it."""
        self.end(seconds=seconds, **options)
        self.end(**options)

    # Facts

    def id(self, owner):
        return candidate_of(self.storage, account(owner))

    def balance(self, number):
        return self.world.balance(account(number))

    @property
    def ledger(self):
        return ledger_of(self.storage)

    def owners(self):
        return [identity_of(self.storage, n).owner for n in range(1, self.ledger.candidates + 1)]

    def with_params(self, **changes):
        self.params = replace(self.params, **changes)

    def _move(self, sender, value):
        if value:
            self.world.subtract_balance(sender, value)
            self.world.add_balance(STAKING, value)
