"""After a block's transactions: exits, awards, election.

    exits that are due ─► awards of the parent's signers ─► one member's awards shared out ─► election
      └─ of locked stake: back under the lock

Slashing came before the transactions, governance and the mint just before. Awards go to stake as the block leaves it;
the election sees the awards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.awards import pay_awards, share_out_one
from cybermiles.staking.election import elect
from cybermiles.staking.exits import pay_due_exits
from cybermiles.staking.supply import count_burnt
from cybermiles.vesting.grants import receive_exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.execution.begin_block import SignedVote
    from cybermiles.staking.state import StakingState
    from cybermiles.types.primitives import Wei
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.vesting.grants import Events


def end_block(
    state: StakingState, signed: Sequence[SignedVote], vesting: Events, *, minted: Wei, fees: Wei
) -> ValidatorSet | None:
    """Bring the economy one block further; return the set that decides two blocks later, None where it stays.

    `minted` was issued already. `vesting` hears the events of the vesting contract.
    """
    receive_exits(state.world, pay_due_exits(state), vesting)
    pay_awards(state, signed)
    share_out_one(state)
    elected = elect(state)
    state.events.emit("AwardsMinted", state.height, minted, fees)
    count_burnt(state.storage, state.world.burnt)
    return elected
