"""How many coins there are: what each block mints, and counting that and what it burns.

A block mints what the schedule of `chain.issuance` grows by from its parent's time to its own, at the rates in force in
it. So a vote changes what is minted from then on and nothing before. Growth inside a year is a part of the supply at
the year's start, which is what there was then, whatever rates led there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.issuance import SECONDS_PER_YEAR, IssuanceSchedule, minted_between, supply_at, supply_at_year
from cybermiles.chain.predeploys import STAKING
from cybermiles.staking.layout import BURNT, GENESIS, LEDGER, QUEUE, YEAR, ledger_of
from cybermiles.staking.records import GENESIS_WORD, LEDGER_WORD, QUEUE_WORD, YEAR_WORD, Year
from cybermiles.types.primitives import Wei

if TYPE_CHECKING:
    from cybermiles.staking.records import Genesis
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage


def issue(state: StakingState, parent_time: int) -> Wei:
    """Mint what the block after a parent at `parent_time` mints; return it. Never over `max_supply` in all."""
    storage, params, founded = state.storage, state.params, genesis_of(state.storage)
    before = founded.supply + ledger_of(storage).minted
    year = YEAR_WORD.load(storage, YEAR)
    schedule = IssuanceSchedule(
        genesis_time=founded.time,
        genesis_supply=year.supply or founded.supply,
        rate=params.inflation_rate,
        rate_after=params.inflation_rate_after,
        max_supply=params.max_supply,
        first_year=year.number,
    )
    room = max(params.max_supply - before, 0)
    now = (state.time - founded.time) // SECONDS_PER_YEAR
    if now > year.number:
        until_then = supply_at_year(schedule, now) - supply_at(schedule, parent_time)
        YEAR_WORD.store(storage, YEAR, Year(now, before + min(until_then, room)))
    amount = Wei(min(minted_between(schedule, parent_time, state.time), room))
    mint(state, amount)
    return amount


def mint(state: StakingState, amount: int) -> None:
    """Create the coins of a block; they are the pot's."""
    ledger = ledger_of(state.storage)
    LEDGER_WORD.store(state.storage, LEDGER, ledger._replace(minted=ledger.minted + amount))
    state.world.add_balance(STAKING, amount)


def count_burnt(storage: Storage, amount: int) -> None:
    """Book coins that a block destroyed, in whatever way."""
    if amount:
        storage.add(BURNT, amount)


def genesis_of(storage: ReadStorage) -> Genesis:
    """Return the supply and time of block 0."""
    return GENESIS_WORD.load(storage, GENESIS)


def burnt_supply(storage: ReadStorage) -> int:
    """Return the wei destroyed since genesis."""
    return storage.load(BURNT)


def total_supply(storage: ReadStorage) -> int:
    """Return all wei there are."""
    return genesis_of(storage).supply + ledger_of(storage).minted - burnt_supply(storage)


def staked_supply(storage: ReadStorage) -> int:
    """Return the wei that are staked: what staking owes less what is on its way out."""
    return ledger_of(storage).liabilities - QUEUE_WORD.load(storage, QUEUE).total
