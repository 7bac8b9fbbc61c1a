"""The sponsored lane: whether a deposit pays for a transaction's gas, and how it does.

    refusal    before the transaction: the rules, the user's and the day's limits, the deposit against the most that
               the gas may cost
    reserve    the most that it may cost leaves the deposit before the first opcode, so that nothing the transaction
               does can take it away; the user's transaction counts from here on, whether it fails or not
    settle     gas used · price goes to the award pool, the rest back into the deposit; event Sponsored

The price is the parameter `min_gas_price`. The sender pays nothing, the target's own balance is never touched, and no
deposit pays for a target that its owner made no rules for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.predeploys import FEES
from cybermiles.sponsorship.layout import (
    FREE_LANE,
    FREE_LANE_WORD,
    FreeLane,
    day_of,
    deposit_of,
    rules_of,
    spent_on,
    store_deposit,
    store_spent,
    store_user,
    user_of,
)
from cybermiles.state.slots import ReadStorage, Storage

if TYPE_CHECKING:
    from cybermiles.chain.fees import Asking
    from cybermiles.sponsorship.deposits import Events
    from cybermiles.state.slots import SlotReader
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address


class Promised(NamedTuple):
    """What is promised to transactions that no block has yet."""

    gas: int
    """Sum of the gas limits that count on the deposit."""
    uses: int
    """How many of them are of the same user."""


NOTHING_PROMISED = Promised(0, 0)


@dataclass(frozen=True, slots=True)
class DepositSponsors:
    """`chain.fees.Sponsors` on the fees contract of one state at one time."""

    reader: SlotReader
    price: int
    """Wei per gas."""
    time: int
    promised: Promised = NOTHING_PROMISED
    """What other transactions may take of the same deposit first."""

    def refusal(self, transaction: Asking) -> str | None:
        """See `Sponsors`."""
        why_not = self.refusal_of_any_sender(transaction)
        if why_not is None and transaction.to is not None:
            why_not = self._refusal_of_user(transaction, transaction.to)
        return why_not

    def refusal_of_any_sender(self, transaction: Asking) -> str | None:
        """Return the same as far as it does not depend on the sender."""
        target, gas_limit = transaction.to, transaction.gas_limit
        if target is None:
            return ""
        largest = rules_of(ReadStorage(self.reader, FEES), target).max_gas
        if not largest:
            return ""
        if gas_limit > largest:
            return f"the recipient's sponsor pays for at most {largest} gas"
        return self._refusal_of_cost(target, (gas_limit + self.promised.gas) * self.price)

    def _refusal_of_user(self, transaction: Asking, target: Address) -> str | None:
        storage = ReadStorage(self.reader, FEES)
        rules, user = rules_of(storage, target), user_of(storage, target, transaction.sender, day_of(self.time))
        if rules.only_listed and not user.listed:
            return "the recipient's sponsor pays for listed users only"
        if user.used + self.promised.uses >= rules.per_user:
            return f"the recipient's sponsor pays for {rules.per_user} transactions of a user a day"
        return None

    def _refusal_of_cost(self, target: Address, cost: int) -> str | None:
        storage = ReadStorage(self.reader, FEES)
        limit = rules_of(storage, target).max_fee_per_day
        if spent_on(storage, target, day_of(self.time)) + cost > limit:
            return f"the recipient's sponsor pays {limit} wei a day at most"
        deposit = deposit_of(storage, target).amount
        if deposit < cost:
            return f"the sponsor's deposit of {deposit} wei does not cover the {cost} wei that the gas may cost"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SponsoredGas:
    """`vm.backend.GasPayer` of one transaction that `refusal` had nothing against."""

    target: Address
    user: Address
    gas_limit: int
    price: int
    """Wei per gas."""
    recipient: Address
    """Who gets the fee."""
    time: int
    events: Events
    """Of the fees contract, in the transaction's receipt."""

    def reserve(self, world: WorldState) -> None:
        """See `GasPayer`."""
        storage, day = Storage(world, FEES), day_of(self.time)
        most = self.gas_limit * self.price
        self._book(world, -most)
        user = user_of(storage, self.target, self.user, day)
        store_user(storage, self.target, self.user, user._replace(used=user.used + 1))

    def settle(self, world: WorldState, gas_used: int) -> None:
        """See `GasPayer`."""
        fee = gas_used * self.price
        self._book(world, self.gas_limit * self.price - fee)
        world.add_balance(self.recipient, fee)
        self.events.emit("Sponsored", self.target, self.user, fee)

    def _book(self, world: WorldState, change: int) -> None:
        """Move coins into the deposit, or out of it, together with the balance and the day's sum."""
        storage, day = Storage(world, FEES), day_of(self.time)
        deposit = deposit_of(storage, self.target)
        store_deposit(storage, self.target, deposit._replace(amount=deposit.amount + change))
        store_spent(storage, self.target, day, spent_on(storage, self.target, day) - change)
        if change < 0:
            world.subtract_balance(FEES, -change)
        else:
            world.add_balance(FEES, change)


def covered_gas(reader: SlotReader, target: Address, *, price: int, time: int) -> tuple[int, int]:
    """Return the largest gas limit that a deposit pays for, and how much gas it pays for today, all together."""
    storage = ReadStorage(reader, FEES)
    rules = rules_of(storage, target)
    today = max(rules.max_fee_per_day - spent_on(storage, target, day_of(time)), 0)
    return rules.max_gas, min(deposit_of(storage, target).amount, today) // price


def note_free_lane(world: WorldState, *, slots: int, gas: int, height: int) -> None:
    """Remember how full a complete block's free lane was, where anybody used it."""
    if slots:
        FREE_LANE_WORD.store(Storage(world, FEES), FREE_LANE, FreeLane(slots, gas, height))


def newest_free_lane(storage: ReadStorage, height: int) -> FreeLane:
    """Return the free lane of the newest complete block that is known in the block at `height`.

    In a call on the state after that block it is that block's own, where anybody used it.
    """
    kept = FREE_LANE_WORD.load(storage, FREE_LANE)
    return kept if kept.height >= height - 1 else FreeLane(0, 0, max(height - 1, 0))
