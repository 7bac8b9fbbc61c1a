"""The vesting contract: `ICmtVesting` on the rules of `cybermiles.vesting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.state.slots import ReadStorage
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract
from cybermiles.system.staking import charge_page, state_of
from cybermiles.types.primitives import Address
from cybermiles.vesting import grants as rules
from cybermiles.vesting.layout import LABEL, grants_view, principal_slot

if TYPE_CHECKING:
    from cybermiles.system.dispatch import Call
    from cybermiles.vesting.grants import Grant

_EVERYTHING = 2**256 - 1
"""As an amount: all of the stake, to the wei, although awards raise it every block."""


class GrantView(NamedTuple):
    """`Grant` of the ABI."""

    holder: Address
    total: int
    start_time: int
    end_time: int
    released: int
    staked: int
    lost: int
    stake_account: Address
    label: str


def grant_count(call: Call) -> int:
    """`grantCount()`."""
    return len(grants_view(call.storage))


def grant_of(call: Call, holder: Address) -> GrantView:
    """`grantOf(address)`."""
    return _view(call, rules.find(call.storage, holder))


def grants(call: Call, offset: int, limit: int) -> list[GrantView]:
    """`grants(uint256,uint256)`: in the genesis document's order."""
    listed = grants_view(call.storage)
    charge_page(call, limit, len(listed))
    return [_view(call, rules.load_grant(call.storage, listed.slot_of(index))) for index in listed.page(offset, limit)]


def locked(call: Call, holder: Address) -> int:
    """`locked(address)`."""
    return rules.find(call.storage, holder).locked(call.context.timestamp)


def releasable(call: Call, holder: Address) -> int:
    """`releasable(address)`."""
    return rules.find(call.storage, holder).releasable(call.context.timestamp)


def release(call: Call) -> int:
    """`release()`."""
    amount, left = rules.release(call.storage, call.sender, call.context.timestamp)
    call.transfer(call.sender, amount)
    call.emit("Released", call.sender, amount, left)
    return amount


def locked_stake(call: Call, holder: Address, validator: Address) -> tuple[int, int]:
    """`lockedStake(address,address)`."""
    rules.find(call.storage, holder)
    candidate = state_of(call).find(validator)
    worth = rules.locked_worth(ReadStorage(call.world, STAKING), holder, candidate)
    return call.storage.load(principal_slot(holder, candidate)), worth


def delegate_locked(call: Call, validator: Address, amount: int) -> int:
    """`delegateLocked(address,uint256)`."""
    worth = rules.delegate_locked(call.storage, state_of(call), call.sender, validator, amount)
    call.emit("LockedDelegated", call.sender, validator, amount)
    return worth


def undelegate_locked(call: Call, validator: Address, amount: int) -> tuple[int, int]:
    """`undelegateLocked(address,uint256)`: the largest amount there is means all."""
    wanted = None if amount == _EVERYTHING else amount
    exit_id, due, principal, awards = rules.undelegate_locked(
        call.storage, state_of(call), call.sender, validator, wanted
    )
    call.emit("LockedUndelegated", call.sender, validator, exit_id, principal, awards)
    return exit_id, due


def _view(call: Call, grant: Grant) -> GrantView:
    holder = Address(grant.terms.holder.to_bytes(20))
    return GrantView(
        holder=holder,
        total=grant.paid.total,
        start_time=grant.terms.start,
        end_time=grant.terms.end,
        released=grant.paid.released,
        staked=grant.stake.staked,
        lost=grant.stake.lost,
        stake_account=rules.stake_account(holder),
        label=call.storage.load_text(grant.slot + LABEL),
    )


CONTRACT = SystemContract(
    VESTING,
    load_abi("ICmtVesting"),
    {
        "grantCount": grant_count,
        "grantOf": grant_of,
        "grants": grants,
        "locked": locked,
        "releasable": releasable,
        "release": release,
        "lockedStake": locked_stake,
        "delegateLocked": delegate_locked,
        "undelegateLocked": undelegate_locked,
    },
)
