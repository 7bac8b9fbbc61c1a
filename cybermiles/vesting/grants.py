"""A grant: coins released evenly over time, of which what is not released may be staked.

    total = in the contract + released + staked + lost                                  always, to the wei
    vested(t) = floor(total · (t - start) / (end - start))                              from 0 to total
    releasable(t) = min(vested(t) - released, in the contract)                          never under 0

Staked coins are the last to vest: while they are away they cannot be released, and what a slash takes of them is
missing at the end. The block's header time is the only clock.

The stake stands in the staking contract under an account of its own, which nobody has a key for, so that it is apart
from what the holder stakes itself. Its awards are the holder's and free, its principal goes back under the lock:

    delegate      amount ─► principal of (grant, candidate)
    undelegate    awards first: of stake worth W with principal P, what is over P leaves as awards. Where slashes left
                  W < P, the exit carries its part of the principal, P · amount / W rounded up
    paid          as much as the exit's principal ─► the contract; the rest ─► the holder; what is missing is lost
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvariantViolation
from cybermiles.staking import delegations
from cybermiles.staking.book import open_book
from cybermiles.staking.exits import exit_head
from cybermiles.staking.holdings import load_holding
from cybermiles.state.slots import Storage, mapping_slot
from cybermiles.types.primitives import ZERO_ADDRESS, Address
from cybermiles.vesting.errors import NoGrant, NotEnoughLocked, NothingToRelease
from cybermiles.vesting.layout import (
    GRANT_OF,
    HOLDER_OF_ACCOUNT,
    LABEL,
    PAID,
    PAID_WORD,
    STAKE,
    STAKE_WORD,
    TERMS,
    TERMS_WORD,
    Paid,
    Stake,
    Terms,
    exiting_slot,
    grant_slot,
    grants_array,
    principal_slot,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.chain.genesis import VestingGrant
    from cybermiles.staking.exits import PaidExit
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.state.world import WorldState

_ACCOUNT_TAG = b"cmt/vesting-stake".ljust(32, b"\x00")


class Events(Protocol):
    """Who hears of what happens."""

    def emit(self, name: str, *arguments: object) -> None:
        """Report an event of the contract's ABI."""
        ...


class Grant(NamedTuple):
    """One grant as it stands in storage."""

    slot: int
    terms: Terms
    paid: Paid
    stake: Stake

    @property
    def held(self) -> int:
        """Wei of it in the contract's balance."""
        return self.paid.total - self.paid.released - self.stake.staked - self.stake.lost

    @property
    def left(self) -> int:
        """Wei of it that are not released, wherever they are."""
        return self.held + self.stake.staked

    def vested(self, time: int) -> int:
        """Return what time has set free since the start, rounded down. Wei."""
        start, end = self.terms.start, self.terms.end
        passed = min(max(time - start, 0), end - start)
        return self.paid.total * passed // (end - start)

    def releasable(self, time: int) -> int:
        """Return what can be paid now. Wei."""
        return min(max(self.vested(time) - self.paid.released, 0), self.held)

    def locked(self, time: int) -> int:
        """Return what only time will set free, of what is left. Wei."""
        return min(self.paid.total - self.vested(time), self.left)


def stake_account(holder: Address) -> Address:
    """Return the account under which a grant's stake stands."""
    return Address(keccak256(_ACCOUNT_TAG + holder)[12:])


def found(world: WorldState, grants: Iterable[VestingGrant]) -> None:
    """Write the grants of the genesis document, which has one a holder. Their coins are in the contract's balance."""
    storage = Storage(world, VESTING)
    listed = grants_array(storage)
    for grant in grants:
        index = listed.grow()
        slot = listed.slot_of(index)
        TERMS_WORD.store(storage, slot + TERMS, Terms(int.from_bytes(grant.holder), grant.start, grant.end))
        PAID_WORD.store(storage, slot + PAID, Paid(grant.amount, 0))
        storage.store_text(slot + LABEL, grant.label)
        storage.store(mapping_slot(GRANT_OF, grant.holder), index + 1)
        storage.store_address(mapping_slot(HOLDER_OF_ACCOUNT, stake_account(grant.holder)), grant.holder)


def find(storage: ReadStorage, holder: Address) -> Grant:
    """Return a holder's grant. Raises NoGrant."""
    slot = grant_slot(storage, holder)
    if slot is None:
        raise NoGrant(holder)
    return load_grant(storage, slot)


