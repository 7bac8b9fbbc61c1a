"""Who may decide about a target's deposit, and what: owner, rules, listed users, coins in and out.

    claimed by the creator ─┐
                            ├─► owner ─► rules, users, withdrawals, another owner
    named by the target ────┘            the target itself may always do the same

A creator proves itself by arithmetic: the address of a contract made by CREATE, or by a transaction without recipient,
is a hash of who made it and the nonce at which. Nobody else has such a pair. CREATE2 proves nothing of this kind, as
anybody may have a factory make a contract; such a contract names its owner itself, best in its constructor. A target
that names itself keeps everybody out for ever.

Deposits are accepted only where there is somebody who can withdraw them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cybermiles.chain.predeploys import is_reserved
from cybermiles.crypto.hashing import keccak256
from cybermiles.sponsorship.errors import (
    BadRecipient,
    HasOwner,
    NoOwner,
    NotAllowed,
    NotCreator,
    NotEnoughDeposit,
    NothingSent,
)
from cybermiles.sponsorship.layout import (
    MAX_DEPOSIT,
    day_of,
    deposit_of,
    owner_of,
    store_deposit,
    store_rules,
    store_user,
    user_of,
)
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_ADDRESS

if TYPE_CHECKING:
    from cybermiles.sponsorship.layout import Rules
    from cybermiles.state.slots import Storage
    from cybermiles.types.primitives import Address


class Events(Protocol):
    """Who hears of what happens."""

    def emit(self, name: str, *arguments: object) -> None:
        """Report an event of the contract's ABI."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """One caller's call about one target."""

    storage: Storage
    events: Events
    sender: Address
    target: Address


def claim(action: Action, nonce: int) -> None:
    """Make the creator of a target its owner. Raises HasOwner, NotCreator."""
    deposit = deposit_of(action.storage, action.target)
    if deposit.owner:
        raise HasOwner(owner_of(deposit))
    if keccak256(rlp.encode([action.sender, rlp.int_to_bytes(nonce)]))[12:] != action.target:
        raise NotCreator(action.target)
    _set_owner(action, action.sender)


def name_owner(action: Action, owner: Address) -> None:
    """Give a target another owner. Raises NotAllowed, NoOwner for the zero address."""
    _check_sender(action)
    if owner == ZERO_ADDRESS:
        raise NoOwner(action.target)
    _set_owner(action, owner)


def set_rules(action: Action, rules: Rules) -> None:
    """Say what a deposit pays for from now on. Raises NotAllowed, NoOwner."""
    _check_sender(action)
    _check_owned(action)
    store_rules(action.storage, action.target, rules)
    action.events.emit(
        "SponsorRulesChanged",
        action.target,
        rules.max_gas,
        rules.per_user,
        rules.max_fee_per_day,
        rules.only_listed == 1,
    )


def list_user(action: Action, user: Address, timestamp: int, *, allowed: bool) -> None:
    """Put a user on the target's list, or strike it off. Raises NotAllowed, NoOwner."""
    _check_sender(action)
    _check_owned(action)
    record = user_of(action.storage, action.target, user, day_of(timestamp))
    store_user(action.storage, action.target, user, record._replace(listed=int(allowed)))
    action.events.emit("SponsoredUserSet", action.target, user, allowed)


def fund(action: Action, amount: int) -> None:
    """Add coins, which are in the contract's balance already.

    Raises NothingSent, NoOwner, NotAllowed for more coins than there can be (a call may pretend to have them).
    """
    if amount <= 0:
        raise NothingSent
    _check_owned(action)
    deposit = deposit_of(action.storage, action.target)
    if deposit.amount + amount > MAX_DEPOSIT:
        raise NotAllowed
    store_deposit(action.storage, action.target, deposit._replace(amount=deposit.amount + amount))
    action.events.emit("SponsorshipChanged", action.target, deposit.amount + amount)


def withdraw(action: Action, amount: int, to: Address) -> None:
    """Book coins out; the caller pays them to `to`. Raises NotAllowed, NothingSent, BadRecipient, NotEnoughDeposit."""
    _check_sender(action)
    if amount <= 0:
        raise NothingSent
    if is_reserved(to):
        raise BadRecipient(to)
    deposit = deposit_of(action.storage, action.target)
    if deposit.amount < amount:
        raise NotEnoughDeposit(deposit.amount, amount)
    store_deposit(action.storage, action.target, deposit._replace(amount=deposit.amount - amount))
    action.events.emit("SponsorshipChanged", action.target, deposit.amount - amount)


def _check_sender(action: Action) -> None:
    owner = owner_of(deposit_of(action.storage, action.target))
    if action.sender != action.target and (owner == ZERO_ADDRESS or action.sender != owner):
        raise NotAllowed


def _check_owned(action: Action) -> None:
    if not deposit_of(action.storage, action.target).owner:
        raise NoOwner(action.target)


def _set_owner(action: Action, owner: Address) -> None:
    deposit = deposit_of(action.storage, action.target)
    store_deposit(action.storage, action.target, deposit._replace(owner=int.from_bytes(owner)))
    action.events.emit("SponsorOwnerSet", action.target, owner)
