"""From stake to votes: whole units, damped.

    power = floor(min(stake, floor(S · threshold)) / unit), at least 1        S: stake of the set elected before

Stake over the threshold, 12 %, of all elected stake gives no votes, so that a large candidate has a reason to stay
small. Whoever has a whole unit has a vote, however small the whole network is.
Source: docs/spec/staking.md; travis modules/stake, calcVotingPower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.chain.params import ChainParams


def damped_powers(stakes: Sequence[int], params: ChainParams, elected_stake: int) -> list[int]:
    """Return the votes of candidates with these stakes; each must be a unit at least. Wei."""
    threshold = params.validator_size_threshold
    limit = elected_stake * threshold.numerator // threshold.denominator
    return [max(1, min(stake, limit) // params.power_unit) for stake in stakes]
