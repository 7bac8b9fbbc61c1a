"""What every rule of governance works on: both contracts' storage, the coins, the block, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.governance.layout import NEXT_DUE
from cybermiles.state.slots import Storage

if TYPE_CHECKING:
    from fractions import Fraction

    from cybermiles.chain.params import ChainParams
    from cybermiles.state.world import WorldState


class Events(Protocol):
    """Who hears of what happens: a frame's log, or the block's."""

    def emit(self, name: str, *arguments: object) -> None:
        """Report an event of the contract's ABI."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceState:
    """The one object that the rules change. A bond that comes with a call is in the contract's balance already."""

    storage: Storage
    staking: Storage
    """Read, but for opening snapshots."""
    world: WorldState
    params: ChainParams
    """In force in this block."""
    height: int
    time: int
    events: Events

    def wake_at(self, time: int) -> None:
        """Have the end of the first block at or after a time look at what is due."""
        due = self.storage.load(NEXT_DUE)
        if not due or time < due:
            self.storage.store(NEXT_DUE, time)


def governance_state(
    world: WorldState, params: ChainParams, *, height: int, time: int, events: Events
) -> GovernanceState:
    """Return the state of governance in a world."""
    return GovernanceState(
        storage=Storage(world, GOVERNANCE),
        staking=Storage(world, STAKING),
        world=world,
        params=params,
        height=height,
        time=time,
        events=events,
    )


def portion(amount: int, ratio: Fraction) -> int:
    """Return amount · ratio rounded down: for caps."""
    return amount * ratio.numerator // ratio.denominator