def load_grant(storage: ReadStorage, slot: int) -> Grant:
    """Return the grant at a slot."""
    return Grant(
        slot,
        TERMS_WORD.load(storage, slot + TERMS),
        PAID_WORD.load(storage, slot + PAID),
        STAKE_WORD.load(storage, slot + STAKE),
    )


def release(storage: Storage, holder: Address, time: int) -> tuple[int, int]:
    """Book what can be released; return it and what is left. The caller pays it. Raises NoGrant, NothingToRelease."""
    grant = find(storage, holder)
    amount = grant.releasable(time)
    if not amount:
        raise NothingToRelease
    PAID_WORD.store(storage, grant.slot + PAID, grant.paid._replace(released=grant.paid.released + amount))
    return amount, grant.left - amount


def delegate_locked(storage: Storage, staking: StakingState, holder: Address, validator: Address, amount: int) -> int:
    """Stake coins of a grant; return what its stake with the validator is worth then.

    Moves the coins itself. Raises NoGrant, NotEnoughLocked, and what `staking.delegations.delegate` raises.
    """
    grant = find(storage, holder)
    if amount > grant.held:
        raise NotEnoughLocked(grant.held, amount)
    candidate = staking.find(validator)
    staking.world.subtract_balance(VESTING, amount)
    staking.world.add_balance(STAKING, amount)
    worth = delegations.delegate(staking, stake_account(holder), validator, amount)
    storage.add(principal_slot(holder, candidate), amount)
    STAKE_WORD.store(storage, grant.slot + STAKE, grant.stake._replace(staked=grant.stake.staked + amount))
    return worth


def undelegate_locked(
    storage: Storage, staking: StakingState, holder: Address, validator: Address, amount: int | None
) -> tuple[int, int, int, int]:
    """Begin to take stake of a grant back, None: all of it.

    Return (exit id, time of payment, principal, awards). Raises NoGrant, and what `staking.delegations.undelegate`
    raises.
    """
    find(storage, holder)
    candidate = staking.find(validator)
    worth = locked_worth(staking.storage, holder, candidate)
    amount = worth if amount is None else amount
    exit_id, due = delegations.undelegate(staking, stake_account(holder), validator, amount)
    amount = exit_head(staking.storage, exit_id).amount  # all leaves where less than the minimum would stay
    slot = principal_slot(holder, candidate)
    principal = storage.load(slot)
    leaving = leaving_principal(principal, worth, amount)
    storage.store(slot, principal - leaving)
    storage.store(exiting_slot(exit_id), leaving)
    return exit_id, due, min(leaving, amount), max(amount - leaving, 0)


def leaving_principal(principal: int, worth: int, amount: int) -> int:
    """Return how much of the principal leaves with `amount` of stake worth `worth`. Wei."""
    if worth < principal:
        return -(-principal * amount // worth)
    return max(amount - (worth - principal), 0)


def locked_worth(staking: ReadStorage, holder: Address, candidate: int) -> int:
    """Return what a grant's stake with a candidate is worth, awards included. Wei."""
    return load_holding(staking, stake_account(holder), candidate).value(open_book(staking, candidate))


def receive_exits(world: WorldState, paid: Iterable[PaidExit], events: Events) -> None:
    """Take what exits paid to stake accounts of grants: principal under the lock, the rest to the holder."""
    storage = Storage(world, VESTING)
    for leaver in paid:
        holder = storage.load_address(mapping_slot(HOLDER_OF_ACCOUNT, leaver.holder))
        if holder != ZERO_ADDRESS:
            _receive(world, storage, holder, leaver, events)


def _receive(world: WorldState, storage: Storage, holder: Address, leaver: PaidExit, events: Events) -> None:
    grant, slot = find(storage, holder), exiting_slot(leaver.exit_id)
    principal = storage.load(slot)
    back = min(leaver.amount, principal)
    lost, awards = principal - back, leaver.amount - back
    if principal > grant.stake.staked:
        raise InvariantViolation(f"exit {leaver.exit_id} brings {principal} wei back to {grant}")
    storage.store(slot, 0)
    staked = Stake(grant.stake.staked - principal, grant.stake.lost + lost)
    STAKE_WORD.store(storage, grant.slot + STAKE, staked)
    world.subtract_balance(leaver.holder, leaver.amount)
    world.add_balance(VESTING, back)
    world.add_balance(holder, awards)
    events.emit("LockedReturned", holder, leaver.exit_id, back, awards, lost)
