"""How many coins there are: counted where the mint and the burnt coins of each block are booked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import STAKING
from cybermiles.staking.layout import BURNT, GENESIS, LEDGER, QUEUE, ledger_of
from cybermiles.staking.records import GENESIS_WORD, LEDGER_WORD, QUEUE_WORD

if TYPE_CHECKING:
    from cybermiles.staking.records import Genesis
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage


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
