"""Block 0: the founders' candidacies, and the first seats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.candidates import Declaration, open_candidacy
from cybermiles.staking.election import seat_first
from cybermiles.staking.layout import FOUNDATION, GENESIS
from cybermiles.staking.records import GENESIS_WORD, Genesis
from cybermiles.staking.state import Silence, in_ppm, staking_state

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.staking.state import StakingState
    from cybermiles.state.world import WorldState


def founding_state(world: WorldState, document: GenesisDocument) -> StakingState:
    """Return staking in the world of block 0, where nobody listens."""
    silence = Silence()
    return staking_state(world, document.params, height=0, time=document.timestamp, events=silence, faults=silence)


def found(state: StakingState, document: GenesisDocument) -> None:
    """Write what staking starts from. The founders' stake is in the contract's balance already.

    Founders without stake get no candidacy: such a chain has no elections.
    """
    GENESIS_WORD.store(state.storage, GENESIS, Genesis(document.supply, document.timestamp))
    state.storage.store_address(FOUNDATION, document.foundation)
    founders = [
        open_candidacy(
            state,
            entry.validator.operator,
            Declaration(
                key=entry.validator.consensus_key,
                cap=entry.stake_cap,
                rate=in_ppm(entry.comp_rate),
                stake=entry.stake,
                profile=(entry.name, "", "", "", ""),
            ),
        )
        for entry in document.validators
        if entry.stake
    ]
    if founders:
        seat_first(state, founders)
