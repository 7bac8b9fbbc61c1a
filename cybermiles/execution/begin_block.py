"""Before a block's transactions: what its consensus fields say of the validators.

    last commit   ─► who was absent at the parent's height
    evidence      ─► who voted twice: slashed and barred

First, so that no transaction of the block can move stake out of the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking.layout import key_use
from cybermiles.staking.slashing import note_signers, punish_double_vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.staking.state import StakingState
    from cybermiles.types.evidence import Misbehaviour

SignedVote = tuple[bytes, int, bool]
"""(consensus address, power, whether it signed) of a member of the parent's set, in the set's order."""


def begin_block(state: StakingState, signed: Sequence[SignedVote], misbehaviour: Sequence[Misbehaviour]) -> None:
    """Punish absence and double votes. Who has no candidacy, as in a chain without stake, cannot be punished."""
    if state.height > 1:
        note_signers(state, state.height - 1, ((address, present) for address, _, present in signed))
    for offence in misbehaviour:
        candidate = key_use(state.storage, offence.validator.address).candidate
        if candidate:
            punish_double_vote(state, candidate, offence.height, offence.evidence_hash)
