"""What every rule of staking works on: the contract's storage, the coins it holds, the block, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cybermiles.chain.predeploys import STAKING
from cybermiles.errors import InvariantViolation
from cybermiles.staking.errors import UnknownValidator
from cybermiles.staking.layout import LEDGER, candidate_of, ledger_of
from cybermiles.staking.records import LEDGER_WORD, PPM
from cybermiles.state.slots import Storage

if TYPE_CHECKING:
    from fractions import Fraction

    from cybermiles.chain.params import ChainParams
    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address


class Events(Protocol):
    """Who hears of what happens: a frame's log, or the block's."""

    def emit(self, name: str, *arguments: object) -> None:
        """Report an event of the contract's ABI."""
        ...


class Silence:
    """Nobody hears: block 0 has no logs."""

    def emit(self, name: str, *arguments: object) -> None:
        """Let an event pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingState:
    """The one object that the rules change.

    Coins that come with a call are in the contract's balance already. Rules pay nobody: what leaves goes through exits,
    at the end of a block. `events` are the staking contract's, `faults` the slashing contract's.
    """

    storage: Storage
    world: WorldState
    params: ChainParams
    height: int
    time: int
    events: Events
    faults: Events

    def find(self, owner: Address) -> int:
        """Return the candidate of an owner. Raises UnknownValidator."""
        candidate = candidate_of(self.storage, owner)
        if not candidate:
            raise UnknownValidator(owner)
        return candidate

    def owe(self, amount: int) -> None:
        """Book `amount` wei more, or less, that belong to somebody."""
        ledger = ledger_of(self.storage)
        LEDGER_WORD.store(self.storage, LEDGER, ledger._replace(liabilities=ledger.liabilities + amount))

    def burn(self, amount: int) -> None:
        """Destroy wei that belonged to somebody."""
        if amount:
            self.owe(-amount)
            self.world.burn(STAKING, amount)

    @property
    def pot(self) -> int:
        """Wei in the contract that belong to nobody: fees, remainders, coins forced on it."""
        pot = self.world.balance(STAKING) - ledger_of(self.storage).liabilities
        if pot < 0:
            raise InvariantViolation(f"staking owes {-pot} wei more than it has")
        return pot


def staking_state(
    world: WorldState, params: ChainParams, *, height: int, time: int, events: Events, faults: Events
) -> StakingState:
    """Return the state of staking in a world."""
    return StakingState(
        storage=Storage(world, STAKING),
        world=world,
        params=params,
        height=height,
        time=time,
        events=events,
        faults=faults,
    )


def portion_up(amount: int, ratio: Fraction) -> int:
    """Return amount · ratio rounded up: for what somebody must have or loses."""
    return -(-amount * ratio.numerator // ratio.denominator)


def in_ppm(ratio: Fraction) -> int:
    """Return a ratio in parts per million, rounded down."""
    return ratio.numerator * PPM // ratio.denominator
