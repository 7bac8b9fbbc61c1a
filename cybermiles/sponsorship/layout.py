"""Where each word of the fees contract lies: docs/spec/storage-layout.md.

One sponsored transaction changes three words: the deposit, what the day cost, what the user had of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.state.slots import Packed, mapping_slot
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Container

    from cybermiles.state.slots import ReadStorage, Storage

# Declared slots

FREE_LANE = 0
SPONSORSHIPS = 1
USERS = 2

# Words of a sponsorship

DEPOSIT = 0
RULES = 1
DAY = 2


class FreeLane(NamedTuple):
    """The free lane of the newest block that used it."""

    slots: int
    gas: int
    """Sum of gas limits."""
    height: int


class Deposit(NamedTuple):
    """Coins for the gas of calls to one target."""

    owner: int
    """Who decides about it beside the target; 0: nobody yet."""
    amount: int
    """Wei."""


class Rules(NamedTuple):
    """What a deposit pays for."""

    max_fee_per_day: int
    """Of all users together. Wei."""
    max_gas: int
    """Largest gas limit; 0: nothing is paid."""
    per_user: int
    """Transactions of one user in a day."""
    only_listed: int
    """1: for listed users only."""


class Day(NamedTuple):
    """What a deposit paid on one day."""

    day: int
    spent: int
    """Wei."""


class User(NamedTuple):
    """One user of one target."""

    day: int
    used: int
    """Transactions paid on that day."""
    listed: int
    """1: among those whom the owner listed."""


FREE_LANE_WORD = Packed(FreeLane, slots=32, gas=64, height=64)
DEPOSIT_WORD = Packed(Deposit, owner=160, amount=96)
RULES_WORD = Packed(Rules, max_fee_per_day=96, max_gas=64, per_user=32, only_listed=8)
DAY_WORD = Packed(Day, day=64, spent=96)
USER_WORD = Packed(User, day=64, used=32, listed=8)

SECONDS_PER_DAY = 86_400
MAX_DEPOSIT = 2**96 - 1
"""Wei; the supply is under 2^94 for ever."""


def deposit_of(storage: ReadStorage, target: Address) -> Deposit:
    """Return a target's deposit."""
    return DEPOSIT_WORD.load(storage, mapping_slot(SPONSORSHIPS, target) + DEPOSIT)


def store_deposit(storage: Storage, target: Address, deposit: Deposit) -> None:
    """Store a target's deposit."""
    DEPOSIT_WORD.store(storage, mapping_slot(SPONSORSHIPS, target) + DEPOSIT, deposit)


def rules_of(storage: ReadStorage, target: Address) -> Rules:
    """Return what a target's deposit pays for."""
    return RULES_WORD.load(storage, mapping_slot(SPONSORSHIPS, target) + RULES)


def store_rules(storage: Storage, target: Address, rules: Rules) -> None:
    """Store what a target's deposit pays for."""
    RULES_WORD.store(storage, mapping_slot(SPONSORSHIPS, target) + RULES, rules)


def spent_on(storage: ReadStorage, target: Address, day: int) -> int:
    """Return what a deposit paid on a day, which is the newest. Wei."""
    newest = DAY_WORD.load(storage, mapping_slot(SPONSORSHIPS, target) + DAY)
    return newest.spent if newest.day == day else 0


def store_spent(storage: Storage, target: Address, day: int, spent: int) -> None:
    """Store what a deposit paid on a day."""
    DAY_WORD.store(storage, mapping_slot(SPONSORSHIPS, target) + DAY, Day(day, spent))


def user_of(storage: ReadStorage, target: Address, user: Address, day: int) -> User:
    """Return a target's user on a day, which is the newest."""
    found = USER_WORD.load(storage, mapping_slot(USERS, target, user))
    return found if found.day == day else User(day, 0, found.listed)


def store_user(storage: Storage, target: Address, user: Address, record: User) -> None:
    """Store a target's user."""
    USER_WORD.store(storage, mapping_slot(USERS, target, user), record)


def day_of(timestamp: int) -> int:
    """Return the day of UTC that a header time is on, counted from 1970."""
    return timestamp // SECONDS_PER_DAY


def owner_of(deposit: Deposit) -> Address:
    """Return the owner as an address; the zero address where there is none."""
    return Address(deposit.owner.to_bytes(20))


def changes_of(target: Address, slots: Container[int]) -> bool:
    """Tell whether a target's deposit or rules are among changed slots."""
    first = mapping_slot(SPONSORSHIPS, target)
    return first + DEPOSIT in slots or first + RULES in slots
