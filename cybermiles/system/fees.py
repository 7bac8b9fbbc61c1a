"""The fees contract: `ICmtFees`. The fee waiver's rules for reading, sponsor deposits on `cybermiles.sponsorship`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.fees import Lane, LaneBook, decimal
from cybermiles.chain.predeploys import FEES
from cybermiles.errors import InvalidTransaction
from cybermiles.sponsorship import deposits
from cybermiles.sponsorship.deposits import Action
from cybermiles.sponsorship.errors import NotAllowed
from cybermiles.sponsorship.lane import DepositSponsors, newest_free_lane
from cybermiles.sponsorship.layout import Rules, day_of, deposit_of, owner_of, rules_of, spent_on, user_of
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract
from cybermiles.types.primitives import GWEI, ZERO_ADDRESS, Address
from cybermiles.vm.validity import MAX_TRANSACTION_GAS, TRANSACTION_GAS

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.sponsorship.layout import FreeLane
    from cybermiles.system.dispatch import Call

_REJECTED = 3
"""Behind the members of `Lane` in the ABI's enum."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A transaction that `quote` asks about."""

    sender: Address
    to: Address | None
    gas_limit: int
    price: int

    def effective_gas_price(self, base_fee: int) -> int:  # noqa: ARG002
        """See `chain.fees.Asking`."""
        return self.price


# Reading


def rules(call: Call) -> tuple[int, int, int, int, int]:
    """`rules()`."""
    params = call.context.params
    return params.free_gas_limit, params.min_gas_price, params.free_slots_per_block, params.free_gas_per_block, 1


def quote(call: Call, sender: Address, to: Address, gas_limit: int, gas_price: int) -> tuple[int, int, str]:
    """`quote(address,address,uint64,uint256)`: what the lane book of an empty block would say; `to` 0 is a creation."""
    params = call.context.params
    if not TRANSACTION_GAS <= gas_limit <= MAX_TRANSACTION_GAS:
        return _REJECTED, 0, f"a transaction has from {TRANSACTION_GAS} to {MAX_TRANSACTION_GAS} gas"
    sponsors = DepositSponsors(call.world, params.min_gas_price, call.context.timestamp)
    question = _Question(sender, None if to == ZERO_ADDRESS else to, gas_limit, gas_price)
    try:
        decision = LaneBook(params, sponsors).assign(question)
    except InvalidTransaction as error:
        return _REJECTED, 0, str(error)
    fee = gas_limit * decision.gas_price
    return decision.lane, min(fee, 2**256 - 1), _why(decision.lane, params)


def free_lane_now(call: Call) -> FreeLane:
    """`freeLaneNow()`."""
    return newest_free_lane(call.storage, call.context.height)


def sponsor_budget(call: Call, target: Address) -> tuple[Address, int, int, int, int, bool, int]:
    """`sponsorBudget(address)`."""
    deposit, made = deposit_of(call.storage, target), rules_of(call.storage, target)
    return (
        owner_of(deposit),
        deposit.amount,
        made.max_gas,
        made.per_user,
        made.max_fee_per_day,
        made.only_listed == 1,
        spent_on(call.storage, target, day_of(call.context.timestamp)),
    )


def sponsored_user(call: Call, target: Address, user: Address) -> tuple[bool, int]:
    """`sponsoredUser(address,address)`."""
    found = user_of(call.storage, target, user, day_of(call.context.timestamp))
    return found.listed == 1, found.used


# Owners of targets, and who funds them


def claim_sponsorship(call: Call, target: Address, creation_nonce: int) -> None:
    """`claimSponsorship(address,uint64)`."""
    deposits.claim(_action(call, target), creation_nonce)


def set_sponsor_owner(call: Call, target: Address, owner: Address) -> None:
    """`setSponsorOwner(address,address)`: of nobody's whose coins are frozen."""
    _refuse_frozen(call, target)
    deposits.name_owner(_action(call, target), owner)


def set_sponsor_rules(
    call: Call,
    target: Address,
    max_gas: int,
    per_user: int,
    max_fee_per_day: int,
    only_listed: bool,  # noqa: FBT001
) -> None:
    """`setSponsorRules(address,uint64,uint32,uint96,bool)`."""
    deposits.set_rules(_action(call, target), Rules(max_fee_per_day, max_gas, per_user, int(only_listed)))


def set_sponsored_user(call: Call, target: Address, user: Address, allowed: bool) -> None:  # noqa: FBT001
    """`setSponsoredUser(address,address,bool)`."""
    deposits.list_user(_action(call, target), user, call.context.timestamp, allowed=allowed)


def fund_sponsorship(call: Call, target: Address) -> None:
    """`fundSponsorship(address)`."""
    deposits.fund(_action(call, target), call.value)


def withdraw_sponsorship(call: Call, target: Address, amount: int, to: Address) -> None:
    """`withdrawSponsorship(address,uint256,address)`: of nobody's whose coins are frozen."""
    _refuse_frozen(call, target)
    deposits.withdraw(_action(call, target), amount, to)
    call.transfer(to, amount)


def _action(call: Call, target: Address) -> Action:
    return Action(call.storage, call, call.sender, target)


def _refuse_frozen(call: Call, target: Address) -> None:
    frozen = call.context.frozen
    if call.sender in frozen or target in frozen:
        raise NotAllowed


def _why(lane: Lane, params: ChainParams) -> str:
    if lane is Lane.FREE:
        return f"free: the gas limit is at most {params.free_gas_limit}, while the block has a free slot"
    if lane is Lane.PAID:
        return f"paid by the sender: the price is at least {decimal(params.min_gas_price, GWEI)} gwei"
    return "paid by the recipient's sponsor"


CONTRACT = SystemContract(
    FEES,
    load_abi("ICmtFees"),
    {
        "rules": rules,
        "quote": quote,
        "freeLaneNow": free_lane_now,
        "sponsorBudget": sponsor_budget,
        "sponsoredUser": sponsored_user,
        "claimSponsorship": claim_sponsorship,
        "setSponsorOwner": set_sponsor_owner,
        "setSponsorRules": set_sponsor_rules,
        "setSponsoredUser": set_sponsored_user,
        "fundSponsorship": fund_sponsorship,
        "withdrawSponsorship": withdraw_sponsorship,
    },
)
