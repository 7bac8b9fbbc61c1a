"""Freezing: which accounts are frozen, by which proposals, and until when at the latest.

A recovery holds its account from the moment validators with a third of power support that until it ends: at the close
of the vote where it does not pass, else with its execution. Several recoveries may hold one account; it is frozen while
any does. All freezes of an account together last `gov_freeze_seconds` at most, for ever: the end of each is fixed when
it begins, and no later vote or parameter moves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.governance.errors import FreezeSpent
from cybermiles.governance.layout import (
    DETAILS,
    HEAD,
    HEAD_WORD,
    HELD,
    HOLD_WORD,
    HOLDS,
    drop_item,
    head_of,
    held_view,
    hold_of,
    proposal_slot,
)
from cybermiles.state.slots import Array, mapping_slot

if TYPE_CHECKING:
    from cybermiles.governance.state import GovernanceState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address


def frozen_accounts(storage: ReadStorage, time: int) -> tuple[Address, ...]:
    """Return who is frozen in the block of this time that follows a state, from governance's storage there."""
    held = held_view(storage)
    accounts = (storage.load_address(held.slot_of(index)) for index in range(len(held)))
    return tuple(account for account in accounts if time < hold_of(storage, account).until)


def account_of(storage: ReadStorage, proposal: int) -> Address:
    """Return the account that a recovery is about."""
    return storage.load_address(proposal_slot(proposal) + DETAILS)


def check_freezable(state: GovernanceState, account: Address) -> None:
    """Raise FreezeSpent where the account cannot be frozen any more."""
    hold = hold_of(state.storage, account)
    if hold.since:
        return
    if hold.used >= state.params.gov_freeze_seconds or hold.holders:
        raise FreezeSpent(account)


def place_hold(state: GovernanceState, proposal: int) -> None:
    """Have a recovery that holds nothing yet hold its account. Raises FreezeSpent."""
    storage = state.storage
    account = account_of(storage, proposal)
    check_freezable(state, account)
    hold = hold_of(storage, account)
    if not hold.since:
        until = state.time + state.params.gov_freeze_seconds - hold.used
        hold = hold._replace(since=state.time, until=until)
        Array(storage, HELD).append(int.from_bytes(account))
        state.wake_at(until)
    HOLD_WORD.store(storage, mapping_slot(HOLDS, account), hold._replace(holders=hold.holders + 1))
    HEAD_WORD.store(storage, proposal_slot(proposal) + HEAD, head_of(storage, proposal)._replace(holds=1))
    state.events.emit("HoldPlaced", proposal, account, hold.until)


def lift_hold(state: GovernanceState, proposal: int) -> None:
    """Have a recovery let go of its account, which is free from the next block on unless another holds it."""
    storage = state.storage
    account = account_of(storage, proposal)
    hold = hold_of(storage, account)
    hold = hold._replace(holders=hold.holders - 1)
    if not hold.holders and hold.since:
        used = hold.used + min(state.time, hold.until) - hold.since
        hold = hold._replace(since=0, until=0, used=used)
        drop_item(storage, HELD, int.from_bytes(account))
    HOLD_WORD.store(storage, mapping_slot(HOLDS, account), hold)
    HEAD_WORD.store(storage, proposal_slot(proposal) + HEAD, head_of(storage, proposal)._replace(holds=0))
    state.events.emit("HoldLifted", proposal, account)


def end_overdue_freezes(state: GovernanceState) -> int:
    """Free the accounts whose freeze has come to its end; return when the next one does, 0 where none is frozen."""
    storage, held = state.storage, held_view(state.storage)
    following = 0
    for account in [storage.load_address(held.slot_of(index)) for index in range(len(held))]:
        hold = hold_of(storage, account)
        if state.time < hold.until:
            following = min(following or hold.until, hold.until)
            continue
        used = hold.used + hold.until - hold.since
        HOLD_WORD.store(storage, mapping_slot(HOLDS, account), hold._replace(since=0, until=0, used=used))
        drop_item(storage, HELD, int.from_bytes(account))
    return following
